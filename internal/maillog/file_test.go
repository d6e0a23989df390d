package maillog

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFile(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "maillog")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "two\n") // to the file that was moved away
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "three\n")
	if got, want := contents(t, path+".1")+"|"+contents(t, path), "one\ntwo\n|three\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(f, "x"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
	if err := f.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}

	g, err := OpenFileMode(path+".2", 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if info, err := os.Stat(path + ".2"); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestReopenFails: the lines still go where they went.
func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(filepath.Join(dir, "maillog"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("Reopen without a directory succeeded")
	}
	if _, err := io.WriteString(f, "one\n"); err != nil {
		t.Error(err)
	}
	if got := contents(t, filepath.Join(dir+".old", "maillog")); got != "one\n" {
		t.Errorf("got %q", got)
	}
}

func TestOpenFileErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "no", "such")} {
		if f, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), path) {
			f.Close()
			t.Errorf("OpenFile(%s) = %v", path, err)
		}
	}
}

// TestStdout: the log goes to the stream itself, be it a pipe or a file, and leaves it
// open.
func TestStdout(t *testing.T) {
	saved := os.Stdout
	defer func() { os.Stdout = saved }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, stream := range []*os.File{w, file} {
		os.Stdout = stream
		f, err := OpenFile("/dev/stdout")
		if err != nil {
			t.Fatal(err)
		}
		slog.New(New(Options{Out: f, Hostname: "mx", PID: 1})).Info("hello")
		if err := errors.Join(f.Reopen(), f.Close()); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(stream, "end\n"); err != nil {
			t.Errorf("the stream was closed: %v", err)
		}
	}
	w.Close()
	piped, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{string(piped), contents(t, file.Name())} {
		if !strings.HasSuffix(got, " mx postfix/master[1]: hello\nend\n") {
			t.Errorf("got %q", got)
		}
	}
}
