package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/srs"
)

// srsRewriter decides whose mail leaves with a sender at srs_domain, and does it: it is a
// delivery.SenderRewriter, and at RCPT an smtpd.Onward, with the same rule.
//
// A recipient's mail is rewritten when an address of ours has led to him, and he is not ours;
// and the sender is not null, and neither of a domain of ours nor of srs_exclude. srs_domain
// is a domain of ours here. Reports of our own have the null sender.
//
// The exceptions are for mail that is what it says. What a stranger has sent and not proven
// never leaves for somebody else with the sender that he wrote: where that domain's SPF lets us
// send, the copy would have a pass that the message had not.
type srsRewriter struct {
	codec    *srs.Codec
	enabled  bool // srs_enable
	resolver *alias.Resolver
	excluded func(ctx context.Context, domain string) (bool, error) // srs_exclude; nil: nobody

	bounces *bounceCounts
	limit   int // srs_bounce_rate_limit
	unit    time.Duration
	now     func() time.Time
	log     *slog.Logger
}

// RewriteSender is delivery.SenderRewriter.
func (w *srsRewriter) RewriteSender(ctx context.Context, env *mail.Envelope, rcpt int) (mail.Address, error) {
	if env.Flags&mail.FlagNotice != 0 {
		return env.Sender, nil
	}
	a, err := w.sender(ctx, env.Sender, &env.Rcpts[rcpt], proofOf(&env.Auth))
	if err == nil && a != env.Sender && w.log.Enabled(ctx, slog.LevelDebug) {
		w.log.LogAttrs(ctx, slog.LevelDebug, "sender rewritten", slog.String(mail.KeyDaemon, "smtp"), slog.String(mail.KeyQueueID, env.ID.String()),
			slog.String(mail.KeyFrom, env.Sender.String()), slog.String("rewritten", a.String()), slog.String(mail.KeyTo, env.Rcpts[rcpt].Final.String()))
	}
	return a, err
}

// proof is what is known for a message's sender.
type proof uint8

const (
	proven   proof = iota // or nobody has asked
	unlisted              // nothing proves it, but its domain has no SPF record that could let us
	unproven              // neither SPF has passed nor anything that is aligned with the author
)

func proofOf(a *mail.Authentic) proof {
	switch {
	case !a.Judged() || a.SPF == mail.AuthPass || a.Vouched:
		return proven
	case a.SPF == mail.AuthNone:
		return unlisted
	}
	return unproven
}

// sender is the reverse-path that mail from one leaves with for a recipient. An error is a
// *mail.Status.
func (w *srsRewriter) sender(ctx context.Context, from mail.Address, rcpt *mail.Recipient, of proof) (mail.Address, error) {
	if !w.enabled || from.IsNull() || from.Domain == "" {
		return from, nil
	}
	if keeps, err := w.keeps(ctx, from, rcpt, of); keeps || err != nil {
		if err != nil {
			from = mail.Address{}
		}
		return from, err
	}
	a, err := w.codec.Forward(from)
	if err != nil {
		return mail.Address{}, cannotRewrite(err)
	}
	return a, nil
}

// keeps tells whether a sender stays as it is for a recipient.
func (w *srsRewriter) keeps(ctx context.Context, from mail.Address, rcpt *mail.Recipient, of proof) (bool, error) {
	if of != proven {
		// A domain of relay_domains is ours, and its mail server somebody else's.
		class, err := w.resolver.Class(ctx, mail.Address{Local: "postmaster", Domain: rcpt.Final.Domain})
		return class != mail.ClassDefault && (class != mail.ClassRelay || of == unlisted), err
	}
	if rcpt.Orig == rcpt.Final {
		return true, nil
	}
	came := w.resolver.Complete(rcpt.Orig)
	if w.codec.Ours(came.Domain) && srs.Tagged(came) {
		return true, nil // what comes back is not sent out again
	}
	for _, c := range []struct {
		domain string
		ours   bool // for the mail to be rewritten
	}{{came.Domain, true}, {rcpt.Final.Domain, false}, {from.Domain, false}} {
		if ours, err := w.ours(ctx, c.domain); err != nil || ours != c.ours {
			return true, err
		}
	}
	if w.excluded == nil {
		return false, nil
	}
	found, err := w.excluded(ctx, from.Domain)
	if err != nil {
		w.log.Warn("srs_exclude lookup failure: " + err.Error())
		return false, &mail.Status{Enhanced: mail.Code(4, 3, 0), Text: "sender address rewriting failed"}
	}
	return found, nil
}

// ours tells whether a domain is hosted here, in whichever class.
func (w *srsRewriter) ours(ctx context.Context, domain string) (bool, error) {
	class, err := w.resolver.Class(ctx, mail.Address{Local: "postmaster", Domain: domain})
	return class != mail.ClassDefault, err
}

// cannotRewrite is the fate of mail whose sender has no place in an address of ours: it never
// leaves as it is, and nothing is ever cut.
func cannotRewrite(err error) *mail.Status {
	text := "sender address cannot be rewritten for forwarding"
	if errors.Is(err, srs.ErrTooLong) {
		text = "sender address is too long to be rewritten for forwarding"
	}
	return &mail.Status{Enhanced: mail.Code(5, 1, 7), Text: text}
}

// MayLeave is smtpd.Onward: mail whose sender cannot be rewritten is refused while the client
// is there, and bounces are counted.
func (w *srsRewriter) MayLeave(ctx context.Context, from, to mail.Address, targets []mail.Recipient) *mail.Status {
	for i := range targets {
		_, err := w.sender(ctx, from, &targets[i], proven) // whether it is proven is not known yet
		if st, ok := errors.AsType[*mail.Status](err); ok && !st.Temporary() {
			return &mail.Status{Code: 553, Enhanced: st.Enhanced, Text: "<" + from.String() + ">: Sender address rejected: " + st.Text}
		}
		// What cannot be asked now is asked again at delivery.
	}
	if came := w.resolver.Complete(to); w.codec.Ours(came.Domain) && srs.Tagged(came) && len(targets) > 0 {
		return w.bounced(from, to, targets[0].Final)
	}
	return nil
}

// bounced counts a bounce that is about to be taken.
func (w *srsRewriter) bounced(from, to, sender mail.Address) *mail.Status {
	if n, known := w.bounces.count(sender, w.unit, w.now()); known && w.limit > 0 && n > w.limit {
		if n == w.limit+1 {
			w.log.Warn("bounce rate limit exceeded: more than "+itoa(w.limit)+" to "+sender.String()+" in "+w.unit.String()+" (srs_bounce_rate_limit)", mail.KeyDaemon, "smtpd")
		}
		return &mail.Status{Code: 450, Enhanced: mail.Code(4, 7, 1), Text: "<" + to.String() + ">: Recipient address rejected: too many bounces to this sender"}
	}
	if !from.IsNull() {
		w.log.Info("bounce address "+to.String()+" of "+sender.String()+" is used by <"+from.String()+">, not by a bounce", mail.KeyDaemon, "smtpd")
	}
	return nil
}
