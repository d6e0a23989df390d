package world

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The cast: domains, their mail exchangers, and what is wrong with each of them while the
// troubled days last.

const (
	minimalBackoff = 300 * time.Second
	maximalBackoff = 4000 * time.Second
	queueRunDelay  = 300 * time.Second
	lifetime       = 5 * day
	hopcountLimit  = 50

	day      = 24 * time.Hour
	troubled = 5 * day // then the calm begins
)

// aliases is the virtual alias table, and what we know of it.
type aliases struct {
	table  string              // inline:{...}
	finals map[string][]string // by alias
	names  []string            // of ordinary aliases
}

// recipientDomains is where aliases lead, the first ones more often.
func recipientDomains() []string {
	return []string{
		"good.example", "limit.example", "limit2.example", "grey.example", "mixed.example", "slow.example", "drop.example",
		"outage.example", "hole.example", "four.example", "rate.example", "dnsbad.example", "moving.example", "moved.example",
		"gone.example", "null.example", "nowhere.example", "later.example",
	}
}

func (w *world) castAliases() {
	domains := recipientDomains()
	a := aliases{finals: map[string][]string{}}
	var table strings.Builder
	table.WriteString("inline:{ {loop@hosted.example = loop@looper.example}")
	for i := range 60 {
		d := w.dice("alias", i)
		name := fmt.Sprintf("a%d@hosted.example", i)
		for k := range 1 + d.IntN(3)*d.IntN(2) {
			domain := domains[d.IntN(len(domains))]
			if i < len(domains) && k == 0 {
				domain = domains[i]
			}
			local := fmt.Sprintf("r%d-%d", i, k)
			if domain == "mixed.example" {
				local = []string{"u2", "u4", "u5", "u4t"}[d.IntN(4)] + local
			}
			a.finals[name] = append(a.finals[name], local+"@"+domain)
		}
		fmt.Fprintf(&table, ", {%s = %s}", name, strings.Join(a.finals[name], " "))
		a.names = append(a.names, name)
	}
	table.WriteString(" }")
	a.table = table.String()
	w.aliases = a
}

// trouble is spans of trouble, that end before the calm. Their length is between two
// bounds.
func (w *world) trouble(what string, count int, least, most time.Duration) spans {
	var s spans
	for i := range count {
		d := w.dice("trouble", what, i)
		from := time.Duration(d.Int64N(int64(troubled - least)))
		s = append(s, span{from, min(from+least+time.Duration(d.Int64N(int64(most-least)+1)), troubled)})
	}
	return s
}

// esmtp are the extensions of most servers.
func esmtp() []string {
	return []string{"PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"}
}

func (w *world) castHops() {
	n := 0
	hop := func(name string, c character) *hop {
		n++
		if c.extensions == nil {
			c.extensions = esmtp()
		}
		h := &hop{w: w, name: name, addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), character: c, count: map[string]int{}, minute: map[int64]int{}}
		w.hosts[h.addr] = h
		w.names.addrs[name] = h.addr
		return h
	}
	domain := func(name string, mx ...string) *zone {
		z := &zone{}
		for i, host := range mx {
			z.mx = append(z.mx, exchanger{host: host, pref: uint16(10 * (1 + i))})
		}
		w.names.zones[name] = z
		return z
	}
	one := func(name string, c character) {
		hop("mx."+name, c)
		domain(name, "mx."+name)
	}

	one("good.example", character{extensions: append(esmtp(), "CHUNKING")})
	hop("mx.limit.example", character{connections: 3})
	domain("limit.example", "mx.limit.example")
	domain("limit2.example", "mx.limit.example")
	one("grey.example", character{says: greylist(10 * time.Minute)})
	one("mixed.example", character{says: byName, extensions: []string{"PIPELINING"}})
	one("slow.example", character{greets: 400 * time.Second, extensions: []string{"SIZE"}})
	one("drop.example", character{ends: drops})
	one("outage.example", character{down: w.trouble("outage", 3, time.Hour, 2*day)})
	one("hole.example", character{silent: w.trouble("hole", 2, time.Hour, day)})
	one("rate.example", character{mail: rateLimit(2)})
	one("gone.example", character{goneAt: time.Duration(w.dice("gone").Int64N(int64(2 * day)))})
	hop("relay1.example", character{goneAt: w.relayMoves + time.Duration(w.dice("relay1").Int64N(int64(day)))})
	hop("relay2.example", character{})
	one("looper.example", character{got: loops})
	domain("null.example").nullMX = true

	// One of four is bad, in another way each time.
	bad := []character{
		{down: spans{{0, troubled}}}, {silent: spans{{0, troubled}}}, {greeting: "554 5.3.2 no"}, {greeting: "421 4.3.2 not today"}, {ends: drops},
	}[w.dice("bad of four").IntN(5)]
	four := domain("four.example")
	for i := range 4 {
		c := character{}
		if i == 0 {
			c = bad
		}
		name := fmt.Sprintf("mx%d.four.example", i)
		hop(name, c)
		four.mx = append(four.mx, exchanger{host: name, pref: 10})
	}

	z := domain("dnsbad.example", "mx.good.example")
	z.failing, z.silent = w.trouble("servfail", 3, time.Hour, 12*time.Hour), w.trouble("no answer", 3, time.Hour, 12*time.Hour)
	z = domain("later.example") // without MX and address at first
	z.mx = []exchanger{{host: "mx.good.example", pref: 10, from: day}}
	hop("old.moving.example", character{goneAt: 2 * day})
	hop("new.moving.example", character{})
	z = domain("moving.example")
	z.mx = []exchanger{{host: "old.moving.example", pref: 10, until: 3 * day}, {host: "new.moving.example", pref: 10, from: 3 * day}}

	// Senders: reports must get there, with what trouble there is.
	hop("mx1.home.example", character{down: w.trouble("home", 4, time.Hour, 12*time.Hour), ends: drops})
	hop("mx2.home.example", character{silent: w.trouble("home 2", 4, time.Hour, 12*time.Hour), mail: rateLimit(3)})
	domain("home.example", "mx1.home.example", "mx2.home.example")
}

