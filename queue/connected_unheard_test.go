package queue_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// A message whose 250 was not heard is not sent again; what differs from it is.
func TestUnheardIsKnownAgain(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		first := r.relay("a@virt.example>b@one.example")
		first.Heard(false)
		r.wantReceived(h, "b@one.example")
		r.log.take()

		again := r.relay("a@virt.example>b@one.example")
		r.wantAnswer(again, "250 queued")
		if again.took != 0 {
			t.Errorf("the client waited %v", again.took)
		}
		r.wantLog("qmgr Q2: relay while connected: not sent again: it is " + first.id.String() + ", which was taken, but the client has not heard so")
		again.Heard(false) // nor does it hear this
		r.relay("a@virt.example>b@one.example").Heard(true)
		r.wantReceived(h, "b@one.example")
		r.wantQueued("")

		// Now it has heard: the same is another message.
		r.wantAnswer(r.relay("a@virt.example>b@one.example"), "250 sent")
		r.wantReceived(h, "b@one.example b@one.example")
	})
}

func TestUnheardDiffers(t *testing.T) {
	for name, change := range map[string]func(*mail.Envelope){
		"sender":    func(e *mail.Envelope) { e.Sender.Local = "other" },
		"recipient": func(e *mail.Envelope) { e.Rcpts[0].Final.Local = "other" },
		"alias":     func(e *mail.Envelope) { e.Rcpts[0].Orig.Local = "other" },
		"one more":  func(e *mail.Envelope) { e.Rcpts = append(e.Rcpts, e.Rcpts[0]) },
		"envid":     func(e *mail.Envelope) { e.EnvID = "x" },
	} {
		connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
			r.relay("a@virt.example>b@one.example").Heard(false)
			env := r.envelope(sender, "a@virt.example>b@one.example")
			change(env)
			if got := r.relayEnv(context.Background(), mail.WhileConnected{}, env); got.String() != "250 sent" {
				t.Errorf("another %s: the client hears %q", name, got)
			}
		})
	}
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		r.relay("b@one.example").Heard(false)
		env := r.envelope(sender, "b@one.example")
		env.Prepend = []byte("Received: from another hour\r\n") // ours: it differs each time
		r.wantAnswer(r.relayEnv(context.Background(), mail.WhileConnected{}, env), "250 queued")
		d, err := r.q.Stage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		d.Write([]byte("Subject: test\r\n\r\nHello!\r\n"))
		out, err := d.(relayer).Relay(context.Background(), r.envelope(sender, "b@one.example"), mail.WhileConnected{Wait: time.Second, Network: clientNet})
		if err != nil || out.Reply == nil {
			t.Errorf("other bytes: %+v, %v", out, err)
		}
		d, _ = r.q.Stage(context.Background())
		d.Write([]byte("Subject: test\r\n\r\nHello.\r\n"))
		out, err = d.(relayer).Relay(context.Background(), r.envelope(sender, "b@one.example"),
			mail.WhileConnected{Wait: time.Second, Network: netip.MustParsePrefix("198.51.100.0/24")})
		if err != nil || out.Reply == nil {
			t.Errorf("from elsewhere: %+v, %v", out, err)
		}
	})
}

type relayer interface {
	Relay(context.Context, *mail.Envelope, mail.WhileConnected) (mail.Relayed, error)
}

// It is remembered over a restart, for a day.
func TestUnheardIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "unheard")
	o := queue.Options{Unheard: file}
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		again := func(want string, last bool) {
			t.Helper()
			r, _ := connectedRig(t, store, store, o)
			r.run()
			got := r.relay("b@one.example")
			r.wantAnswer(got, want)
			got.Heard(false)
			if last {
				got.Heard(true)
			}
			r.stop()
		}
		again("250 sent", false)
		time.Sleep(23 * time.Hour)
		again("250 queued", false)
		time.Sleep(25 * time.Hour)
		again("250 sent", true) // too long ago; and this time it is heard
		again("250 sent", false)
		if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := connectedRig(t, store, store, o)
		if r.log.count("starting without what it knew") != 1 {
			t.Errorf("log: %q", r.log.take())
		}
		r.q.Close()
		again("250 sent", false)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	})
}

// A client that never hears that it was taken has its message sent once a day, however often
// it comes meanwhile.
func TestUnheardForEver(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		for _, want := range []string{"250 sent", "250 queued", "250 queued", "250 sent", "250 queued"} {
			got := r.relay("b@one.example")
			r.wantAnswer(got, want)
			got.Heard(false)
			time.Sleep(8*time.Hour + time.Minute)
		}
		r.wantReceived(h, "b@one.example b@one.example")
	})
}

// Who has it of several is remembered over a restart, too.
func TestUnheardOfSome(t *testing.T) {
	file := filepath.Join(t.TempDir(), "unheard")
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memstore.New(memstore.Options{})}
		defer s.Close()
		r, h := connectedRig(t, s.Store, s, queue.Options{Unheard: file})
		r.run()
		s.commits.Store(1)
		h.say("c@three.example", "450 later")
		r.relay("a@one.example", "b@two.example", "c@three.example")
		r.wantReceived(h, "a@one.example b@two.example")
		r.stop()
		r, h = connectedRig(t, s.Store, s, queue.Options{Unheard: file})
		r.run()
		r.wantAnswer(r.relay("a@one.example", "b@two.example", "c@three.example"), "250 sent")
		r.wantReceived(h, "c@three.example")
		r.stop()
	})
}

// The memory is bounded.
func TestUnheardIsBounded(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		r.relay("first@one.example").Heard(false)
		var last *mail.Envelope
		for range 10_000 {
			time.Sleep(time.Millisecond)
			last = r.envelope(sender, "b@one.example")
			last.EnvID = last.ID.String()
			r.relayEnv(context.Background(), mail.WhileConnected{}, last).Heard(false)
			r.log.take()
		}
		r.wantAnswer(r.relayEnv(context.Background(), mail.WhileConnected{}, last), "250 queued") // known again
		r.wantAnswer(r.relay("first@one.example"), "250 sent")                                    // forgotten
	})
}
