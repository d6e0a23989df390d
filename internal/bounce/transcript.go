package bounce

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Transcript writes the letter to the postmaster about a session with errors, as smtpd(8)
// writes it (postconf(5): notify_classes, error_notice_recipient). It comes from
// double_bounce_sender: one that cannot be delivered ends there. The envelope is nil when
// the postmaster is nobody. What a client said in UTF-8 is written in ASCII, since the
// letter is that.
func (w *Writer) Transcript(ctx context.Context, t mail.Transcript, id mail.QueueID, now time.Time) (*mail.Envelope, []byte, error) {
	to := w.parse(w.o.ErrorRecipient)
	rcpt := to
	if t.Unknown {
		rcpt = w.parse(w.o.BounceRecipient)
	}
	from := w.doubleBounceSender()
	rcpts, err := w.o.Resolve(ctx, mail.RcptRequest{Addr: rcpt, ORcpt: "rfc822;" + rcpt.Internal(), Sender: from})
	if err != nil || len(rcpts) == 0 {
		return nil, nil, err
	}
	r := mail.Report{NewID: id, Now: now}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Date: %s", w.date(r))
	daemon := mail.Address{Local: "MAILER-DAEMON", Domain: w.o.MyOrigin}
	if w.o.ObsoleteFrom {
		line("From: %s (Mail Delivery System)", daemon)
		line("To: %s (Postmaster)", to)
	} else {
		line("From: Mail Delivery System <%s>", daemon)
		line("To: Postmaster <%s>", to)
	}
	line("Subject: %s SMTP server: errors from %s", ascii(mask(w.o.MailName)), ascii(mask(t.Client)))
	line("Message-Id: <%s.%s@%s>", now.UTC().Format("20060102150405"), id, w.o.MyHostname)
	line("")
	line("Transcript of session follows.")
	line("")
	for _, said := range t.Lines {
		var wrapped strings.Builder
		wrapAt(&wrapped, ascii(mask(said)), width-1)
		for part := range strings.Lines(wrapped.String()) {
			b.WriteString(" " + part) // nothing of a client's at the beginning of a line
		}
	}
	line("")
	if t.Reason != "" {
		line("Session aborted, reason: %s", t.Reason)
	}
	line("")
	line("For other details, see the local mail logfile")
	env := &mail.Envelope{
		ID: id, Arrived: now, Sender: from, Flags: mail.FlagNotice,
		Client: mail.Client{UID: -1}, Prepend: w.received(r), Rcpts: rcpts,
	}
	return env, []byte(b.String()), nil
}
