package delivery

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	ourdns "aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// go-smtp's server is the reference peer: not written by us, and over real sockets, with
// names from a real name server.

type backend struct {
	mu   sync.Mutex // guards got
	got  []received
	lmtp bool
}

type received struct {
	from string
	opts smtp.MailOptions
	to   []string
	dsn  []smtp.RcptOptions
	data string
	tls  bool
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, isTLS := c.TLSConnectionState()
	return &backendSession{b: b, r: received{tls: isTLS}}, nil
}

type backendSession struct {
	b *backend
	r received
}

func (s *backendSession) Reset()        { s.r = received{tls: s.r.tls} }
func (s *backendSession) Logout() error { return nil }

func (s *backendSession) Mail(from string, o *smtp.MailOptions) error {
	s.r.from, s.r.opts = from, *o
	return nil
}

func (s *backendSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "bad") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.r.to, s.r.dsn = append(s.r.to, to), append(s.r.dsn, *o)
	return nil
}

func (s *backendSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.r.data = string(b)
	s.b.mu.Lock()
	s.b.got = append(s.b.got, s.r)
	s.b.mu.Unlock()
	return nil
}

func (s *backendSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if err := s.Data(r); err != nil {
		return err
	}
	for _, to := range s.r.to {
		if strings.HasPrefix(to, "full") {
			status.SetStatus(to, &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"})
		} else {
			status.SetStatus(to, nil)
		}
	}
	return nil
}

// serveGoSMTP starts a server on loopback and returns its port.
func serveGoSMTP(t *testing.T, b *backend, cert *tls.Certificate) uint16 {
	srv := smtp.NewServer(b)
	srv.Domain, srv.LMTP, srv.EnableSMTPUTF8, srv.EnableDSN = "mx.dest.example", b.lmtp, true, true
	srv.MaxMessageBytes = 10 << 20
	if cert != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
	})
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// serveZone is a name server on loopback for a few records.
func serveZone(t *testing.T, records ...string) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var rrs []dns.RR
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }}
	srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Rcode = dns.RcodeNameError
		for _, rr := range rrs {
			if h := rr.Header(); strings.EqualFold(h.Name, q.Question[0].Name) {
				m.Rcode = dns.RcodeSuccess
				if h.Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		w.WriteMsg(m)
	})
	var serving sync.WaitGroup
	serving.Go(func() { srv.ActivateAndServe() })
	<-started
	t.Cleanup(func() {
		srv.Shutdown()
		serving.Wait()
	})
	return pc.LocalAddr().String()
}

func TestDeliverToGoSMTP(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	for _, withTLS := range []bool{false, true} {
		b := &backend{}
		var c *tls.Certificate
		if withTLS {
			c = cert
		}
		port := serveGoSMTP(t, b, c)
		ns := serveZone(t, "dest.example. 60 IN MX 10 mx.dest.example.", "mx.dest.example. 60 IN A 127.0.0.1")
		client := New(Options{
			MyHostname: "mx.example.com", TLSLevel: "may", DefaultPort: port, DNSEnabled: true,
			Resolver: ourdns.New(ourdns.Options{Servers: []string{ns}}),
		})
		big := body(bytes.Repeat([]byte("0123456789\r\n.\r\n..\r\n"), 50_000))
		small := letter("x+y z@dest.example", "bad@dest.example")
		small.Env.Flags, small.Env.Ret, small.Env.EnvID = mail.FlagBody8BitMIME, "HDRS", "env+1"
		large := letter("r@dest.example")
		large.Body = big
		src := &source{t: t, attempts: []*mail.Attempt{small, large, letter("bad@dest.example"), letter("r@dest.example")}}
		client.Work(t.Context(), "smtp:dest.example", src)
		client.Close()

		relay := "mx.dest.example[127.0.0.1]:" + strconv.Itoa(int(port))
		want := []string{
			"sent 2.0.0 " + relay + " (250 2.0.0 OK: queued)\nbounced 5.1.1 " + relay + " (host mx.dest.example[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))",
			"sent 2.0.0 " + relay + " (250 2.0.0 OK: queued)",
			"bounced 5.1.1 " + relay + " (host mx.dest.example[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))",
			"sent 2.0.0 " + relay + " (250 2.0.0 OK: queued)",
		}
		for i, w := range want {
			if got := fates(src.results[i]); got != w {
				t.Errorf("TLS %v, message %d: got\n%s\nwant\n%s", withTLS, i, got, w)
			}
		}
		if len(b.got) != 3 {
			t.Fatalf("%d messages came", len(b.got))
		}
		m := b.got[0]
		if m.tls != withTLS || m.from != "sender@example.net" || m.opts.Body != "8BITMIME" || m.opts.EnvelopeID != "env+1" || m.opts.Return != "HDRS" || m.data != string(small.Env.Prepend)+testBody {
			t.Errorf("got %+v", m)
		}
		if b.got[1].data != string(large.Env.Prepend)+string(big) {
			t.Error("the large message is not what was sent")
		}
		if two, last := src.results[1][0].ConnUse, src.results[3][0].ConnUse; two != 2 || last != 4 {
			t.Errorf("conn_use %d and %d, want 2 and 4", two, last)
		}
	}
}

