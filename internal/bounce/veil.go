package bounce

import (
	"bytes"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// bounce_hide_destination: whoever writes to an alias learns from no report where it
// leads. The alias stands where the destination would: one entry, however many addresses
// it has. What the next hop said is left out, for it may name anything; the status code
// stays, and the kind of trouble in words of our own. Fields that we put on top of the
// message and that would tell are not returned. Copies for the postmaster show it all.

// veil is over one report. A nil veil covers nothing.
type veil struct {
	w       *Writer
	secrets []string // addresses in lower case
	aliases []string // what the sender knows, in lower case
}

// veilFor is the veil over reports to the sender of a message.
func (w *Writer) veilFor(env *mail.Envelope) *veil {
	if !w.o.HideDestination {
		return nil
	}
	v := &veil{w: w}
	add := func(list *[]string, a mail.Address) {
		if s := strings.ToLower(a.String()); !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for i := range env.Rcpts {
		if r := &env.Rcpts[i]; v.covers(r) {
			add(&v.secrets, r.Final)
			add(&v.aliases, r.Orig)
			add(&v.aliases, w.complete(r.Orig))
		}
	}
	// Who wrote to both knows both.
	v.secrets = slices.DeleteFunc(v.secrets, func(s string) bool { return slices.Contains(v.aliases, s) })
	return v
}

// covers tells whether a recipient is another address than the sender wrote to.
func (v *veil) covers(r *mail.Recipient) bool {
	return v != nil && !r.Orig.IsNull() && !strings.EqualFold(v.w.complete(r.Orig).String(), v.w.complete(r.Final).String())
}

// over puts the alias and our words in place of what an entry says of its destination.
func (v *veil) over(w *Writer, e *entry, kind mail.ReportKind, r *mail.Recipient) {
	if e.final == w.complete(r.Orig) {
		return // it speaks of the alias alone: that it was expanded
	}
	e.final, e.orig = w.complete(r.Orig), mail.Address{}
	v.silence(w, e, kind)
}

// overWords covers what is said of a recipient that is no secret, if it names one.
func (v *veil) overWords(w *Writer, e *entry, kind mail.ReportKind) {
	if v != nil && (v.tells(e.reason) || v.tells(e.diagnosticFor)) {
		v.silence(w, e, kind)
	}
}

func (v *veil) silence(w *Writer, e *entry, kind mail.ReportKind) {
	e.reason = veiledReason(kind, e.status)
	e.remoteMTA, e.diagnosticFor = "", w.ownWords(e.reason)
}

// merge makes one entry of those that say the same address.
func (v *veil) merge(list []entry) []entry {
	if v == nil {
		return list
	}
	type key struct {
		final mail.Address
		orcpt string
	}
	seen := make(map[key]bool, len(list))
	return slices.DeleteFunc(list, func(e entry) bool {
		k := key{e.final, e.originalRcpt}
		twice := seen[k]
		seen[k] = true
		return twice
	})
}

// tells tells whether a text names a destination.
func (v *veil) tells(text string) bool {
	if v == nil || !strings.Contains(text, "@") {
		return false
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(v.secrets, func(s string) bool { return strings.Contains(text, s) })
}

// header takes the fields that tell out of a message that begins with one: of the first
// own octets, which we have put there, every field that names a destination; of the
// rest, those that only mail systems write. The sender's own stay, whatever they say.
func (v *veil) header(text []byte, own int) []byte {
	if v == nil {
		return text
	}
	out := make([]byte, 0, len(text))
	for at := 0; at < len(text); {
		end := at + fieldEnd(text[at:])
		field := text[at:end]
		if !isHeaderLine(field) {
			return append(out, text[at:]...)
		}
		if !v.drops(field, at < own) {
			out = append(out, field...)
		}
		at = end
	}
	return out
}

// fieldEnd is where a field ends, with the lines that go on with it.
func fieldEnd(text []byte) int {
	end := 0
	for {
		n := bytes.IndexByte(text[end:], '\n')
		if n < 0 {
			return len(text)
		}
		if end += n + 1; end == len(text) || text[end] != ' ' && text[end] != '\t' {
			return end
		}
	}
}

func (v *veil) drops(field []byte, own bool) bool {
	name, value, _ := strings.Cut(string(field), ":")
	switch strings.ToLower(strings.TrimRight(name, " \t")) {
	case "delivered-to", "x-original-to":
		return !slices.Contains(v.aliases, strings.Trim(strings.ToLower(value), " \t\r\n<>"))
	case "received":
		return v.tells(value)
	}
	return own && v.tells(value)
}

// veiledReason is the kind of trouble that a status code stands for, RFC 3463 section 3.
func veiledReason(kind mail.ReportKind, status mail.Enhanced) string {
	var begin string
	switch kind {
	case mail.ReportFailed:
		begin = "mail to this address could not be delivered"
	case mail.ReportDelayed:
		begin = "mail to this address could not be delivered yet"
	default:
		return "mail to this address was passed on"
	}
	subject := map[uint16]string{
		1: "the address does not exist or does not take mail",
		2: "the mailbox does not take mail",
		3: "the mail system in charge does not take it",
		4: "the mail system in charge cannot be reached",
		5: "the mail system in charge does not understand",
		6: "the content cannot be handled",
		7: "the mail system in charge refuses it",
	}[status[1]]
	switch {
	case status[1] == 2 && status[2] == 2:
		subject = "the mailbox is full"
	case status[1] == 2 && status[2] == 3, status[1] == 3 && status[2] == 4:
		subject = "the message is too large"
	}
	if subject == "" {
		return begin
	}
	return begin + ": " + subject
}
