package screen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"context"
)

func denied(o *Options) { o.Access, o.Denylist, o.GreetBanner = []Rule{{word: "reject"}}, Enforce, "" }

// What the engine says. Most of it is compared with Postfix's in integration; here are
// the limits, and how long things take.
func TestEngine(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		says   []string
		heard  string // of the last
		log    string
	}{
		{"refuses", nil, []string{"EHLO a\r\n", "MAIL FROM:<x@a.example>\r\n", "RCPT TO:<b@b.example>\r\n"}, "550 5.3.2 Service currently unavailable|",
			"NOQUEUE: reject: RCPT from C: 550 5.3.2 Service currently unavailable; from=<x@a.example>, to=<b@b.example>, proto=ESMTP, helo=<a>"},
		{"in pieces", nil, []string{"RS", "ET\r", "\n"}, "250 2.0.0 Ok|", ""},
		{"two at a time", nil, []string{"RSET\r\nNOOP\r\n"}, "250 2.0.0 Ok|250 2.0.0 Ok|", "COMMAND PIPELINING from C after RSET: NOOP\\r\\n"},
		{"behind a null", nil, []string{"NOOP\x00FOO\r\n"}, "250 2.0.0 Ok|", ""},
		{"a lone CR", nil, []string{"NO\rOP\r\n"}, "502 5.5.2 Error: command not recognized|", ""},
		{"bytes beyond ASCII", nil, []string{"\xff\xfe\r\n"}, "521 5.7.0 Error: I can break rules, too. Goodbye.|",
			"NON-SMTP COMMAND from C after CONNECT: ?? |DISCONNECT C"},
		{"a table of commands", func(o *Options) { o.ForbiddenCommands = []string{"GET", "regexp:{{/^[^A-Z]/ Bogus}}"} }, []string{"5OOP\r\n"},
			"521 5.7.0 Error: I can break rules, too. Goodbye.|", "NON-SMTP COMMAND from C after CONNECT: 5OOP |DISCONNECT C"},
		{"a footer", func(o *Options) { o.RejectFooter = `call $server_name\nor ${client_address}:$client_port` }, []string{"VRFY\r\n"},
			"501-5.5.4 Syntax: VRFY address|501-5.5.4 call mx.example|501 5.5.4 or 192.0.2.1:1024|", ""},
		{"a footer without a code", func(o *Options) { o.RejectFooter = `\c; ask` }, []string{"EHLO\r\n"}, "501 Syntax: EHLO hostname; ask|", ""},
		{"no footer behind success", func(o *Options) { o.RejectFooter = "ask" }, []string{"NOOP\r\n"}, "250 2.0.0 Ok|", ""},
		{"softly", func(o *Options) { o.SoftBounce = true }, []string{"MAIL FROM:<>\r\n", "RCPT TO:<>\r\n"}, "450 4.3.2 Service currently unavailable|",
			"NOQUEUE: reject: RCPT from C: 450 4.3.2 Service currently unavailable; from=<>, to=<>, proto=SMTP, helo=<>"},
		{"no TLS", nil, []string{"STARTTLS\r\n"}, "502 5.5.1 Error: command not implemented|", ""},
		{"TLS first", func(o *Options) { o.RequireTLS = true }, []string{"EHLO a\r\n", "MAIL FROM:<>\r\n"}, "530 5.7.0 Must issue a STARTTLS command first|", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, func(o *Options) {
					denied(o)
					if c.change != nil {
						c.change(o)
					}
				})
				v := p.enter("192.0.2.1")
				if got := v.words(); got != "220 mx.example ESMTP\r\n" {
					t.Errorf("greeted by %q", got)
				}
				p.log.take()
				for _, text := range c.says {
					v.words()
					v.say(text)
				}
				if got := strings.ReplaceAll(v.words(), "\r\n", "|"); got != c.heard {
					t.Errorf("heard %q, want %q", got, c.heard)
				}
				expect(t, "log", p.tell(), c.log)
				v.conn.Close()
				v.leave()
			})
		})
	}
}

// A command has its time as a whole, however slowly it comes.
func TestCommandTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { denied(o); o.CommandTime = 10 * time.Second })
		v := p.enter("192.0.2.1")
		for range 3 {
			time.Sleep(9 * time.Second)
			v.say("NOOP\r\n")
		}
		for range 4 {
			v.say("N")
			time.Sleep(3 * time.Second)
		}
		if v.leave() || v.after != 37*time.Second {
			t.Errorf("after %v", v.after)
		}
		if got := v.words(); !strings.HasSuffix(got, "421 4.4.2 mx.example Error: timeout exceeded\r\n") {
			t.Errorf("heard %q", got)
		}
	})
}

// A line without end does not grow.
func TestCommandLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { denied(o); o.LineLength = 600 })
		v := p.enter("192.0.2.1")
		v.say(strings.Repeat("x", 601))
		if v.leave() {
			t.Error("handed on")
		}
		if got := v.words(); !strings.HasSuffix(got, "421 mx.example Service unavailable - try again later\r\n") {
			t.Errorf("heard %q", got)
		}
	})
}

