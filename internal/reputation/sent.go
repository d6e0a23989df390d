package reputation

import "aliasmx/internal/mail"

// Messages that were taken lately, by their queue ID: a report often has nothing that names
// an alias but our Received field, and that names no alias where there were several.

// maxSent is how many recipients are remembered.
const maxSent = 20_000

// sent is one recipient of a message.
type sent struct {
	id            mail.QueueID
	alias, domain string // domain: where it went
}

// sentRing has the last maxSent. Its user has the lock.
type sentRing struct {
	all  []sent
	next int // the oldest, once there are as many as there may be
}

func (r *sentRing) add(s sent) {
	if len(r.all) < maxSent {
		r.all = append(r.all, s)
		return
	}
	r.all[r.next] = s
	r.next = (r.next + 1) % maxSent
}

// find are the recipients of a message.
func (r *sentRing) find(id mail.QueueID) (list []sent) {
	for _, s := range r.all {
		if s.id == id {
			list = append(list, s)
		}
	}
	return list
}

// inOrder is all of them, the oldest first.
func (r *sentRing) inOrder() []sent {
	return append(append(make([]sent, 0, len(r.all)), r.all[r.next:]...), r.all[:r.next]...)
}
