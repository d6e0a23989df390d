package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"aliasmx/internal/mail"
)

// notary is an Authenticator that notes what it is asked, and says what it is told to.
type notary struct {
	mu      sync.Mutex
	path    *mail.Status
	verdict mail.AuthVerdict
	heard   []string
	open    int
}

func (n *notary) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, fmt.Sprintf(format, args...))
}

func (n *notary) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.heard, "; ")
}

func (n *notary) Begin(ctx context.Context, r mail.AuthRequest) Authentication {
	n.mu.Lock()
	n.open++
	n.mu.Unlock()
	n.note("begin %s <%s> helo=%s trusted=%v login=%s owner=%v/%v", r.Client.Addr, r.Sender, r.Client.Helo, r.Trusted, r.Login, r.Owner, r.Owners)
	return &deed{notary: n}
}

func (n *notary) Forged(field []byte) bool {
	return strings.HasPrefix(string(field), "Authentication-Results: mx.example.com;")
}

type deed struct {
	*notary
	closed bool
}

func (d *deed) Path(context.Context) *mail.Status {
	d.note("path")
	return d.path
}

func (d *deed) Message(_ context.Context, m mail.AuthMessage) mail.AuthVerdict {
	r, _ := m.Body.Open()
	body, _ := io.ReadAll(r)
	var leads, given []string
	for _, rcpt := range m.Rcpts {
		leads = append(leads, rcpt.Final.String())
	}
	for _, a := range m.Given {
		given = append(given, a.String())
	}
	d.note("message %s: %q given %v leads to %v", m.ID, body, given, leads)
	return d.verdict
}

func (d *deed) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		d.heard = append(d.heard, "closed twice")
	}
	d.closed = true
	d.open--
	d.heard = append(d.heard, "close")
}

// withNotary holds a dialogue with a client of an address.
func withNotary(t *testing.T, n *notary, from string, change func(*Options), lines ...string) (*world, []string) {
	w := usual(t)
	w.o.Authenticator = n
	if change != nil {
		change(&w.o)
	}
	w.start()
	c := w.dial(from)
	replies := []string{c.reply()}
	for _, line := range lines {
		if data, ok := strings.CutPrefix(line, "BDAT:"); ok {
			data = strings.ReplaceAll(data, "\n", "\r\n")
			line = fmt.Sprintf("BDAT %d LAST\r\n%s", len(data), data)
			c.send(line)
			replies = append(replies, c.reply())
			continue
		}
		replies = append(replies, c.do(line))
	}
	c.hangUp()
	w.conns.Wait()
	if n.open != 0 {
		t.Errorf("%d transactions were not closed", n.open)
	}
	return w, replies
}

