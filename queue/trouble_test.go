package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// A next hop that cannot be reached: fewer connections, then none but a probe now and
// then; all is delivered once it is back, nothing is lost, nobody is told.
func TestOutage(t *testing.T) {
	in(t, queue.Params{Default: most(5)}, func(r *rig) {
		const n = 200
		var rcpts []string
		for i := range n {
			rcpts = append(rcpts, fmt.Sprintf("r%d@dest.example", i))
			r.hop.answer(rcpts[i], "down")
		}
		for _, to := range rcpts {
			r.send(sender, to)
		}
		suspended := "status=deferred reason=delivery temporarily suspended: connect to mx: Connection refused"
		if r.log.count(suspended) == 0 || r.log.count("error Q200: delivery") != 1 {
			t.Error("nothing was suspended")
		}
		if tries := len(r.hop.tried()); tries > 30 {
			t.Errorf("%d attempts before it was taken for dead", tries)
		}
		s := r.q.Status(1)
		if s.Dead != 1 || s.Busiest[0].Reason != "delivery temporarily suspended: connect to mx: Connection refused" {
			t.Errorf("Status: %+v", s)
		}
		tries := len(r.hop.tried())
		r.wait(6 * time.Hour)
		// 300 + 600 + 1200 + 2400 s, then every 4000 s.
		if probes := len(r.hop.tried()) - tries; probes < 5 || probes > 9 {
			t.Errorf("%d probes in six hours", probes)
		}
		for _, to := range rcpts {
			r.hop.answer(to, "")
		}
		r.wait(4001 * time.Second)
		if got := len(r.hop.received()); got < n*9/10 {
			t.Errorf("%d of %d delivered after the next probe", got, n)
		}
		r.wait(4001 * time.Second) // those that had just been deferred again
		if got := len(r.hop.received()); got != n {
			t.Errorf("%d of %d delivered", got, n)
		}
		r.wantQueued("")
		if r.notes.all() != "" {
			t.Errorf("reports: %s", r.notes.all())
		}
		if _, most := r.hop.connections("smtp:dest.example"); most > 5 {
			t.Errorf("%d connections at once, limit 5", most)
		}
	})
}

// Mail for a destination that never comes back expires in time, though it is not
// tried.
func TestDeadDestinationExpires(t *testing.T) {
	in(t, queue.Params{Default: most(1)}, func(r *rig) {
		for i := range 60 {
			to := fmt.Sprintf("r%d@dest.example", i)
			r.hop.answer(to, "down")
			r.send(sender, to)
		}
		r.wait(5*day + 3*time.Hour)
		r.wantQueued("")
		if n := strings.Count(r.notes.all(), "failed"); n != 60 {
			t.Errorf("%d reports, want 60", n)
		}
	})
}

func TestPanicIsOneAttempt(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		var panics atomic.Int32
		r.hop.set(func() {
			r.hop.hook = func(a *mail.Attempt) {
				if a.Env.Rcpts[0].Final.Local == "bad" && panics.Add(1) <= 2 {
					panic("boom")
				}
			}
		})
		r.send(sender, "bad@dest.example")
		r.send(sender, "good@dest.example")
		r.wantQueued("deferred <sender@client.example> bad@dest.example (unknown mail transport error)\n")
		if r.log.count("error Q1: delivery to=bad@dest.example relay=none") != 1 || r.log.count("panic: boom") != 1 {
			t.Errorf("log:\n%s", strings.Join(r.log.take(), "\n"))
		}
		r.wait(time.Hour)
		r.wantQueued("")
	})
}

