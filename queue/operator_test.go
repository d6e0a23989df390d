package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

func TestFlush(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		for _, to := range []string{"a@one.example", "b@two.example", "c@one.example"} {
			r.hop.answer(to, "450 later")
		}
		r.send(sender, "a@one.example")
		b := r.send(sender, "b@two.example")
		r.send(sender, "c@one.example")
		tries := func() int { return len(r.hop.tried()) }
		if tries() != 3 {
			t.Fatalf("%d attempts", tries())
		}
		if err := r.q.FlushID(r.t.Context(), b); err != nil {
			t.Error(err)
		}
		r.wait(0)
		if tries() != 4 {
			t.Errorf("after FlushID: %d attempts, want 4", tries())
		}
		r.wait(time.Second) // what was deferred in this very moment has been tried
		if err := r.q.FlushDest(r.t.Context(), "ONE.example.", nil); err != nil {
			t.Error(err)
		}
		r.wait(0)
		if tries() != 6 {
			t.Errorf("after FlushDest: %d attempts, want 6", tries())
		}
		r.wait(time.Second) // what was deferred in this very moment has been tried
		if err := r.q.Flush(r.t.Context()); err != nil {
			t.Error(err)
		}
		r.wait(0)
		if tries() != 9 {
			t.Errorf("after Flush: %d attempts, want 9", tries())
		}
		if err := r.q.FlushID(r.t.Context(), 4711); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("FlushID of nothing: %v", err)
		}
	})
}

func TestFlushWakesTheDead(t *testing.T) {
	in(t, queue.Params{Default: most(1)}, func(r *rig) {
		for i := range 10 {
			to := fmt.Sprintf("r%d@dest.example", i)
			r.hop.answer(to, "down")
			r.send(sender, to)
		}
		if r.q.Status(0).Dead != 1 {
			t.Fatal("not dead")
		}
		r.wait(time.Second)
		for i := range 10 {
			r.hop.answer(fmt.Sprintf("r%d@dest.example", i), "")
		}
		if err := r.q.Flush(r.t.Context()); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.wantQueued("")
	})
}

// However often an operator asks, and for however much: a dead site is tried once each
// time.
func TestFlushesDoNotFloodTheDead(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		var last mail.QueueID
		for i := range 200 {
			to := fmt.Sprintf("r%d@dest.example", i)
			r.hop.answer(to, "down")
			last = r.send(sender, to)
		}
		r.wait(time.Second)
		for name, flush := range map[string]func() error{
			"-f": func() error { return r.q.Flush(r.t.Context()) },
			"-s": func() error { return r.q.FlushDest(r.t.Context(), "dest.example", nil) },
			"-i": func() error { return r.q.FlushID(r.t.Context(), last) },
			"-r": func() error {
				_, err := r.q.Each(r.t.Context(), []string{"deferred"}, func(ctx context.Context, id mail.QueueID) error {
					return r.q.Requeue(ctx, id, func(_ mail.Address, r mail.Recipient) []mail.Recipient { return []mail.Recipient{r} })
				})
				return err
			},
		} {
			before := len(r.hop.tried())
			if err := flush(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.wait(time.Second)
			if n := len(r.hop.tried()) - before; n > 1 {
				t.Errorf("%s: %d attempts at a dead site", name, n)
			}
		}
	})
}

