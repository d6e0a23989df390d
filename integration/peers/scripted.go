package peers

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// Scripted is a server that answers as a list says, and keeps what it was told. It takes
// any command at any time: what is right is for the test to say.
type Scripted struct {
	Addr string

	// Answers are by the beginning of a command, of which the longest counts: "connect" is
	// the greeting, "." the end of the content, in LMTP ". <address>" for each recipient.
	// An answer is a reply, with \n between its lines, or "raw BYTES", which are sent as they
	// are; what comes after " | ", or stands alone, is how it goes on (partings). "REPLY |
	// again" is for the first connection alone. "tls COMMAND" is a command over TLS;
	// "handshake" has the bytes that come in place of one (misbehave.go).
	Answers map[string]string
	Offer   []string    // EHLO keywords
	TLS     *tls.Config // offers STARTTLS
	Wrapped bool        // TLS from the first byte
	LMTP    bool
	Gate    chan struct{} // when there is one, nobody is greeted before it is closed

	mu    sync.Mutex // guards what follows
	talks [][]string
	open  map[net.Conn]struct{}
	ln    net.Listener
	wg    sync.WaitGroup
}

// Start listens on a free port of loopback.
func (s *Scripted) Start() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.ln, s.Addr, s.open = ln, ln.Addr().String(), make(map[net.Conn]struct{})
	s.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			n := len(s.talks)
			s.talks = append(s.talks, nil)
			s.open[nc] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() {
				(&scriptedConn{Scripted: s, n: n, nc: nc, r: bufio.NewReader(nc)}).serve()
				nc.Close()
				s.mu.Lock()
				delete(s.open, nc)
				s.mu.Unlock()
			})
		}
	})
	return nil
}

// Stop hangs up on everybody.
func (s *Scripted) Stop() {
	s.ln.Close()
	s.mu.Lock()
	for nc := range s.open {
		nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Talks are the commands of each connection.
func (s *Scripted) Talks() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	talks := make([][]string, len(s.talks))
	for i, t := range s.talks {
		talks[i] = slices.Clone(t)
	}
	return talks
}

// Open is how many connections are open.
func (s *Scripted) Open() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.open) }

type scriptedConn struct {
	*Scripted
	n    int
	nc   net.Conn
	r    *bufio.Reader
	tls  bool
	rcpt []string // accepted ones
}

func (c *scriptedConn) serve() {
	if c.Gate != nil {
		<-c.Gate
	}
	if c.Wrapped && !c.secure() {
		return
	}
	if _, ok := c.answer("connect", "220 sink.example ESMTP"); !ok {
		return
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		c.mu.Lock()
		c.talks[c.n] = append(c.talks[c.n], line)
		c.mu.Unlock()
		if !c.command(line) {
			return
		}
	}
}

func (c *scriptedConn) command(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	reply, ok := c.answer(line, c.normal(verb))
	switch {
	case !ok:
		return false
	case verb == "QUIT":
		return false
	case verb == "STARTTLS" && class(reply) == '2':
		return c.secure()
	case verb == "RSET":
		c.rcpt = nil
	case verb == "RCPT" && class(reply) == '2':
		to, _, _ := strings.Cut(strings.TrimPrefix(rest, "TO:"), " ")
		c.rcpt = append(c.rcpt, to)
	case verb == "DATA" && class(reply) == '3':
		return c.content()
	}
	return true
}

func (c *scriptedConn) secure() bool {
	if _, ok := c.Answers["handshake"]; ok {
		return c.noHandshake()
	}
	t := tls.Server(c.nc, c.TLS)
	if t.Handshake() != nil {
		return false
	}
	c.nc, c.r, c.tls = t, bufio.NewReader(t), true
	return true
}

// normal is what a friendly server answers.
func (c *scriptedConn) normal(verb string) string {
	switch verb {
	case "EHLO", "LHLO":
		words := c.Offer
		if c.TLS != nil && !c.tls {
			words = append(slices.Clone(words), "STARTTLS")
		}
		lines := append([]string{"sink.example"}, words...)
		for i := range lines[:len(lines)-1] {
			lines[i] = "250-" + lines[i]
		}
		lines[len(lines)-1] = "250 " + lines[len(lines)-1]
		return strings.Join(lines, "\n")
	case "DATA":
		return "354 go on"
	case "QUIT":
		return "221 2.0.0 Bye"
	case "STARTTLS":
		return "220 2.0.0 ready"
	case "AUTH":
		return "235 2.7.0 welcome"
	}
	return "250 2.0.0 Ok"
}

func (c *scriptedConn) content() bool {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
	}
	dots := []string{"."}
	if c.LMTP {
		dots = nil
		for _, to := range c.rcpt {
			dots = append(dots, ". "+to)
		}
	}
	c.rcpt = nil
	for _, dot := range dots {
		if _, ok := c.answer(dot, "250 2.0.0 Ok: queued"); !ok {
			return false
		}
	}
	return true
}

// answer replies, and tells what it said and whether the conversation goes on.
func (c *scriptedConn) answer(command, normal string) (string, bool) {
	best, reply := "", normal
	for begin, r := range c.Answers {
		where := command
		if c.tls && strings.HasPrefix(begin, "tls ") {
			where = "tls " + command
		}
		if strings.HasPrefix(where, begin) && len(begin) > len(best) {
			best, reply = begin, r
		}
	}
	reply, after, _ := strings.Cut(reply, " | ")
	if after == "again" && c.n > 0 {
		reply, after = normal, ""
	}
	if slices.Contains(partings, reply) {
		reply, after = "", reply
	}
	if reply != "" {
		if _, err := io.WriteString(c.nc, onTheWire(reply)); err != nil {
			return reply, false
		}
	}
	if slices.Contains(partings, after) {
		c.part(after)
		return reply, false
	}
	return reply, true
}
