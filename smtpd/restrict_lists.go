package smtpd

import (
	"context"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// Lists of clients and domains that are published in the DNS (RFC 5782; postconf(5):
// reject_rbl_client). A list that does not answer says nothing against anybody; one that
// would have permitted makes a later refusal one for now.

func listedRules() []rule {
	return []rule{
		{name: "reject_rhsbl_client", argument: aList, apply: (*session).rejectListedClient},
		{name: "reject_rhsbl_reverse_client", argument: aList, apply: (*session).rejectListedReverse},
		{name: "reject_rhsbl_helo", argument: aList, apply: (*session).rejectListedHelo},
		{name: "reject_rhsbl_sender", argument: aList, apply: (*session).rejectListedSender},
		{name: "reject_rhsbl_recipient", argument: aList, apply: (*session).rejectListedRecipient},
	}
}

func (s *session) rejectListedAddress(ctx context.Context, r *Restriction) outcome {
	listed, text, err := r.list.Address(ctx, s.peer.Addr)
	if err != nil || !listed {
		s.listFailed(r, err)
		return dunno
	}
	return s.refuseListed(ctx, r, text, s.peer.Addr.String(), classClient)
}

func (s *session) rejectListedClient(ctx context.Context, r *Restriction) outcome {
	return s.rejectListedName(ctx, r, s.peer.Name, classClient)
}

func (s *session) rejectListedReverse(ctx context.Context, r *Restriction) outcome {
	return s.rejectListedName(ctx, r, s.peer.Reverse, classReverse)
}

func (s *session) rejectListedHelo(ctx context.Context, r *Restriction) outcome {
	return s.rejectListed(ctx, r, s.helo, s.helo, classHelo)
}

func (s *session) rejectListedSender(ctx context.Context, r *Restriction) outcome {
	if !s.hasSender() {
		return dunno
	}
	return s.rejectListed(ctx, r, s.tx.sender.Domain, s.tx.sender.Internal(), classSender)
}

func (s *session) rejectListedRecipient(ctx context.Context, r *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	return s.rejectListed(ctx, r, s.judged.rcpt.Domain, s.judged.rcpt.Internal(), classRecipient)
}

// rejectListedName is for names of clients, which may have none.
func (s *session) rejectListedName(ctx context.Context, r *Restriction, name, class string) outcome {
	if strings.EqualFold(name, unknownName) {
		return dunno
	}
	return s.rejectListed(ctx, r, name, name, class)
}

func (s *session) rejectListed(ctx context.Context, r *Restriction, domain, what, class string) outcome {
	if !isListable(domain) {
		return dunno
	}
	listed, text, err := r.list.Domain(ctx, domain)
	if err != nil || !listed {
		s.listFailed(r, err)
		return dunno
	}
	return s.refuseListed(ctx, r, text, what, class)
}

// isListable tells whether a list could have a name at all: not an address literal, not
// an address.
func isListable(domain string) bool {
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	return strings.Trim(last, "0123456789") != "" && mail.ValidHostname(domain)
}

func (s *session) permitListedAddress(ctx context.Context, r *Restriction) outcome {
	ours, o := s.mayBeListed(ctx)
	if !ours || o != dunno {
		return o
	}
	listed, _, err := r.list.Address(ctx, s.peer.Addr)
	return s.permitListed(ctx, r, listed, err, s.peer.Addr.String())
}

func (s *session) permitListedClient(ctx context.Context, r *Restriction) outcome {
	if strings.EqualFold(s.peer.Name, unknownName) || !isListable(s.peer.Name) {
		return dunno
	}
	ours, o := s.mayBeListed(ctx)
	if !ours || o != dunno {
		return o
	}
	listed, _, err := r.list.Domain(ctx, s.peer.Name)
	return s.permitListed(ctx, r, listed, err, s.peer.Name)
}

// mayBeListed keeps a list from permitting mail to the domains of others: nobody who is
// listed somewhere may use us as a relay for that.
func (s *session) mayBeListed(ctx context.Context) (bool, outcome) {
	if s.judged.stage != "RCPT" || !s.judged.hasRcpt {
		return true, dunno
	}
	return s.isOurs(ctx)
}

func (s *session) permitListed(ctx context.Context, r *Restriction, listed bool, err error, what string) outcome {
	switch {
	case err != nil:
		s.listFailed(r, err)
		return s.deferRefusal(subject{class: classClient, name: what}, 450, mail.Code(4, 7, 1), "Service unavailable")
	case !listed:
		return dunno
	}
	return s.permitted(ctx, r.rule.name, s.client(), "")
}

func (s *session) listFailed(r *Restriction, err error) {
	if err != nil {
		s.warn(r.list.Name() + ": RBL lookup error: " + err.Error())
	}
}

// refuseListed refuses in the words of rbl_reply_maps or default_rbl_reply.
func (s *session) refuseListed(ctx context.Context, r *Restriction, text, what, class string) outcome {
	domain, _, _ := strings.Cut(r.list.Name(), "=")
	template, failed := s.listReply(ctx, r.list.Name(), domain)
	if failed {
		return s.misconfigured()
	}
	macros := func(name string) (string, bool) {
		switch name {
		case "rbl_code":
			return strconv.Itoa(s.o.RBLRejectCode), true
		case "rbl_domain":
			return domain, true
		case "rbl_reason", "rbl_txt":
			return text, true
		case "rbl_what":
			return what, true
		case "rbl_class":
			return class, true
		}
		return s.macro(name)
	}
	reply, err := expandMacros(template, macros)
	if err != nil {
		s.warn("bad rbl reply template for domain " + r.list.Name() + ": " + template)
		reply, _ = expandMacros(defaultRBLReply, macros)
	}
	a := parseAction(reply)
	if a.verb != "CODE" {
		s.warn("rbl response code configuration error: " + reply)
		return s.refusal(status(450, mail.Code(4, 7, 1), "Service unavailable"), true)
	}
	about := subject{class: class, name: what}
	return s.refusal(status(a.code, s.codeOf(a, mail.Code(4, 7, 1), about), orElse(a.text, "Service unavailable")), true)
}

// defaultRBLReply is postconf(5): default_rbl_reply.
const defaultRBLReply = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}"

// listReply finds the template for a list in rbl_reply_maps, with or without its answers.
func (s *session) listReply(ctx context.Context, name, domain string) (template string, failed bool) {
	for _, t := range s.o.RBLReplyMaps {
		for _, key := range []string{name, domain} {
			value, found, err := t.Lookup(ctx, key)
			if err != nil {
				s.warn(t.Name() + ` lookup error for "` + key + `": ` + err.Error())
				return "", true
			}
			if found && value != "" {
				return value, false
			}
		}
	}
	return orElse(s.o.DefaultRBLReply, defaultRBLReply), false
}
