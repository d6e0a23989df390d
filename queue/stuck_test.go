package queue

import (
	"fmt"
	"testing"
	"time"
)

// hanging gives sites that never answer more work than there are slots.
func hanging(t *testing.T, limit, sites int) *script {
	sc := newScript(t, Params{ProcessLimit: limit})
	for i := range sites {
		sc.s.step(sc.now, evArrived{sc.jobs(fmt.Sprint("hangs", i), 10)})
	}
	return sc
}

// What hangs does not count after a while, so that others go on even when it has taken
// everything; and it does not get more and more.
func TestWhatHangsDoesNotCount(t *testing.T) {
	sc := hanging(t, 10, 40) // more sites than slots
	if n := len(sc.s.conns); n != 10 {
		t.Fatalf("%d connections", n)
	}
	sc.s.step(sc.now, evArrived{sc.jobs("other", 1)})
	served := func() bool {
		for _, c := range sc.s.conns {
			if c.dest.name == "smtp:other" {
				return true
			}
		}
		return false
	}
	if served() {
		t.Fatal("there was a slot left")
	}
	sc.now = sc.now.Add(stuckAfter - time.Second)
	sc.s.step(sc.now, evTick{})
	if len(sc.s.conns) != 10 {
		t.Fatalf("%d connections before the time", len(sc.s.conns))
	}
	if next := sc.s.next(); next.After(sc.now.Add(stuckLook)) {
		t.Errorf("wants to be woken at %v", next)
	}
	sc.now = sc.now.Add(time.Second)
	sc.s.step(sc.now, evTick{})
	if n := len(sc.s.conns); n != 20 || sc.s.stuck != 10 {
		t.Fatalf("%d connections, %d hang", n, sc.s.stuck)
	}
	// One that answers in the end, with all slots taken, goes.
	for id, c := range sc.s.conns {
		if c.stuck {
			before := sc.s.stuck
			sc.s.step(sc.now, done(id, good))
			sc.tell(evAsk{id, true}, fmt.Sprintf("refuse %d", id))
			if sc.s.stuck != before-1 {
				t.Errorf("%d hang, there were %d", sc.s.stuck, before)
			}
			break
		}
	}
	for range 5 {
		sc.now = sc.now.Add(stuckAfter)
		sc.s.step(sc.now, evTick{})
	}
	if n := len(sc.s.conns); n > 20 {
		t.Errorf("%d connections in the end, more than twice the limit", n)
	}
}
