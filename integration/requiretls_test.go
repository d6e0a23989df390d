package integration

import (
	"crypto/tls"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// REQUIRETLS and LIMITS as the configuration turns them on: what the reply to EHLO says in
// the clear and under TLS, and what becomes of a message whose next hop cannot be trusted:
// its sender is told, without its body.
func TestExtensionsThatAreTurnedOn(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["requiretls_enable"], cf["smtpd_limits_enable"], cf["smtpd_recipient_limit"] = "yes", "yes", "42"
	r := newRelay(t, cf, nil)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.alias.example")
	cf["smtpd_tls_security_level"] = "may"
	r.configure(cf)
	r.start()

	conn, err := net.DialTimeout("tcp", r.smtp, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	c := textproto.NewConn(conn)
	say := func(line string, code int) string {
		t.Helper()
		if line != "" {
			c.PrintfLine("%s", line)
		}
		_, text, err := c.ReadResponse(code)
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, r.log())
		}
		return text
	}
	say("", 220)
	if text := say("EHLO client.example", 250); strings.Contains(text, "REQUIRETLS") || !strings.Contains(text, "\nLIMITS RCPTMAX=42") {
		t.Errorf("in the clear: %s", text)
	}
	say("MAIL FROM:<s@client.example> REQUIRETLS", 555)
	say("STARTTLS", 220)
	c = textproto.NewConn(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}))
	if text := say("EHLO client.example", 250); !strings.Contains(text, "\nREQUIRETLS") {
		t.Errorf("under TLS: %s", text)
	}
	say("MAIL FROM:<s@client.example> REQUIRETLS RET=FULL", 250)
	say("RCPT TO:<info@alias.example>", 250)
	say("DATA", 354)
	say("Subject: for few eyes\r\n\r\na secret\r\n.", 250)
	say("QUIT", 221)

	r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=none, .*dsn=5\.7\.10, status=bounced \(Sender requested REQUIRETLS, but my configured TLS security level 'may' disables certificate matching\. The last attempted server was 127\.0\.0\.1\)`)
	if !sink.Wait(1, limit) {
		t.Fatalf("no report\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<>") || !strings.Contains(m.Data, "Subject: for few eyes") || strings.Contains(m.Data, "a secret") {
		t.Errorf("report: %s\n%s", m.From, m.Data)
	}
	if n := sink.Count(); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
	r.stop()
}
