package queue

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"aliasmx/internal/mail"
)

// postqueue(1) -f, -i and -s: mail is tried now. For whole destinations nothing is
// written, however much mail waits there: a process that ends before all was tried has
// forgotten the wish.

// Flush has all mail tried now; of what waits for a dead site one message, and the rest when
// that finds that it answers again (postqueue -f).
func (q *Queue) Flush(ctx context.Context) error {
	q.operated(ctx, "postqueue", "flush: all mail")
	q.tell(evFlush{all: true})
	return nil
}

// FlushID makes a message due now (postqueue -i).
func (q *Queue) FlushID(ctx context.Context, id mail.QueueID) error {
	err := q.makeDue(ctx, id, func(mail.Dest) bool { return true })
	if err == nil {
		q.operated(ctx, "postqueue", "flushed", slog.String(mail.KeyQueueID, id.String()))
	}
	return err
}

// makeDue makes a message due now. A destination that is dead is tried once, if probe says
// so.
func (q *Queue) makeDue(ctx context.Context, id mail.QueueID, probe func(mail.Dest) bool) error {
	q.rounds.await(ctx, id)
	heads, err := q.store.MakeDue(ctx, id)
	if err != nil {
		return err
	}
	for _, h := range heads {
		q.tell(evHeads{heads: []DestHead{h}, probe: probe(h.Dest)})
	}
	return nil
}

// FlushDest has all mail for a site tried now (postqueue -s), a domain or an address in
// brackets: what has it as its next hop at once, then what has a recipient there and goes
// by way of another, for which all messages have to be looked at. Progress, unless it is
// nil, is told how many have been.
func (q *Queue) FlushDest(ctx context.Context, site string, progress func(n int)) error {
	site = strings.TrimSuffix(site, ".")
	q.operated(ctx, "postqueue", "flush: mail for "+site)
	isSite := func(s string) bool { return strings.EqualFold(strings.TrimSuffix(s, "."), site) }
	dests, err := q.dests(ctx, func(d mail.Dest) bool { return isSite(d.NextHop()) })
	if err != nil {
		return err
	}
	q.tell(evFlush{dests: dests})
	looked := 0
	var mu sync.Mutex // guards seen
	seen := make(map[mail.Dest]bool)
	first := func(d mail.Dest) bool {
		mu.Lock()
		defer mu.Unlock()
		was := seen[d]
		seen[d] = true
		return !was
	}
	_, err = q.each(ctx, func(l *mail.Listed) bool {
		if looked++; progress != nil {
			progress(looked)
		}
		return l.Queue != "hold" && l.Queue != "corrupt" && slices.ContainsFunc(l.Rcpts, func(r mail.ListedRcpt) bool {
			return isSite(r.Address.Domain) && !isSite(r.Dest.NextHop())
		})
	}, func(ctx context.Context, id mail.QueueID) error { return q.makeDue(ctx, id, first) })
	return err
}

// dests are the destinations with mail in the store that match: their names, as many as
// there are destinations.
func (q *Queue) dests(ctx context.Context, match func(mail.Dest) bool) (dests []mail.Dest, err error) {
	err = q.store.Heads(ctx, func(h DestHead) bool {
		if match(h.Dest) {
			dests = append(dests, h.Dest)
		}
		return true
	})
	return dests, err
}
