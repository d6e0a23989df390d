package delivery

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// A host that could not be connected to is in penalty: others are tried first, and it is
// not tried at all when one of them has talked with us. So a dead host of several costs a
// time-out now and then, and not one for each message. A connection that comes about ends
// the penalty.

const (
	penaltyFirst = time.Minute
	penaltyMost  = 10 * time.Minute
)

// penalty is that of one host; zero: none.
type penalty struct {
	until  time.Time
	length time.Duration
}

// on tells whether it is in force.
func (p penalty) on(now time.Time) bool { return now.Before(p.until) }

// over tells that it is forgotten: a host that fails again soon after is in for longer.
func (p penalty) over(now time.Time) bool { return !now.Before(p.until.Add(p.length)) }

// failed notes that a host could not be connected to. What fails while it is in penalty
// began before that, or is the last resort, and tells nothing new.
func (t *hostTable) failed(h *host, now time.Time) {
	if h.path != "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state(h.key())
	switch {
	case s.on(now):
		return
	case s.over(now):
		s.length = penaltyFirst
	default:
		s.length = min(2*s.length, penaltyMost)
	}
	s.until = now.Add(s.length)
	t.forget(now)
}

// worked notes that a connection came about.
func (t *hostTable) worked(h *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byAddr[h.key()]; s != nil {
		s.penalty = penalty{}
		if s.idle() {
			delete(t.byAddr, h.key())
		}
	}
}

// forget drops the penalties and streaks that are over, once there are many hosts, and all of them
// when there are too many. The caller holds mu.
func (t *hostTable) forget(now time.Time) {
	if len(t.byAddr) < max(t.sweep, hostsFew) {
		return
	}
	for _, all := range []bool{false, true} {
		if all && len(t.byAddr) < hostsMost {
			break
		}
		for key, s := range t.byAddr {
			if all || s.over(now) {
				s.penalty = penalty{}
			}
			if all || now.Sub(s.lastDone) >= streakPause {
				s.streak = 0
			}
			if s.idle() {
				delete(t.byAddr, key)
			}
		}
	}
	t.sweep = min(2*len(t.byAddr), hostsMost)
}

// arrange puts the hosts that are in penalty behind the others, from hosts[from] on: those
// before are being talked to. When there are no others, there is nothing to arrange.
func (t *hostTable) arrange(hosts []host, from int, now time.Time) {
	t.mu.Lock()
	bad := 0
	for i := range hosts {
		s := t.byAddr[hosts[i].key()]
		hosts[i].shunned = i >= from && hosts[i].path == "" && s != nil && s.on(now)
		if hosts[i].shunned {
			bad++
		}
	}
	t.mu.Unlock()
	if bad == 0 {
		return
	}
	if bad == len(hosts) {
		for i := range hosts {
			hosts[i].shunned = false
		}
		return
	}
	slices.SortStableFunc(hosts[from:], func(a, b host) int {
		switch {
		case a.shunned == b.shunned:
			return 0
		case b.shunned:
			return -1
		}
		return 1
	})
}

// isHosts tells whether a connection failed because of the host, or the way there, and not
// because this machine has no room for it.
func isHosts(err error) bool {
	if errors.Is(err, errStopping) || errors.Is(err, context.Canceled) || err == errNotBound {
		return false
	}
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, own) {
			return false
		}
	}
	return true
}
