package delivery

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// Connections that have no more mail of their destination, and wait a moment for that of
// another one at the same host: ten thousand domains at one provider are ten thousand
// destinations, and not ten thousand connections (postconf(5):
// smtp_connection_cache_time_limit; scache(8) keeps those of Postfix). Each keeps its slot at the
// host, and gives it up to whoever waits for one.

// parkedMost is how many wait, at all hosts. One more sends the oldest away.
const parkedMost = 256

// parkKey is what a connection has in common with the one that is wanted, apart from what
// depends on the message.
type parkKey struct {
	set   *settings
	proto protocol
	name  string
	path  string
	at    netip.AddrPort
	from  Source
}

func (s *settings) parkKey(p protocol, h *host, from Source) parkKey {
	return parkKey{set: s, proto: p, name: strings.ToLower(h.name), path: h.path, at: h.key(), from: from}
}

// parkedTable is all that wait. It is safe for concurrent use.
type parkedTable struct {
	mu    sync.Mutex // guards what follows
	byKey map[parkKey][]*parkedConn
	order []*parkedConn // oldest first
	shut  bool
}

type parkedConn struct {
	key   parkKey
	s     *session
	timer *time.Timer
}

// park lets a session wait, for no longer than wait. It is false when there is no place.
func (t *parkedTable) park(key parkKey, s *session, wait time.Duration) bool {
	p := &parkedConn{key: key, s: s}
	t.mu.Lock()
	if t.shut {
		t.mu.Unlock()
		return false
	}
	var old *parkedConn
	if len(t.order) >= parkedMost {
		old = t.order[0]
		t.drop(old)
	}
	if t.byKey == nil {
		t.byKey = make(map[parkKey][]*parkedConn)
	}
	t.byKey[key] = append(t.byKey[key], p)
	t.order = append(t.order, p)
	p.timer = time.AfterFunc(wait, func() {
		if t.remove(p) {
			p.s.end()
		}
	})
	t.mu.Unlock()
	if old != nil {
		go old.s.end()
	}
	return true
}

// has tells whether one waits that may be wanted.
func (t *parkedTable) has(key parkKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey[key]) > 0
}

// take returns one that fits, of those that came last: they are the warmest. Fits must not
// wait.
func (t *parkedTable) take(key parkKey, fits func(*session) bool) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range slices.Backward(t.byKey[key]) {
		if fits(p.s) {
			t.drop(p)
			return p.s
		}
	}
	return nil
}

// evict ends one at an address, for somebody who waits for its slot.
func (t *parkedTable) evict(at netip.AddrPort) bool {
	t.mu.Lock()
	i := slices.IndexFunc(t.order, func(p *parkedConn) bool { return p.key.at == at && p.key.path == "" })
	if i < 0 {
		t.mu.Unlock()
		return false
	}
	p := t.order[i]
	t.drop(p)
	t.mu.Unlock()
	go p.s.end()
	return true
}

// makeRoom counts in a connection that is about to be made. Where it is one too many, the one
// that has waited for longest goes.
func (c *Client) makeRoom(limit int) {
	if open := c.open.Add(1); limit > 0 && open > int64(limit) {
		c.parked.evictOldest()
	}
}

func (t *parkedTable) evictOldest() {
	t.mu.Lock()
	var p *parkedConn
	if len(t.order) > 0 {
		p = t.order[0]
		t.drop(p)
	}
	t.mu.Unlock()
	if p != nil {
		p.s.leave()
	}
}

// close ends all of them, and lets none wait any more.
func (t *parkedTable) close() {
	t.mu.Lock()
	t.shut = true
	var all []*parkedConn
	for len(t.order) > 0 {
		p := t.order[0]
		t.drop(p)
		all = append(all, p)
	}
	t.mu.Unlock()
	for _, p := range all {
		p.s.leave()
	}
}

func (t *parkedTable) remove(p *parkedConn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.order, p) {
		return false
	}
	t.drop(p)
	return true
}

// drop takes one out. The caller holds mu.
func (t *parkedTable) drop(p *parkedConn) {
	p.timer.Stop()
	t.order = slices.DeleteFunc(t.order, func(x *parkedConn) bool { return x == p })
	left := slices.DeleteFunc(t.byKey[p.key], func(x *parkedConn) bool { return x == p })
	if len(left) == 0 {
		delete(t.byKey, p.key)
		return
	}
	t.byKey[p.key] = left
}

// rest is the end of a worker's use of its connection: it waits for other destinations, if
// the host has had so much mail lately that some is likely to come, or if the operator
// wants it kept. idle is how long it has waited already.
func (w *worker) rest(idle time.Duration) {
	s := w.sess
	if s == nil {
		return
	}
	w.sess = nil
	now := w.set.Now()
	wait := min(w.set.CacheTime-idle, w.set.ReuseTime-now.Sub(s.born))
	lively := w.c.hosts.lively(&s.host, s.uses-s.counted, now) && !w.set.NoCacheOnDemand
	s.counted = s.uses
	if wait <= 0 || !lively && !w.set.keepsFor(s.domain) || w.c.hosts.wanted(&s.host) || !s.mayServe() || s.conn.Moved() ||
		!w.c.parked.park(w.set.parkKey(w.proto, &s.host, s.from), s, wait) {
		s.end()
	}
}

// parked finds a connection that waits at hosts[i] or at an equal host, which then takes
// that one's place.
func (r *round) parked(ctx context.Context, i int) *session {
	w := r.w
	for k := i; k < len(r.hosts); k++ {
		h := r.hosts[k]
		if h.pref != r.hosts[i].pref || h.shunned != r.hosts[i].shunned {
			return nil
		}
		key := w.set.parkKey(w.proto, &h, r.j.from)
		if !w.c.parked.has(key) {
			continue
		}
		choice, f := r.choose(ctx, &h)
		if f != nil {
			continue // said when it is this host's turn
		}
		who, err := w.set.SASL.identify(ctx, &h, r.hop.name(), r.j.a.Env.Sender, w.proto)
		if err != nil {
			continue
		}
		s := w.c.parked.take(key, func(s *session) bool {
			return s.secured(choice, r.domain) && s.auth.identity == who && s.maySend(r.j)
		})
		if s == nil {
			continue
		}
		if !s.mayServe() || s.conn.Moved() {
			s.end()
			k-- // there may be another
			continue
		}
		s.domain, s.hop, s.mayLoop, s.log, s.final = r.domain, r.hop, r.mayLoop, w.log, false
		copy(r.hosts[i+1:k+1], r.hosts[i:k]) // the others keep their order
		r.hosts[i] = h
		return s
	}
	return nil
}

// secured tells whether a connection is as good as a new one would be by a choice.
func (s *session) secured(choice *mail.TLSChoice, domain string) bool {
	if s.choice.Level != choice.Level || s.choice.Key != choice.Key || s.choice.Testing != choice.Testing {
		return false
	}
	if choice.Verify != nil && choice.Key == "" {
		return false
	}
	if s.choice.Versions != choice.Versions || !slices.Equal(s.choice.Ciphers, choice.Ciphers) {
		return false
	}
	return s.choice.ServerName == choice.ServerName && s.set.serverName(&s.host, s.domain) == s.set.serverName(&s.host, domain)
}
