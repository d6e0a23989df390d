package bounce

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// The message itself: multipart/report of RFC 6522, with message/delivery-status of
// RFC 3464, or their forms for UTF-8 addresses of RFC 6533.

// received is what stands on top of a report, as on every message.
func (w *Writer) received(r mail.Report) []byte {
	return fmt.Appendf(nil, "Received: by %s (%s)\r\n\tid %s; %s\r\n", w.o.MyHostname, w.o.MailName, r.NewID, w.date(r))
}

func (w *Writer) date(r mail.Report) string { return header.Date(r.Now.In(w.o.Location)) }

// compose writes the body of a report: its header and its three parts.
func (w *Writer) compose(r mail.Report, f form) ([]byte, error) {
	original, headOnly, err := w.original(r, f)
	if err != nil {
		return nil, err
	}
	text, status := w.text(r, f), w.status(r, f)
	boundary := w.boundary(r, text, status, original)
	var b bytes.Buffer
	b.Grow(len(text) + len(status) + len(original) + 2048)
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	t := w.templateOf(r.Kind)
	subject, submitted := t.subject, "auto-replied"
	if f.copy {
		subject, submitted = cmp.Or(t.copySubject, t.subject), "auto-generated"
	}
	line("Date: %s", w.date(r))
	line("From: %s", t.from)
	line("Subject: %s", subject)
	line("To: %s", mask(f.to.String()))
	if w.o.Threaded {
		if id := messageID(original); id != "" {
			line("References: <%s>", id)
			line("In-Reply-To: <%s>", id)
		}
	}
	line("Auto-Submitted: %s", submitted) // RFC 3834 section 5
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status;")
	line("\tboundary=\"%s\"", boundary)
	line("Content-Transfer-Encoding: 8bit")
	line("Message-Id: <%s.%s@%s>", r.Now.UTC().Format("20060102150405"), r.NewID, w.o.MyHostname)
	line("")
	line("This is a MIME-encapsulated message.")

	part := func(description string, fields ...string) {
		line("")
		line("--%s", boundary)
		line("Content-Description: %s", description)
		for _, field := range fields {
			line("%s", field)
		}
		line("")
	}
	const eightBit = "Content-Transfer-Encoding: 8bit"
	part("Notification", "Content-Type: text/plain; charset="+charsetOf(t), eightBit)
	b.WriteString(text)
	if f.global {
		part("Delivery report", "Content-Type: message/global-delivery-status", eightBit)
	} else {
		part("Delivery report", "Content-Type: message/delivery-status")
	}
	b.WriteString(status)
	part(returnedAs(r.Kind, headOnly), "Content-Type: "+originalType(r, headOnly), eightBit)
	b.Write(original)
	line("")
	line("--%s--", boundary)
	return b.Bytes(), nil
}

// charsetOf is the character set of the first part. US-ASCII becomes the superset of it
// that the addresses below the text are in.
func charsetOf(t *Template) string {
	if strings.EqualFold(t.charset, "us-ascii") {
		return "utf-8"
	}
	return t.charset
}

// returnedAs is what the third part is called.
func returnedAs(k mail.ReportKind, headOnly bool) string {
	name := "Message"
	if k == mail.ReportFailed || k == mail.ReportDelayed {
		name = "Undelivered Message"
	}
	if headOnly {
		name += " Headers"
	}
	return name
}

// messageID is the Message-ID of a message, without its brackets; "" when it has none
// that could be referred to.
func messageID(original []byte) string {
	look := header.NewWriter(io.Discard, header.Options{})
	look.Write(original) // into nothing: it does not fail
	look.Close()
	for _, id := range look.MessageIDs() {
		if !id.Resent {
			id := strings.TrimSuffix(strings.TrimPrefix(mask(id.Value), "<"), ">")
			if isASCII(id) && !strings.ContainsAny(id, "<> \t") {
				return id
			}
		}
	}
	return ""
}

