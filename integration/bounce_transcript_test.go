package integration

import (
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Sessions with errors, by what Postfix takes each for: the postmaster gets the same
// transcripts of them, of the classes that notify_classes names, and no others.
func TestTranscriptsAsPostfix(t *testing.T) {
	t.Parallel()
	sessions := [][]string{
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<info@alias.example>", "DATA", "Subject: x\r\n\r\nx\r\n."}, // no error
		{"HELO client.example", "FOO bar"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "MAIL FROM:<s@client.example>"},
		{"HELO"},
		{"MAIL FROM:<s@client.example>"},
		{"HELO client.example", "DATA"},
		{"HELO client.example", "RCPT TO:<info@alias.example>"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<a@stranger.example>"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<nobody@alias.example>"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<nobody@alias.example>", "RCPT TO:<info@alias.example>", "DATA", "Subject: x\r\n\r\nx\r\n."},
		{"HELO client.example", "MAIL FROM:<s@client.example> SIZE=99999999"},
		{"HELO client.example", "MAIL FROM:<bad@@client.example>"},
		{"HELO client.example", "MAIL FROM:<s@client.example> FOO=BAR"},
		{"HELO client.example", "VRFY postmaster"},
		{"HELO client.example", "RSET", "NOOP", "ETRN nowhere.example"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<nobody@alias.example>", "DATA"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<reject@alias.example>"},
		{"HELO client.example", "HELO " + strings.Repeat("a very long name ", 20)},
		{"HELO client.example", "AUTH PLAIN AGEAYg=="},
		{"HELO client.example", "STARTTLS"},
		{"HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<reject@alias.example>", "FOO", "RCPT TO:<nobody@alias.example>", ""}, // and away
		{"HELO client.example", "f\xc3\xbc\xc3\x9fe"},
	}
	for _, class := range []string{"policy", "protocol", "bounce", "data, resource, software"} {
		name, _, _ := strings.Cut(class, ",")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{
				"notify_classes": class, "error_notice_recipient": "pm@client.example", "bounce_notice_recipient": "bounces@client.example",
				"smtpd_banner": "$myhostname ESMTP", "disable_vrfy_command": "yes", "mynetworks": "127.0.0.9/32", "smtpd_tls_security_level": "none",
				"smtpd_recipient_restrictions": "check_recipient_access inline:{{reject@alias.example=REJECT}}", "local_header_rewrite_clients": "",
				"message_size_limit": "10240000", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "fast_flush_domains": "",
			}
			x := newReportPair(t, peers.Script{}, "info@alias.example target@dest.example\nreject@alias.example target@dest.example\n", settings, nil)
			for _, lines := range sessions {
				x.talk(lines)
			}
			wantTranscripts(t, x, class)
		})
	}
}

// talk has a session with both, whatever they say, up to its QUIT, or up to an empty line,
// where the connection is lost.
func (x *reportPair) talk(lines []string) {
	x.t.Helper()
	for _, addr := range []string{x.r.smtp, x.p.addr} {
		nc, err := net.DialTimeout("tcp", addr, limit)
		if err != nil {
			x.t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(limit))
		c := textproto.NewConn(nc)
		c.ReadResponse(0)
		for _, line := range append(slices.Clone(lines), "QUIT") {
			if line == "" {
				break
			}
			c.PrintfLine("%s", line)
			if _, _, err := c.ReadResponse(0); err != nil {
				break
			}
		}
		nc.Close()
	}
}

var ourID = regexp.MustCompile(`queued as \w+`)

func wantTranscripts(t *testing.T, x *reportPair, class string) {
	t.Helper()
	texts := func(sink *peers.Sink) (list []string) {
		for _, m := range sink.Messages() {
			if strings.Contains(m.From, "double-bounce@") {
				// Postfix sends passwords along, and UTF-8 without saying so.
				m.Data = strings.NewReplacer("AUTH PLAIN AGEAYg==", "AUTH", "füße", `f\x{FC}\x{DF}e`).Replace(m.Data)
				list = append(list, envelopeOf(m)+"\n"+ourID.ReplaceAllString(normaliseReport(m.Data), "queued as ID"))
			}
		}
		slices.Sort(list)
		return list
	}
	if strings.Contains(class, "data") { // there was no such error
		x.r.waitEmpty()
		for name, log := range map[string]string{"our": x.r.log(), "Postfix's": x.p.log()} {
			if strings.Contains(log, "double-bounce@") {
				t.Errorf("a transcript in %s log:\n%s", name, log)
			}
		}
		return
	}
	var ours, theirs []string
	for end := time.Now().Add(limit / 3); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ours, theirs = texts(x.ours), texts(x.theirs); len(ours) == len(theirs) && len(ours) > 0 && slices.Equal(ours, theirs) {
			return
		}
	}
	for _, s := range ours {
		if !slices.Contains(theirs, s) {
			t.Errorf("ours alone:\n%s", s)
		}
	}
	for _, s := range theirs {
		if !slices.Contains(ours, s) {
			t.Errorf("Postfix's alone:\n%s", s)
		}
	}
}
