package delivery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aliasmx/internal/mail"
)

// How many connections are open to an address, over all destinations that lead there: a
// site that is known under several names, or is reached by several transports, still has
// only the hosts that it has (smtp_host_connection_limit). Which hosts are in penalty is
// in penalty.go.

const (
	// slotWait is how long a message waits for its turn at a host. Every connection to it
	// is used by others for so long as a rule for a few messages only: see slotTurn.
	slotWait = time.Minute
	// slotTurn is after how many messages a connection leaves when others wait for its host.
	slotTurn = 5
	// hostsMost bounds the hosts that are remembered without a connection to them. One more
	// forgets all of them.
	hostsMost = 10_000
	hostsFew  = 256 // are not worth looking through
)

// hostTable is what is known of hosts. It is safe for concurrent use.
type hostTable struct {
	wanting atomic.Int64 // how many wait for a slot of any host
	// evict, when not nil, makes a connection that has nothing to do give up its slot.
	evict func(netip.AddrPort) bool

	mu     sync.Mutex // guards what follows
	byAddr map[netip.AddrPort]*hostState
	sweep  int // how many hosts there are when they are looked through next
}

// hostState is one host. It is kept while there is something to say of it.
type hostState struct {
	conns   int // slots taken
	waiting []*slotWaiter
	penalty
	// streak is how many deliveries there were without a pause, up to lastDone.
	streak   int
	lastDone time.Time
}

// slotWaiter waits for a slot of any of several hosts.
type slotWaiter struct {
	limits map[netip.AddrPort]int
	got    chan netip.AddrPort // of one
	served bool                // guarded by the table's mu
}

func (h *host) key() netip.AddrPort { return netip.AddrPortFrom(h.addr, h.port) }

// take gives a slot of one of the hosts, the first that has one: there are fewer than
// limits[i] connections. Of hosts that are as good as that, it is the one with the fewest: a
// host that takes connections and says nothing would else gather all of them by and by. When
// none has one, it waits. free gives it back, and may be called more than once.
func (t *hostTable) take(ctx context.Context, hosts []host, limits []int) (i int, free func(), ok bool) {
	t.mu.Lock()
	best, fewest := -1, 0
	for i := range hosts {
		if limits[i] <= 0 && best < 0 {
			t.mu.Unlock()
			return i, func() {}, true
		}
		conns := 0
		if s := t.byAddr[hosts[i].key()]; s != nil {
			conns = s.conns
		}
		if conns < limits[i] && (best < 0 || hosts[i].rank == hosts[best].rank && conns < fewest) {
			best, fewest = i, conns
		}
	}
	if best >= 0 {
		key := hosts[best].key()
		t.state(key).conns++
		t.mu.Unlock()
		return best, t.freeing(key), true
	}
	w := &slotWaiter{limits: make(map[netip.AddrPort]int, len(hosts)), got: make(chan netip.AddrPort, 1)}
	for i := range hosts {
		key := hosts[i].key()
		w.limits[key] = limits[i]
		s := t.state(key)
		s.waiting = append(s.waiting, w)
	}
	t.mu.Unlock()

	t.wanting.Add(1)
	defer t.wanting.Add(-1)
	if t.evict != nil {
		for i := 0; i < len(hosts) && !t.evict(hosts[i].key()); i++ {
		}
	}
	patience := time.NewTimer(slotWait)
	defer patience.Stop()
	var key netip.AddrPort
	select {
	case key = <-w.got:
	case <-patience.C:
	case <-ctx.Done():
	}
	t.leave(w)
	if !key.IsValid() {
		select { // it came at the last moment
		case key = <-w.got:
		default:
			return 0, nil, false
		}
	}
	return slices.IndexFunc(hosts, func(h host) bool { return h.key() == key }), t.freeing(key), true
}

