package queue

import (
	"context"
	"fmt"

	"aliasmx/internal/mail"
)

// Adopter is a Store that can take over the queue of a node that is no more.
type Adopter interface {
	// Adopt takes every message of the queue in dir, with all its state: who is left to
	// be served, attempts, reasons, due times, hold, forced expiry, corruption. Each is
	// taken once, whatever interrupts it and however often it is called again. It ends
	// early when ctx ends, when the disk has no room (ErrNoSpace), and when something
	// cannot be read that may be readable later; what was taken by then stays taken.
	//
	// progress is called now and then with what was taken so far and with destinations
	// that have work since the last call.
	Adopt(ctx context.Context, dir string, progress func(sofar mail.Adoption, heads []DestHead)) (mail.Adoption, error)
}

// Adopt takes over the queue in dir (see Adopter), while mail is delivered as ever.
func (q *Queue) Adopt(ctx context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error) {
	a, ok := q.store.(Adopter)
	if !ok {
		return mail.Adoption{}, fmt.Errorf("adopt %s: this kind of queue cannot take over another", dir)
	}
	return a.Adopt(ctx, dir, func(sofar mail.Adoption, heads []DestHead) {
		if len(heads) > 0 {
			q.tell(evHeads{heads: heads})
		}
		progress(sofar)
	})
}
