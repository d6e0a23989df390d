package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// Who fails to log in has to wait for the reply: a second, then twice as long each time,
// over all connections of a client. The wait ends when the reply is sent and not when the
// client hangs up, so that its connections stay counted
// (smtpd_client_connection_count_limit). Who logs in never waits, whoever else is behind
// the same address.
type failures struct {
	mu      sync.Mutex // guards what follows
	byNet   map[netip.Prefix]failure
	cleaned time.Time // when forget last ran
}

type failure struct {
	count int
	last  time.Time
}

const (
	longestDelay = 30 * time.Second
	forgiven     = 15 * time.Minute // after the last failure
	maxFailing   = 1 << 16          // clients remembered
)

// add counts a failure and returns how long its reply is to wait.
func (f *failures) add(o *Options, addr netip.Addr) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := o.Now()
	f.forget(now)
	net := network(o, addr)
	n, known := f.byNet[net]
	if now.Sub(n.last) >= forgiven {
		n.count = 0
	}
	n.count++
	n.last = now
	if known || len(f.byNet) < maxFailing {
		if f.byNet == nil {
			f.byNet = make(map[netip.Prefix]failure)
		}
		f.byNet[net] = n
	}
	delay := longestDelay
	if shift := n.count - 1; shift < 5 {
		delay = time.Second << shift
	}
	return delay
}

// forget drops who has not failed for a while. The caller holds f.mu.
func (f *failures) forget(now time.Time) {
	if now.Sub(f.cleaned) < forgiven/4 {
		return
	}
	f.cleaned = now
	for net, n := range f.byNet {
		if now.Sub(n.last) >= forgiven {
			delete(f.byNet, net)
		}
	}
}
