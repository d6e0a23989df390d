package smtpd

import (
	"crypto/tls"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// REQUIRETLS is offered and taken under TLS only, and only where it is turned on.
func TestRequireTLS(t *testing.T) {
	const unsupported = "555 5.5.4 Unsupported option: REQUIRETLS"
	for _, c := range []struct {
		name    string
		change  func(*Options)
		offered bool
	}{
		{"on", func(o *Options) { o.RequireTLSEnable = true }, true},
		{"off", func(*Options) {}, false},
		{"discarded", func(o *Options) { o.RequireTLSEnable, o.DiscardEhloKeywords = true, []string{"requiretls"} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := secured(t, nil)
			c.change(&w.o)
			w.srv.Update(w.o)
			client := w.dial("127.0.0.2").greeting()
			if got := client.do("EHLO x.example.net"); strings.Contains(got, "REQUIRETLS") {
				t.Errorf("in the clear: %s", got)
			}
			client.expect("MAIL FROM:<s@example.net> REQUIRETLS", unsupported, "STARTTLS", "220")
			if !client.handshake(&tls.Config{}) {
				t.Fatal("no handshake")
			}
			if got := client.do("EHLO x.example.net"); strings.Contains(got, "\n250 REQUIRETLS") != c.offered {
				t.Errorf("under TLS: %s", got)
			}
			client.expect("MAIL FROM:<s@example.net> REQUIRETLS=yes", "555 5.5.4 Unsupported option: REQUIRETLS=yes")
			if !c.offered {
				client.expect("MAIL FROM:<s@example.net> REQUIRETLS", unsupported)
				client.hangUp()
				return
			}
			for _, param := range []string{" RequireTLS", ""} {
				client.expect("MAIL FROM:<s@example.net>"+param, "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
				client.send(crlf("Subject: x\nTLS-Required: No\n\nhello\n.\n"))
				if got := client.reply(); !strings.HasPrefix(got, "250 2.0.0") {
					t.Fatal(got)
				}
			}
			client.hangUp()
			w.conns.Wait()
			for i, want := range []mail.Flags{mail.FlagRequireTLS, mail.FlagTLSOptional} {
				if got := w.store.messages[i].env.Flags & (mail.FlagRequireTLS | mail.FlagTLSOptional); got != want {
					t.Errorf("message %d: flag %b, want %b", i, got, want)
				}
			}
		})
	}
}

// LIMITS tells smtpd_recipient_limit, as RFC 9422 section 3 writes it.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"off", func(*Options) {}, ""},
		{"on", func(o *Options) { o.LimitsEnable = true }, "LIMITS RCPTMAX=1000"},
		{"one", func(o *Options) { o.LimitsEnable, o.RecipientLimit = true, 1 }, "LIMITS RCPTMAX=1"},
		{"more than can be told", func(o *Options) { o.LimitsEnable, o.RecipientLimit = true, 1_000_000 }, "LIMITS"},
		{"discarded", func(o *Options) { o.LimitsEnable, o.DiscardEhloKeywords = true, []string{"limits"} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := usual(t)
			c.change(&w.o)
			w.start()
			client := w.dial("127.0.0.2").greeting()
			got := client.do("EHLO x.example.net")
			line := ""
			for l := range strings.SplitSeq(got, "\n") {
				if strings.HasPrefix(l[4:], "LIMITS") {
					line = l[4:]
				}
			}
			if line != c.want {
				t.Errorf("got %q, want %q", line, c.want)
			}
			if helo := client.do("HELO x.example.net"); strings.Contains(helo, "LIMITS") {
				t.Errorf("HELO: %s", helo)
			}
			client.expect("QUIT", "221")
		})
	}
}
