package main

import (
	"io"
	"net"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

// demoHop is the next hop of the demo: go-smtp's server, which keeps what it gets and
// knows everybody but nobody@dest.example.
type demoHop struct {
	addr   string
	server *smtp.Server

	mu       sync.Mutex // guards messages
	messages []demoMessage
}

type demoMessage struct {
	from string
	to   []string
	text string
}

// head is what a reader wants to see of a message: the fields on top.
func (m demoMessage) head() string {
	text := strings.ReplaceAll(m.text, "\r\n", "\n")
	head, _, _ := strings.Cut(text, "\n\n")
	return head
}

func newDemoHop() (*demoHop, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &demoHop{addr: l.Addr().String()}
	h.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &demoSession{hop: h}, nil
	}))
	h.server.Domain = "mx.dest.example"
	h.server.EnableSMTPUTF8, h.server.EnableDSN = true, true
	go h.server.Serve(l)
	return h, nil
}

func (h *demoHop) close() { h.server.Close() }

func (h *demoHop) count() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.messages) }

func (h *demoHop) since(n int) []demoMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]demoMessage(nil), h.messages[n:]...)
}

type demoSession struct {
	hop *demoHop
	msg demoMessage
}

func (s *demoSession) Reset()        { s.msg = demoMessage{} }
func (s *demoSession) Logout() error { return nil }

func (s *demoSession) Mail(from string, _ *smtp.MailOptions) error {
	s.msg.from = from
	return nil
}

func (s *demoSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: no such user here"}
	}
	s.msg.to = append(s.msg.to, to)
	return nil
}

func (s *demoSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.msg.text = string(b)
	s.hop.mu.Lock()
	s.hop.messages = append(s.hop.messages, s.msg)
	s.hop.mu.Unlock()
	return nil
}
