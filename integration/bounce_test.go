package integration

import (
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// The next hop refuses for good: the sender gets a report of RFC 3464, once.
func TestRefusedByNextHop(t *testing.T) {
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 <target@dest.example>: no such user"}})
	r := newRelay(t, base(sink), nil)
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitEmpty()
	r.waitLog(`smtp\[\d+\]: \w{12}: to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*dsn=5\.1\.1, status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 550 5\.1\.1 <target@dest\.example>: no such user \(in reply to RCPT TO command\)\)`)
	r.waitLog(`bounce\[\d+\]: \w{12}: sender non-delivery notification: \w{12}`)

	messages := sink.Messages()
	if len(messages) != 1 {
		t.Fatalf("%d messages arrived, want the report alone", len(messages))
	}
	if !strings.HasPrefix(messages[0].From, "<>") || !strings.HasPrefix(messages[0].Rcpts[0], "<sender@client.example>") {
		t.Errorf("envelope of the report: %v", messages[0])
	}
	parts := reportParts(t, messages[0].Data)
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	for _, field := range []string{"Final-Recipient: rfc822; target@dest.example", "Original-Recipient: rfc822;info@alias.example", "Action: failed", "Status: 5.1.1", "Remote-MTA: dns; 127.0.0.1"} {
		if !strings.Contains(parts[1], field) {
			t.Errorf("no %q in the delivery report:\n%s", field, parts[1])
		}
	}
	if !strings.Contains(parts[2], "test ") {
		t.Errorf("the message is not returned:\n%s", parts[2])
	}
}

// A report that cannot be delivered ends there: nobody is told of it.
func TestNoReportOfAReport(t *testing.T) {
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"*": "550 5.1.1 nobody here"}})
	r := newRelay(t, base(sink), nil)
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitEmpty()
	if n := strings.Count(r.log(), "sender non-delivery notification"); n != 1 {
		t.Errorf("%d notifications, want one\n%s", n, r.log())
	}
	if n := strings.Count(r.log(), "status=bounced"); n != 2 {
		t.Errorf("%d bounces, want the message and its report\n%s", n, r.log())
	}
}

// sendmail to an address of ours that does not exist is taken, and comes back.
func TestSendmailToUnknown(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	out, code := r.runWith("Subject: x\n\nbody\n", "sendmail", "-C", r.dir, "-f", "sender@client.example", "nobody@alias.example")
	if code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	r.waitLog(`error\[\d+\]: \w{12}: to=<nobody@alias\.example>, relay=none, delay=[\d.]+, delays=[\d./]+, dsn=5\.1\.1, status=bounced \(User unknown in virtual alias table\)`)
	if !sink.Wait(1, limit) {
		t.Fatalf("no report arrived\n%s", r.log())
	}
}

func reportParts(t *testing.T, data string) []string {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("report: %v\n%s", err, data)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %q: %v", msg.Header.Get("Content-Type"), err)
	}
	var parts []string
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(b))
	}
}
