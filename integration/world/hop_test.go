package world

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A next hop: an SMTP server with a character.

// character is what is peculiar to a next hop. What is nil or zero is as it should be.
type character struct {
	down, silent spans // connection refused; nobody answers
	goneAt       time.Duration

	connections int           // more at once get 421
	greets      time.Duration // up to this late, sometimes
	greeting    string        // instead of 220
	extensions  []string
	// says are replies to recipients, asked at each attempt; "" accepts.
	says func(c *call, rcpt string) string
	// mail is the reply to MAIL; "" accepts.
	mail func(c *call) string
	// ends is what happens at the end of the content.
	ends func(c *call) ending
	// got is told of what was accepted.
	got func(c *call, rcpts []string, content []byte)
}

// ending is how a transaction ends.
type ending uint8

const (
	takes        ending = iota // 250
	takesSlowly                // 250, after a while
	dropsData                  // the connection ends in the middle of the content
	dropsDot                   // it ends after the dot, and the message is not kept
	dropsReply                 // it ends after the dot, and the message is kept
	defersDot                  // 451
	neverReplies               // keeps the message, and says so when nobody listens any more
)

// hop is a host of the internet that takes mail.
type hop struct {
	w    *world
	name string
	addr netip.Addr
	character

	mu     sync.Mutex // guards what follows
	open   int
	count  map[string]int // throws of dice, by what for
	minute map[int64]int  // messages by minute, of those who count
}

// call is one connection to a hop, and its transaction.
type call struct {
	h       *hop
	conn    *pipe
	r       *bufio.Reader
	uses    int
	open    bool // MAIL was accepted
	sender  string
	token   string // of the message, as far as its sender's address tells
	rcpts   []string
	pending []*receipt // accepted, the reply not known to have been read
}

func (h *hop) reach() reach {
	now := h.w.age()
	switch {
	case h.silent.has(now):
		return hole
	case h.down.has(now), h.goneAt > 0 && now >= h.goneAt:
		return refuse
	}
	return up
}

// throw counts the throws of dice for something, and gives the dice of the next one.
func (h *hop) throw(what ...any) int {
	key := fmt.Sprint(what...)
	h.mu.Lock()
	h.count[key]++
	n := h.count[key]
	h.mu.Unlock()
	return h.w.dice(h.name, key, n).IntN(1000)
}

// now gives the dice of this instant.
func (h *hop) now(what string) *rand.Rand { return h.w.dice(h.name, what, int64(h.w.age())) }

// latency is how long the network takes. It depends on when and for what, and not on how
// often: what happens at the same instant may happen in any order.
func (h *hop) latency(what ...any) time.Duration {
	d := h.w.dice(append([]any{h.name, "latency", int64(h.w.age())}, what...)...)
	return time.Millisecond + time.Duration(d.IntN(80_000_000))
}

func (h *hop) serve(conn *pipe) {
	h.mu.Lock()
	h.open++
	c := &call{h: h, conn: conn, r: bufio.NewReader(conn)}
	crowd := h.connections > 0 && h.open > h.connections && !h.w.isCalm()
	h.mu.Unlock()
	defer func() {
		conn.Close()
		h.mu.Lock()
		h.open--
		h.mu.Unlock()
	}()
	if crowd {
		c.say("421 4.7.0 " + h.name + " Error: too many connections from " + conn.RemoteAddr().String())
		return
	}
	if h.greets > 0 && !h.w.isCalm() && h.now("greets late").IntN(5) < 2 {
		time.Sleep(time.Duration(h.now("how late").Int64N(int64(h.greets))))
	}
	if h.greeting != "" && !h.w.isCalm() {
		c.say(h.greeting)
		return
	}
	c.say("220 " + h.name + " ESMTP")
	for c.command() {
	}
}

func (c *call) say(text string) bool {
	time.Sleep(c.h.latency(c.sender, c.rcpts))
	c.conn.SetDeadline(time.Now().Add(10 * time.Minute))
	_, err := io.WriteString(c.conn, text+"\r\n")
	return err == nil
}

