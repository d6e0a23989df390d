// Package peers holds the other end of the black-box tests: a next hop that can be
// told how to behave, and a small authoritative DNS server.
//
// It imports nothing of aliasmx, so that a mistake in our own codecs cannot hide in
// the peer that checks them.
package peers

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"time"
)

// Message is one transaction that a Sink took.
type Message struct {
	From   string   // with angle brackets and parameters, as it came
	Rcpts  []string // accepted ones, likewise
	Data   string   // dot stuffing undone, CRLF line ends
	Conn   int      // which connection brought it, counted from 1
	TLS    bool
	Client string // remote address
}

// Script is how a Sink answers. Empty fields mean the friendly default. A reply whose
// code is 421 closes the connection after it.
type Script struct {
	Banner    string            // "220 sink.example ESMTP"
	Ehlo      []string          // keywords; nil: PIPELINING SIZE ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8
	Mail      map[string]string // address to reply; "*" for any other
	Rcpt      map[string]string
	Data      string // instead of 354
	EndOfData string // "250 2.0.0 Ok: queued as SINK"
	// Hang stops answering at this step ("banner", "EHLO", "MAIL", "RCPT", "DATA", ".", and
	// "taken", when the message is) until the connection is closed; Drop closes at it. DelayAt
	// is the one step at which there is a Delay; "": each.
	Hang, Drop, DelayAt string
	Myself              string      // the name in the reply to EHLO; "": sink.example
	TLS                 *tls.Config // offers STARTTLS
	Delay               time.Duration
}

// Sink is a next hop on loopback.
type Sink struct {
	Addr string // 127.0.0.1:port, kept over Stop and Start

	mu       sync.Mutex // guards what follows
	script   Script
	messages []Message
	arrived  *sync.Cond
	conns    int
	open     map[net.Conn]struct{}
	most     int // open at a time
	ln       net.Listener
	wg       sync.WaitGroup
	keep     bool // whether messages are kept, or only counted
	count    int
	verbs    map[string]int
	greeted  map[string]string
}

// NewSink starts a sink at addr ("127.0.0.1:0" for a free port).
func NewSink(addr string) (*Sink, error) {
	s := &Sink{Addr: addr, open: map[net.Conn]struct{}{}, keep: true, verbs: map[string]int{}, greeted: map[string]string{}}
	s.arrived = sync.NewCond(&s.mu)
	return s, s.Start()
}

// Start listens, again after a Stop.
func (s *Sink) Start() error {
	ln, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.ln, s.Addr = ln, ln.Addr().String()
	s.mu.Unlock()
	s.wg.Add(1)
	go s.accept(ln)
	return nil
}

// Stop closes the port and every connection, as a host that goes down.
func (s *Sink) Stop() {
	s.mu.Lock()
	s.ln.Close()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Behave sets how the sink answers from the next command on.
func (s *Sink) Behave(script Script) { s.mu.Lock(); s.script = script; s.mu.Unlock() }

// CountOnly stops keeping messages; only their number is told.
func (s *Sink) CountOnly() { s.mu.Lock(); s.keep = false; s.mu.Unlock() }

// Messages returns what has come so far.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Count is how many messages have come, Conns how many connections.
func (s *Sink) Count() int { s.mu.Lock(); defer s.mu.Unlock(); return s.count }

// Conns is how many connections were accepted.
func (s *Sink) Conns() int { s.mu.Lock(); defer s.mu.Unlock(); return s.conns }

// Wait returns when n messages have come, or false after the time limit.
func (s *Sink) Wait(n int, limit time.Duration) bool {
	timer := time.AfterFunc(limit, s.arrived.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count < n && time.Now().Before(end) {
		s.arrived.Wait()
	}
	return s.count >= n
}

// Open is how many connections are open.
func (s *Sink) Open() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.open) }

// Most is how many connections were open at a time, at most.
func (s *Sink) Most() int { s.mu.Lock(); defer s.mu.Unlock(); return s.most }

// Verbs is how often each command has come.
func (s *Sink) Verbs() map[string]int { s.mu.Lock(); defer s.mu.Unlock(); return maps.Clone(s.verbs) }

// Greetings are the names that clients gave themselves last, by their address.
func (s *Sink) Greetings() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.greeted)
}

func (s *Sink) accept(ln net.Listener) {
	defer s.wg.Done()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns++
		n := s.conns
		s.open[c] = struct{}{}
		s.most = max(s.most, len(s.open))
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			(&sinkConn{sink: s, nc: c, n: n, r: bufio.NewReaderSize(c, 64<<10), w: bufio.NewWriter(c)}).serve()
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		}()
	}
}

type sinkConn struct {
	sink *Sink
	nc   net.Conn
	n    int
	r    *bufio.Reader
	w    *bufio.Writer
	tls  bool
	msg  Message
}

func (c *sinkConn) script() Script { c.sink.mu.Lock(); defer c.sink.mu.Unlock(); return c.sink.script }

// reply sends one reply and tells whether the conversation goes on. Replies are
// flushed only when nothing more has been pipelined.
func (c *sinkConn) reply(text string) bool {
	c.w.WriteString(text + "\r\n")
	if c.r.Buffered() == 0 || strings.HasPrefix(text, "354") {
		if c.w.Flush() != nil {
			return false
		}
	}
	if strings.HasPrefix(text, "421") {
		c.w.Flush()
		return false
	}
	return true
}

