package smtpd

import (
	"context"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Actions of access(5) that are about the message as a whole. They are remembered in the
// transaction and carried out at its end, whatever becomes of the recipient in whose name
// they were asked for.

// actOnMessage remembers HOLD, DISCARD, REDIRECT, BCC, PREPEND or FILTER.
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
		if !tx.Hold {
			tx.Hold = true
			s.logAction(lower, name+orElse(a.all, "triggers HOLD action"))
		}
	case "DISCARD":
		s.logAction(lower, name+orElse(a.all, "triggers DISCARD action"))
		tx.Discard = true
		return s.permitted(ctx, a.word, about, by)
	case "REDIRECT", "BCC":
		if !strings.Contains(a.all, "@") {
			s.warn(entry + " requires user@domain target")
			return dunno
		}
		s.logAction(lower, name+"triggers "+a.verb+" "+a.all)
		if a.verb == "REDIRECT" {
			tx.Redirect = a.all
		} else if len(tx.BCC) < maxCopies {
			tx.BCC = append(tx.BCC, a.all)
		}
	case "FILTER":
		switch {
		case a.all == "":
			s.warn(entry + " has FILTER entry without value")
		case !strings.Contains(a.all, ":"):
			s.warn(entry + " requires transport:destination")
		default:
			s.logAction(lower, name+"triggers FILTER "+a.all)
			tx.Filter = a.all
		}
	case "PREPEND":
		switch {
		case s.judged.stage == "END-OF-MESSAGE":
			s.warn(table + ": action PREPEND must be used before smtpd_end_of_data_restrictions")
		case !isHeader(a.all):
			s.warn(entry + " requires header: text")
		case len(tx.Prepend) < maxPrepended:
			tx.Prepend = append(tx.Prepend, a.all)
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
func (s *session) prepended() []byte {
	b := slices.Clone(s.tx.auth.above)
	for _, field := range s.tx.Prepend {
		b = append(append(b, echo(field, maxField)...), "\r\n"...)
	}
	return b
}

// maxField is RFC 5322 section 2.1.1.
const maxField = 998

// route makes a message go where actions want it: to one address in place of all
// recipients, to further ones, through a filter. A refusal is one for now: where the
// message was to go nobody could say.
func (s *session) route() *mail.Status {
	tx := &s.tx
	if tx.Filter == "" {
		tx.Filter = s.o.ContentFilter
	}
	ctx := s.lookup()
	rcpts, err := tx.Route(tx.rcpts, tx.from, tx.seen, s.o.Filters, func(r mail.RcptRequest) ([]mail.Recipient, error) {
		rcpts, refused := s.destination(ctx, r)
		if refused != nil {
			return nil, refused
		}
		return rcpts, nil
	})
	if err != nil {
		return mail.StatusOf(err)
	}
	tx.rcpts = rcpts
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
