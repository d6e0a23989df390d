package smtpd

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestAnvil(t *testing.T) {
	now := time.Unix(1000, 0)
	o := Options{ClientIPv4Prefix: 24, ClientIPv6Prefix: 64, Now: func() time.Time { return now }}.withDefaults()
	var c Anvil
	defer c.stop()
	for i, step := range []struct {
		after       time.Duration
		event, addr string
		want        string // what the event returns
	}{
		{0, "connect", "192.0.2.1", "1 1"},
		{0, "connect", "192.0.2.200", "2 2"}, // the same network
		{0, "connect", "192.0.3.1", "1 1"},
		{0, "connect", "::ffff:192.0.2.3", "3 3"},
		{0, "disconnect", "192.0.2.1", ""},
		{0, "connect", "192.0.2.1", "3 4"},
		{0, "connect", "2001:db8::1", "1 1"},
		{0, "connect", "2001:db8::ffff:ffff:ffff:ffff%eth0", "2 2"},
		{0, "connect", "2001:db8:0:1::1", "1 1"},
		{0, "message", "192.0.2.1", "1"},
		{59 * time.Second, "message", "192.0.2.9", "2"},
		{0, "recipient", "192.0.2.1", "1"},
		{time.Second, "message", "192.0.2.1", "1"}, // a new unit
		{0, "recipient", "192.0.2.1", "1"},
		{0, "connect", "192.0.2.1", "4 1"}, // those that are open stay open
		{0, "disconnect", "198.51.100.1", ""},
	} {
		now = now.Add(step.after)
		addr := netip.MustParseAddr(step.addr)
		got := ""
		switch step.event {
		case "connect":
			open, begun := c.connect(o, addr)
			got = fmt.Sprint(open, begun)
		case "disconnect":
			c.disconnect(o, addr)
		case "message":
			got = fmt.Sprint(c.message(o, addr))
		case "recipient":
			got = fmt.Sprint(c.recipient(o, addr))
		}
		if got != step.want {
			t.Errorf("step %d, %s %s: %q, want %q", i, step.event, step.addr, got, step.want)
		}
	}
}

// Random clients against a model; in the end nothing is left.
func TestAnvilModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	now := time.Unix(0, 0)
	o := Options{Now: func() time.Time { return now }}.withDefaults()
	var c Anvil
	defer c.stop()
	open := make(map[netip.Addr]int)
	for range 10000 {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(20))})
		now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		if r.IntN(2) == 0 {
			open[addr]++
			if got, begun := c.connect(o, addr); got != open[addr] || begun < 1 {
				t.Fatalf("seed %d: %s has %d open, %d begun; want %d", seed, addr, got, begun, open[addr])
			}
		} else if open[addr] > 0 {
			open[addr]--
			c.disconnect(o, addr)
		}
	}
	for addr, n := range open {
		for range n {
			c.disconnect(o, addr)
		}
	}
	now = now.Add(2 * o.RateTimeUnit)
	c.forget(o)
	if len(c.clients) != 0 {
		t.Errorf("seed %d: %d networks are left", seed, len(c.clients))
	}
}
