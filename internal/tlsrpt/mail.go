package tlsrpt

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// Reports by mail: RFC 8460 section 5.3.
//
// A letter must get there also when the TLS that it is about does not work: its header has
// TLS-Required: No (RFC 8689 section 3), which also keeps its session out of the next
// report. Without that, two servers that report to each other would do so for ever. Nobody
// is told when it cannot be delivered (NOTIFY=NEVER): there is a new one every day.

// submit puts a report for a mail address into the queue, and tells under which ID.
func (r *Reporter) submit(ctx context.Context, l *letter, to string, packed []byte) (string, error) {
	from := l.from()
	rcpts, err := l.params.Resolve(ctx, mail.RcptRequest{
		Addr: mail.SplitAddress(to), ORcpt: "rfc822;" + to, Notify: mail.NotifyNever, Sender: from,
	})
	if err != nil {
		return "", err
	}
	if len(rcpts) == 0 {
		return "", fmt.Errorf("%s leads to nobody", to)
	}
	now, id := r.o.Now(), r.o.Queue.NewID()
	messageID := fmt.Sprintf("<%s.%s@%s>", now.UTC().Format("20060102150405"), id, l.params.MyHostname)
	body := l.compose(to, id, messageID, now, packed)
	if err := r.o.Queue.Admit(int64(len(body))); err != nil {
		return "", err
	}
	draft, err := r.o.Queue.Stage(ctx)
	if err != nil {
		return "", err
	}
	defer draft.Abort() // nothing, after a commit
	if _, err := draft.Write(body); err != nil {
		return "", err
	}
	r.o.Log.With(mail.KeyDaemon, "cleanup").Info(mail.EventMessageID,
		slog.String(mail.KeyQueueID, id.String()), slog.String(mail.KeyMessage, messageID))
	return "queued as " + id.String(), draft.Commit(ctx, &mail.Envelope{
		ID:      id,
		Arrived: now,
		Sender:  from,
		Flags:   mail.FlagNotice | mail.FlagTLSOptional,
		Client:  mail.Client{UID: -1},
		Prepend: fmt.Appendf(nil, "Received: by %s (%s)\r\n\tid %s; %s\r\n", l.params.MyHostname, l.params.MailName, id, l.date(now)),
		Rcpts:   rcpts,
	})
}

// from is the reverse-path.
func (l *letter) from() mail.Address {
	if l.params.From == "" || l.params.From == "<>" {
		return mail.Address{}
	}
	return mail.SplitAddress(l.params.From)
}

func (l *letter) date(now time.Time) string {
	where := l.params.Location
	if where == nil {
		where = time.Local
	}
	return header.Date(now.In(where))
}

// compose writes a letter. All that stands in its header is ASCII and in its form:
// domains, and addresses that CheckAddress takes.
func (l *letter) compose(to string, id mail.QueueID, messageID string, now time.Time, packed []byte) []byte {
	author := l.params.Contact
	if from := l.from(); !from.IsNull() {
		author = from.String()
	}
	submitter, boundary := l.params.submitter(), fmt.Sprintf("%s.%d/tlsrpt", id, now.Unix())
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Date: %s", l.date(now))
	line("From: %s", author)
	line("To: %s", to)
	line("Subject: Report Domain: %s", l.domain)
	line("\tSubmitter: %s", submitter)
	line("\tReport-ID: <%s>", l.doc.ID)
	line("TLS-Report-Domain: %s", l.domain)
	line("TLS-Report-Submitter: %s", submitter)
	line("TLS-Required: No")
	line("Auto-Submitted: auto-generated")
	line("Message-Id: %s", messageID)
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";")
	line("\tboundary=\"%s\"", boundary)
	line("")
	line("This is a MIME-encapsulated message.")
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line("Content-Transfer-Encoding: 7bit")
	line("")
	line("This is an aggregate TLS report from %s", submitter)
	line("about its connections to mail servers of %s", l.domain)
	line("from %s to %s.", l.doc.DateRange.Start.Format(time.RFC3339), l.doc.DateRange.End.Format(time.RFC3339))
	line("")
	line("--%s", boundary)
	line("Content-Type: application/tlsrpt+gzip")
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;")
	line("\tfilename=\"%s\"", l.file)
	line("")
	for text := base64.StdEncoding.EncodeToString(packed); text != ""; {
		n := min(len(text), 76)
		line("%s", text[:n])
		text = text[n:]
	}
	line("")
	line("--%s--", boundary)
	return b.Bytes()
}