// greylist refuses each sender and recipient for a while.
func greylist(delay time.Duration) func(c *call, rcpt string) string {
	first := map[string]time.Time{}
	return func(c *call, rcpt string) string {
		c.h.mu.Lock()
		defer c.h.mu.Unlock()
		key := c.sender + " " + rcpt
		since, known := first[key]
		if !known {
			since = time.Now()
			first[key] = since
		}
		if time.Since(since) < delay {
			return "451 4.7.1 <" + rcpt + ">: Recipient address rejected: Greylisted"
		}
		return ""
	}
}

// byName answers by the recipient's name: u4 is refused for now and for ever, u4t as long
// as there is trouble, u5 at once.
func byName(c *call, rcpt string) string {
	switch {
	case strings.HasPrefix(rcpt, "u4t"):
		if !c.h.w.isCalm() {
			return "452 4.2.2 <" + rcpt + ">: mailbox full"
		}
	case strings.HasPrefix(rcpt, "u4"):
		return "450 4.2.0 <" + rcpt + ">: try again later"
	case strings.HasPrefix(rcpt, "u5"):
		return "550 5.1.1 <" + rcpt + ">: no such user"
	}
	return ""
}

// rateLimit takes so many messages a minute.
func rateLimit(most int) func(c *call) string {
	return func(c *call) string {
		c.h.mu.Lock()
		defer c.h.mu.Unlock()
		minute := int64(c.h.w.age() / time.Minute)
		if c.h.minute[minute]++; c.h.minute[minute] > most {
			return "450 4.7.28 you send too much, slow down"
		}
		return ""
	}
}

// drops breaks off at each place there is.
func drops(c *call) ending {
	switch n := c.h.throw("ending", c.sender); {
	case n < 150:
		return dropsData
	case n < 250:
		return dropsDot
	case n < 350:
		return dropsReply
	case n < 400:
		return defersDot
	case n < 430:
		return neverReplies
	case n < 500:
		return takesSlowly
	}
	return takes
}

// loops sends what it gets back to where it comes from, as another message with one more
// Received field.
func loops(c *call, _ []string, content []byte) {
	w := c.h.w
	token, from := tokenIn(content)
	base, pass, _ := strings.Cut(token, "-pass")
	next := 1
	fmt.Sscan(pass, &next)
	next++
	fresh := fmt.Sprintf("%s-pass%d", base, next)
	body := append([]byte(worldMark+fresh), content[from+len(worldMark)+len(token):]...)
	trail := "Received: from " + serverName + " by looper.example; whenever\r\n"
	body = bytes.Replace(body, []byte("\r\n"), []byte("\r\n"+trail+string(content[:from])), 1)
	m := &message{token: fresh, sender: fresh + "@home.example", content: body, loop: true,
		finals: []final{{addr: "loop@looper.example"}}}
	w.tasks.Go(func() {
		for try := 0; ; try++ {
			time.Sleep(c.h.latency("loop", fresh, try))
			cl := &client{w: w, from: c.h.addr, dice: w.dice("loop", fresh, try)}
			if m.status = unknown; cl.dial() == nil {
				m.status = cl.submit(m, []string{"loop@hosted.example"}, false, 0)
			}
			if m.status == accepted || m.status == refused && cl.code >= 500 || try == 20 {
				cl.hangUp()
				w.looped(next, m.status, cl.text)
				return
			}
			cl.hangUp()
			time.Sleep(10 * time.Minute)
		}
	})
}
