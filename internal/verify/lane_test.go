package verify

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// many asks about n addresses of a domain at once and returns the answers, counted.
func many(t *testing.T, v *Verifier, n int, domain string) map[string]int {
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a := ask(t, v, fmt.Sprintf("u%d@%s", i, domain))
			mu.Lock()
			answers[a]++
			mu.Unlock()
		})
	}
	wg.Wait()
	return answers
}

// Neither one destination nor all together get more connections than they may, and a busy
// destination does not keep others from theirs.
func TestBounds(t *testing.T) {
	patient := func(o *Options) {
		o.PollCount, o.PollDelay = 2, time.Hour
		o.DestConcurrency, o.ProcessLimit = 3, 4
	}
	bubble(t, patient, func(t *testing.T, w *world, v *Verifier) {
		var wg sync.WaitGroup
		begin := time.Now()
		wg.Go(func() {
			if got := many(t, v, 300, "busy.example"); got[good] != 300 {
				t.Errorf("busy: %v", got)
			}
		})
		time.Sleep(time.Millisecond)
		var mu sync.Mutex
		latest := time.Duration(0)
		for i := range 10 {
			wg.Go(func() {
				want(t, "other", ask(t, v, fmt.Sprintf("a@d%d.example", i)), good)
				mu.Lock()
				latest = max(latest, time.Since(begin))
				mu.Unlock()
			})
		}
		wg.Wait()
		if w.most > 4 || w.mostAt["smtp:busy.example"] > 3 {
			t.Errorf("%d connections at once, %d to one destination", w.most, w.mostAt["smtp:busy.example"])
		}
		if latest > 30*time.Second {
			t.Errorf("another destination had to wait for %v", latest)
		}
		if len(v.lanes) != 0 || v.slots != 0 || len(v.flights) != 0 || len(v.backlog) != 0 {
			t.Errorf("left: %d lanes, %d slots, %d flights, %d in the backlog", len(v.lanes), v.slots, len(v.flights), len(v.backlog))
		}
	})
}

// More probes than may be pending are not begun, and nothing is learnt of that.
func TestPendingLimit(t *testing.T) {
	bubble(t, func(o *Options) { o.PendingLimit = 10 }, func(t *testing.T, w *world, v *Verifier) {
		const tooMany = "deferred 4.3.2 (Too many address verification requests)"
		if got := many(t, v, 25, "d.example"); got[good] != 10 || got[tooMany] != 15 {
			t.Errorf("got %v", got)
		}
		if got := many(t, v, 25, "d.example"); got[good] != 20 || got[tooMany] != 5 {
			t.Errorf("the second time %v", got)
		}
	})
}

// A destination that cannot be reached is left alone for minimal_backoff_time.
func TestDeadDestination(t *testing.T) {
	const suspended = "deferred 4.4.1 (delivery temporarily suspended: connect to h: Connection refused)"
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		for i := range 100 {
			w.say(fmt.Sprintf("u%d@down.example", i), "down")
		}
		got := many(t, v, 40, "down.example")
		if got[suspended] != 35 || len(w.probes) != 5 {
			t.Errorf("%d probes: %v", len(w.probes), got)
		}
		w.asked()
		want(t, "while it is dead", ask(t, v, "u50@down.example"), suspended)
		want(t, "another one", ask(t, v, "u50@up.example"), good)
		want(t, "probes", w.asked(), "u50@up.example")
		time.Sleep(301 * time.Second)
		w.say("u51@down.example", "")
		want(t, "alive again", ask(t, v, "u51@down.example"), good)
		want(t, "at once", ask(t, v, "u60@down.example"), "deferred 4.4.1 (connect to h: Connection refused)")
		time.Sleep(time.Hour)
		w.say("u52@down.example", "")
		want(t, "well", ask(t, v, "u52@down.example"), good)
		synctest.Wait()
		if len(v.lanes) != 0 {
			t.Errorf("%d lanes left", len(v.lanes))
		}
	})
}

// Dead destinations are not remembered without end.
func TestSweep(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		now := time.Now()
		for i := range maxLanes {
			v.lanes[mail.Dest(fmt.Sprint(i))] = &lane{dead: now.Add(time.Hour)}
		}
		v.sweep()
		want(t, "all dead", fmt.Sprint(len(v.lanes)), fmt.Sprint(maxLanes))
		for i := range maxLanes / 2 {
			v.lanes[mail.Dest(fmt.Sprint(i))].dead = now
		}
		v.sweep()
		want(t, "half dead", fmt.Sprint(len(v.lanes)), fmt.Sprint(maxLanes/2))
		for i := range 2 * maxLanes {
			v.lanes[mail.Dest(fmt.Sprint("x", i))] = &lane{dead: now.Add(time.Hour)}
		}
		v.sweep()
		want(t, "too many", fmt.Sprint(len(v.lanes)), "0")
	})
}

// once is a transport that never asks for work more than once.
type once struct{ w *world }

func (o once) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	o.w.Work(ctx, dest, &single{Source: src})
}

type single struct {
	mail.Source
	n int
}

func (s *single) Next(ctx context.Context, idle time.Duration) (*mail.Attempt, bool) {
	if s.n++; s.n > 1 {
		return nil, false
	}
	return s.Source.Next(ctx, idle)
}

// A connection that ends after one probe leaves nobody behind.
func TestConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options()
		o.Transport, o.PollDelay = once{w}, time.Hour
		v := New(o)
		defer v.Close()
		if got := many(t, v, 30, "d.example"); got[good] != 30 {
			t.Errorf("got %v", got)
		}
	})
}
