package maillog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
)

// reader takes lines when it is let.
type reader struct {
	mu   sync.Mutex
	wait chan struct{} // nil: at once
	err  error
	got  bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	if r.wait != nil {
		<-r.wait
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.got.Write(p)
}

func TestStreamInOrder(t *testing.T) {
	r := &reader{}
	s := newStream(r)
	var want strings.Builder
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		want.WriteString(line)
		if n, err := io.WriteString(s, line); n != len(line) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	s.close()
	if r.got.String() != want.String() {
		t.Errorf("got %q", r.got.String())
	}
	if _, err := io.WriteString(s, "late\n"); err == nil {
		t.Error("a line is taken after the end")
	}
}

// Nobody waits for a reader that has stopped: not a line, and not the end.
func TestStreamStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{wait: make(chan struct{})}
		s := newStream(r)
		long := strings.Repeat("x", 1000) + "\n"
		taken := 0
		for range 2 * streamLines {
			if _, err := io.WriteString(s, long); err != nil {
				if !errors.Is(err, errSlow) {
					t.Fatal(err)
				}
				break
			}
			taken++
		}
		if taken == 0 || taken*len(long) > streamBytes {
			t.Errorf("%d lines of %d bytes are kept", taken, len(long))
		}
		s.close()
		close(r.wait)
		<-s.done
		if got := r.got.Len(); got != taken*len(long) {
			t.Errorf("%d bytes were written, want %d", got, taken*len(long))
		}
	})
}

func TestStreamFails(t *testing.T) {
	r := &reader{err: syscall.EPIPE}
	s := newStream(r)
	io.WriteString(s, "one\n")
	s.close()
	if err := s.err.Load(); err == nil || !errors.Is(*err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
}

// A named pipe that nobody reads is no place for a log.
func TestFileIsPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenFile(path); err == nil {
		f.Close()
		t.Error("it is taken without a reader")
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "a line\n")
	f.Close()
	b := make([]byte, 100)
	if n, _ := r.Read(b); string(b[:n]) != "a line\n" {
		t.Errorf("got %q", b[:n])
	}
}
