package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// What one client does, counted as anvil(8) counts it for Postfix: connections open now,
// and connections, messages and recipients begun in the current unit of time. The unit is
// fixed, not sliding: over its border a client may do twice its limit. Postfix allows that
// too, and so a client costs a few words. A client of two services is two clients.

// Anvil counts over all servers that have it in their Options. The zero value is ready.
// Exempt clients (smtpd_client_event_limit_exceptions) are not brought here at all.
type Anvil struct {
	mu      sync.Mutex // guards what follows
	clients map[clientKey]*counts
	cleaned time.Time // when forget last ran
	peaks   peaks
}

// clientKey is who is counted as one.
type clientKey struct {
	service string
	net     netip.Prefix
}

type counts struct {
	open int
	unit time.Time // when the current unit started
	// Since then:
	begun, messages, recipients, handshakes, logins int
}

// connect counts a connection and returns how many are open and how many began in this
// unit, with this one. Each is given back by one disconnect.
func (c *Anvil) connect(o *Options, addr netip.Addr) (open, begun int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(o)
	n := c.of(o, addr)
	n.open++
	n.begun++
	c.peak(o, addr, peakConnectionRate, n.begun)
	c.peak(o, addr, peakConnectionCount, n.open)
	return n.open, n.begun
}

func (c *Anvil) disconnect(o *Options, addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.clients[keyOf(o, addr)]; n != nil && n.open > 0 {
		n.open--
	}
}

// message counts a message, recipient a recipient, handshake a new TLS session and login
// an AUTH command in this unit.
func (c *Anvil) message(o *Options, addr netip.Addr) int {
	return c.count(o, addr, peakMessageRate, func(n *counts) *int { return &n.messages })
}

func (c *Anvil) recipient(o *Options, addr netip.Addr) int {
	return c.count(o, addr, peakRecipientRate, func(n *counts) *int { return &n.recipients })
}

func (c *Anvil) handshake(o *Options, addr netip.Addr) int {
	return c.count(o, addr, peakNewTLSRate, func(n *counts) *int { return &n.handshakes })
}

func (c *Anvil) login(o *Options, addr netip.Addr) int {
	return c.count(o, addr, peakAuthRate, func(n *counts) *int { return &n.logins })
}

func (c *Anvil) count(o *Options, addr netip.Addr, kind peakKind, which func(*counts) *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := which(c.of(o, addr))
	*n++
	c.peak(o, addr, kind, *n)
	return *n
}

// handshakes tells how many new TLS sessions there were in this unit.
func (c *Anvil) handshakes(o *Options, addr netip.Addr) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of(o, addr).handshakes
}

// of returns the counts of an address's network, in a new unit if the old one is over.
// The caller holds c.mu.
func (c *Anvil) of(o *Options, addr netip.Addr) *counts {
	key, now := keyOf(o, addr), o.Now()
	n := c.clients[key]
	if n == nil {
		n = &counts{unit: now}
		if c.clients == nil {
			c.clients = make(map[clientKey]*counts)
		}
		c.clients[key] = n
		c.cacheSize(o, len(c.clients))
	}
	if now.Sub(n.unit) >= o.RateTimeUnit {
		*n = counts{open: n.open, unit: now}
	}
	return n
}

// forget drops, once per unit, the networks that have nothing open and whose unit is
// over: without it the table would grow with every address that ever knocked. The caller
// holds c.mu.
func (c *Anvil) forget(o *Options) {
	now := o.Now()
	if now.Sub(c.cleaned) < o.RateTimeUnit {
		return
	}
	c.cleaned = now
	for key, n := range c.clients {
		if n.open == 0 && now.Sub(n.unit) >= o.RateTimeUnit {
			delete(c.clients, key)
		}
	}
}

func keyOf(o *Options, addr netip.Addr) clientKey { return clientKey{o.Service, network(o, addr)} }

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
