package queue

import (
	"slices"
	"sync"

	"aliasmx/internal/mail"
)

// A client that has left may bring its message again while the next hops still have the first
// copy to answer. What will become of that is not known yet, so the second is put off. Once it
// is known, it is remembered (connected_unheard.go), and answers the third.

// underway are the messages whose clients wait for a reply, or have not shown yet whether
// they have had it. It is safe for concurrent use; its lock goes before that of a relay.
type underway struct {
	mu     sync.Mutex // guards relays
	relays map[string][]*relay
}

// enter adds a message, unless it is on its way for a client that has left: that one is
// returned then. A client that is still there has sent another message, with the same bytes.
func (u *underway) enter(r *relay) (first *relay) {
	u.mu.Lock()
	defer u.mu.Unlock()
	same := u.relays[r.trace.key]
	if i := slices.IndexFunc(same, (*relay).clientLeft); i >= 0 {
		return same[i]
	}
	if u.relays == nil {
		u.relays = make(map[string][]*relay)
	}
	u.relays[r.trace.key] = append(same, r)
	return nil
}

// leave takes a message out. What is to be known of it in future is remembered before.
func (u *underway) leave(r *relay) {
	u.mu.Lock()
	defer u.mu.Unlock()
	same := slices.DeleteFunc(u.relays[r.trace.key], func(o *relay) bool { return o == r })
	if u.relays[r.trace.key] = same; len(same) == 0 {
		delete(u.relays, r.trace.key)
	}
}

func (r *relay) clientLeft() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasLeft()
}

// hasLeft tells whether the client has left, as far as that can be asked. It needs r.mu.
func (r *relay) hasLeft() bool {
	return r.gone || !r.over && r.with.Gone != nil && r.with.Gone()
}

// returns is called before Relay returns. The message stays under way until somebody says
// whether the client has heard, if that matters.
func (r *relay) returns(out *mail.Relayed) {
	r.mu.Lock()
	r.gone, r.over = r.hasLeft(), true
	r.mu.Unlock()
	if out.Heard == nil {
		r.q.underway.leave(r)
	}
}

// putOff is the reply to a message that is on its way.
func (r *relay) putOff(first *relay) *mail.Status {
	r.q.logConnected(r.env.ID, "put off: the same message is on its way as "+first.env.ID.String()+", whose client has left")
	return &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Error: the same message is on its way; try again later"}
}
