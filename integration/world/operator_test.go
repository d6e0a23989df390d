package world

import (
	"context"
	"errors"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// The operator: postqueue and postsuper at random times.

// operate does something to the queue.
func (w *world) operate(n int) {
	r := w.now()
	if r == nil {
		return
	}
	d, ctx, l := w.dice("operator", n), context.Background(), w.ledger
	type listed struct {
		id     mail.QueueID
		sender bool
		held   bool
	}
	var all []listed
	err := r.queue.List(ctx, func(m mail.Listed) bool {
		all = append(all, listed{m.ID, !m.Sender.IsNull(), m.Queue == "hold"})
		return true
	})
	if err != nil && !r.line.isDead() {
		w.fault("list: %v", err)
	}
	if len(all) == 0 {
		return
	}
	m := all[d.IntN(len(all))]
	id := m.id.String()
	what := d.IntN(12)
	if !m.sender && what < 2 { // reports are to be counted
		what = 11
	}
	// From here on it may happen, whether the operator gets to know or not.
	l.set(func() {
		switch what {
		case 0:
			l.deleted[id] = deletion{at: time.Now()}
		case 1:
			l.forced[id] = true
		case 2, 3:
			l.held[id] = true
		}
		if what != 2 && what != 3 {
			l.flushes = append(l.flushes, time.Now())
		}
	})
	switch what {
	case 0:
		w.tally("operator: delete")
		if err = r.queue.Delete(ctx, m.id); err == nil && !r.line.isDead() {
			l.set(func() { l.deleted[id] = deletion{time.Now(), true} })
		} else {
			l.set(func() { l.deleted[id] = deletion{at: time.Now()} })
		}
	case 1:
		w.tally("operator: expire")
		err = r.queue.Expire(ctx, m.id, true)
	case 2, 3:
		w.tally("operator: hold")
		err = r.queue.Hold(ctx, m.id)
	case 4, 5:
		w.tally("operator: release")
		_, err = r.queue.Each(ctx, []string{"hold"}, r.queue.Release)
	case 6:
		w.tally("operator: flush")
		err = r.queue.Flush(ctx)
	case 7:
		w.tally("operator: flush of a destination")
		err = r.queue.FlushDest(ctx, recipientDomains()[d.IntN(len(recipientDomains()))], func(int) {})
	case 8, 9, 10:
		w.tally("operator: requeue")
		err = r.queue.Requeue(ctx, m.id, func(sender mail.Address, rcpt mail.Recipient) []mail.Recipient {
			rcpt.Dest = r.resolver.Load().Dest(rcpt.Final)
			return []mail.Recipient{rcpt}
		})
	case 11:
		w.tally("operator: flush of a message")
		err = r.queue.FlushID(ctx, m.id)
	}
	l.set(func() { l.flushes = append(l.flushes, time.Now()) })
	if err != nil && !errors.Is(err, queue.ErrNotFound) && !r.line.isDead() && w.now() == r {
		w.fault("operator, %d: %v", what, err)
	}
}