func originalType(r mail.Report, headOnly bool) string {
	switch utf8 := r.Env.Flags&mail.FlagSMTPUTF8 != 0; {
	case utf8 && headOnly:
		return "message/global-headers"
	case utf8:
		return "message/global"
	case headOnly:
		return "text/rfc822-headers"
	}
	return "message/rfc822"
}

// boundary makes a boundary that occurs in no part. The queue ID and the time alone are
// known to whoever wants to write a part of his own into the message he gets returned.
func (w *Writer) boundary(r mail.Report, text, status string, original []byte) string {
	for n := 0; ; n++ {
		boundary := fmt.Sprintf("%s.%d/%s", r.Env.ID, r.Now.Unix(), w.o.MyHostname)
		if n > 0 {
			boundary = fmt.Sprintf("%s.%d.%d/%s", r.Env.ID, r.Now.Unix(), n, w.o.MyHostname)
		}
		mark := "--" + boundary
		if !strings.Contains(text, mark) && !strings.Contains(status, mark) && !bytes.Contains(original, []byte(mark)) {
			return boundary
		}
	}
}

// text is the first part: for people.
func (w *Writer) text(r mail.Report, f form) string {
	var b strings.Builder
	if !f.copy {
		for _, line := range w.templateOf(r.Kind).lines {
			b.WriteString(line + "\r\n")
		}
	}
	for i := range f.entries {
		e := &f.entries[i]
		b.WriteString("\r\n")
		who := "<" + mask(e.final.String()) + ">"
		if !e.orig.IsNull() {
			who += " (expanded from <" + mask(e.orig.String()) + ">)"
		}
		wrap(&b, who+": "+e.reason)
	}
	return b.String()
}

// status is the second part: for programs.
func (w *Writer) status(r mail.Report, f form) string {
	var b strings.Builder
	words := func(s string) string {
		if f.global {
			return s
		}
		return ascii(s)
	}
	field := func(name, value string) { wrap(&b, name+": "+words(value)) }
	whole := func(name, value string) { // an address is not folded, if it can be helped
		if line := name + ": " + words(value); len(line) <= longest {
			b.WriteString(line + "\r\n")
		} else {
			wrap(&b, line)
		}
	}
	address := func(name string, a mail.Address) {
		kind, text := typed(a, f.global)
		whole(name, kind+"; "+text)
	}

	whole("Reporting-MTA", "dns; "+w.o.MyHostname)
	if id := mask(r.Env.EnvID); id != "" {
		field("Original-Envelope-Id", id)
	}
	whole("X-"+w.diagnostic+"-Queue-ID", r.Env.ID.String())
	address("X-"+w.diagnostic+"-Sender", w.reversePath(r.Env))
	whole("Arrival-Date", header.Date(r.Env.Arrived.In(w.o.Location)))
	for i := range f.entries {
		e := &f.entries[i]
		b.WriteString("\r\n")
		address("Final-Recipient", e.final)
		if e.originalRcpt != "" {
			whole("Original-Recipient", e.originalRcpt)
		}
		whole("Action", e.action)
		whole("Status", e.status.String())
		if e.remoteMTA != "" {
			field("Remote-MTA", "dns; "+e.remoteMTA)
		}
		field("Diagnostic-Code", e.diagnosticFor)
		if r.Kind == mail.ReportDelayed && w.o.QueueLifetime > 0 {
			whole("Will-Retry-Until", header.Date(r.Env.Arrived.Add(w.o.QueueLifetime).In(w.o.Location)))
		}
	}
	return b.String()
}

// reversePath is the sender of a message as it is shown: nobody is MAILER-DAEMON.
func (w *Writer) reversePath(env *mail.Envelope) mail.Address {
	if env.Sender.IsNull() {
		return mail.Address{Local: "MAILER-DAEMON", Domain: w.o.MyOrigin}
	}
	return env.Sender
}
