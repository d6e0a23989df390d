package maillog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// written is a file that tells how it was written.
type written struct {
	mu     sync.Mutex
	writes []string
	room   int // bytes that still fit; less than 0: any number
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	if w.room >= 0 {
		n = min(n, w.room)
		w.room -= n
	}
	w.writes = append(w.writes, string(p[:n]))
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func (w *written) all() (string, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.writes, ""), len(w.writes)
}

// gathering is a File that is not on disk.
type gathering struct{ g *gatherer }

func (g gathering) Write(p []byte) (int, error) { return len(p), g.g.add(p) }
func (g gathering) Flush()                      { g.g.flush() }

// Many lines are few writes; the first does not wait, none is lost, and all are in order.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{room: -1}
		g := newGatherer(w.Write)
		var want bytes.Buffer
		for i := range 1000 {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			if err := g.add([]byte(line)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				synctest.Wait()
				if got, _ := w.all(); got != line {
					t.Errorf("the first line waits: %q", got)
				}
			}
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if got, n := w.all(); got != want.String() || n > 3 {
			t.Errorf("%d writes, the lines as they came: %t", n, got == want.String())
		}
		g.add([]byte("last\n"))
		g.close()
		g.add([]byte("after\n"))
		if got, _ := w.all(); !strings.HasSuffix(got, "last\nafter\n") {
			t.Errorf("the end: %q", got[max(0, len(got)-20):])
		}
	})
}

// From many goroutines: those of each are in order, and lines stay whole.
func TestGatherTogether(t *testing.T) {
	w := &written{room: -1}
	g := newGatherer(w.Write)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 500 {
				g.add(fmt.Appendf(nil, "%d %d %s\n", i, k, strings.Repeat("x", k)))
				if k%100 == 0 {
					g.flush()
				}
			}
		})
	}
	all.Wait()
	g.close()
	got, _ := w.all()
	next := [8]int{}
	for line := range strings.Lines(got) {
		var i, k int
		var x string
		if n, _ := fmt.Sscanf(line, "%d %d %s", &i, &k, &x); n < 2 || k != next[i] || len(x) != k {
			t.Fatalf("line %q, expected %d of %d", line, next[i], i)
		}
		next[i]++
	}
	if next != [8]int{500, 500, 500, 500, 500, 500, 500, 500} {
		t.Errorf("lines: %v", next)
	}
}

// A warning, and the end of a connection, are in the file at once, with all before them.
func TestGatherDoesNotHoldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{room: -1}
		g := newGatherer(w.Write)
		defer g.close()
		log := slog.New(New(Options{Out: gathering{g}, Hostname: "mx", PID: 1}))
		log.Info("one")
		synctest.Wait() // the pause has begun
		log.Info("two")
		if got, _ := w.all(); strings.Contains(got, "two") {
			t.Error("nothing waits")
		}
		log.Warn("three")
		if got, _ := w.all(); !strings.Contains(got, "two") || !strings.Contains(got, "three") {
			t.Errorf("after a warning: %q", got)
		}
		log.Info(mail.EventMessageID, mail.KeyMessage, "<1@x>")
		if got, _ := w.all(); !strings.Contains(got, "message-id=<1@x>") {
			t.Errorf("before the 250: %q", got)
		}
		log.Info(mail.EventDisconnect, mail.KeyClient, "x[192.0.2.1]")
		if got, _ := w.all(); !strings.Contains(got, "disconnect from x") {
			t.Errorf("after a connection: %q", got)
		}
	})
}

// What a full disk does not take is counted, and told when there is room.
func TestGatherFails(t *testing.T) {
	w := &written{room: 60}
	g := newGatherer(w.Write)
	var said bytes.Buffer
	h := New(Options{Out: gathering{g}, Hostname: "mx", PID: 1, Errors: &said})
	log := slog.New(h)
	for i := range 5 {
		log.Warn(fmt.Sprintf("line %d", i))
	}
	w.mu.Lock()
	w.room = -1
	w.mu.Unlock()
	log.Warn("again")
	log.Warn("and on")
	g.close()
	got, _ := w.all()
	if h.Lost() != 4 || !strings.Contains(got, "warning: 4 lines of this log were lost") {
		t.Errorf("%d lines lost; %q", h.Lost(), got)
	}
	if !strings.Contains(said.String(), "no space left") {
		t.Errorf("said %q", said.String())
	}
	if !strings.Contains(got, "again") || !strings.Contains(got, "and on") {
		t.Error("lines are lost although there is room")
	}
}
