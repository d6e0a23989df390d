package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// An operator can hold a destination: nothing is attempted there until it is released.
// Mail for it is taken in all the same, waits in the store, and expires when its time has
// come. The store keeps the note, over restarts; the scheduler obeys it.

// ErrBadDest: this cannot be the name of a destination.
var ErrBadDest = errors.New("bad destination")

// Bounds of what an operator writes.
const (
	maxDestName   = 512
	maxHoldReason = 500
)

// HoldDest lets nothing be sent to a destination from now on: a transport and next hop as
// the queue has it (smtp:example.com), or a next hop alone, for any transport. Attempts
// under way come to their end.
func (q *Queue) HoldDest(ctx context.Context, dest mail.Dest, reason string) error {
	dest, err := destName(dest)
	if err != nil {
		return err
	}
	if err := noPattern(string(dest)); err != nil {
		return err
	}
	if len(reason) > maxHoldReason || strings.ContainsFunc(reason, isControl) {
		return fmt.Errorf("the reason must be one line of at most %d bytes", maxHoldReason)
	}
	q.holding.Lock()
	defer q.holding.Unlock()
	if err := q.store.HoldDest(ctx, dest, reason); err != nil {
		return err
	}
	q.tell(evHold{dests: []mail.Dest{dest}, reason: reason, on: true})
	text := "destination " + string(dest) + " placed on hold"
	if reason != "" {
		text += ": " + reason
	}
	q.operated(ctx, "qmgr", text)
	return nil
}

// noPattern refuses what would hold nothing, and look as if it did.
func noPattern(dest string) error {
	switch {
	case strings.ContainsAny(dest, "*?"):
		return fmt.Errorf("%w %q: a hold is for one next hop, not for a pattern; 'aliasmx qshape --destination' lists them", ErrBadDest, dest)
	case strings.Count(dest, "[") != strings.Count(dest, "]"):
		return fmt.Errorf("%w %q: a bracket has no partner", ErrBadDest, dest)
	}
	return nil
}

// ReleaseDest ends HoldDest of the same name: what waits there is tried when it is due.
// ErrNotFound: no such name is held.
func (q *Queue) ReleaseDest(ctx context.Context, dest mail.Dest) error {
	dest, err := destName(dest)
	if err != nil {
		return err
	}
	q.holding.Lock()
	defer q.holding.Unlock()
	if err := q.store.ReleaseDest(ctx, dest); err != nil {
		return err
	}
	q.tell(evHold{dests: []mail.Dest{dest}})
	q.operated(ctx, "qmgr", "destination "+string(dest)+" released from hold")
	q.rescan() // for what came while it was held
	return nil
}

// HeldDests are the destinations on hold, by name.
func (q *Queue) HeldDests(ctx context.Context) ([]mail.HeldDest, error) {
	return q.store.HeldDests(ctx)
}

// holdAgain tells the scheduler what was held when the queue was last in use.
func (q *Queue) holdAgain(ctx context.Context) error {
	all, err := q.store.HeldDests(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		q.tell(evHold{dests: []mail.Dest{h.Dest}, reason: h.Reason, on: true})
	}
	return nil
}

// destName checks the name of a destination. Upper and lower case are the same.
func destName(d mail.Dest) (mail.Dest, error) {
	name := strings.ToLower(strings.TrimSpace(string(d)))
	if name == "" || len(name) > maxDestName || strings.ContainsFunc(name, func(r rune) bool { return r == ' ' || isControl(r) }) {
		return "", fmt.Errorf("%w: %q", ErrBadDest, string(d[:min(len(d), 100)]))
	}
	return mail.Dest(name), nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }

// heldSet tells quickly of a destination whether it is held, and why.
type heldSet map[mail.Dest]mail.HeldDest

func (q *Queue) heldSet(ctx context.Context) (heldSet, error) {
	all, err := q.store.HeldDests(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	set := make(heldSet, len(all))
	for _, h := range all {
		set[h.Dest] = h
	}
	return set, nil
}

func (set heldSet) of(d mail.Dest) (mail.HeldDest, bool) {
	if len(set) == 0 {
		return mail.HeldDest{}, false
	}
	d = mail.Dest(strings.ToLower(string(d)))
	if h, ok := set[d]; ok {
		return h, true
	}
	h, ok := set[mail.Dest(d.NextHop())]
	return h, ok
}

// explain says of the recipients of a message that wait because their destination is
// held, why.
func (set heldSet) explain(l *mail.Listed) {
	if len(set) == 0 || l.Queue == "hold" || l.Queue == "corrupt" {
		return
	}
	for i := range l.Rcpts {
		if h, held := set.of(l.Rcpts[i].Dest); held {
			l.Rcpts[i].Reason = "destination " + string(h.Dest) + " is on hold"
			if h.Reason != "" {
				l.Rcpts[i].Reason += ": " + h.Reason
			}
		}
	}
}
