package integration

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The client of the recorded SMTP sessions. It speaks as the recording says and judges
// nothing; a reply that does not come is recorded as such.

// silence is how long a reply may take. smtpd_timeout is 2 s in the case that waits for it.
const silence = 5 * time.Second

// lastWords stand where the recording has a reply without a code.
const (
	replyClosed = "<connection closed>"
	replyNone   = "<no reply>"
)

type client struct {
	nc      net.Conn
	r       *bufio.Reader
	replies []reply
	over    bool // no further reply can come
}

// play runs one SMTP session from the recorded client address.
func play(addr string, s recordedSession) ([]reply, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.Client)}, Timeout: silence}
	for range s.Others {
		other, err := d.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		defer other.Close()
		other.SetReadDeadline(time.Now().Add(silence))
		bufio.NewReader(other).ReadString('\n')
	}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	c := &client{nc: nc, r: bufio.NewReader(nc)}
	if s.Leave {
		return nil, nil
	}
	if s.Hello != "" {
		c.send(s.Hello)
	}
	if s.Wrapped {
		c.secure()
	}
	c.expect("(connect)")
	if s.Steps != nil {
		c.script(s.Steps)
	} else {
		c.transaction(s)
	}
	return c.replies, nil
}

// transaction is a plain session with at most one message.
func (c *client) transaction(s recordedSession) {
	verb := s.Verb
	if verb == "" {
		verb = "EHLO"
	}
	c.command(verb + " " + s.Helo)
	mail := "MAIL FROM:<" + s.MailFrom + ">"
	if s.MailParams != "" {
		mail += " " + s.MailParams
	}
	c.command(mail)
	accepted := 0
	for _, r := range s.RcptTo {
		line := "RCPT TO:<" + r.Addr + ">"
		if r.Params != "" {
			line += " " + r.Params
		}
		if c.command(line)/100 == 2 {
			accepted++
		}
	}
	if accepted > 0 && s.Data != nil && c.command("DATA") == 354 {
		c.message(*s.Data)
	}
	c.command("QUIT")
}

func (c *client) script(steps []recordedStep) {
	for _, s := range steps {
		switch {
		case s.Line != nil:
			c.command(*s.Line)
		case s.Data != nil:
			c.message(*s.Data)
		case s.Pause > 0:
			time.Sleep(time.Duration(s.Pause * float64(time.Second)))
		case s.TLS:
			c.secure()
		case s.Send != nil:
			n := 1
			if s.Expect != nil {
				n = *s.Expect
			}
			c.send(*s.Send)
			for range n {
				c.expect("(raw)")
			}
		}
	}
}

// command sends a line and returns the code of its reply.
func (c *client) command(line string) int {
	if c.over {
		return 0
	}
	c.send(line + "\r\n")
	return c.expect(line)
}

// secure does a TLS handshake. One that fails is the end.
func (c *client) secure() {
	if c.over {
		return
	}
	secured := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.nc.SetDeadline(time.Now().Add(silence))
	r := reply{Cmd: "(tls)", Text: "<secured>"}
	if err := secured.Handshake(); err != nil {
		r.Text, c.over = replyClosed, true
	}
	c.replies = append(c.replies, r)
	c.nc, c.r = secured, bufio.NewReader(secured)
}

// message sends the text with CRLF line ends and the dots that RFC 5321 section 4.5.2 asks for.
func (c *client) message(text string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ".") {
			b.WriteByte('.')
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\r\n")
	}
	c.send(b.String() + ".\r\n")
	c.expect(".")
}

// send does not report an error: what the peer had to say before it left is still read.
func (c *client) send(text string) {
	c.nc.SetWriteDeadline(time.Now().Add(silence))
	io.WriteString(c.nc, text)
}

// expect reads one reply and returns its code.
func (c *client) expect(cmd string) int {
	if c.over {
		return 0
	}
	c.nc.SetReadDeadline(time.Now().Add(silence))
	r, err := readReply(c.r)
	r.Cmd = cmd
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.Text, c.over = replyNone, true
	case err != nil && (r.Text == "" || r.Code == 0):
		r.Text, c.over = replyClosed, true
	}
	c.replies = append(c.replies, r)
	return r.Code
}

var enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}(?: |$)`)

// readReply reads the lines of one reply and takes them apart as the recording has them.
func readReply(br *bufio.Reader) (reply, error) {
	var r reply
	var texts []string
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return reply{}, err
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) < 4 {
			return reply{Text: line}, fmt.Errorf("malformed reply %q", line)
		}
		if r.Code, err = strconv.Atoi(line[:3]); err != nil {
			return reply{Text: line}, fmt.Errorf("malformed reply %q", line)
		}
		text := line[4:]
		if code := enhancedCode.FindString(text); code != "" {
			r.Enhanced = strings.TrimSpace(code)
			text = text[len(code):]
		}
		texts = append(texts, text)
		if line[3] == ' ' {
			r.Text = strings.Join(texts, "\n")
			return r, nil
		}
	}
}