// Hold while the message waits for a connection, and while it is being attempted.
func TestHold(t *testing.T) {
	in(t, queue.Params{Default: most(1)}, func(r *rig) {
		r.hop.slow("a@dest.example", time.Minute)
		r.hop.answer("a@dest.example", "450 later")
		a := r.send(sender, "a@dest.example")
		b := r.send(sender, "b@dest.example")
		r.log.take()
		for _, id := range []mail.QueueID{a, b} {
			if err := r.q.Hold(r.t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		r.wantLog("postsuper Q1: operator reason=placed on hold", "postsuper Q2: operator reason=placed on hold")
		if err := r.q.Hold(r.t.Context(), b); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Hold of held: %v", err)
		}
		r.wait(day)
		r.wantQueued("hold <sender@client.example> a@dest.example (said: 450 later)\n" +
			"hold <sender@client.example> b@dest.example\n")
		if len(r.hop.tried()) != 1 {
			t.Errorf("%d attempts", len(r.hop.tried()))
		}
		r.hop.answer("a@dest.example", "")
		for _, id := range []mail.QueueID{a, b} {
			if err := r.q.Release(r.t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		r.wait(5 * time.Minute)
		r.wantQueued("")
		if got := len(r.hop.received()); got != 2 {
			t.Errorf("%d delivered", got)
		}
	})
}

// An attempt under way comes to its end, whatever is done to the message meanwhile;
// who has got it does not get it again, and nobody is told of what is gone.
func TestDuringAnAttempt(t *testing.T) {
	type op func(q *queue.Queue, ctx context.Context, id mail.QueueID) error
	remove := op((*queue.Queue).Delete)
	hold := op((*queue.Queue).Hold)
	holdAndRelease := func(q *queue.Queue, ctx context.Context, id mail.QueueID) error {
		return errors.Join(q.Hold(ctx, id), q.Release(ctx, id))
	}
	flush := op((*queue.Queue).FlushID)
	requeue := func(q *queue.Queue, ctx context.Context, id mail.QueueID) error {
		return q.Requeue(ctx, id, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
			r.Dest = "smtp:elsewhere"
			return []mail.Recipient{r}
		})
	}
	expire := func(q *queue.Queue, ctx context.Context, id mail.QueueID) error { return q.Expire(ctx, id, false) }
	for _, c := range []struct {
		name, says string
		op         op
		tries      int
		queued     string
		reports    string
	}{
		{"delete, delivered", "", remove, 1, "", ""},
		{"delete, deferred", "450 later", remove, 1, "", ""},
		{"delete, failed", "550 no", remove, 1, "", ""},
		{"hold, delivered", "", hold, 1, "", ""},
		{"hold, deferred", "450 later", hold, 1, "hold <sender@client.example> a@dest.example (said: 450 later)\n", ""},
		{"hold, failed", "550 no", hold, 1, "", "failed a@dest.example 5.1.1"},
		{"hold and release, delivered", "", holdAndRelease, 1, "", ""},
		{"flush, delivered", "", flush, 1, "", ""},
		{"requeue, delivered", "", requeue, 1, "", ""},
		{"requeue, deferred", "450 later", requeue, 3, "deferred <sender@client.example> a@dest.example (said: 450 later)\n", ""},
		{"expire, delivered", "", expire, 1, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, queue.Params{}, func(r *rig) {
				r.hop.slow("a@dest.example", time.Minute)
				r.hop.answer("a@dest.example", c.says)
				id := r.send(sender, "a@dest.example")
				if err := c.op(r.q, r.t.Context(), id); err != nil {
					t.Error(err)
				}
				r.wait(8 * time.Minute)
				r.wantQueued(c.queued)
				if got := r.notes.all(); got != c.reports {
					t.Errorf("reports: %q, want %q", got, c.reports)
				}
				tries := len(r.hop.tried())
				if c.reports != "" {
					tries-- // the report itself
				}
				if tries != c.tries {
					t.Errorf("%d attempts, want %d", tries, c.tries)
				}
			})
		})
	}
}

func TestDeleteWhileWaiting(t *testing.T) {
	in(t, queue.Params{Default: most(1)}, func(r *rig) {
		r.hop.slow("a@dest.example", time.Minute)
		r.send(sender, "a@dest.example")
		b := r.send(sender, "b@dest.example")
		if err := r.q.Delete(r.t.Context(), b); err != nil {
			t.Error(err)
		}
		if err := r.q.Delete(r.t.Context(), b); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Delete again: %v", err)
		}
		r.wait(5 * time.Minute)
		r.wantQueued("")
		if got := fmt.Sprint(r.hop.received()); got != "[a@dest.example]" {
			t.Errorf("delivered: %s", got)
		}
	})
}

