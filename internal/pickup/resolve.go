package pickup

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// Where the recipients of a submission lead. A recipient that is refused for good is
// queued for the "error" transport: a local program that is told that one of its
// recipients is bad would rather drop the message than say so to anybody.

// badSyntax is what an address leads to that nobody could be told of in SMTP.
const badSyntax = "error:5.1.3 bad address syntax"

// resolve completes and expands the recipients as given, each of them once. A non-nil
// Reply says why nothing can be taken now.
func (s *session) resolve(given []mail.Address) ([]mail.Recipient, *Reply) {
	seen := mail.NewDuplicates(s.DuplicateFilterLimit, s.EnableOriginalRecipient)
	var rcpts []mail.Recipient
	add := func(more []mail.Recipient) {
		for i := range more {
			if r := &more[i]; !seen.Seen(r) {
				rcpts = append(rcpts, *r)
			}
		}
	}
	add(s.reverse.First)
	for _, a := range given {
		expanded, refusal := s.expand(a)
		if refusal != nil {
			return nil, refusal
		}
		add(expanded)
		if len(rcpts) > s.ExpandedLimit {
			return nil, &Reply{Status: ExitUnavailable, Text: fmt.Sprintf("the recipients lead to more than %d addresses", s.ExpandedLimit)}
		}
	}
	add(s.reverse.Last)
	return rcpts, nil
}

func (s *session) expand(a mail.Address) ([]mail.Recipient, *Reply) {
	full := s.Recipients.Complete(a)
	alone := mail.Recipient{
		Final: full, Orig: a, Notify: s.req.Notify,
		ORcpt: "rfc822;" + full.Internal(), // as cleanup(8) adds it, completed
	}
	if !isASCII(full) && utf8.ValidString(full.Internal()) {
		alone.ORcpt = "utf-8;" + full.Internal() // RFC 6533 section 3
	}
	if !utf8.ValidString(full.Local) || !utf8.ValidString(full.Domain) {
		alone.Dest = badSyntax
		return []mail.Recipient{alone}, nil
	}
	if a.IsNull() {
		alone.ORcpt = "" // Expand knows empty_address_recipient
	}
	rcpts, err := s.Recipients.Expand(s.ctx, mail.RcptRequest{Addr: full, ORcpt: alone.ORcpt, Notify: alone.Notify, Sender: s.reverse.Path, Copies: true})
	if err != nil {
		status := mail.StatusOf(err)
		if status.Temporary() {
			reply := s.refuse(a.String(), err)
			return nil, &reply
		}
		alone.Dest = errorDest(status)
		return []mail.Recipient{alone}, nil
	}
	for i := range rcpts {
		if rcpts[i].Orig == full {
			rcpts[i].Orig = a // what the user wrote: the log's orig_to
		}
	}
	return rcpts, nil
}

// errorDest is the error(8) destination that fails with a status, in the words that
// follow the address in a refusal.
func errorDest(st *mail.Status) mail.Dest {
	code := st.Enhanced
	if code == (mail.Enhanced{}) {
		code = mail.Code(5, 0, 0)
	}
	text := strings.TrimPrefix(st.Text, "Recipient address rejected: ")
	return mail.MakeDest("error", code.String()+" "+text)
}
