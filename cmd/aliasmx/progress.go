package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aliasmx/internal/admin"
)

// meter shows on a terminal how far long work is: one line, written over at most once a
// second, gone when the work is done. What is no terminal sees nothing of it.
type meter struct {
	out   io.Writer // nil: nobody looks
	what  string
	now   func() time.Time
	last  time.Time
	width int // of what stands there
}

// newMeter makes a meter of standard error. Work that is done within its first second is
// not shown.
func newMeter(env environ, what string) *meter {
	m := &meter{what: what, now: time.Now}
	if isWatched(env.stderr) {
		m.out = env.stderr
	}
	m.last = m.now()
	return m
}

// progress is nil when nobody looks, so that nobody needs to tell.
func (m *meter) progress() admin.Progress {
	if m.out == nil {
		return nil
	}
	return m.show
}

func (m *meter) show(done, total int64) {
	now := m.now()
	if m.out == nil || now.Sub(m.last) < time.Second {
		return
	}
	m.last = now
	text := m.what + ": " + admin.Thousands(done)
	if total > 0 {
		text += " of " + admin.Thousands(total)
	}
	fmt.Fprintf(m.out, "\r%s%s", text, strings.Repeat(" ", max(m.width-len(text), 0)))
	m.width = len(text)
}

// clear makes room for what is to be said.
func (m *meter) clear() {
	if m.width > 0 {
		fmt.Fprintf(m.out, "\r%s\r", strings.Repeat(" ", m.width))
		m.width = 0
	}
}

// isWatched tells whether somebody looks at it: at a terminal, not at /dev/null.
func isWatched(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
