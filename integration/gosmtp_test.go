package integration

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// go-smtp's client sends, go-smtp's server is the next hop: two implementations that
// are not ours, and two messages at once that must not be mixed up.
func TestGoSMTPOnBothSides(t *testing.T) {
	hop := &goBackend{arrived: make(chan goMessage, 64)}
	server := smtp.NewServer(hop)
	server.Domain = "hop.example"
	server.EnableDSN = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })

	cf := base(nil)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cf["relayhost"] = "[127.0.0.1]:" + port
	r := newRelay(t, cf, nil)
	r.start()

	const letters = 20
	var wg sync.WaitGroup
	for i := range letters {
		wg.Go(func() {
			subject := "letter-" + itoa(i)
			if n := session(r.smtp, "both-"+itoa(i), 0, 1, func(string) {}); n != 1 {
				t.Errorf("%s was not taken", subject)
			}
		})
	}
	wg.Wait()
	for range letters {
		select {
		case m := <-hop.arrived:
			if m.from != "sender@client.example" || !slices.Equal(m.to, []string{"target@dest.example"}) {
				t.Errorf("envelope: from %s to %v", m.from, m.to)
			}
			_, rest, _ := strings.Cut(m.text, "Subject: ")
			subject, _, _ := strings.Cut(rest, "\r\n")
			if !strings.HasSuffix(m.text, "\r\n\r\n"+body(subject)) {
				t.Errorf("%s has the body of another message, or an altered one", subject)
			}
		case <-time.After(limit):
			t.Fatalf("letters are missing\n%s", r.log())
		}
	}
	r.waitEmpty()
}

type goMessage struct {
	from string
	to   []string
	text string
}

type goBackend struct{ arrived chan goMessage }

func (b *goBackend) NewSession(*smtp.Conn) (smtp.Session, error) { return &goSession{b: b}, nil }

type goSession struct {
	b *goBackend
	m goMessage
}

func (s *goSession) Reset()        { s.m = goMessage{} }
func (s *goSession) Logout() error { return nil }

func (s *goSession) Mail(from string, _ *smtp.MailOptions) error {
	s.m.from = from
	return nil
}

func (s *goSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.m.to = append(s.m.to, to)
	return nil
}

func (s *goSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.m.text = string(text)
	s.b.arrived <- s.m
	return nil
}
