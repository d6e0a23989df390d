package bounce

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

const (
	oldID = mail.QueueID(0x123456789ABCDE)
	newID = mail.QueueID(0x123456789ABCDF)
)

func now() time.Time { return time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC) }

// body is a message content in memory.
type body string

func (b body) Size() int64                  { return int64(len(b)) }
func (b body) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(b))), nil }

// crlf writes a text as it is on the wire.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func addr(s string) mail.Address { return mail.SplitAddress(s) }

// direct sends every report to the address itself.
func direct(_ context.Context, req mail.RcptRequest) ([]mail.Recipient, error) {
	return []mail.Recipient{{Final: req.Addr, Orig: req.Addr, ORcpt: req.ORcpt, Notify: req.Notify, Dest: "smtp:x"}}, nil
}

func newTestWriter(t testing.TB, change func(*Options)) *Writer {
	t.Helper()
	o := Options{
		MyHostname: "mx.example.com", Resolve: direct, Location: time.UTC,
		DelayWarning: 4 * time.Hour, QueueLifetime: 5 * 24 * time.Hour,
	}
	if change != nil {
		change(&o)
	}
	return New(o)
}

const (
	message = "From: Sender <sender@example.net>\nTo: Someone <someone@virt.example>\nSubject: test\n" +
		"Date: Sat, 01 Nov 2025 10:00:00 +0000\nMessage-ID: <test-1@example.net>\n\nHello.\n"
	receivedBy = "Received: from client.example.net (unknown [127.0.0.2])\n\tby mx.example.com (Postfix) with ESMTP id OLD\n\tfor <a@virt.example>; DATE\n"
)

// failed is a report of one recipient that failed, of the message above.
func failed(rcpt mail.Recipient, res mail.Result) mail.Report {
	res.State = mail.Failed
	return mail.Report{
		Kind: mail.ReportFailed, NewID: newID, Now: now(), Body: body(crlf(message)),
		Env: &mail.Envelope{
			ID: oldID, Arrived: now(), Sender: addr("sender@example.net"), Rcpts: []mail.Recipient{rcpt},
			Prepend: []byte(crlf(strings.ReplaceAll(receivedBy, "OLD", oldID.String()))),
		},
		Results: []mail.Result{res},
	}
}

func aliased(final string) mail.Recipient {
	return mail.Recipient{Final: addr(final), Orig: addr("a@virt.example"), ORcpt: "rfc822;a@virt.example"}
}

func refused(reply string) mail.Result {
	code := mail.Enhanced{uint16(reply[4] - '0'), uint16(reply[6] - '0'), uint16(reply[8] - '0')}
	return mail.Result{
		Status:    mail.Status{Code: 550, Enhanced: code, Text: reply[10:]},
		Reason:    "host 127.0.0.1[127.0.0.1] said: " + reply + " (in reply to RCPT TO command)",
		RemoteMTA: "127.0.0.1", RemoteReply: reply, Relay: "127.0.0.1[127.0.0.1]:25",
	}
}

func unknownUser() mail.Result {
	return mail.Result{
		Status: mail.Status{Enhanced: mail.Code(5, 1, 1), Text: "User unknown in virtual alias table"},
		Reason: "User unknown in virtual alias table", Agent: "error", Relay: "none",
	}
}

// normalise writes a report as the recordings have it: line ends, IDs and times.
func normalise(t testing.TB, env *mail.Envelope, text []byte, oldName, newName string) string {
	t.Helper()
	s := string(env.Prepend) + string(text)
	if strings.Contains(strings.ReplaceAll(s, "\r\n", ""), "\n") {
		t.Error("a bare line feed")
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.NewReplacer(oldID.String(), oldName, newID.String(), newName).Replace(s)
	s = regexp.MustCompile(`(?m)(^Date: |^Arrival-Date: |; )\w{3}, [ 0-3]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)$`).ReplaceAllString(s, "${1}DATE")
	s = strings.ReplaceAll(s, "20251101100000.", "TIMESTAMP.")
	// The message that was returned has a date of its own.
	s = strings.ReplaceAll(s, ".1761991200/", ".EPOCH/")
	return s
}

type notifyFunc func(context.Context, mail.Report) (*mail.Envelope, []byte, error)

func mustWrite(t testing.TB, notify notifyFunc, r mail.Report) (*mail.Envelope, []byte) {
	t.Helper()
	env, text, err := notify(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if env == nil {
		t.Fatal("nobody is told")
	}
	checkReport(t, env, text)
	return env, text
}