// freeing is what gives back a slot.
func (t *hostTable) freeing(key netip.AddrPort) func() {
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		s := t.byAddr[key]
		s.conns--
		for len(s.waiting) > 0 {
			w := s.waiting[0]
			if !w.served && s.conns >= w.limits[key] {
				return // the limit is less than it was
			}
			s.waiting = s.waiting[1:]
			if !w.served {
				w.served = true
				s.conns++
				w.got <- key
				return
			}
		}
		if s.idle() {
			delete(t.byAddr, key)
		}
	})
}

// leave takes a waiter out of the lines that it stands in.
func (t *hostTable) leave(w *slotWaiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.served = true
	for key := range w.limits {
		s := t.byAddr[key]
		if s == nil {
			continue
		}
		s.waiting = slices.DeleteFunc(s.waiting, func(x *slotWaiter) bool { return x == w })
		if s.idle() {
			delete(t.byAddr, key)
		}
	}
}

// wanted tells whether somebody waits for a slot of the host.
func (t *hostTable) wanted(h *host) bool {
	if t.wanting.Load() == 0 || h.path != "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byAddr[h.key()]
	return s != nil && len(s.waiting) > 0
}

// state is that of a host, new if need be. The caller holds mu, and leaves nothing behind
// that is idle.
func (t *hostTable) state(key netip.AddrPort) *hostState {
	s := t.byAddr[key]
	if s != nil {
		return s
	}
	if t.byAddr == nil {
		t.byAddr = make(map[netip.AddrPort]*hostState)
	}
	s = &hostState{}
	t.byAddr[key] = s
	return s
}

func (s *hostState) idle() bool {
	return s.conns == 0 && len(s.waiting) == 0 && s.until.IsZero() && s.streak == 0
}

const (
	// livelyStreak is after how many deliveries to a host, none of them streakPause after the
	// one before, a connection to it is worth keeping (postconf(5):
	// smtp_connection_cache_on_demand): a few letters are no reason to hold a connection of
	// somebody else's server.
	livelyStreak = 10
	streakPause  = time.Second
)

// lively counts n deliveries to a host, and tells whether it has had many of late.
func (t *hostTable) lively(h *host, n int, now time.Time) bool {
	if h.path != "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	s := t.state(h.key())
	if now.Sub(s.lastDone) >= streakPause {
		s.streak = 0
	}
	s.streak += n
	s.lastDone = now
	return s.streak > livelyStreak
}

// slot finds a host for the connection to hosts[i] that has room for one: that host, or an
// equal, which then takes its place. The failure is ours and not the host's.
func (r *round) slot(ctx context.Context, i int, same bool) (free func(), f *failure) {
	h := &r.hosts[i]
	if h.path != "" {
		return func() {}, nil
	}
	equals := r.hosts[i : i+1]
	for k := i + 1; !same && k < len(r.hosts) && r.hosts[k].pref == h.pref && r.hosts[k].shunned == h.shunned; k++ {
		equals = r.hosts[i : k+1]
	}
	limits := make([]int, len(equals))
	for k := range equals {
		limits[k] = r.w.set.connectionLimit(ctx, r.domain, equals[k].name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.w.leaving, cancel)()
	at, free, ok := r.w.c.hosts.take(ctx, equals, limits)
	if !ok {
		if ctx.Err() != nil {
			return nil, stopping()
		}
		return nil, local(mail.Code(4, 4, 5), fmt.Sprintf("too many connections from here to %s: %d are open, and none became free in %s",
			h.relay(), limits[0], slotWait))
	}
	chosen := equals[at] // the others keep their order
	copy(equals[1:at+1], equals[:at])
	equals[0] = chosen
	return free, nil
}

// connectionLimit is how many connections at a time a host gets; 0: any number.
func (s *settings) connectionLimit(ctx context.Context, domain, host string) int {
	if s.HostConnections != nil {
		if n := s.HostConnections(ctx, domain, host); n > 0 {
			return n
		}
	}
	return max(s.HostConnectionLimit, 0)
}
