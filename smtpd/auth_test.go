package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"aliasmx/internal/mail"
)

// accounts is a Logins: everybody's password is "secret". The user "trouble" cannot be
// looked up, "away" is one of a server that is away.
type accounts struct {
	mechanisms string
	asked      []LoginRequest
	open       int
}

func (a *accounts) Mechanisms(_ context.Context, secured bool) []string {
	if a.mechanisms == "-" && !secured { // smtpd_sasl_security_options = noplaintext
		return nil
	}
	return strings.Fields(strings.TrimPrefix(a.mechanisms, "-"))
}

func (a *accounts) Begin(_ context.Context, r LoginRequest) (Login, error) {
	a.asked = append(a.asked, r)
	l := &attempt{of: a}
	switch strings.ToUpper(r.Mechanism) {
	case "PLAIN":
		l.Server = sasl.NewPlainServer(func(_, name, password string) error { return l.check(name, password) })
	case "LOGIN":
		l.Server = &asking{l: l}
	case "ANONYMOUS":
		l.Server = &asking{l: l, name: []byte("anonymous")}
	default:
		return nil, status(535, mail.Code(5, 7, 8), "Invalid authentication mechanism: '"+r.Mechanism+"'")
	}
	a.open++
	return l, nil
}

// attempt is a Login.
type attempt struct {
	sasl.Server
	of     *accounts
	name   string
	closed bool
}

func (l *attempt) Username() string { return l.name }
func (l *attempt) Close() {
	if !l.closed {
		l.of.open--
	}
	l.closed = true
}

func (l *attempt) check(name, password string) error {
	l.name = name
	switch {
	case name == "trouble":
		return status(454, mail.Code(4, 7, 0), "(reason unavailable)")
	case name == "away":
		return status(454, mail.Code(4, 7, 0), "Connection lost to authentication server")
	case password != "secret":
		return status(535, mail.Code(5, 7, 8), "authentication failure")
	}
	return nil
}

// asking asks for a name, then for a password.
type asking struct {
	l     *attempt
	name  []byte
	begun bool
}

func (a *asking) Next(response []byte) ([]byte, bool, error) {
	switch {
	case string(a.name) == "anonymous":
		a.l.name = "anonymous"
		return nil, true, nil
	case !a.begun && response == nil:
		a.begun = true
		return []byte("Username:"), false, nil
	case a.name == nil:
		a.begun, a.name = true, append([]byte{}, response...)
		return []byte("Password:"), false, nil
	}
	return nil, true, a.l.check(string(a.name), string(response))
}

// setAuthOption sets what a line of main.cf sets about AUTH.
func setAuthOption(o *Options, name, value string) bool {
	switch name {
	case "smtpd_sasl_auth_enable":
		o.Logins = &accounts{mechanisms: "PLAIN LOGIN"}
	case "smtpd_sasl_mechanisms": // of the fake
		o.Logins = &accounts{mechanisms: value}
	case "smtpd_tls_auth_only":
		o.TLSAuthOnly = value == "yes"
	case "smtpd_sasl_exceptions_networks":
		o.AuthExceptions = networks{netip.MustParseAddr(value)}
	case "smtpd_sasl_authenticated_header":
		o.AuthenticatedHeader = value == "yes"
	case "broken_sasl_auth_clients":
		o.BrokenAuthClients = value == "yes"
	case "smtpd_sasl_response_limit":
		o.AuthResponseLimit, _ = strconv.Atoi(value)
	case "smtpd_client_auth_rate_limit":
		o.ClientAuthRate, _ = strconv.Atoi(value)
	default:
		return false
	}
	return true
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestAuthReset: STARTTLS forgets who the client was, EHLO and RSET do not.
func TestAuthReset(t *testing.T) {
	w := secured(t, nil)
	logins := &accounts{mechanisms: "PLAIN"}
	w.o.Logins = logins
	w.o.Relay = restrict("permit_sasl_authenticated", "reject_unauth_destination")
	w.start()
	const relay, denied = "250 2.1.5 Ok", "554 5.7.1 <x@elsewhere.example>: Relay access denied"
	c := w.dial("192.0.2.1").greeting()
	c.expect("EHLO x", "250-", "MAIL FROM:<s@a.example>", "250", "RCPT TO:<x@elsewhere.example>", denied, "RSET", "250",
		"AUTH PLAIN "+b64("\x00joe\x00secret"), "235 2.7.0 Authentication successful",
		"RSET", "250", "EHLO x", "250-", "AUTH PLAIN "+b64("\x00joe\x00secret"), "503 5.5.1 Error: already authenticated",
		"MAIL FROM:<s@a.example>", "250", "RCPT TO:<x@elsewhere.example>", relay, "RSET", "250",
		"STARTTLS", "220")
	if !c.handshake(&tls.Config{}) {
		t.Fatal("no handshake")
	}
	c.expect("EHLO x", "250-", "MAIL FROM:<s@a.example>", "250", "RCPT TO:<x@elsewhere.example>", denied, "RSET", "250",
		"AUTH PLAIN "+b64("\x00joe\x00secret"), "235", "MAIL FROM:<s@a.example>", "250", "RCPT TO:<x@elsewhere.example>", relay)
	c.hangUp()
	w.conns.Wait()
	if n := len(logins.asked); n != 2 || logins.asked[0].Secured || !logins.asked[1].Secured || logins.asked[1].Client.Addr() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%+v", logins.asked)
	}
	if logins.open != 0 {
		t.Errorf("%d exchanges were not ended", logins.open)
	}
}

