package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// Restrictions that ask the next hops whether they would take mail for an address
// (ADDRESS_VERIFICATION_README).

// Later says what is done with what cannot be known for now (postconf(5):
// reject_tempfail_action): the zero value refuses only once everything else permits.
type Later uint8

// The values of the *_tempfail_action parameters.
const (
	DeferIfPermit Later = iota
	DeferNow
)

func (l Later) later() bool { return l == DeferIfPermit }

// Unverified is how an address is refused that does not verify
// (unverified_recipient_* and unverified_sender_*).
type Unverified struct {
	RejectCode int    // _reject_code (450)
	DeferCode  int    // _defer_code (450)
	Reason     string // _reject_reason, in place of what the next hop said
	Tempfail   Later  // _tempfail_action
}

func (s *session) rejectUnverifiedSender(ctx context.Context, _ *Restriction) outcome {
	if !s.hasSender() {
		return dunno
	}
	if s.o.Verifier == nil {
		return s.misconfigured()
	}
	v, err := s.o.Verifier.VerifySender(ctx, s.tx.sender)
	return s.refuseUnverified(v, err, s.senderSub(), &s.o.UnverifiedSender, mail.Code(4, 1, 7))
}

func (s *session) rejectUnverifiedRecipient(ctx context.Context, _ *Restriction) outcome {
	if !s.judged.hasRcpt || s.judged.rcpt.IsNull() {
		return dunno
	}
	if s.o.Verifier == nil {
		return s.misconfigured()
	}
	v, err := s.o.Verifier.VerifyRecipient(ctx, s.judged.rcpt)
	return s.refuseUnverified(v, err, s.rcptSub(), &s.o.UnverifiedRecipient, mail.Code(4, 1, 1))
}

func (s *session) refuseUnverified(v mail.Verdict, err error, about subject, u *Unverified, enhanced mail.Enhanced) outcome {
	if err != nil {
		s.warn("verify service failure: " + err.Error())
		return s.deferLater(u.Tempfail.later(), about, 450, enhanced, "address verification problem")
	}
	code, why := u.DeferCode, v.Reason
	switch v.State {
	case mail.VerdictDeliverable:
		return dunno
	case mail.VerdictRefused:
		code = u.RejectCode
	case mail.VerdictPending:
		why = "Address verification in progress"
	}
	if why == "" {
		why = v.Status.Text
	}
	if u.Reason != "" {
		why = u.Reason
	}
	why = s.foreign(why)
	switch code / 100 {
	case 2:
		return dunno // what is known is only logged (unverified_recipient_reject_code)
	case 4:
		return s.deferLater(u.Tempfail.later(), about, code, enhanced, "unverified address: "+echo(why, maxReason))
	}
	return s.reject(about, code, enhanced, "undeliverable address: "+why)
}

// maxReason is how much of another server's words is passed on.
const maxReason = 250
