package queue_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// A held destination gets nothing, whatever is flushed; mail for it is taken in and
// waits, that for others goes its way; what is released is delivered.
func TestHoldDest(t *testing.T) {
	for _, name := range []mail.Dest{"smtp:held.example", "Held.Example"} {
		t.Run(string(name), func(t *testing.T) {
			in(t, queue.Params{Default: most(1)}, func(r *rig) {
				ctx := mail.ByUser(r.t.Context(), 1002)
				r.hop.slow("a@held.example", time.Minute)
				r.send(sender, "a@held.example") // under way
				r.send(sender, "b@held.example") // waits for it
				r.log.take()
				if err := r.q.HoldDest(ctx, name, "they asked"); err != nil {
					t.Fatal(err)
				}
				lower := strings.ToLower(string(name))
				r.wantLog("qmgr : operator reason=destination " + lower + " placed on hold: they asked uid=1002")
				r.send(sender, "c@held.example", "d@other.example")
				if err := errors.Join(r.q.Flush(ctx), r.q.FlushDest(ctx, "held.example", nil)); err != nil {
					t.Error(err)
				}
				r.wait(time.Hour)
				if got := strings.Join(r.hop.received(), " "); got != "d@other.example a@held.example" {
					t.Errorf("delivered: %s", got)
				}
				r.wantQueued("deferred <sender@client.example> b@held.example (destination " + lower + " is on hold: they asked)\n" +
					"deferred <sender@client.example> c@held.example (destination " + lower + " is on hold: they asked)\n")
				held, err := r.q.HeldDests(ctx)
				if err != nil || len(held) != 1 || string(held[0].Dest) != lower || held[0].Reason != "they asked" {
					t.Errorf("held: %+v, %v", held, err)
				}
				r.log.take()
				if err := r.q.ReleaseDest(ctx, name); err != nil {
					t.Fatal(err)
				}
				r.wait(time.Second)
				r.wantQueued("")
				if got := r.log.take(); len(got) == 0 || got[0] != "qmgr : operator reason=destination "+lower+" released from hold uid=1002" {
					t.Errorf("log: %q", got)
				}
				if err := r.q.ReleaseDest(ctx, name); !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("released again: %v", err)
				}
			})
		})
	}
}

// What is held expires all the same, and its sender is told.
func TestHeldMailExpires(t *testing.T) {
	in(t, queue.Params{MaximalQueueLifetime: day}, func(r *rig) {
		if err := r.q.HoldDest(r.t.Context(), "held.example", ""); err != nil {
			t.Fatal(err)
		}
		r.send(sender, "a@held.example")
		r.wait(day / 2)
		r.wantQueued("deferred <sender@client.example> a@held.example (destination held.example is on hold)\n")
		r.wait(day)
		r.wantQueued("")
		if got := r.notes.all(); !strings.Contains(got, "failed a@held.example 4.3.2") {
			t.Errorf("reports: %q", got)
		}
		if got := r.hop.tried(); len(got) != 1 { // the report
			t.Errorf("tried: %v", got)
		}
	})
}

// A hold is there again when the queue is: nothing slips through at the start.
func TestHoldDestOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, queue.Params{})
		if err := r.q.HoldDest(t.Context(), "held.example", ""); err != nil {
			t.Fatal(err)
		}
		r.q.Close()
		r = newRig(t, store, store, queue.Params{})
		r.send(sender, "a@held.example") // before Run
		r.run()
		r.wait(time.Hour)
		if got := r.hop.tried(); len(got) != 0 {
			t.Errorf("tried: %v", got)
		}
		if err := r.q.ReleaseDest(t.Context(), "held.example"); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		if got := r.hop.received(); len(got) != 1 {
			t.Errorf("delivered: %v", got)
		}
		r.stop()
	})
}

func TestBadDests(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		for _, name := range []mail.Dest{"", " ", "a b", "a\nb", "a\x7f", mail.Dest(strings.Repeat("x", 513))} {
			if err := r.q.HoldDest(r.t.Context(), name, ""); !errors.Is(err, queue.ErrBadDest) {
				t.Errorf("hold of %q: %v", name, err)
			}
			if err := r.q.ReleaseDest(r.t.Context(), name); !errors.Is(err, queue.ErrBadDest) {
				t.Errorf("release of %q: %v", name, err)
			}
		}
		for _, name := range []mail.Dest{"*", "*.example", "smtp:mx?.example", "[192.0.2.1", "192.0.2.1]"} {
			if err := r.q.HoldDest(r.t.Context(), name, ""); !errors.Is(err, queue.ErrBadDest) {
				t.Errorf("hold of %q, which is no next hop: %v", name, err)
			}
		}
		for _, reason := range []string{"a\nb", strings.Repeat("x", 501)} {
			if err := r.q.HoldDest(r.t.Context(), "a", reason); err == nil {
				t.Errorf("hold for %q was taken", reason)
			}
		}
		if held, err := r.q.HeldDests(r.t.Context()); len(held) != 0 || err != nil {
			t.Errorf("held: %v, %v", held, err)
		}
	})
}

// A flush has every delivery tried once, also of a site that is reached by another way,
// and tells how much it has looked at.
func TestFlushSites(t *testing.T) {
	in(t, queue.Params{}, func(r *rig) {
		for range 3 {
			r.hop.answer("a@one.example", "450 later")
			r.send(sender, "a@one.example")
		}
		env := &mail.Envelope{ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender)}
		env.Rcpts = []mail.Recipient{{Final: mail.SplitAddress("b@two.example"), Orig: mail.SplitAddress("b@two.example"), Dest: "smtp:[192.0.2.1]"}}
		r.hop.answer("b@two.example", "450 later")
		r.sendEnv(env)
		r.log.take()
		for _, tc := range []struct {
			site string
			want int
		}{{"one.example", 3}, {"TWO.example.", 1}, {"[192.0.2.1]", 1}, {"three.example", 0}} {
			r.wait(time.Second)
			before, looked := len(r.hop.tried()), 0
			if err := r.q.FlushDest(r.t.Context(), tc.site, func(n int) { looked = n }); err != nil {
				t.Error(err)
			}
			r.wait(0)
			if got := len(r.hop.tried()) - before; got != tc.want || looked != 4 {
				t.Errorf("flush of %q: %d attempts, want %d; looked at %d messages of 4", tc.site, got, tc.want, looked)
			}
		}
		if got := r.log.take(); got[0] != "postqueue : operator reason=flush: mail for one.example" {
			t.Errorf("log: %q", got[0])
		}
	})
}