func TestTransportsThatMisbehave(t *testing.T) {
	next := func(ctx context.Context, src mail.Source) *mail.Attempt {
		a, _ := src.Next(ctx, 0)
		return a
	}
	for _, c := range []struct {
		name string
		work func(ctx context.Context, src mail.Source)
	}{
		{"takes nothing", func(context.Context, mail.Source) {}},
		{"reports nothing", func(ctx context.Context, src mail.Source) { next(ctx, src) }},
		{"asks before it reports", func(ctx context.Context, src mail.Source) { next(ctx, src); next(ctx, src) }},
		{"reports a stranger", func(ctx context.Context, src mail.Source) {
			next(ctx, src)
			src.Done(&mail.Attempt{}, nil, mail.FeedbackGood)
		}},
		{"reports no recipient", func(ctx context.Context, src mail.Source) {
			src.Done(next(ctx, src), nil, mail.FeedbackGood)
		}},
		{"reports twice", func(ctx context.Context, src mail.Source) {
			a := next(ctx, src)
			src.Done(a, nil, mail.FeedbackBad)
			src.Done(a, []mail.Result{{State: mail.Delivered}}, mail.FeedbackGood)
		}},
		{"reports other recipients", func(ctx context.Context, src mail.Source) {
			src.Done(next(ctx, src), []mail.Result{{Rcpt: 7, State: mail.Failed}, {Rcpt: -1}}, mail.FeedbackGood)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, queue.Params{}, func(r *rig) {
				var times atomic.Int32
				r.hop.set(func() {
					r.hop.work = func(ctx context.Context, _ mail.Dest, src mail.Source) bool {
						if times.Add(1) > 1 {
							return false
						}
						c.work(ctx, src)
						return true
					}
				})
				r.send(sender, "b@dest.example")
				r.wantQueued("deferred <sender@client.example> b@dest.example (unknown mail transport error)\n")
				r.wait(time.Hour)
				r.wantQueued("")
				if got := r.hop.received(); len(got) != 1 {
					t.Errorf("delivered: %v", got)
				}
			})
		})
	}
}

// What cannot be reported must not be final.
func TestNotifierFails(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.notes.failWith(errors.New("no paper"))
		r.hop.answer("b@dest.example", "550 no")
		r.send(sender, "b@dest.example")
		r.wantQueued("deferred <sender@client.example> b@dest.example (said: 550 no)\n")
		r.notes.failWith(nil)
		r.wait(time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "failed b@dest.example 5.1.1" {
			t.Errorf("reports: %s", got)
		}
	})
}

// faulty is a store whose calls fail as often as is set.
type faulty struct {
	*memstore.Store
	apply, claim, load, corrupt, stage atomic.Int32

	slow atomic.Int64 // how long Apply takes, in ns
}

func fails(n *atomic.Int32) bool { return n.Add(-1) >= 0 }

var errDisk = errors.New("disk on fire")

func (f *faulty) Apply(o queue.Outcome, done func(queue.Applied)) {
	if fails(&f.apply) {
		go done(queue.Applied{Err: errDisk})
		return
	}
	if d := time.Duration(f.slow.Load()); d > 0 {
		time.AfterFunc(d, func() { f.Store.Apply(o, done) })
		return
	}
	f.Store.Apply(o, done)
}

func (f *faulty) Claim(ctx context.Context, d mail.Dest, now time.Time, n int) ([]queue.Job, time.Time, error) {
	if fails(&f.claim) {
		return nil, time.Time{}, errDisk
	}
	return f.Store.Claim(ctx, d, now, n)
}

func (f *faulty) Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	if fails(&f.load) {
		return nil, nil, errDisk
	}
	if fails(&f.corrupt) {
		return nil, nil, queue.ErrCorrupt
	}
	return f.Store.Load(ctx, id)
}

func (f *faulty) Stage(ctx context.Context) (queue.Staged, error) {
	if fails(&f.stage) {
		return nil, errDisk
	}
	return f.Store.Stage(ctx)
}

func inFaulty(t *testing.T, f func(r *rig, s *faulty)) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: memstore.New(memstore.Options{})}
		defer s.Close()
		r := newRig(t, s.Store, s, queue.Params{})
		r.run()
		f(r, s)
		r.stop()
	})
}