// TestAuthOffered: who is offered what, with and without TLS. Where nothing is offered
// nobody can log in either.
func TestAuthOffered(t *testing.T) {
	for _, c := range []struct {
		name              string
		set               func(*Options)
		clear, overTLS    string // the lines with AUTH
		refusedInTheClear string
	}{
		{"everywhere", func(*Options) {}, "250-AUTH PLAIN", "250-AUTH PLAIN", ""},
		{"over TLS only", func(o *Options) { o.TLSAuthOnly = true }, "", "250-AUTH PLAIN", "503 5.5.1 Error: authentication not enabled"},
		{"with encrypt", func(o *Options) { o.TLS.Required = true }, "", "250-AUTH PLAIN", "530 5.7.0 Must issue a STARTTLS command first"},
		{"noplaintext", func(o *Options) { o.Logins.(*accounts).mechanisms = "-" }, "", "", "503 5.5.1 Error: authentication not enabled"},
		{"broken clients", func(o *Options) { o.BrokenAuthClients = true }, "250-AUTH PLAIN 250-AUTH=PLAIN", "250-AUTH PLAIN 250-AUTH=PLAIN", ""},
		{"discarded", func(o *Options) { o.DiscardEhloKeywords = []string{"auth"}; o.BrokenAuthClients = true }, "", "", "503 5.5.1 Error: authentication not enabled"},
		{"not told", func(o *Options) { o.AuthExceptions = networks{netip.MustParseAddr("192.0.2.1")} }, "", "", ""},
		{"off", func(o *Options) { o.Logins = nil }, "", "", "503 5.5.1 Error: authentication not enabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := secured(t, nil)
			w.o.Logins = &accounts{mechanisms: "PLAIN"}
			c.set(&w.o)
			w.start()
			offers := func(ehlo string) string {
				var list []string
				for line := range strings.SplitSeq(ehlo, "\n") {
					if strings.Contains(line, "AUTH") {
						list = append(list, line)
					}
				}
				return strings.Join(list, " ")
			}
			k := w.dial("192.0.2.1").greeting()
			got := k.do("EHLO x")
			if offers(got) != c.clear {
				t.Errorf("offered %q in %q, want %q", offers(got), got, c.clear)
			}
			if c.clear != "" && !strings.Contains(got, "250-STARTTLS\n250-AUTH ") {
				t.Errorf("not in its place: %q", got)
			}
			want := c.refusedInTheClear
			if want == "" {
				want = "235"
			}
			k.expect("AUTH PLAIN "+b64("\x00joe\x00secret"), want, "STARTTLS", "220")
			if !k.handshake(&tls.Config{}) {
				t.Fatal("no handshake")
			}
			if got := offers(k.do("EHLO x")); got != c.overTLS {
				t.Errorf("over TLS offered %q, want %q", got, c.overTLS)
			}
			k.hangUp()
			w.conns.Wait()
		})
	}
}

