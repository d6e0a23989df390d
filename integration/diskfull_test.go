package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiskFull gives the queue a file system of 64 MB and sends until it is full:
// the client hears 452, what was accepted before arrives, and when there is room
// again mail is taken again.
func TestDiskFull(t *testing.T) {
	sink := newSink(t)
	sink.Stop()
	r := newRelay(t, base(sink), nil)
	queue := filepath.Join(r.top, "queue")
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs", queue).CombinedOutput(); err != nil {
		t.Fatalf("this test mounts a small tmpfs, for which it must run as root: %v %s", err, out)
	}
	t.Cleanup(func() {
		if r.cmd != nil {
			r.cmd.Process.Kill()
			<-r.done
		}
		exec.Command("umount", "-l", queue).Run()
	})
	r.start()

	letter := filepath.Join(r.top, "letter")
	if err := os.WriteFile(letter, []byte("Subject: big\n\n"+strings.Repeat(strings.Repeat("x", 70)+"\n", 30000)), 0o644); err != nil {
		t.Fatal(err)
	}
	accepted, last := 0, ""
	for range 60 {
		out, code := swaks(t, r, "--to", "info@alias.example", "--data", "@"+letter)
		if code != 0 {
			last = out
			break
		}
		accepted++
	}
	if accepted == 0 || !strings.Contains(last, "452 4.3.1") {
		t.Fatalf("%d messages of 2 MB accepted on 64 MB, then:\n%s", accepted, tail(last, 12))
	}
	if err := sink.Start(); err != nil {
		t.Fatal(err)
	}
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(accepted, limit) {
		t.Fatalf("%d of %d accepted messages arrived\n%s", sink.Count(), accepted, tail(r.log(), 20))
	}
	r.waitEmpty()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("mail is still refused after the queue has emptied:\n%s", tail(out, 12))
	}
	for i, m := range sink.Messages() {
		if n := strings.Count(m.Data, strings.Repeat("x", 70)+"\r\n"); i < accepted && n != 30000 {
			t.Errorf("message %d arrived with %d lines", i, n)
		}
	}
	t.Log(fmt.Sprintf("%d messages of 2 MB accepted before 452", accepted))
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