func TestStoreThatFails(t *testing.T) {
	t.Run("outcome", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			s.apply.Store(3)
			r.send(sender, "b@dest.example")
			r.wantQueued("active <sender@client.example> b@dest.example\n")
			r.wait(16 * time.Second)
			r.wantQueued("")
			r.wait(day)
			if got := r.hop.received(); len(got) != 1 {
				t.Errorf("delivered %d times for want of a note", len(got))
			}
		})
	})
	t.Run("claim", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			r.hop.answer("b@dest.example", "450 later")
			r.send(sender, "b@dest.example")
			r.hop.answer("b@dest.example", "")
			s.claim.Store(3)
			r.wait(20 * time.Minute)
			r.wantQueued("")
		})
	})
	t.Run("load", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			s.load.Store(3)
			r.send(sender, "b@dest.example")
			r.wait(10 * time.Minute)
			r.wantQueued("")
		})
	})
	t.Run("load of a message whose failure waits", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			r.hop.answer("a@one.example", "550 no")
			r.hop.slow("b@two.example", time.Minute)
			r.send(sender, "x@two.example", "b@two.example")
			r.q.Update(queue.Params{Default: most(1), MaximalQueueLifetime: day})
			id := r.send(sender, "a@one.example", "b@two.example")
			s.load.Store(1)
			if err := r.q.Hold(r.t.Context(), id); err != nil { // b gives up waiting: a is to be recorded
				t.Error(err)
			}
			r.wait(time.Second)
			if got := r.notes.all(); got != "" {
				t.Errorf("reports: %s", got)
			}
			if err := r.q.Release(r.t.Context(), id); err != nil {
				t.Error(err)
			}
			r.wait(time.Hour)
			r.wantQueued("")
			if got := r.notes.all(); got != "failed a@one.example 5.1.1" {
				t.Errorf("reports: %s", got)
			}
		})
	})
	t.Run("corrupt", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			s.corrupt.Store(1)
			r.send(sender, "b@dest.example")
			if r.log.count("qmgr Q1: corrupt queue entry") != 1 || r.q.Status(0).Active != 0 {
				t.Errorf("log: %q, Status %+v", r.log.take(), r.q.Status(0))
			}
		})
	})
	t.Run("outcome, to the end", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			s.apply.Store(1000)
			r.send(sender, "b@dest.example")
			began := time.Now()
			r.stop()
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("took %s to end", took)
			}
			r.wantQueued("incoming <sender@client.example> b@dest.example\n")
			r.ended <- nil // inFaulty stops it again
		})
	})
	t.Run("closed before the end", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			r.hop.slow("b@dest.example", time.Minute)
			r.send(sender, "b@dest.example")
			_ = s.Store.Close()
			r.wait(time.Hour)
		})
	})
	t.Run("stage", func(t *testing.T) {
		inFaulty(t, func(r *rig, s *faulty) {
			s.stage.Store(1)
			_, err := r.q.Stage(r.t.Context())
			if got := fmt.Sprint(err); got != "451 4.3.0 Error: queue file write error" {
				t.Errorf("Stage: %s", got)
			}
		})
	})
}

func TestFullDiskIsSaidToTheClient(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		d, err := r.q.Stage(r.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.store.SetFull(true)
		env := &mail.Envelope{ID: r.q.NewID(), Rcpts: make([]mail.Recipient, 1)}
		for what, err := range map[string]error{"Admit": r.q.Admit(1), "Commit": d.Commit(r.t.Context(), env)} {
			if got := fmt.Sprint(err); got != "452 4.3.1 Insufficient system storage" {
				t.Errorf("%s: %s", what, got)
			}
		}
		r.wantQueued("")
	})
}

// Many messages for few places, through a small memory.
func TestLimits(t *testing.T) {
	in(t, queue.Params{MessageActiveLimit: 50, ProcessLimit: 7, Default: most(3)}, func(r *rig) {
		const n = 600
		for i := range n {
			to := fmt.Sprintf("r%d@dest%d.example", i, i%10)
			r.hop.slow(to, time.Second)
			r.send(sender, to)
			if s := r.q.Status(0); s.Active > 50 || s.Connections > 7 {
				t.Fatalf("Status: %+v", s)
			}
		}
		r.wait(n * time.Second / 7 * 2)
		r.wantQueued("")
		if got := len(r.hop.received()); got != n {
			t.Errorf("%d delivered, want %d", got, n)
		}
		for i := range 10 {
			if _, most := r.hop.connections(mail.Dest(fmt.Sprintf("smtp:dest%d.example", i))); most > 3 {
				t.Errorf("dest%d: %d connections at once", i, most)
			}
		}
	})
}

// What the log shows as deferred can be flushed, though it is not recorded yet.
func TestFlushWaitsForTheRecord(t *testing.T) {
	inFaulty(t, func(r *rig, s *faulty) {
		s.slow.Store(int64(100 * time.Millisecond))
		r.hop.answer("b@dest.example", "450 later")
		id := r.send(sender, "b@dest.example")
		if r.log.count("status=deferred") != 1 {
			t.Fatal("not deferred")
		}
		if err := r.q.FlushID(r.t.Context(), id); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		if n := len(r.hop.tried()); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.q.Flush(ctx); err != nil {
			t.Error(err)
		}
		r.wait(10 * time.Millisecond)
		if err := r.q.FlushID(ctx, id); !errors.Is(err, context.DeadlineExceeded) && err != nil {
			t.Errorf("FlushID in no time: %v", err)
		}
	})
}