// TestAuthenticatedMessage: what a message tells of who has sent it.
func TestAuthenticatedMessage(t *testing.T) {
	for _, header := range []bool{false, true} {
		w := secured(t, nil)
		w.o.Logins, w.o.AuthenticatedHeader = &accounts{mechanisms: "LOGIN"}, header
		w.start()
		c := w.dial("192.0.2.1").greeting()
		c.expect("STARTTLS", "220")
		if !c.handshake(&tls.Config{}) {
			t.Fatal("no handshake")
		}
		c.expect("EHLO x", "250-", "AUTH LOGIN", "334 VXNlcm5hbWU6", b64("jo(e"), "334 UGFzc3dvcmQ6", b64("secret"), "235",
			"MAIL FROM:<s@a.example> AUTH=joe+40a", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
		c.send(crlf("Subject: x\n\nhello\n"))
		c.reply()
		c.expect("MAIL FROM:<s@a.example> SMTPUTF8", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
		c.send(crlf("Subject: x\n\nhello\n"))
		c.reply()
		c.hangUp()
		w.conns.Wait()
		c = w.dial("192.0.2.1").greeting()
		c.expect("HELO x", "250", "AUTH LOGIN "+b64("jo(e"), "334", b64("secret"), "235",
			"MAIL FROM:<s@a.example>", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
		c.send(crlf("Subject: x\n\nhello\n"))
		c.reply()
		c.hangUp()
		w.conns.Wait()
		for i, with := range []string{"ESMTPSA", "UTF8SMTPSA", "SMTP"} {
			m := w.store.messages[i]
			text := m.String()
			if m.env.Client.Protocol != with || !strings.Contains(text, ") with "+with+" id ") {
				t.Errorf("protocol %s, want %s\n%s", m.env.Client.Protocol, with, text)
			}
			if got := strings.Contains(text, ")\n\t(Authenticated sender: jo?e)\n\tby mx.example.com"); got != header {
				t.Errorf("header %t:\n%s", header, text)
			}
		}
		log := strings.Join(w.log.all(), "\n")
		if !strings.Contains(log, "client=unknown[192.0.2.1], sasl_method=LOGIN, sasl_username=jo(e, sasl_sender=joe+40a\n") {
			t.Error(log)
		}
	}
}

// TestAuthDelays: each failure of a client waits twice as long as the one before, over
// connections; who logs in does not wait; after a while all is forgiven.
func TestAuthDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.Logins, w.o.Now = &accounts{mechanisms: "PLAIN"}, time.Now
		w.o.HardErrorLimit = 100
		w.start()
		c := w.dial("192.0.2.1").greeting()
		c.do("EHLO x")
		try := func(c *client, password, want string) time.Duration {
			t.Helper()
			start := time.Now()
			c.expect("AUTH PLAIN "+b64("\x00joe\x00"+password), want)
			return time.Since(start)
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			if got := try(c, "wrong", "535"); got != want*time.Second {
				t.Errorf("failure %d waited %v, want %v s", i+1, got, want)
			}
		}
		other := w.dial("192.0.2.1").greeting()
		if got := try(other, "secret", "235"); got != 0 {
			t.Errorf("success waited %v", got)
		}
		third := w.dial("192.0.2.2").greeting()
		if got := try(third, "wrong", "535"); got != time.Second {
			t.Errorf("another client waited %v", got)
		}
		c.hangUp()
		other.hangUp()
		third.hangUp()
		<-time.After(forgiven)
		c = w.dial("192.0.2.1").greeting()
		if got := try(c, "wrong", "535"); got != time.Second {
			t.Errorf("after %v it waited %v", forgiven, got)
		}
		if n := len(w.srv.failed.byNet); n != 1 {
			t.Errorf("%d clients are remembered", n)
		}
		c.hangUp()
		w.conns.Wait()
	})
}