func TestAuthenticVerdicts(t *testing.T) {
	envelope := []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>"}
	refusal := &mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "no"}
	later := &mail.Status{Code: 451, Enhanced: mail.Code(4, 7, 24), Text: "later"}
	found := mail.Authentic{Author: "c.example", Vouched: true, DMARC: mail.AuthPass, Results: "dmarc=pass"}
	above := []byte("Authentication-Results: mx.example.com; dmarc=pass\r\n")
	for _, tt := range []struct {
		name    string
		path    *mail.Status
		verdict mail.AuthVerdict
		change  func(*Options)
		last    string // reply
		log     string // is in it
		kept    func(*mail.Envelope) string
		want    string
	}{
		{name: "accepted", verdict: mail.AuthVerdict{Auth: found, Reason: "author=c.example action=accept"},
			last: "250 2.0.0 Ok: ", log: "1: mailauth: author=c.example action=accept",
			kept: func(e *mail.Envelope) string { return fmt.Sprint(e.Auth == found, e.Flags&mail.FlagHold) }, want: "true 0"},
		{name: "on top", verdict: mail.AuthVerdict{Prepend: above}, last: "250 2.0.0 Ok: ",
			kept: func(e *mail.Envelope) string { return string(e.Prepend[:len(above)+9]) }, want: string(above) + "Received:"},
		{name: "held", verdict: mail.AuthVerdict{Hold: true, Reason: "dmarc=fail action=hold"}, last: "250 2.0.0 Ok: ",
			log:  "hold: END-OF-MESSAGE from unknown[192.0.2.1]: dmarc=fail action=hold; from=<s@c.example> to=<a@virt.example> proto=ESMTP helo=<c.example>",
			kept: func(e *mail.Envelope) string { return fmt.Sprint(e.Flags & mail.FlagHold) }, want: fmt.Sprint(mail.FlagHold)},
		{name: "refused", verdict: mail.AuthVerdict{Refused: refusal, Reason: "dmarc=fail action=reject"}, last: "550 5.7.1 no",
			log: "reject: END-OF-MESSAGE from unknown[192.0.2.1]: 550 5.7.1 no; from=<s@c.example> to=<a@virt.example> proto=ESMTP helo=<c.example>"},
		{name: "refused for now", verdict: mail.AuthVerdict{Refused: later}, last: "451 4.7.24 later"},
		{name: "soft bounce", verdict: mail.AuthVerdict{Refused: refusal}, change: func(o *Options) { o.SoftBounce = true }, last: "450 4.7.1 no"},
		{name: "refused by the path", path: refusal, last: "554 5.5.1 Error: no valid recipients",
			log: "reject: RCPT from unknown[192.0.2.1]: 550 5.7.1 no; from=<s@c.example> to=<a@virt.example>"},
	} {
		for _, content := range []string{"DATA", "BDAT"} {
			t.Run(tt.name+" "+content, func(t *testing.T) {
				n := &notary{path: tt.path, verdict: tt.verdict}
				lines := append(slices.Clone(envelope), "BDAT:Subject: x\n\nbody\n")
				if content == "DATA" && tt.path == nil {
					lines = append(slices.Clone(envelope), "DATA", letterAtEnd)
				} else if content == "DATA" {
					lines = append(slices.Clone(envelope), "DATA")
				}
				w, replies := withNotary(t, n, "192.0.2.1", tt.change, lines...)
				last := replies[len(replies)-1]
				if content == "BDAT" {
					last = strings.Replace(last, "Ok: 18 bytes ", "Ok: ", 1)
				}
				if !strings.HasPrefix(last, tt.last) {
					t.Errorf("reply %q, want %q", last, tt.last)
				}
				if tt.log != "" && !strings.Contains(strings.Join(w.log.all(), "\n"), tt.log) {
					t.Errorf("log without %q:\n%s", tt.log, strings.Join(w.log.all(), "\n"))
				}
				if took := strings.HasPrefix(tt.last, "250"); took != (len(w.store.messages) == 1) {
					t.Fatalf("%d messages were kept", len(w.store.messages))
				}
				if tt.kept != nil {
					if got := tt.kept(&w.store.messages[0].env); got != tt.want {
						t.Errorf("kept %q, want %q", got, tt.want)
					}
				}
			})
		}
	}
}

