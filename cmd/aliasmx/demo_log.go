package main

import (
	"context"
	"io"
	"strings"
	"sync"
)

// demoLog keeps the daemon's log lines and can wait for one.
type demoLog struct {
	mu    sync.Mutex // guards all below
	lines []string
	more  chan struct{} // closed and replaced when a line comes
	tee   io.Writer     // where further lines are shown, nil: nowhere
}

func newDemoLog() *demoLog { return &demoLog{more: make(chan struct{})} }

// Write takes one line, as maillog gives them.
func (l *demoLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimRight(string(p), "\n"), "\n") {
		l.lines = append(l.lines, line)
		if l.tee != nil {
			io.WriteString(l.tee, line+"\n")
		}
	}
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

// mark is how many lines there are now.
func (l *demoLog) mark() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.lines) }

// follow shows all further lines.
func (l *demoLog) follow(w io.Writer) { l.mu.Lock(); l.tee = w; l.mu.Unlock() }

// wait returns the lines after mark once the wanted one has come n times and the
// client's disconnection is logged, or what there is when ctx ends.
func (l *demoLog) wait(ctx context.Context, mark int, want string, n int) []string {
	for {
		l.mu.Lock()
		lines, more := l.lines[mark:], l.more
		all := strings.Join(lines, "\n")
		if strings.Contains(all, "disconnect from") && (want == "" || strings.Count(all, want) >= n) {
			defer l.mu.Unlock()
			return append([]string(nil), lines...)
		}
		l.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return append([]string(nil), lines...)
		}
	}
}