// TestAuthSilence: a client that says nothing more in the middle of an exchange.
func TestAuthSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		logins := &accounts{mechanisms: "LOGIN"}
		w.o.Logins = logins
		w.start()
		c := w.dial("192.0.2.1").greeting()
		c.expect("AUTH LOGIN", "334 ")
		<-time.After(301 * time.Second)
		if got := c.reply(); got != "421 4.4.2 mx.example.com Error: timeout exceeded" {
			t.Error(got)
		}
		c.hangUp()
		w.conns.Wait()
		if logins.open != 0 {
			t.Error("the exchange was not ended")
		}
		if log := strings.Join(w.log.all(), "\n"); !strings.Contains(log, "timeout after AUTH from unknown[192.0.2.1]") {
			t.Error(log)
		}
	})
}

// FuzzAuth: whatever a client says in an exchange, nobody gets in without the password,
// the server goes on with the next command, and the secret is nowhere in the log.
func FuzzAuth(f *testing.F) {
	f.Add("PLAIN", b64("\x00joe\x00secret"), "*")
	f.Add("LOGIN", b64("joe"), b64("secreT"))
	f.Add("LOGIN", "=", "====")
	f.Add("PLAIN", "*", "AUTH PLAIN")
	f.Add("PLAIN =", "\xff", strings.Repeat("A", 13000))
	f.Fuzz(func(t *testing.T, first, second, third string) {
		for _, s := range []string{first, second, third} {
			if strings.ContainsAny(s, "\r\n") || len(s) > 20000 {
				return
			}
		}
		synctest.Test(t, func(t *testing.T) {
			w := usual(t)
			w.o.Logins = &accounts{mechanisms: "PLAIN LOGIN"}
			w.o.HardErrorLimit = 1000
			w.o.Relay = restrict("permit_sasl_authenticated", "reject_unauth_destination")
			w.start()
			c := w.dial("192.0.2.1").greeting()
			c.do("EHLO x")
			c.send("AUTH " + first + "\r\n" + second + "\r\n" + third + "\r\n*\r\nRSET\r\nMAIL FROM:<s@a.example>\r\nRCPT TO:<x@elsewhere.example>\r\nQUIT\r\n")
			var out bytes.Buffer
			io.Copy(&out, c.r)
			c.hangUp()
			w.conns.Wait()
			said := out.String()
			relayed, in := strings.Contains(said, "250 2.1.5 Ok"), strings.Contains(said, "235 2.7.0 ")
			if relayed && !in {
				t.Fatalf("relayed for nobody:\n%s", said)
			}
			if in && !knowsSecret(first, second, third) {
				t.Fatalf("in without the password: %q %q %q\n%s", first, second, third, said)
			}
		})
	})
}

// knowsSecret tells whether "secret" is anywhere in what a client has sent.
func knowsSecret(lines ...string) bool {
	for _, line := range lines {
		for word := range strings.FieldsSeq(line) {
			if b, _ := base64.StdEncoding.DecodeString(word); bytes.Contains(b, []byte("secret")) {
				return true
			}
		}
	}
	return false
}

// TestAuthSecrets: neither log nor reply has a password or what carries one.
func TestAuthSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.Logins = &accounts{mechanisms: "PLAIN LOGIN"}
		w.o.LineLengthLimit, w.o.AuthResponseLimit = 60, 60
		w.start()
		const password = "correct horse battery staple"
		c := w.dial("192.0.2.1").greeting()
		secret := b64("\x00joe\x00" + password)
		var said []string
		for _, line := range []string{
			"AUTH PLAIN " + secret, "AUTH PLAIN " + secret + strings.Repeat("A", 100), "AUTH PLAIN " + secret + " x", "AUTH PLAIN !" + secret, "AUTH " + secret,
			"AUTH LOGIN", b64("joe"), b64(password), "AUTH LOGIN", b64("joe"), strings.Repeat(secret, 3), "AUTH LOGIN", "!" + secret, "auth\tplain " + secret + secret,
		} {
			said = append(said, c.do(line))
		}
		c.hangUp()
		w.conns.Wait()
		all := strings.Join(append(said, w.log.all()...), "\n")
		for _, part := range []string{password, secret, secret[:16], b64(password)} {
			if strings.Contains(all, part) {
				t.Errorf("%q is told:\n%s", part, all)
			}
		}
		if fmt.Sprint(w.srv.failed.byNet) == "map[]" {
			t.Error("no failure was counted")
		}
	})
}
