package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// The time is up while the next hop is at some step. Before the end of the content the
// message is queued, and sent once; after it the first sending counts, whenever its reply
// comes.
func TestConnectedDeadline(t *testing.T) {
	const slow = 45 * time.Second
	for _, c := range []struct {
		name  string
		at    func(*stages)
		says  string
		ended int // times the end of the content is sent
		got   string
		notes string
		left  string
	}{
		{name: "connect", at: func(h *stages) { h.connect = slow }, ended: 1, got: "a@one.example"},
		{name: "envelope", at: func(h *stages) { h.envelope = slow }, ended: 1, got: "a@one.example"},
		{name: "content", at: func(h *stages) { h.content = slow }, ended: 1, got: "a@one.example"},
		{name: "reply, taken", at: func(h *stages) { h.reply = slow }, ended: 1, got: "a@one.example"},
		{name: "reply, refused", at: func(h *stages) { h.reply = slow }, says: "dot 554 spam", ended: 1,
			got: sender, notes: "failed a@one.example 5.1.1"},
		{name: "reply, put off", at: func(h *stages) { h.reply = slow }, says: "dot 450 later", ended: 1,
			left: "deferred <sender@client.example> a@one.example (said: dot 450 later)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
				c.at(h)
				h.say("a@one.example", c.says)
				got := r.relay("a@one.example")
				r.wantAnswer(got, "250 queued")
				if got.took != 20*time.Second {
					t.Errorf("the client waited %v", got.took)
				}
				if ended, cut := h.counts(); (h.reply > 0) != (ended == 1 && cut == 0) || (h.reply > 0) == (cut == 1) {
					t.Errorf("ended %d times, cut %d times", ended, cut)
				}
				if c.says == "" {
					r.wantQueued("active <sender@client.example> a@one.example\n")
				}
				r.wait(100 * time.Second)
				ended, _ := h.counts()
				if c.got == sender { // the report took its time, too
					ended--
				}
				if ended != c.ended {
					t.Errorf("sent whole %d times, want %d", ended, c.ended)
				}
				r.wantReceived(h, c.got)
				r.wantReports(c.notes)
				r.wantQueued(strings.ReplaceAll(c.left, "dot ", ""))
				r.wantIdle()
				if n := r.log.count("within 20 seconds"); n != 1 {
					t.Errorf("log:\n%s", strings.Join(r.log.take(), "\n"))
				}
			})
		})
	}
}

// One destination is past the end of the content, one before, one is done when the time is up.
func TestConnectedDeadlineOfSeveral(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		inner := r.hop.work
		r.hop.work = func(ctx context.Context, dest mail.Dest, src mail.Source) bool {
			slow := &stages{says: h.says, lost: h.lost}
			switch dest {
			case "smtp:slow.example":
				slow.reply = 100 * time.Second
			case "smtp:stuck.example":
				slow.envelope = 60 * time.Second
			default:
				return inner(ctx, dest, src)
			}
			defer func() {
				h.mu.Lock()
				h.got = append(h.got, slow.got...)
				h.mu.Unlock()
			}()
			return slow.take(ctx, dest, src)
		}
		h.say("no@done.example", "550 no")
		h.say("later@put.example", "450 later")
		r.wantAnswer(r.relay("a@slow.example", "b@stuck.example", "c@fast.example", "no@done.example", "later@put.example"), "250 queued")
		r.wantReceived(h, "c@fast.example")
		r.wait(110 * time.Second)
		r.wantReceived(h, "a@slow.example b@stuck.example c@fast.example sender@client.example")
		r.wantReports("failed no@done.example 5.1.1")
		r.wantQueued("deferred <sender@client.example> later@put.example (said: 450 later)\n")
		r.wantIdle()
	})
}

// The connection is lost after the end of the content: it is sent again, and only then.
func TestConnectedLost(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.reply, h.lost["a@one.example"] = 30*time.Second, true
		r.wantAnswer(r.relay("a@one.example"), "250 queued")
		r.wait(20 * time.Second)
		r.wantReceived(h, "a@one.example")
		r.wantQueued("deferred <sender@client.example> a@one.example (lost connection)\n")
		r.wait(time.Hour)
		r.wantReceived(h, "a@one.example a@one.example")
		r.wantQueued("")
	})
}