// A failure that waits for the rest of its message is dropped with it.
func TestDeleteWithAFailureInHand(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@one.example", "550 no")
		r.hop.slow("b@two.example", time.Minute)
		r.hop.answer("b@two.example", "550 no")
		id := r.send(sender, "a@one.example", "b@two.example")
		if err := r.q.Delete(r.t.Context(), id); err != nil {
			t.Error(err)
		}
		r.wait(time.Hour)
		r.wantQueued("")
		if got := r.notes.all(); got != "" {
			t.Errorf("reports: %s", got)
		}
		if s := r.q.Status(0); s.Active != 0 {
			t.Errorf("Status: %+v", s)
		}
	})
}

func TestRequeue(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@dest.example", "450 later")
		id := r.send(sender, "a@dest.example")
		r.log.take()
		err := r.q.Requeue(r.t.Context(), id, func(_ mail.Address, old mail.Recipient) []mail.Recipient {
			var list []mail.Recipient
			for _, to := range []string{"b@one.example", "c@two.example"} {
				f := mail.SplitAddress(to)
				list = append(list, mail.Recipient{Orig: old.Orig, Final: f, Dest: mail.MakeDest("smtp", f.Domain)})
			}
			return list
		})
		if err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.wantQueued("")
		if got := len(r.hop.received()); got != 2 {
			t.Errorf("delivered: %v", r.hop.received())
		}
	})
}

func TestExpire(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@dest.example", "450 later")
		id := r.send(sender, "a@dest.example")
		r.log.take()
		if err := r.q.Expire(r.t.Context(), id, false); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.wantQueued("")
		lines := r.log.take()
		for i, want := range []string{
			"postsuper Q1: operator reason=expired",
			"qmgr Q1: active from=sender@client.example size=38 nrcpt=1",
			"error Q1: delivery to=a@dest.example relay=none delay=0 delays=0/0/0/0 dsn=4.7.0 status=deferred reason=message is administratively expired",
			"qmgr Q1: expired from=sender@client.example status=force-expired",
		} {
			if i >= len(lines) || lines[i] != want {
				t.Fatalf("log: %q, want line %d %q", lines, i, want)
			}
		}
	})
}

// Held mail that is expired goes back when it is let go, or at once when asked so.
func TestExpireHeld(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		r.hop.answer("a@dest.example", "450 later")
		first, second := r.send(sender, "a@dest.example"), r.send(sender, "a@dest.example")
		for _, id := range []mail.QueueID{first, second} {
			if err := r.q.Hold(r.t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(r.q.Expire(r.t.Context(), first, false), r.q.Expire(r.t.Context(), second, true)); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.wantQueued("hold <sender@client.example> a@dest.example (said: 450 later)\n")
		if err := r.q.Release(r.t.Context(), first); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.wantQueued("")
	})
}

func TestEach(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		for i := range 5 {
			to := fmt.Sprintf("r%d@dest.example", i)
			r.hop.answer(to, "450 later")
			id := r.send(sender, to)
			if i < 2 {
				if err := r.q.Hold(r.t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		if n, err := r.q.Each(r.t.Context(), []string{"deferred"}, r.q.Delete); n != 3 || err != nil {
			t.Errorf("deferred: %d, %v", n, err)
		}
		if n, err := r.q.Each(r.t.Context(), nil, r.q.Release); n != 2 || err != nil {
			t.Errorf("release all: %d, %v", n, err)
		}
		r.wait(0)
		if n, err := r.q.Each(r.t.Context(), nil, r.q.Delete); n != 2 || err != nil {
			t.Errorf("delete all: %d, %v", n, err)
		}
		r.wantQueued("")
	})
}
