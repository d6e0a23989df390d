package talks

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Player has conversations with one server.
type Player struct {
	// Dial connects from an address ("local": as sendmail -bs does).
	Dial func(from string) (net.Conn, error)
	// Pause lets time pass. Settle waits until the server has done what it can do without
	// the client; nil where reading the replies is all there is.
	Pause  func(time.Duration)
	Settle func()
	// Closed waits until the server has noticed that only so many clients are left, before
	// the next one connects; nil where Settle does that.
	Closed func(left int)
	// Postfix: the server is one.
	Postfix bool
	// Codes: only the codes of replies are compared, not their texts.
	Codes bool
	// Patience bounds each read and write; 0: without end, where time is virtual.
	Patience time.Duration
	// IDs are the queue IDs of the conversation.
	IDs *IDs
}

// Failure is where a conversation went another way.
type Failure struct {
	Conversation *Conversation
	Line         int
	Got, Want    string
	Before       []string // what was said up to there
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s.txt, line %d: %s\n%s\n got %s\nwant %s", f.Conversation.File, f.Line, f.Conversation.Title,
		strings.Join(f.Before, "\n"), f.Got, f.Want)
}

// line is one client's connection.
type line struct {
	nc      net.Conn
	r       *bufio.Reader
	greeted bool // the greeting was read
	over    bool // it has ended
}

// talk is a conversation under way.
type talk struct {
	*Player
	c      *Conversation
	conns  []*line
	at     *line
	before []string
}

// Play has one conversation. The error is a *Failure where the server answered otherwise.
func (p *Player) Play(c *Conversation) error {
	t := &talk{Player: p, c: c}
	defer t.hangUp()
	for _, s := range c.Steps {
		if s.Kind == "#" || !concerns(s.Of, p.Postfix) {
			continue
		}
		if err := t.step(s); err != nil {
			return err
		}
		t.before = append(t.before, fmt.Sprintf("%5d %s %s", s.Line, s.Kind, s.Text))
	}
	t.settle()
	return nil
}

// close hangs up.
func (t *talk) close() {
	t.at.nc.Close()
	t.at.over = true
	t.settle()
	if t.Closed != nil {
		left := 0
		for _, l := range t.conns {
			if !l.over {
				left++
			}
		}
		t.Closed(left)
	}
}

func (t *talk) settle() {
	if t.Settle != nil {
		t.Settle()
	}
}

func (t *talk) hangUp() {
	for _, l := range t.conns {
		l.nc.Close()
	}
}

func (t *talk) fail(s Step, got, want string) error {
	return &Failure{Conversation: t.c, Line: s.Line, Got: got, Want: want, Before: t.before}
}

func (t *talk) step(s Step) error {
	switch s.Kind {
	case "open", "also":
		if t.at != nil && s.Kind == "open" {
			t.settle()
			t.close()
		}
		return t.connect(s, s.Text)
	case "back":
		var n int
		fmt.Sscan(s.Text, &n)
		if n < 1 || n > len(t.conns) {
			return t.fail(s, fmt.Sprintf("%d clients", len(t.conns)), "client "+s.Text)
		}
		t.at = t.conns[n-1]
		return nil
	}
	if t.at == nil {
		if err := t.connect(s, "127.0.0.2"); err != nil {
			return err
		}
	}
	if err := t.greeting(s); err != nil {
		return err
	}
	switch s.Kind {
	case "C:":
		t.send(s.Text + "\r\n")
	case "R:", "B:":
		raw, _ := Unquote(s.Text)
		t.send(raw)
	case "E:":
		t.send("EHLO " + s.Text + "\r\n")
		return t.expectReply(s, "250")
	case "S:", "~:":
		if t.Codes {
			if len(s.Text) > 3 && s.Text[3] == '-' {
				return nil
			}
			return t.expectReply(s, s.Text[:min(3, len(s.Text))])
		}
		return t.expect(s, s.Text, s.Kind == "S:")
	case "W:":
		d, _ := time.ParseDuration(s.Text)
		t.settle()
		t.Pause(d)
	case "F:":
		t.settle()
		if h, ok := t.at.nc.(interface{ CloseWrite() error }); ok {
			h.CloseWrite()
		}
	case "Z:":
		t.settle()
		t.at.nc.Close()
	case "X:":
		if got, err := t.read(); err == nil {
			return t.fail(s, got, "the end of the connection")
		} else if isTimeout(err) {
			return t.fail(s, "an open connection", "its end")
		}
		t.at.over = true
	case "T:":
		return t.handshake(s)
	}
	return nil
}

// greeting reads the greeting where a step takes it for granted.
func (t *talk) greeting(s Step) error {
	switch s.Kind {
	case "W:", "T:": // still to come
		return nil
	case "S:", "~:", "X:", "B:":
		t.at.greeted = true
	}
	if t.at.greeted {
		return nil
	}
	t.at.greeted = true
	return t.expect(s, "220 ", false)
}

func (t *talk) connect(s Step, from string) error {
	nc, err := t.Dial(from)
	if err != nil {
		return t.fail(s, err.Error(), "a connection")
	}
	t.at = &line{nc: nc, r: bufio.NewReader(nc)}
	t.conns = append(t.conns, t.at)
	return nil
}

func (t *talk) deadline() {
	if t.Patience > 0 {
		t.at.nc.SetDeadline(time.Now().Add(t.Patience))
	}
}

// send writes. A server that is gone is noticed where its reply is missing.
func (t *talk) send(text string) {
	t.deadline()
	io.WriteString(t.at.nc, text)
}

func (t *talk) read() (string, error) {
	t.deadline()
	got, err := t.at.r.ReadString('\n')
	if err != nil {
		return got, err
	}
	return t.IDs.Reply(strings.TrimSuffix(got, "\r\n")), nil
}

// expect reads one line.
func (t *talk) expect(s Step, want string, exactly bool) error {
	got, err := t.read()
	switch {
	case err != nil && isTimeout(err):
		return t.fail(s, got+"(silence)", want)
	case err != nil:
		return t.fail(s, got+"(the end of the connection)", want)
	case got != want && (exactly || !strings.HasPrefix(got, want)):
		return t.fail(s, got, want)
	}
	return nil
}

// expectReply reads a whole reply and compares its code.
func (t *talk) expectReply(s Step, code string) error {
	for {
		got, err := t.read()
		if err != nil {
			return t.fail(s, fmt.Sprintf("%s(%v)", got, err), "a reply "+code)
		}
		if !strings.HasPrefix(got, code) {
			return t.fail(s, got, "a reply "+code)
		}
		if len(got) < 4 || got[3] != '-' {
			return nil
		}
	}
}

func (t *talk) handshake(s Step) error {
	t.deadline()
	conn := tls.Client(t.at.nc, &tls.Config{InsecureSkipVerify: true})
	err := conn.Handshake()
	switch {
	case s.Text == "fails" && err == nil:
		return t.fail(s, "TLS", "a handshake that fails")
	case s.Text == "ok" && err != nil:
		return t.fail(s, err.Error(), "TLS")
	case err == nil:
		t.at.nc, t.at.r = conn, bufio.NewReader(conn)
	}
	return nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
