package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// postmapEntries is how large the tables of these tests are.
const postmapEntries = 200_000

// writePostmapSource writes a table whose entries all have one value but the value of
// "first" and "last", by which a half table would be found out.
func writePostmapSource(t *testing.T, file, value string) {
	t.Helper()
	var text bytes.Buffer
	fmt.Fprintf(&text, "first %s\n", value)
	for i := range postmapEntries - 2 {
		fmt.Fprintf(&text, "user%d@alias.example target%d@dest.example\n", i, i)
	}
	fmt.Fprintf(&text, "last %s\n", value)
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func postmapProcess(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, append([]string{"postmap"}, args...)...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+filepath.Join(dir, "conf"))
	return cmd
}

func postmapConfig(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"conf", "tables"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf/main.cf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPostmapKilled kills postmap while it builds a large table, at moments spread over
// the time that a build takes. The table is the old one or the new one, whole, and what
// the killed process left behind the next one removes.
func TestPostmapKilled(t *testing.T) {
	for typ, suffix := range map[string]string{"hash": ".db", "cdb": ".cdb"} {
		t.Run(typ, func(t *testing.T) {
			dir := postmapConfig(t)
			source := filepath.Join(dir, "tables/virtual")
			spec := typ + ":" + source
			build := func() time.Duration {
				t.Helper()
				start := time.Now()
				if out, err := postmapProcess(t.Context(), dir, spec).CombinedOutput(); err != nil {
					t.Fatalf("postmap %s: %v\n%s", spec, err, out)
				}
				return time.Since(start)
			}
			writePostmapSource(t, source, "0")
			build()
			took := build() // with warm caches
			const kills = 12
			inForce, killed, litter := "0", 0, 0
			for i := range kills {
				next := fmt.Sprint(i + 1)
				writePostmapSource(t, source, next)
				moment := (float64(i) + rand.Float64()) / kills
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(moment*float64(took)))
				err := postmapProcess(ctx, dir, spec).Run() // the end of ctx is SIGKILL
				cancel()
				var exit *exec.ExitError
				switch {
				case err == nil:
				case errors.Is(err, context.DeadlineExceeded), errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
					killed++
				default:
					t.Fatalf("postmap %s: %v", spec, err)
				}
				if n := len(tableFiles(t, dir)); n > 2 {
					litter++
				}

				query := postmapProcess(t.Context(), dir, "-q", "-", spec)
				query.Stdin = strings.NewReader("first\nuser0@alias.example\nuser199997@alias.example\nlast\n")
				var errs bytes.Buffer
				query.Stderr = &errs
				out, queryErr := query.Output()
				answer := func(value string) string {
					return fmt.Sprintf("first\t%s\nuser0@alias.example\ttarget0@dest.example\nuser199997@alias.example\ttarget199997@dest.example\nlast\t%s\n", value, value)
				}
				switch got := string(out); {
				case queryErr != nil:
					t.Fatalf("killed at %.2f: %v\n%s", moment, queryErr, &errs)
				case got == answer(next):
					inForce = next
				case got != answer(inForce) || err == nil:
					t.Fatalf("killed at %.2f (%v): neither the old table nor the new one:\n%s", moment, err, got)
				}
			}
			t.Logf("a build took %v; %d of %d killed, %d left files behind", took, killed, kills, litter)
			if killed == 0 {
				t.Error("no build was killed")
			}
			build()
			if files := tableFiles(t, dir); len(files) != 2 || files[0] != "virtual" || files[1] != "virtual"+suffix {
				t.Errorf("left behind: %q", files)
			}
		})
	}
}

func tableFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "tables"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// TestPostmapProgress: who watches a large build sees how far it is, and scripts do not
// have to read that.
func TestPostmapProgress(t *testing.T) {
	dir := postmapConfig(t)
	source := filepath.Join(dir, "tables/virtual")
	writePostmapSource(t, source, "x")
	spec := "hash:" + source

	if out, err := postmapProcess(t.Context(), dir, spec).CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("into a pipe: %v\n%s", err, out)
	}

	out, err := postmapProcess(t.Context(), dir, "-v", spec).CombinedOutput()
	want := ""
	for n := 50_000; n <= postmapEntries; n += 50_000 {
		want += fmt.Sprintf("postmap: %s: %d entries\n", spec, n)
	}
	if err != nil || string(out) != want {
		t.Errorf("with -v: %v\n%s, want\n%s", err, out, want)
	}

	master, terminal := openTerminal(t)
	cmd := postmapProcess(t.Context(), dir, spec)
	cmd.Stderr = terminal
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	shown, _ := io.ReadAll(master) // EIO when nobody has the terminal any more
	if text := string(shown); !strings.Contains(text, ": 200000 entries") || !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("on a terminal: %q", text)
	}
}

// openTerminal makes a terminal, and what its other side is.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
