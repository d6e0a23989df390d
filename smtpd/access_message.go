package smtpd

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// Actions of access(5) that are about the message as a whole. They are remembered in the
// transaction and carried out at its end, whatever becomes of the recipient in whose name
// they were asked for.

// handling is what actions want done with a message.
type handling struct {
	hold     bool
	discard  bool
	redirect string
	bcc      []string
	prepend  []string // header fields
}

// actOnMessage remembers HOLD, DISCARD, REDIRECT, BCC or PREPEND.
func (s *session) actOnMessage(ctx context.Context, a action, by, key string, about subject) outcome {
	table := "access table " + by
	if !s.tx.active {
		if s.judged.stage == "ETRN" {
			s.warn(table + ": action " + a.verb + " is unavailable in smtpd_etrn_restrictions")
		} else {
			s.warn(table + ": with smtpd_delay_reject=no, action " + a.verb + " is always skipped in " + classClient + " or " + classHelo + " restrictions")
		}
		return dunno
	}
	entry := table + ` entry "` + echo(key, maxEchoedAddress) + `"`
	lower := strings.ToLower(a.verb)
	name := "<" + echo(about.String(), maxEchoedAddress) + ">: " + about.class + " "
	tx := &s.tx
	switch a.verb {
	case "HOLD":
		if !tx.hold {
			tx.hold = true
			s.logAction(lower, name+orElse(a.all, "triggers HOLD action"))
		}
	case "DISCARD":
		s.logAction(lower, name+orElse(a.all, "triggers DISCARD action"))
		tx.discard = true
		return s.permitted(ctx, a.word, about, by)
	case "REDIRECT", "BCC":
		if !strings.Contains(a.all, "@") {
			s.warn(entry + " requires user@domain target")
			return dunno
		}
		s.logAction(lower, name+"triggers "+a.verb+" "+a.all)
		if a.verb == "REDIRECT" {
			tx.redirect = a.all
		} else if len(tx.bcc) < maxCopies {
			tx.bcc = append(tx.bcc, a.all)
		}
	case "PREPEND":
		switch {
		case s.judged.stage == "END-OF-MESSAGE":
			s.warn(table + ": action PREPEND must be used before smtpd_end_of_data_restrictions")
		case !isHeader(a.all):
			s.warn(entry + " requires header: text")
		case len(tx.prepend) < maxPrepended:
			tx.prepend = append(tx.prepend, a.all)
		}
	}
	return dunno
}

// Each recipient can ask for a copy or a field: their number is bounded by something else
// than the client's patience.
const (
	maxCopies    = 1000
	maxPrepended = 1000
)

// isHeader tells whether a text is a header field (RFC 5322 section 2.2).
func isHeader(s string) bool {
	name, _, ok := strings.Cut(s, ":")
	name = strings.TrimRight(name, " \t")
	return ok && name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// prepended are the fields that actions have put above the message, as lines.
func (h *handling) prepended() []byte {
	var b []byte
	for _, field := range h.prepend {
		b = append(append(b, echo(field, maxField)...), "\r\n"...)
	}
	return b
}

// maxField is RFC 5322 section 2.1.1.
const maxField = 998

// redirected makes a message go where an action wants it: to one address in place of all
// recipients, and copies beside them. A refusal is one for now: where the message was to
// go nobody could say.
func (s *session) redirected() *mail.Status {
	tx := &s.tx
	ctx := s.lookup()
	if tx.redirect != "" {
		to := mail.SplitAddress(tx.redirect)
		orig := mail.RcptRequest{Addr: to, Sender: tx.from}
		rcpts, refused := s.destination(ctx, orig)
		if refused != nil {
			return refused
		}
		first := tx.rcpts[0]
		for i := range rcpts {
			rcpts[i].Orig, rcpts[i].ORcpt, rcpts[i].Notify = first.Orig, first.ORcpt, first.Notify
		}
		tx.rcpts = rcpts
	}
	for _, bcc := range tx.bcc {
		rcpts, refused := s.destination(ctx, mail.RcptRequest{Addr: mail.SplitAddress(bcc), Sender: tx.from, Notify: mail.NotifyNever})
		if refused != nil {
			return refused
		}
		if tx.redirect != "" {
			continue // that replaces them too
		}
		for i := range rcpts {
			if !tx.seen.Seen(&rcpts[i]) {
				tx.rcpts = append(tx.rcpts, rcpts[i])
			}
		}
	}
	return nil
}

// destination is where an address of an action leads. One that is refused for good gets a
// destination that returns the message, as one in the queue would.
func (s *session) destination(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, *mail.Status) {
	rcpts, err := s.o.Recipients.Expand(ctx, r)
	if err == nil {
		return rcpts, nil
	}
	refused := s.lookupFailed(err)
	if refused.Code/100 != 5 {
		return nil, refused
	}
	return []mail.Recipient{undeliverable(r, s.o.Recipients.Complete(r.Addr), refused)}, nil
}
