package mail

import (
	"net/netip"
	"time"
)

// WhileConnected is what is to be known to give a message to its next hops while the client
// that sent it waits for the reply to its end (relay_while_connected).
type WhileConnected struct {
	// Wait is how long the client may be kept waiting (relay_while_connected_time).
	Wait time.Duration
	// Pass: what the next hop does not take for now is refused for now, and not queued
	// (relay_while_connected_tempfail = pass).
	Pass bool
	// Network is where the client is. A message that was done with and whose client has not
	// heard so is known again when it comes from there.
	Network netip.Prefix
	// Content is a digest of the message as it came, without what we have added to it; nil: the
	// body of the draft is the message as it came.
	Content []byte
	// Gone tells, without waiting, that the client has left. It is called from another
	// goroutine, one at a time, until Relay returns; nil: nobody can say.
	Gone func() bool
}

// Relayed is what has become of a message that was given to its next hops while its client
// waited. The zero value is a message that was queued as any other.
type Relayed struct {
	// Refused is why nobody gets the message: the first of the results, all of which are
	// Failed, or all Deferred. Nothing of it is kept.
	Refused *Result
	// Reply is the first 2xx, if all have it: there is nothing left to be queued.
	Reply *Result
	// Again: the message was done with before, and nothing was done now.
	Again bool
	// Heard, when not nil, is to be called once: has the client had the reply?
	Heard func(bool)
}