func TestAuthenticEvents(t *testing.T) {
	begin := "begin 192.0.2.1 <s@c.example> helo=c.example trusted=false login= owner=false/false"
	whole := `message 00000000001: "Subject: x\r\n\r\nbody\r\n" given [a@virt.example] leads to [b@dest.example]`
	for _, tt := range []struct {
		name, from string
		change     func(*Options)
		lines      []string
		want       string
	}{
		{name: "one message", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", letterAtEnd},
			want: begin + "; path; " + whole + "; close"},
		{name: "the client leaves", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>"}, want: begin + "; close"},
		{name: "the client leaves in the message", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA"}, want: begin + "; path; close"},
		{name: "rset", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RSET", "RSET"}, want: begin + "; close"},
		{name: "two transactions", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RSET", "MAIL FROM:<>"},
			want: begin + "; close; begin 192.0.2.1 <> helo=c.example trusted=false login= owner=false/false; close"},
		{name: "unknown recipient", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<none@virt.example>"}, want: begin + "; path; close"},
		{name: "no relay", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<x@elsewhere.example>"}, want: begin + "; close"},
		{name: "MAIL refused", change: func(o *Options) { o.Sender, o.DelayReject = restrict("reject"), false },
			lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>"}, want: ""},
		{name: "of mynetworks", from: "127.0.0.1", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>"},
			want: "begin 127.0.0.1 <s@c.example> helo=c.example trusted=true login= owner=false/false; close"},
		{name: "xclient", from: "192.0.2.1", change: func(o *Options) { o.AuthorizedXclient = networks{netip.MustParseAddr("192.0.2.1")} },
			lines: []string{"XCLIENT ADDR=127.0.0.1 HELO=other.example", "MAIL FROM:<s@c.example>"},
			want:  "begin 127.0.0.1 <s@c.example> helo=other.example trusted=true login= owner=false/false; close"},
		{name: "xclient, logged in", from: "192.0.2.1", change: func(o *Options) { o.AuthorizedXclient = networks{netip.MustParseAddr("192.0.2.1")} },
			lines: []string{"XCLIENT LOGIN=u HELO=other.example", "MAIL FROM:<s@c.example>"},
			want:  "begin 192.0.2.1 <s@c.example> helo=other.example trusted=true login=u owner=false/false; close"},
		{name: "owner", from: "192.0.2.1", change: func(o *Options) {
			o.AuthorizedXclient = networks{netip.MustParseAddr("192.0.2.1")}
			o.SenderLoginMaps = []Table{newDict("s@c.example u, v")}
		},
			lines: []string{"XCLIENT LOGIN=u HELO=other.example", "MAIL FROM:<s@c.example>", "RSET", "MAIL FROM:<t@c.example>"},
			want: "begin 192.0.2.1 <s@c.example> helo=other.example trusted=true login=u owner=true/true; close; " +
				"begin 192.0.2.1 <t@c.example> helo=other.example trusted=true login=u owner=false/true; close"},
		{name: "xforward", from: "127.0.0.1", change: func(o *Options) { o.AuthorizedXforward = networks{netip.MustParseAddr("127.0.0.1")} },
			lines: []string{"EHLO filter.example", "XFORWARD ADDR=192.0.2.9 HELO=orig.example", "MAIL FROM:<s@c.example>"},
			want:  "begin 192.0.2.9 <s@c.example> helo=orig.example trusted=false login= owner=false/false; close"},
		{name: "several recipients", change: func(o *Options) {
			o.Recipients = newBook("virt.example", "a@virt.example b@dest.example\nc@virt.example d@dest.example\n")
		},
			lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "RCPT TO:<c@virt.example>", "DATA", letterAtEnd},
			want:  begin + `; path; path; message 00000000001: "Subject: x\r\n\r\nbody\r\n" given [a@virt.example c@virt.example] leads to [b@dest.example d@dest.example]; close`},
		{name: "forged", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", "Authentication-Results: mx.example.com;\r\n forged of course\r\n" + letterAtEnd},
			want: begin + "; path; " + whole + "; close"},
		{name: "forged by a user of ours", from: "192.0.2.1", change: func(o *Options) { o.AuthorizedXclient = networks{netip.MustParseAddr("192.0.2.1")} },
			lines: []string{"XCLIENT LOGIN=u HELO=other.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", "Authentication-Results: mx.example.com; dmarc=pass\r\nFrom: <s@c.example>\r\n\r\n."},
			want:  `begin 192.0.2.1 <s@c.example> helo=other.example trusted=true login=u owner=false/false; path; message 00000000001: "From: <s@c.example>\r\n\r\n" given [a@virt.example] leads to [b@dest.example]; close`},
		{name: "not forged", from: "127.0.0.1", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", "Authentication-Results: mx.example.com; ours\r\nDate: now\r\nMessage-Id: <x@y>\r\nFrom: <s@c.example>\r\n\r\n."},
			want: `begin 127.0.0.1 <s@c.example> helo=c.example trusted=true login= owner=false/false; path; message 00000000001: "Authentication-Results: mx.example.com; ours\r\nDate: now\r\nMessage-Id: <x@y>\r\nFrom: <s@c.example>\r\n\r\n" given [a@virt.example] leads to [b@dest.example]; close`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := new(notary)
			from := tt.from
			if from == "" {
				from = "192.0.2.1"
			}
			withNotary(t, n, from, tt.change, tt.lines...)
			got := strings.ReplaceAll(n.all(), mail.QueueID(1).String(), "00000000001")
			if got != tt.want {
				t.Errorf("heard %s\nwant  %s", got, tt.want)
			}
		})
	}
}

// What milters are shown has our results above it, and they have the last word.
func TestAuthenticBeforeMilters(t *testing.T) {
	above := "Authentication-Results: mx.example.com; none\r\n"
	f := &filters{says: map[string]mail.MilterReply{}}
	var shown string
	f.edit = func(m *mail.MilterMessage) error {
		shown = string(m.Prepend)
		return nil
	}
	n := &notary{verdict: mail.AuthVerdict{Prepend: []byte(above)}}
	lines := []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", letterAtEnd}
	withNotary(t, n, "192.0.2.1", func(o *Options) { o.Milters = f.open }, lines...)
	if !strings.HasPrefix(shown, above+"Received: ") {
		t.Errorf("milters were shown %q", shown)
	}
	n = &notary{verdict: mail.AuthVerdict{Refused: &mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "no"}}}
	shown = ""
	withNotary(t, n, "192.0.2.1", func(o *Options) { o.Milters = f.open }, lines...)
	if shown != "" {
		t.Error("milters were shown a message that had been refused")
	}
}

// Where nobody can say whether a client is one of ours, its mail comes again.
func TestAuthenticUnknownClient(t *testing.T) {
	n := new(notary)
	_, replies := withNotary(t, n, "192.0.2.1", func(o *Options) { o.MyNetworks = noNetworks{} },
		"EHLO c.example", "MAIL FROM:<s@c.example>")
	if last := replies[len(replies)-1]; last != "451 4.3.0 Temporary lookup failure" {
		t.Errorf("reply %q", last)
	}
	if n.all() != "" {
		t.Errorf("heard %s", n.all())
	}
}

type noNetworks struct{}

func (noNetworks) Match(context.Context, string, netip.Addr) (bool, error) {
	return false, errors.New("no answer")
}

// A certificate that lets a client relay makes its mail a submission.
func TestAuthenticCertificate(t *testing.T) {
	mine, pool := certificate(t, "client.example.net")
	known := prints{entries: map[string]string{fingerprint("sha256", mine.Leaf.Raw): "x"}}
	for _, tt := range []struct {
		list  string
		certs prints
		want  string
	}{
		{"permit_tls_all_clientcerts", prints{}, "trusted=true"},
		{"permit_tls_clientcerts", known, "trusted=true"},
		{"permit_tls_clientcerts", prints{}, "trusted=false"},
		{"permit_mynetworks", known, "trusted=false"},
		{"permit_tls_clientcerts", prints{err: errors.New("no answer")}, ""},
	} {
		n := new(notary)
		w := secured(t, func(o *TLS) { o.Config.ClientAuth, o.Config.ClientCAs = tls.RequestClientCert, pool })
		w.o.Authenticator, w.o.RelayClientCerts = n, []Table{tt.certs}
		w.o.Relay = restrict(tt.list, "reject_unauth_destination")
		w.srv.Update(w.o)
		conn := w.dial("127.0.0.2").greeting()
		conn.expect("EHLO x.example.net", "250", "STARTTLS", "220")
		if !conn.handshake(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }}) {
			t.Fatal("no handshake")
		}
		reply := "250"
		if tt.want == "" {
			reply = "451 4.3.0"
		}
		conn.expect("EHLO x.example.net", "250", "MAIL FROM:<s@example.net>", reply)
		conn.hangUp()
		w.conns.Wait()
		if got := n.all(); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%s: heard %q, want %q", tt.list, got, tt.want)
		}
	}
}
