package smtpd

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// tape is a client that has made up its mind beforehand. Each step is sent when the server
// waits for more, in packets of at most size bytes (0: as a whole), or as long as cuts
// says in turn. It never reads before it writes, and needs no goroutine.
type tape struct {
	steps []string
	size  int
	cuts  []byte
	n     int // packets sent
	said  bytes.Buffer
	shut  bool
}

func (p *tape) Read(b []byte) (int, error) {
	if p.shut {
		return 0, net.ErrClosed
	}
	for len(p.steps) > 0 && p.steps[0] == "" {
		p.steps = p.steps[1:]
	}
	if len(p.steps) == 0 {
		return 0, io.EOF
	}
	n := len(p.steps[0])
	switch {
	case len(p.cuts) > 0:
		n = min(n, int(p.cuts[p.n%len(p.cuts)])+1)
	case p.size > 0:
		n = min(n, p.size)
	}
	p.n++
	n = copy(b, p.steps[0][:n])
	p.steps[0] = p.steps[0][n:]
	return n, nil
}

func (p *tape) Write(b []byte) (int, error) {
	if p.shut {
		return 0, net.ErrClosed
	}
	return p.said.Write(b)
}

func (p *tape) Close() error                     { p.shut = true; return nil }
func (p *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (p *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (p *tape) SetDeadline(time.Time) error      { return nil }
func (p *tape) SetReadDeadline(time.Time) error  { return nil }
func (p *tape) SetWriteDeadline(time.Time) error { return nil }

// play serves a tape and returns what the server said.
func (w *world) play(p *tape) string {
	w.srv.ServeConn(p, Peer{Addr: netip.MustParseAddr("127.0.0.2")})
	return p.said.String()
}

// codes are the reply codes of a conversation, one for each reply.
func codes(said string) string {
	var list []string
	for line := range strings.Lines(said) {
		if len(line) > 3 && line[3] == ' ' {
			list = append(list, line[:3])
		}
	}
	return strings.Join(list, " ")
}

// replyLine is RFC 5321 section 4.2: a code, and text that can be shown.
var replyLine = regexp.MustCompile(`^[2-5][0-5][0-9][ -][^\x00-\x08\x0a-\x1f\x7f]*\r\n$`)

// malformed finds a line that is no line of a reply, or a reply of several codes.
func malformed(said string) string {
	before := ""
	for line := range strings.Lines(said) {
		if len(line) > maxReplyLine || !replyLine.MatchString(line) || before != "" && line[:3] != before {
			return line
		}
		before = ""
		if line[3] == '-' {
			before = line[:3]
		}
	}
	return ""
}