// at applies Hang, Drop and Delay, and tells whether the step is to be answered.
func (c *sinkConn) at(step string) bool {
	sc := c.script()
	if sc.Delay > 0 && (sc.DelayAt == "" && step != "taken" || sc.DelayAt == step) {
		time.Sleep(sc.Delay)
	}
	switch step {
	case sc.Drop:
		return false
	case sc.Hang:
		c.w.Flush()
		for {
			if _, err := c.r.ReadByte(); err != nil {
				return false
			}
		}
	}
	return true
}

func (c *sinkConn) serve() {
	sc := c.script()
	if !c.at("banner") {
		return
	}
	banner := or(sc.Banner, "220 sink.example ESMTP")
	if !c.reply(banner) || banner[0] != '2' {
		c.w.Flush()
		return
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		if !c.command(strings.ToUpper(verb), rest) {
			c.w.Flush()
			return
		}
	}
}

func (c *sinkConn) command(verb, rest string) bool {
	c.sink.mu.Lock()
	c.sink.verbs[verb]++
	if verb == "EHLO" || verb == "HELO" {
		host, _, _ := net.SplitHostPort(c.nc.RemoteAddr().String())
		c.sink.greeted[host] = rest
	}
	c.sink.mu.Unlock()
	sc := c.script()
	if verb != "DATA" && !c.at(verb) {
		return false
	}
	switch verb {
	case "EHLO":
		return c.reply(c.ehlo(sc))
	case "HELO":
		return c.reply("250 sink.example")
	case "STARTTLS":
		return c.startTLS(sc)
	case "MAIL":
		path := strings.TrimPrefix(rest, "FROM:")
		r := lookup(sc.Mail, path, "250 2.1.0 Ok")
		if r[0] == '2' {
			c.msg = Message{From: path, Conn: c.n, TLS: c.tls, Client: c.nc.RemoteAddr().String()}
		}
		return c.reply(r)
	case "RCPT":
		path := strings.TrimPrefix(rest, "TO:")
		r := lookup(sc.Rcpt, path, "250 2.1.5 Ok")
		if r[0] == '2' {
			c.msg.Rcpts = append(c.msg.Rcpts, path)
		}
		return c.reply(r)
	case "DATA":
		return c.data(sc)
	case "RSET":
		c.msg = Message{}
		return c.reply("250 2.0.0 Ok")
	case "NOOP":
		return c.reply("250 2.0.0 Ok")
	case "QUIT":
		c.reply("221 2.0.0 Bye")
		return false
	}
	return c.reply("502 5.5.2 Error: command not recognized")
}

func (c *sinkConn) ehlo(sc Script) string {
	words := sc.Ehlo
	if words == nil {
		words = []string{"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"}
	}
	if sc.TLS != nil && !c.tls {
		words = append(append([]string(nil), words...), "STARTTLS")
	}
	lines := append([]string{or(sc.Myself, "sink.example")}, words...)
	for i := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + lines[i]
	}
	return strings.Join(lines, "\r\n")
}

func (c *sinkConn) startTLS(sc Script) bool {
	if sc.TLS == nil {
		return c.reply("502 5.5.1 Error: command not implemented")
	}
	if !c.reply("220 2.0.0 Ready to start TLS") {
		return false
	}
	t := tls.Server(c.nc, sc.TLS)
	if t.Handshake() != nil {
		return false
	}
	c.tls = true
	c.r, c.w = bufio.NewReaderSize(t, 64<<10), bufio.NewWriter(t)
	return true
}

func (c *sinkConn) data(sc Script) bool {
	if !c.at("DATA") {
		return false
	}
	if len(c.msg.Rcpts) == 0 {
		return c.reply("554 5.5.1 Error: no valid recipients")
	}
	if r := or(sc.Data, "354 End data with <CR><LF>.<CR><LF>"); !c.reply(r) {
		return false
	} else if r[0] != '3' {
		return true
	}
	var body strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		body.WriteString(strings.TrimPrefix(line, "."))
	}
	sc = c.script()
	if !c.at(".") {
		return false
	}
	r := or(sc.EndOfData, "250 2.0.0 Ok: queued as SINK")
	if r[0] == '2' {
		c.msg.Data = body.String()
		c.sink.take(c.msg)
		if !c.at("taken") {
			return false
		}
	}
	c.msg = Message{}
	return c.reply(r)
}

func (s *Sink) take(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if s.keep {
		s.messages = append(s.messages, m)
	}
	s.arrived.Broadcast()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// lookup finds the reply for the address in a path with parameters.
func lookup(replies map[string]string, path, otherwise string) string {
	addr := path
	if i := strings.IndexByte(addr, '>'); i >= 0 {
		addr = addr[:i]
	}
	addr = strings.TrimPrefix(addr, "<")
	if r, ok := replies[addr]; ok {
		return r
	}
	if r, ok := replies["*"]; ok {
		return r
	}
	return otherwise
}

// String shows a message at a glance.
func (m Message) String() string {
	return fmt.Sprintf("from %s to %s: %d bytes", m.From, strings.Join(m.Rcpts, ", "), len(m.Data))
}
