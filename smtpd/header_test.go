package smtpd

import (
	"fmt"
	"strings"
	"testing"
)

// What becomes of the header, by who brings the message and by the settings.
func TestHeader(t *testing.T) {
	const ours, others = "127.0.0.1", "192.0.2.9"
	const added = "Message-Id: <20251122100000.ID@mx.example.com>\nDate: Sat, 22 Nov 2025 10:00:00 +0000 (UTC)\n"
	for _, tc := range []struct {
		name   string
		change func(*Options)
		client string
		body   string
		want   string
	}{
		{"a local client", nil, ours, "From: Bob <bob>\nTo: a@virt.example,\n  ann, x%y@z\nSubject: bob\n\nTo: bob\n",
			"From: Bob <bob@mx.example.com>\nTo: a@virt.example, ann@mx.example.com, x%y@z\nSubject: bob\n" + added + "\nTo: bob\n"},
		{"a local client, nothing to complete", nil, ours, "From:  bob@x ,\n a@b\nMessage-ID: <x>\nDate: y\n\n", "From:  bob@x ,\n a@b\nMessage-ID: <x>\nDate: y\n\n"},
		{"a local client, remote_header_rewrite_domain", func(o *Options) { o.RemoteHeaderDomain = "remote.invalid" }, ours,
			"From: bob\n\n", "From: bob@mx.example.com\n" + added + "\n"},
		{"another", nil, others, "From: Bob <bob>\n\nx\n", "From: Bob <bob>\n\nx\n"},
		{"another, remote_header_rewrite_domain", func(o *Options) { o.RemoteHeaderDomain = "remote.invalid" }, others,
			"To: bob, a@b\n\n", "To: bob@remote.invalid, a@b\n" + added + "From: s@x.example\n\n"},
		{"another, always_add_missing_headers", func(o *Options) { o.AlwaysAddMissingHeaders = true }, others,
			"To: bob\n\n", "To: bob\n" + added + "From: s@x.example\n\n"},
		{"header_address_token_limit", func(o *Options) { o.HeaderTokenLimit = 1 }, ours, "From: bob, ann\n\n", "From: bob@mx.example.com\n" + added + "\n"},
		{"header_size_limit", func(o *Options) { o.HeaderSizeLimit = 20 }, ours, "From: bob, ann and others\n\n", "From: bob, ann and others\n" + added + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := usual(t)
			if tc.change != nil {
				tc.change(&w.o)
			}
			w.start()
			c := w.dial(tc.client).greeting()
			c.expect("EHLO client.example", "250", "MAIL FROM:<s@x.example>", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
			c.send(crlf(tc.body))
			if got := c.reply(); !strings.HasPrefix(got, "250 2.0.0 Ok: queued as ") {
				t.Fatal(got)
			}
			c.expect("QUIT", "221")
			m := w.store.messages[0]
			want := strings.ReplaceAll(strings.ReplaceAll(tc.want, "ID@", m.env.ID.String()+"@"), "\n", "\r\n")
			if m.body != want {
				t.Errorf("got\n%q\nwant\n%q", m.body, want)
			}
		})
	}
}

// A table that cannot answer about an address in the header: the client is to come again
// and the session goes on, wherever in the message it is noticed.
func TestHeaderLookupFails(t *testing.T) {
	w := usual(t).start()
	c := w.dial("127.0.0.1").greeting()
	c.expect("EHLO client.example", "250")
	for _, body := range []string{"To: trouble\nSubject: x\n\n" + strings.Repeat("body\n", 20000), "To: trouble\n", "To: trouble\nno header\n"} {
		c.expect("MAIL FROM:<s@x.example>", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
		c.send(crlf(body))
		if got := c.reply(); !strings.HasPrefix(got, "451 4.3.0 ") {
			t.Errorf("%.30q: %s", body, got)
		}
	}
	data := strings.ReplaceAll("To: trouble\n\nx\n", "\n", "\r\n")
	c.expect("MAIL FROM:<s@x.example>", "250", "RCPT TO:<a@virt.example>", "250")
	c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(data), data))
	if got := c.reply(); !strings.HasPrefix(got, "451 4.3.0 ") {
		t.Errorf("BDAT: %s", got)
	}
	c.expect("MAIL FROM:<s@x.example>", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
	c.send(crlf("To: bob\n\nx\n"))
	if got := c.reply(); !strings.HasPrefix(got, "250 2.0.0 ") {
		t.Error(got)
	}
	c.expect("QUIT", "221")
	if len(w.store.messages) != 1 {
		t.Errorf("%d messages in the queue", len(w.store.messages))
	}
}
