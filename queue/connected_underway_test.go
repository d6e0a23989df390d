package queue_test

import (
	"context"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

const onItsWay = "error 451 4.3.0 Error: the same message is on its way; try again later"

// A client leaves and brings its message again before the next hop has answered: that one is
// put off until it is known what became of the first, and then it is not sent again.
func TestConnectedUnderWay(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.reply = 10 * time.Second
		began := time.Now()
		gone := mail.WhileConnected{Gone: func() bool { return time.Since(began) >= time.Second }}
		env := r.envelope(sender, "b@one.example")
		first := make(chan answer)
		go func() { first <- r.relayEnv(context.Background(), gone, env) }()
		r.wait(2 * time.Second)
		r.wantAnswer(r.relay("b@one.example"), onItsWay)
		if n := r.log.count("put off: the same message is on its way as " + env.ID.String() + ", whose client has left"); n != 1 {
			t.Errorf("log: %q", r.log.take())
		}
		other := r.relay("c@one.example") // is another message
		r.wantAnswer(other, "250 sent")
		other.Heard(true)
		got := <-first
		r.wantAnswer(got, "250 sent")
		r.wantAnswer(r.relay("b@one.example"), onItsWay) // it is not known what the client has heard
		got.Heard(false)
		again := r.relay("b@one.example")
		r.wantAnswer(again, "250 queued")
		again.Heard(true)
		r.wantReceived(h, "b@one.example c@one.example")
		r.wantQueued("")
		r.wantIdle()
		// It has heard. The same is another message.
		r.wantAnswer(r.relay("b@one.example"), "250 sent")
	})
}

// What was put off comes again after a first copy that nobody has got: it is sent.
func TestConnectedUnderWayInVain(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.reply = 10 * time.Second
		h.say("b@one.example", "dot 550 no")
		began := time.Now()
		gone := mail.WhileConnected{Gone: func() bool { return time.Since(began) >= time.Second }}
		first := make(chan answer)
		go func() { first <- r.relayEnv(context.Background(), gone, r.envelope(sender, "b@one.example")) }()
		r.wait(2 * time.Second)
		r.wantAnswer(r.relay("b@one.example"), onItsWay)
		r.wantAnswer(<-first, "550 5.1.1")
		h.say("b@one.example", "")
		r.wantAnswer(r.relay("b@one.example"), "250 sent")
		r.wantReceived(h, "b@one.example")
	})
}

// As long as the first client is there, the same from another is another message.
func TestConnectedUnderWayForTwo(t *testing.T) {
	connectedIn(t, queue.Options{}, func(r *rig, h *stages) {
		h.reply = 10 * time.Second
		there := mail.WhileConnected{Gone: func() bool { return false }}
		first := make(chan answer)
		go func() { first <- r.relayEnv(context.Background(), there, r.envelope(sender, "b@one.example")) }()
		r.wait(2 * time.Second)
		second := r.relayWith(there, sender, "b@one.example")
		r.wantAnswer(second, "250 sent")
		got := <-first
		r.wantAnswer(got, "250 sent")
		r.wantAnswer(r.relayWith(there, sender, "b@one.example"), "250 sent") // nor after it
		got.Heard(true)
		second.Heard(true)
		r.wantReceived(h, "b@one.example b@one.example b@one.example")
	})
}
