package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// What one client does, counted as anvil(8) counts it for Postfix: connections open now,
// and connections, messages and recipients begun in the current unit of time. The unit is
// fixed, not sliding: over its border a client may do twice its limit. Postfix allows that
// too, and so a client costs a few words.

// clients knows every network with an open connection or a running unit. Exempt clients
// (smtpd_client_event_limit_exceptions) are not brought here at all.
type clients struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	byNet   map[netip.Prefix]*counts
	cleaned time.Time // when forget last ran
}

type counts struct {
	open int
	unit time.Time // when the current unit started
	// Since then:
	begun, messages, recipients, handshakes, logins int
}

// connect counts a connection and returns how many are open and how many began in this
// unit, with this one. Each is given back by one disconnect.
func (c *clients) connect(o *Options, addr netip.Addr) (open, begun int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(o)
	n := c.of(o, addr)
	n.open++
	n.begun++
	return n.open, n.begun
}

func (c *clients) disconnect(o *Options, addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.byNet[network(o, addr)]; n != nil && n.open > 0 {
		n.open--
	}
}

// message counts a message, recipient a recipient, in this unit.
func (c *clients) message(o *Options, addr netip.Addr) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of(o, addr)
	n.messages++
	return n.messages
}

func (c *clients) recipient(o *Options, addr netip.Addr) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of(o, addr)
	n.recipients++
	return n.recipients
}

// handshake counts a new TLS session, handshakes tells how many there were in this unit.
func (c *clients) handshake(o *Options, addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(o, addr).handshakes++
}

func (c *clients) handshakes(o *Options, addr netip.Addr) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of(o, addr).handshakes
}

// login counts an AUTH command.
func (c *clients) login(o *Options, addr netip.Addr) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of(o, addr)
	n.logins++
	return n.logins
}

// of returns the counts of an address's network, in a new unit if the old one is over.
// The caller holds c.mu.
func (c *clients) of(o *Options, addr netip.Addr) *counts {
	net, now := network(o, addr), c.now()
	n := c.byNet[net]
	if n == nil {
		n = &counts{unit: now}
		if c.byNet == nil {
			c.byNet = make(map[netip.Prefix]*counts)
		}
		c.byNet[net] = n
	}
	if now.Sub(n.unit) >= o.RateTimeUnit {
		*n = counts{open: n.open, unit: now}
	}
	return n
}

// forget drops, once per unit, the networks that have nothing open and whose unit is
// over: without it the table would grow with every address that ever knocked. The caller
// holds c.mu.
func (c *clients) forget(o *Options) {
	now := c.now()
	if now.Sub(c.cleaned) < o.RateTimeUnit {
		return
	}
	c.cleaned = now
	for net, n := range c.byNet {
		if n.open == 0 && now.Sub(n.unit) >= o.RateTimeUnit {
			delete(c.byNet, net)
		}
	}
}

// network is what counts as one client. An IPv6 site can take another address of its
// prefix for every connection, so single addresses would count nothing.
func network(o *Options, addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := o.ClientIPv6Prefix
	if addr.Is4() {
		bits = o.ClientIPv4Prefix
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked()
}

func over(n, limit int) bool { return limit > 0 && n > limit }