// command carries out one command.
func (c *call) command() bool {
	c.conn.SetDeadline(time.Now().Add(10 * time.Minute))
	line, err := c.r.ReadString('\n')
	// Whoever goes on, or hangs up in order, has read the reply to the dot.
	if err == nil || err == io.EOF && c.conn.isTaken() {
		for _, r := range c.pending {
			c.h.w.ledger.confirm(r)
		}
	}
	c.pending = nil
	if err != nil {
		return false
	}
	line = strings.TrimRight(line, "\r\n")
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		lines := append([]string{c.h.name}, c.h.extensions...)
		for i, l := range lines {
			sep := "-"
			if i == len(lines)-1 {
				sep = " "
			}
			lines[i] = "250" + sep + l
		}
		return c.say(strings.Join(lines, "\r\n"))
	case "HELO", "RSET", "NOOP":
		c.sender, c.token, c.rcpts, c.open = "", "", nil, false
		return c.say("250 2.0.0 Ok")
	case "MAIL":
		return c.mailFrom(arg)
	case "RCPT":
		return c.rcptTo(arg)
	case "DATA":
		if len(c.rcpts) == 0 {
			return c.say("503 5.5.1 no recipients")
		}
		return c.say("354 go on") && c.data(c.dotted)
	case "BDAT":
		size, last, _ := strings.Cut(arg, " ")
		n, err := strconv.Atoi(size)
		if err != nil || last != "LAST" {
			c.h.w.fault("%s: BDAT %s", c.h.name, arg)
			return false
		}
		if len(c.rcpts) == 0 {
			_, err := io.CopyN(io.Discard, c.r, int64(n))
			return err == nil && c.say("503 5.5.1 no recipients")
		}
		return c.data(func() ([]byte, error) {
			content := make([]byte, n)
			_, err := io.ReadFull(c.r, content)
			return content, err
		})
	case "QUIT":
		c.say("221 2.0.0 Bye")
		return false
	}
	return c.say("500 5.5.2 what?")
}

// path is the address in "FROM:<a@b> ..." or "TO:<a@b> ...".
func path(arg string) string {
	_, after, _ := strings.Cut(arg, "<")
	address, _, _ := strings.Cut(after, ">")
	return address
}

func (c *call) mailFrom(arg string) bool {
	c.sender, c.rcpts, c.open = path(arg), nil, false
	c.uses++
	c.token, _, _ = strings.Cut(c.sender, "@")
	c.h.w.ledger.attempted(c.h.name, c.token)
	if c.h.mail != nil && !c.h.w.isCalm() {
		if says := c.h.mail(c); says != "" {
			return c.say(says)
		}
	}
	c.open = true
	return c.say("250 2.1.0 Ok")
}

func (c *call) rcptTo(arg string) bool {
	rcpt := path(arg)
	if !c.open {
		return c.say("503 5.5.1 MAIL first")
	}
	if c.h.says != nil {
		if says := c.h.says(c, rcpt); says != "" {
			return c.say(says)
		}
	}
	c.rcpts = append(c.rcpts, rcpt)
	return c.say("250 2.1.5 Ok")
}

// dotted reads content up to the dot.
func (c *call) dotted() ([]byte, error) {
	var content bytes.Buffer
	for {
		c.conn.SetDeadline(time.Now().Add(10 * time.Minute))
		line, err := c.r.ReadBytes('\n')
		switch {
		case err != nil:
			return nil, err
		case string(line) == ".\r\n":
			return content.Bytes(), nil
		case line[0] == '.':
			line = line[1:]
		}
		content.Write(line)
	}
}

// data takes the content, and does with it as is the hop's way.
func (c *call) data(read func() ([]byte, error)) bool {
	end := takes
	if c.h.ends != nil && !c.h.w.isCalm() {
		end = c.h.ends(c)
	}
	if end == dropsData {
		io.CopyN(io.Discard, c.r, 100)
		return false
	}
	content, err := read()
	if err != nil {
		return false
	}
	rcpts := c.rcpts
	c.rcpts, c.open = nil, false
	switch end {
	case dropsDot:
		return false
	case defersDot:
		return c.say("451 4.3.0 not now")
	}
	kept := c.h.w.ledger.received(c, rcpts, content)
	if c.h.got != nil {
		c.h.got(c, rcpts, content)
	}
	switch end {
	case dropsReply:
		return false
	case neverReplies:
		time.Sleep(11 * time.Minute)
	case takesSlowly:
		time.Sleep(time.Duration(c.h.throw("slow reply", c.token)) * 500 * time.Millisecond)
	}
	if !c.say("250 2.0.0 Ok: kept") {
		return false
	}
	c.pending = kept
	return true
}
