package screen

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The rank of a client: what the lists in the DNS have to say about it, added up. The
// connections of one client at a time share one rank.

// ranks are those of a Door that somebody waits for.
type ranks struct {
	mu     sync.Mutex // guards byAddr, and waiting in its elements
	byAddr map[netip.Addr]*rank
}

type rank struct {
	addr    netip.Addr
	waiting int             // connections that will take the result
	done    context.Context // ends when all lists have answered
	finish  context.CancelFunc

	mu      sync.Mutex // guards what follows
	pending int
	total   int
	name    string // of the list that weighs most
	weight  int
	passTTL time.Duration // -1: nobody has said
	failTTL time.Duration
}

// rankOf begins to find out the rank of a client, or joins who does. It is given back by
// one take.
func (d *Door) rankOf(addr netip.Addr) *rank {
	d.ranks.mu.Lock()
	defer d.ranks.mu.Unlock()
	if r := d.ranks.byAddr[addr]; r != nil {
		r.waiting++
		return r
	}
	r := &rank{addr: addr, waiting: 1, pending: len(d.o.Sites), passTTL: -1, failTTL: -1}
	r.done, r.finish = context.WithCancel(context.Background())
	d.ranks.byAddr[addr] = r
	deadline := d.now().Add(d.o.DNSBLTimeout)
	for i := range d.o.Sites {
		d.clients.lookups.add(func() { d.ask(r, &d.o.Sites[i], deadline) })
	}
	return r
}

// ask asks one list.
func (d *Door) ask(r *rank, s *Site, deadline time.Time) {
	d.ranks.mu.Lock()
	wanted := r.waiting > 0
	d.ranks.mu.Unlock()
	if !wanted || d.clients.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(d.clients.ctx, deadline.Sub(d.now()))
	defer cancel()
	answers, ttl, err := d.o.Lists.Answers(ctx, s.Domain, r.addr)
	switch {
	case err == nil:
	case ctx.Err() != nil && d.clients.ctx.Err() == nil:
		d.log.Warn(fmt.Sprintf("dnsblog reply timeout %ds for %s", int(d.o.DNSBLTimeout/time.Second), s.shown))
		answers, ttl = nil, -1
	default:
		d.lists.Warn(fmt.Sprintf("lookup error for %s at %s: %s", r.addr, s.shown, d.public(s, err)))
		answers, ttl = nil, -1
	}
	for _, a := range answers {
		d.lists.Info(fmt.Sprintf("addr %s listed by domain %s as %s", r.addr, s.shown, a))
	}
	r.weigh(s, answers, ttl)
}

// public is an error without the name of a list that is to stay a secret.
func (d *Door) public(s *Site, err error) string {
	return strings.ReplaceAll(err.Error(), s.Domain, s.shown)
}

// weigh adds what one list has answered.
func (r *rank) weigh(s *Site, answers []netip.Addr, ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range s.ways {
		w := &s.ways[i]
		if w.matches(answers) {
			if r.name == "" || r.weight < w.weight {
				r.name, r.weight = s.shown, w.weight
			}
			r.total += w.weight
		}
		// A listing holds up a failure, or a pass where the weight is negative; being absent
		// the other way round.
		held := &r.passTTL
		if (w.weight > 0) == (len(answers) > 0) {
			held = &r.failTTL
		}
		if *held < 0 || *held > ttl {
			*held = ttl
		}
	}
	if r.pending--; r.pending == 0 {
		r.finish()
	}
}

// score is a rank as it was when somebody took it.
type score struct {
	total int
	name  string
	ttl   time.Duration
}

// take gives a rank back. What it says is of those lists that have answered by then.
func (d *Door) take(r *rank) score {
	d.ranks.mu.Lock()
	if r.waiting--; r.waiting == 0 {
		delete(d.ranks.byAddr, r.addr)
	}
	d.ranks.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	ttl := r.passTTL
	if r.total > 0 {
		ttl = r.failTTL
	}
	return score{r.total, r.name, min(max(ttl, d.o.DNSBLMinTTL), d.o.DNSBLMaxTTL)}
}
