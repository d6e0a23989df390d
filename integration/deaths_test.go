package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDeaths: a daemon whose disk has failed three times within ten minutes does not start
// again before somebody has looked, and says what to do. What restarts it is told that it
// is no use (exit status 78).
func TestDeaths(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	file := filepath.Join(r.top, "queue", "run", "deaths")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	line := time.Now().UTC().Add(-time.Minute).Format(time.RFC3339) + "\n"
	write := func(n int) {
		if err := os.WriteFile(file, []byte(strings.Repeat(line, n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(3)
	out, code := r.run("start", "-c", r.dir)
	if code != 78 || !strings.Contains(out, "has failed 3 times within 10 minutes") || !strings.Contains(out, "remove "+file) {
		t.Errorf("start after three deaths: %d %s", code, out)
	}
	write(2)
	r.start()
	r.stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.start()
}
