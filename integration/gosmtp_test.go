package integration

import (
	"crypto/tls"
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

// go-smtp's client, our binary, go-smtp's server: what each extension carries arrives at
// the other end.
func TestGoSMTPExtensions(t *testing.T) {
	hop := &goBackend{arrived: make(chan goMessage, 1)}
	server := smtp.NewServer(hop)
	server.Domain, server.EnableDSN, server.EnableSMTPUTF8 = "hop.example", true, true
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
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.alias.example")
	cf["smtpd_tls_security_level"] = "may"
	r.configure(cf)
	r.start()

	c, err := smtp.DialStartTLS(r.smtp, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("jürgen@client.example", &smtp.MailOptions{
		UTF8: true, Body: smtp.Body8BitMIME, Size: 100, Return: smtp.DSNReturnHeaders, EnvelopeID: "e+1=2",
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("info@alias.example", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "one+two@orig.example",
	}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: ü\r\n\r\n.x\r\n")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	select {
	case m := <-hop.arrived:
		if o := m.opts; m.from != "jürgen@client.example" || !o.UTF8 || o.Body != smtp.Body8BitMIME || o.Return != smtp.DSNReturnHeaders || o.EnvelopeID != "e+1=2" {
			t.Errorf("MAIL %s %+v", m.from, o)
		}
		if o := m.rcpt; m.to[0] != "target@dest.example" || o.OriginalRecipient != "one+two@orig.example" ||
			!slices.Equal(o.Notify, []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}) {
			t.Errorf("RCPT %s %+v", m.to, o)
		}
		if !strings.Contains(m.text, "with UTF8SMTPS id ") || !strings.Contains(m.text, "Subject: ü\r\n") || !strings.HasSuffix(m.text, "\r\n\r\n.x\r\n") {
			t.Errorf("message %q", m.text)
		}
	case <-time.After(limit):
		t.Fatalf("nothing arrived\n%s", r.log())
	}
}

type goMessage struct {
	from string
	to   []string
	text string
	opts smtp.MailOptions
	rcpt smtp.RcptOptions // of the last one
}

type goBackend struct{ arrived chan goMessage }

func (b *goBackend) NewSession(*smtp.Conn) (smtp.Session, error) { return &goSession{b: b}, nil }

type goSession struct {
	b *goBackend
	m goMessage
}

func (s *goSession) Reset()        { s.m = goMessage{} }
func (s *goSession) Logout() error { return nil }

func (s *goSession) Mail(from string, o *smtp.MailOptions) error {
	s.m.from, s.m.opts = from, *o
	return nil
}

func (s *goSession) Rcpt(to string, o *smtp.RcptOptions) error {
	s.m.to, s.m.rcpt = append(s.m.to, to), *o
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