// The queue ends while the next hop is at some step: the client has its 250, and what was
// not sent is there after a restart.
func TestConnectedShutdown(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(*stages)
		got  string // before the end
		left bool
	}{
		{"connect", func(h *stages) { h.connect = 4 * time.Second }, "", true},
		{"envelope", func(h *stages) { h.envelope = 4 * time.Second }, "", true},
		{"content", func(h *stages) { h.content = 4 * time.Second }, "", true},
		{"reply within the grace", func(h *stages) { h.reply = 4 * time.Second }, "a@one.example", false},
		{"reply after it", func(h *stages) { h.reply = 7 * time.Second }, "a@one.example", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New(memstore.Options{})
				defer store.Close()
				r, h := connectedRig(t, store, store, queue.Options{})
				c.at(h)
				r.run()
				answers := make(chan answer)
				go func() { answers <- r.client("a@one.example") }()
				r.wait(time.Second)
				r.end()
				got := <-answers
				r.wantAnswer(got, "250 queued")
				if got.took != time.Second {
					t.Errorf("the client waited %v", got.took)
				}
				if err := <-r.ended; err != nil {
					t.Fatal(err)
				}
				r.wait(10 * time.Second)
				r.wantReceived(h, c.got)
				if left := r.queued() != ""; left != c.left {
					t.Errorf("left in the queue: %q", r.queued())
				}
				if cut := r.log.count("cut short") == 1; cut != (c.name == "reply after it") {
					t.Errorf("log:\n%s", strings.Join(r.log.take(), "\n"))
				}
				if _, err := r.q.Stage(context.Background()); err != nil {
					t.Error(err)
				}
				// Only what may have arrived is told of after the restart, and once.
				for _, want := range []int{map[bool]int{true: 1}[c.name == "reply after it"], 0} {
					if r, h = connectedRig(t, store, store, queue.Options{}); want > 0 {
						h.say("a@one.example", "450 later")
					}
					r.run()
					r.wait(2 * time.Hour)
					r.stop()
					if n := r.log.count("its content was sent before the mail system stopped: it may be sent more than once"); n != want {
						t.Errorf("%d warnings, want %d:\n%s", n, want, strings.Join(r.log.take(), "\n"))
					}
				}
			})
		})
	}
}

// A queue that ends, or has not begun, relays nothing more.
func TestConnectedNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r, h := connectedRig(t, store, store, queue.Options{})
		r.wantAnswer(r.relay("a@one.example"), "250 queued")
		r.run()
		r.wait(time.Second)
		r.wantReceived(h, "a@one.example")
		r.stop()
		r.wantAnswer(r.relay("b@one.example"), "250 queued")
		r.wantReceived(h, "a@one.example")
		if r.log.count("queued: the mail system is stopping") != 1 {
			t.Error("no line says why")
		}
	})
}

// failing is a store whose commits or outcomes fail.
type failing struct {
	*memstore.Store
	commits, outcomes atomic.Int64 // how many are to fail
}

type failingStaged struct {
	queue.Staged
	s *failing
}

var errOnFire = errors.New("disk on fire")

func (s *failing) Stage(ctx context.Context) (queue.Staged, error) {
	d, err := s.Store.Stage(ctx)
	return failingStaged{d, s}, err
}

func (d failingStaged) Commit(ctx context.Context, env *mail.Envelope) ([]queue.Job, error) {
	if d.s.commits.Add(-1) >= 0 {
		d.Abort()
		return nil, errOnFire
	}
	return d.Staged.Commit(ctx, env)
}

func (s *failing) Apply(o queue.Outcome, done func(queue.Applied)) {
	if s.outcomes.Add(-1) >= 0 {
		go done(queue.Applied{Err: errOnFire})
		return
	}
	s.Store.Apply(o, done)
}

func failingIn(t *testing.T, f func(r *rig, h *stages, s *failing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memstore.New(memstore.Options{})}
		defer s.Close()
		r, h := connectedRig(t, s.Store, s, queue.Options{})
		r.run()
		f(r, h, s)
		r.stop()
	})
}

