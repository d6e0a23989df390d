package smtpd

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// Restrictions about the sender and the recipient (postconf(5):
// smtpd_sender_restrictions, smtpd_recipient_restrictions).

// hasSender tells whether there is a sender to look at: the null reverse-path is nobody.
func (s *session) hasSender() bool { return s.tx.active && !s.tx.sender.IsNull() }

func (s *session) rejectNonFQDNSender(context.Context, *Restriction) outcome {
	if !s.hasSender() {
		return dunno
	}
	return s.wantQualified(s.tx.sender, s.senderSub())
}

func (s *session) rejectNonFQDNRecipient(context.Context, *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	return s.wantQualified(s.judged.rcpt, s.rcptSub())
}

func (s *session) wantQualified(a mail.Address, about subject) outcome {
	if strings.HasPrefix(a.Domain, "[") && strings.HasSuffix(a.Domain, "]") || isQualified(a.Domain) {
		return dunno
	}
	return s.reject(about, s.o.NonFQDNRejectCode, mail.Code(4, 5, 2), "need fully-qualified address")
}

func (s *session) rejectUnknownSender(ctx context.Context, _ *Restriction) outcome {
	if !s.hasSender() {
		return dunno
	}
	return s.wantDomain(ctx, s.tx.from, s.senderSub())
}

func (s *session) rejectUnknownRecipient(ctx context.Context, _ *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	return s.wantDomain(ctx, s.o.Recipients.Complete(s.judged.rcpt), s.rcptSub())
}

// wantDomain wants a domain that mail can be sent to. Our own need no DNS.
func (s *session) wantDomain(ctx context.Context, a mail.Address, about subject) outcome {
	class, err := s.o.Recipients.Class(ctx, a)
	switch {
	case err != nil:
		s.lookupFailed(err)
		return s.unanswered(about.String())
	case class != mail.ClassDefault && class != mail.ClassRelay || a.Domain == "" || strings.HasPrefix(a.Domain, "[") && strings.HasSuffix(a.Domain, "]"):
		return dunno
	}
	domain := strings.TrimSuffix(a.Domain, ".")
	nullCode, nullMX, unknown := 556, mail.Code(5, 1, 10), mail.Code(4, 1, 2)
	if about.class == classSender {
		nullCode, nullMX, unknown = 550, mail.Code(5, 7, 27), mail.Code(4, 1, 8)
	}
	_, err = s.o.Resolver.MX(ctx, domain)
	if err != nil && s.o.Resolver.NotFound(err) {
		_, err = s.o.Resolver.Addrs(ctx, domain)
	}
	switch {
	case err == nil:
		return dunno
	case s.o.Resolver.NullMX(err):
		return s.reject(about, nullCode, nullMX, "Domain "+domain+" does not accept mail (nullMX)")
	case s.o.Resolver.NotFound(err):
		return s.reject(about, s.o.UnknownAddressRejectCode, unknown, "Domain not found")
	}
	return s.deferLater(s.o.UnknownAddressLater.later(), about, 450, unknown, "Domain not found")
}

// listed is who tells which recipients there are, also where all of them are taken
// (smtpd_reject_unlisted_recipient = no).
func (s *session) listed() Recipients {
	if s.o.Listed != nil {
		return s.o.Listed
	}
	return s.o.Recipients
}

// rejectUnlistedSender refuses a sender in our own domains that does not exist.
func (s *session) rejectUnlistedSender(ctx context.Context, _ *Restriction) outcome {
	if !s.hasSender() || s.judged.senderListed {
		return dunno
	}
	s.judged.senderListed = s.judged.warnOnly == 0
	from := s.tx.sender
	class, err := s.o.Recipients.Class(ctx, s.tx.from)
	if err == nil && class == mail.ClassDefault {
		return dunno
	}
	if err == nil {
		_, err = s.listed().Expand(ctx, mail.RcptRequest{Addr: from})
	}
	if err == nil {
		return dunno
	}
	st := *s.lookupFailed(err)
	st.Text = strings.Replace(st.Text, classRecipient+" rejected", classSender+" rejected", 1)
	if class != mail.ClassVirtualAlias && st.Enhanced[1] == 1 && st.Enhanced[2] == 1 {
		st.Enhanced[2] = 0 // Postfix calls it 5.1.1 for alias domains alone, and maps that
	}
	st.Enhanced = s.fixCode(st.Enhanced, classSender)
	return s.refusal(about(from, &st), st.Code/100 == 5)
}

func (s *session) rejectUnlistedRecipient(ctx context.Context, _ *Restriction) outcome {
	if !s.judged.hasRcpt || s.judged.rcpt.IsNull() {
		return dunno
	}
	refused := (*mail.Status)(nil)
	if s.o.Listed == nil {
		_, refused = s.expand(ctx, s.judged.rcpt)
	} else if _, err := s.o.Listed.Expand(ctx, mail.RcptRequest{Addr: s.judged.rcpt, Sender: s.tx.from}); err != nil {
		refused = about(s.judged.rcpt, s.lookupFailed(err))
	}
	if refused == nil {
		return dunno
	}
	copied := *refused
	return s.refusal(&copied, refused.Code/100 == 5)
}

// rejectMultiRecipientBounce refuses a notification to several at once: no server sends
// one.
func (s *session) rejectMultiRecipientBounce(context.Context, *Restriction) outcome {
	most := 1
	if s.judged.stage == "RCPT" {
		most = 0
	}
	if !s.tx.active || !s.tx.sender.IsNull() || s.tx.accepted <= most {
		return dunno
	}
	return s.reject(s.judged.about, s.o.MultiRecipientBounceRejectCode, mail.Code(5, 5, 3), "Multi-recipient bounce")
}

// about puts the address in front of a refusal's text.
func about(a mail.Address, s *mail.Status) *mail.Status {
	refused := *s
	refused.Text = "<" + echo(a.Internal(), maxEchoedAddress) + ">: " + s.Text
	return &refused
}
