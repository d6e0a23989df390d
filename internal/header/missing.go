package header

import (
	"fmt"
	"mime"
	"strings"
	"time"
)

// Date is a time as Postfix writes it into Date and Received fields: "Sat, 22 Nov 2025
// 10:00:00 +0000 (UTC)".
func Date(t time.Time) string { return t.Format("Mon, _2 Jan 2006 15:04:05 -0700 (MST)") }

// endHeader adds what is missing, in the order in which cleanup(8) does. A message that
// was sent on by its recipient has Resent- fields, and gets those (RFC 5322 section
// 3.6.6).
func (w *Writer) endHeader() {
	w.state, w.dropping = inBody, false
	if !w.o.AddMissing {
		return
	}
	resent, missing := "", ^w.seen
	if w.seen&hasResent != 0 {
		resent = "Resent-"
		missing >>= 3 // the same three, as Resent- fields
	}
	if missing&hasMessageID != 0 {
		id := fmt.Sprintf("<%s.%s@%s>", w.o.Now.UTC().Format("20060102150405"), w.o.ID, w.o.MyHostname)
		w.put([]byte(resent + "Message-Id: " + id + "\r\n"))
		w.addID(MessageID{Value: id, Resent: resent != ""})
	}
	if missing&hasDate != 0 {
		w.put([]byte(resent + "Date: " + Date(w.o.Now) + "\r\n"))
	}
	if missing&hasFrom != 0 {
		w.put([]byte(resent + "From: " + w.from() + "\r\n"))
	}
}

// from is who the message is from when it does not say so itself (postconf(5):
// header_from_format = standard).
func (w *Writer) from() string {
	addr := w.o.From.String()
	if w.o.From.IsNull() {
		addr = "MAILER-DAEMON@" + w.o.MyHostname
	}
	name := strings.Join(strings.Fields(w.o.FullName), " ")
	switch {
	case name == "":
		return addr
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c >= 0x7f }):
		name = mime.QEncoding.Encode("utf-8", name)
	case strings.ContainsAny(name, `()<>[]:;@\,."`):
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return name + " <" + addr + ">"
}