// Each extension that both sides know is used: SIZE, DSN with all of its parameters,
// SMTPUTF8, 8BITMIME.
func TestDeliverExtensionsToGoSMTP(t *testing.T) {
	b := &backend{}
	port := serveGoSMTP(t, b, nil)
	ns := serveZone(t, "dest.example. 60 IN MX 10 mx.dest.example.", "mx.dest.example. 60 IN A 127.0.0.1")
	client := New(Options{
		MyHostname: "mx.example.com", DefaultPort: port, DNSEnabled: true,
		Resolver: ourdns.New(ourdns.Options{Servers: []string{ns}}),
	})
	m := letter("jürgen@dest.example")
	m.Env.Flags, m.Env.Ret, m.Env.EnvID = mail.FlagSMTPUTF8|mail.FlagBody8BitMIME, "FULL", "a=b c"
	m.Env.Rcpts[0].Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	m.Env.Rcpts[0].ORcpt = "rfc822;one+two@orig.example"
	src := &source{t: t, attempts: []*mail.Attempt{m}}
	client.Work(t.Context(), "smtp:dest.example", src)
	client.Close()
	if got := fates(src.results[0]); !strings.HasPrefix(got, "sent 2.0.0 ") {
		t.Fatal(got)
	}
	got := b.got[0]
	size := int64(len(m.Env.Prepend) + len(testBody))
	if o := got.opts; !o.UTF8 || o.Body != "8BITMIME" || o.Return != smtp.DSNReturnFull || o.EnvelopeID != "a=b c" || o.Size < size {
		t.Errorf("MAIL %+v, want SIZE=%d at least", got.opts, size)
	}
	want := []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}
	if o := got.dsn[0]; got.to[0] != "jürgen@dest.example" || !slices.Equal(o.Notify, want) ||
		o.OriginalRecipientType != smtp.DSNAddressTypeRFC822 || o.OriginalRecipient != "one+two@orig.example" {
		t.Errorf("RCPT %q %+v", got.to, got.dsn)
	}
}

func TestDeliverToGoSMTPOverLMTP(t *testing.T) {
	b := &backend{lmtp: true}
	port := serveGoSMTP(t, b, nil)
	client := New(Options{MyHostname: "mx.example.com"})
	src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example", "full@dest.example", "bad@dest.example")}}
	client.Work(t.Context(), mail.Dest("lmtp:inet:127.0.0.1:"+strconv.Itoa(int(port))), src)
	client.Close()
	var states []mail.State
	for _, r := range src.results[0] {
		states = append(states, r.State)
	}
	if len(states) != 3 || states[0] != mail.Delivered || states[1] != mail.Deferred || states[2] != mail.Failed {
		t.Errorf("got\n%s", fates(src.results[0]))
	}
}