// What a client has passed is remembered although it has to come back, and a command that
// fails later takes it away.
func TestDeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.GreetBanner, o.Pipelining.Enable, o.NonSMTP.Enable = "", true, true })
		v := p.enter("192.0.2.1")
		for _, text := range []string{"HELO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n", "Subject: x\r\n"} {
			v.say(text)
		}
		if v.leave() {
			t.Error("handed on")
		}
		expect(t, "log", p.tell(), "NOQUEUE: reject: RCPT from C: 450 4.3.2 Service currently unavailable; from=<>, to=<a@b.example>, proto=SMTP, helo=<a>|"+
			"NON-SMTP COMMAND from C after RCPT: Subject: x|DISCONNECT C")
		v = p.enter("192.0.2.1")
		for _, text := range []string{"HELO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n"} {
			v.say(text)
		}
		v.say("QUIT\r\n")
		v.leave()
		expect(t, "log", p.tell(), "NOQUEUE: reject: RCPT from C: 450 4.3.2 Service currently unavailable; from=<>, to=<a@b.example>, proto=SMTP, helo=<a>|PASS NEW C|DISCONNECT C")
		expect(t, "it has come back", p.come(), "0s PASS OLD C")
		time.Sleep(721 * time.Hour)
		v = p.enter("192.0.2.1")
		if got := v.words(); got != "220 mx.example ESMTP\r\n" {
			t.Errorf("after the tests have expired: %q", got)
		}
		v.conn.Close()
		v.leave()
	})
}

func certificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// The engine speaks TLS: a client that insists on it must get as far as RCPT too.
func TestStartTLS(t *testing.T) {
	p := newPlace(t, func(o *Options) {
		denied(o)
		o.TLS, o.RequireTLS, o.TLSTimeout = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}, true, time.Minute
	})
	near, far := net.Pipe()
	over := make(chan bool)
	go func() {
		on, _ := p.d.Admit(p.ctx, near, netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.25:25"))
		over <- on == nil
	}()
	c := net.Conn(far)
	c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4096)
	ask := func(text, want string) {
		t.Helper()
		if text != "" {
			fmt.Fprintf(c, "%s\r\n", text)
		}
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != want+"\r\n" {
			t.Errorf("%s: got %q, %v; want %q", text, buf[:n], err, want)
		}
	}
	ask("", "220 mx.example ESMTP")
	ask("EHLO a", strings.Join([]string{"250-mx.example", "250-SIZE", "250-VRFY", "250-ETRN", "250-STARTTLS", "250-ENHANCEDSTATUSCODES",
		"250-8BITMIME", "250-DSN", "250-SMTPUTF8", "250 CHUNKING"}, "\r\n"))
	ask("STARTTLS", "220 2.0.0 Ready to start TLS")
	c = tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	ask("STARTTLS", "554 5.5.1 Error: TLS already active")
	ask("MAIL FROM:<>", "250 2.1.0 Ok")
	ask("RCPT TO:<a@b.example>", "550 5.3.2 Service currently unavailable")
	ask("QUIT", "221 2.0.0 Bye")
	go func() { // the farewell of TLS
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	if !<-over {
		t.Error("handed on")
	}
	if got := p.log.take(); !strings.Contains(got, "proto=ESMTP, helo=<>") {
		t.Errorf("what was said before TLS is remembered:\n%s", got)
	}
}

// What came in the clear behind STARTTLS is never carried out.
func TestStartTLSInjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) {
			denied(o)
			o.TLS, o.TLSTimeout = &tls.Config{}, time.Minute
		})
		v := p.enter("192.0.2.1")
		v.say("STARTTLS\r\nMAIL FROM:<evil@a.example>\r\n")
		if v.leave() || v.after != 0 {
			t.Errorf("it went on for %v", v.after)
		}
		if got := v.words(); strings.Contains(got, "2.1.0") || !strings.HasSuffix(got, "220 2.0.0 Ready to start TLS\r\n") {
			t.Errorf("heard %q", got)
		}
	})
}

// A door that has a table of names tells clients those.
func TestReplyMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) {
			o.Sites, o.ReplyMap, o.DNSBLAction = sites(t, "secret.bl.example other.example"), words{"secret.bl.example": "bl.example"}, Drop
		})
		p.lists.answers["secret.bl.example"], p.lists.answers["other.example"] = "127.0.0.2", "broken"
		v := p.enter("192.0.2.1")
		v.leave()
		if got := v.words() + p.log.take(); !strings.Contains(got, "blocked using bl.example\r\n") || strings.Contains(got, "secret") {
			t.Errorf("heard and logged:\n%s", got)
		}
	})
	o := defaults()
	o.Sites, o.ReplyMap = sites(t, "x.example"), words{"x.example": "fails"}
	if _, err := New(o); err == nil {
		t.Error("a table that fails is taken")
	}
}

// words is a table.
type words map[string]string

func (w words) Name() string { return "inline:{}" }
func (w words) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := w[key]
	if value == "fails" {
		return "", false, fmt.Errorf("lookup error")
	}
	return value, found, nil
}