// What cannot be kept is not acknowledged. Who has it already does not get it again.
func TestConnectedCommitFails(t *testing.T) {
	const refused = "error 451 4.3.0 Error: queue file write error"
	failingIn(t, func(r *rig, h *stages, s *failing) {
		s.commits.Store(1)
		h.say("b@two.example", "450 later")
		r.wantAnswer(r.relay("a@one.example", "b@two.example"), refused)
		r.wantReceived(h, "a@one.example")
		r.wantQueued("")
		if r.log.count("sent to 1 of 2 recipients, and the rest cannot be kept") != 1 {
			t.Errorf("log:\n%s", strings.Join(r.log.take(), "\n"))
		}
		// The client sends it again.
		got := r.relay("a@one.example", "b@two.example")
		r.wantAnswer(got, "250 queued")
		got.Heard(true)
		h.say("b@two.example", "")
		r.wait(time.Hour)
		r.wantReceived(h, "a@one.example b@two.example")
		// And once more, on purpose.
		r.wantAnswer(r.relay("a@one.example", "b@two.example"), "250 sent")
		r.wantReceived(h, "a@one.example a@one.example b@two.example b@two.example")
		r.wantIdle()
	})
	// Whoever is left refuses it: that is no refusal of the whole.
	failingIn(t, func(r *rig, h *stages, s *failing) {
		s.commits.Store(1)
		h.say("b@two.example", "550 no")
		r.wantAnswer(r.relay("a@one.example", "b@two.example"), refused)
		r.wantAnswer(r.relay("a@one.example", "b@two.example"), "250 queued")
		r.wantReports("failed b@two.example 5.1.1")
		r.wantReceived(h, "a@one.example sender@client.example")
	})
	// The time is up after the end of the content: the reply is awaited all the same.
	for says, want := range map[string]string{"": "250 sent", "dot 554 no": refused, "dot 450 no": refused} {
		failingIn(t, func(r *rig, h *stages, s *failing) {
			s.commits.Store(1)
			h.reply = 100 * time.Second
			h.say("a@one.example", says)
			got := r.relay("a@one.example")
			r.wantAnswer(got, want)
			if got.took != h.reply {
				t.Errorf("the client waited %v", got.took)
			}
			r.wantQueued("")
			r.wantIdle()
		})
	}
	// It is up before: nothing was sent, and nothing is.
	failingIn(t, func(r *rig, h *stages, s *failing) {
		s.commits.Store(1)
		h.envelope = 100 * time.Second
		r.wantAnswer(r.relay("a@one.example"), refused)
		r.wait(time.Hour)
		r.wantReceived(h, "")
		r.wantIdle()
	})
}

// What became of the rest is recorded as soon as the store can.
func TestConnectedOutcomeFails(t *testing.T) {
	failingIn(t, func(r *rig, h *stages, s *failing) {
		s.outcomes.Store(3)
		h.say("b@two.example", "550 no")
		h.say("c@three.example", "450 later")
		r.wantAnswer(r.relay("a@one.example", "b@two.example", "c@three.example"), "250 queued")
		r.wait(time.Minute)
		r.wantReceived(h, "a@one.example sender@client.example")
		r.wantReports("failed b@two.example 5.1.1")
		r.wantQueued("deferred <sender@client.example> c@three.example (said: 450 later)\n")
		r.wantIdle()
	})
}

// A client that has left before anything was sent whole gets no copy of its message sent: it
// sends it again. Later, the message is done with.
func TestConnectedClientLeaves(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(*stages)
		gone time.Duration
		want string
		got  string
	}{
		{"before the end", func(h *stages) { h.envelope = 5 * time.Second }, time.Second, "error 451 4.3.0 Error: lost connection", ""},
		{"before, and nothing moves", func(h *stages) { h.connect = time.Minute }, time.Second, "error 451 4.3.0 Error: lost connection", ""},
		{"after the end", func(h *stages) { h.reply = 5 * time.Second }, time.Second, "250 sent", "a@one.example"},
		{"after, and the time is up", func(h *stages) { h.reply = time.Minute }, time.Second, "250 queued", "a@one.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
				c.at(h)
				began := time.Now()
				gone := func() bool { return time.Since(began) >= c.gone }
				got := r.relayWith(mail.WhileConnected{Gone: gone}, sender, "a@one.example")
				r.wantAnswer(got, c.want)
				if got.Heard != nil {
					got.Heard(false)
				}
				h.set(func() { h.connect, h.envelope = 0, 0 })
				r.wait(2 * time.Minute)
				r.wantReceived(h, c.got)
				r.wantQueued("")
				// It comes again.
				h.set(func() { h.reply = 0 })
				again := r.relay("a@one.example")
				if c.got == "" {
					r.wantAnswer(again, "250 sent")
				} else {
					r.wantAnswer(again, "250 queued") // so it says, and sends nothing
				}
				again.Heard(true)
				r.wantReceived(h, "a@one.example")
				r.wantQueued("")
				r.wantIdle()
			})
		})
	}
}

// The server ends the session: what nobody has is dropped, the rest is kept.
func TestConnectedSessionEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(*stages)
		want string
		got  string
	}{
		{"before the end", func(h *stages) { h.envelope = 5 * time.Second }, "error 451 4.3.0 Error: lost connection", ""},
		{"after it", func(h *stages) { h.reply = 5 * time.Second }, "250 queued", "a@one.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
				c.at(h)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				got := r.relayEnv(ctx, mail.WhileConnected{}, r.envelope(sender, "a@one.example"))
				r.wantAnswer(got, c.want)
				r.wait(time.Minute)
				r.wantReceived(h, c.got)
				r.wantQueued("")
				r.wantIdle()
			})
		})
	}
}
