package smtpd

import (
	"strings"
	"time"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// trace is what a Received field says (RFC 5321 section 4.4), in Postfix's form.
type trace struct {
	helo     string // as the client gave it, made harmless; "": it gave none
	peer     Peer
	hostname string // myhostname
	mailName string // mail_name
	protocol string // RFC 3848, RFC 6531 section 3.7.3
	id       mail.QueueID
	// only is the recipient as the client named it, if there is just one: with several,
	// each would learn of the others.
	only *mail.Address
	time time.Time
}

// received is the field with its CRLFs.
func (t *trace) received() []byte {
	var b strings.Builder
	helo := t.helo
	if helo == "" {
		helo = t.peer.Name
	}
	b.WriteString("Received: from " + helo + " (" + t.peer.Name + " [" + literal(t.peer.Addr) + "])\r\n")
	b.WriteString("\tby " + t.hostname + " (" + t.mailName + ") with " + t.protocol + " id " + t.id.String())
	if t.only != nil {
		b.WriteString("\r\n\tfor <" + t.only.String() + ">; ")
	} else {
		b.WriteString(";\r\n\t")
	}
	b.WriteString(header.Date(t.time) + "\r\n")
	return []byte(b.String())
}

// protocol is the "with" keyword.
func protocol(esmtp, utf8 bool) string {
	switch {
	case utf8:
		return "UTF8SMTP"
	case esmtp:
		return "ESMTP"
	}
	return "SMTP"
}

// heloName makes a HELO name harmless for the log and the Received field: what is not
// printable ASCII, or has a meaning in a header, becomes a question mark.
func heloName(name string) string {
	const longest = 255 // RFC 5321 section 4.5.3.1.2
	if len(name) > longest {
		name = name[:longest]
	}
	b := []byte(name)
	for i, c := range b {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`<>()\";@`, c) >= 0 {
			b[i] = '?'
		}
	}
	return string(b)
}
