package alias

import (
	"context"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// unattended bounds a question to the tables that nobody's patience bounds.
const unattended = 30 * time.Second

// Class is the address class of a completed address. An address whose local part
// routes mail elsewhere (user%elsewhere@domain) is of none of our classes: only a
// client that may relay may use it (postconf(5): allow_untrusted_routing). An error is
// a *mail.Status, always temporary.
func (r *Resolver) Class(ctx context.Context, a mail.Address) (mail.Class, error) {
	if r.isReturn(a) {
		return mail.ClassVirtualAlias, nil
	}
	rt, err := r.classify(ctx, a)
	if err != nil {
		return mail.ClassDefault, err
	}
	if rt.routed && !r.o.AllowUntrustedRouting {
		return mail.ClassDefault, nil
	}
	return rt.class, nil
}

// Expand says where a recipient leads, with a destination for each target. An error
// is a *mail.Status whose Text follows "<address>: " in the reply:
//
//	550 5.1.1  no such user, or an alias that leads to nobody
//	451 4.6.0  mutual aliases, or a limit (virtual_alias_recursion_limit ...)
//	451 4.3.0  a table that could not answer
//	501 5.1.3  an address that no mail can be sent to
//
// If one target is good the recipient is accepted; the others then have an "error:"
// destination, which reports them to the sender.
func (r *Resolver) Expand(ctx context.Context, req mail.RcptRequest) ([]mail.Recipient, error) {
	return r.expandRequest(ctx, req, nil)
}

func (r *Resolver) expandRequest(ctx context.Context, req mail.RcptRequest, tr *trace) ([]mail.Recipient, error) {
	if r.mapped != nil && !req.Unlisted {
		alone := req
		alone.Copies = false
		if _, err := r.mapped.expandRequest(ctx, alone, nil); err != nil {
			return nil, err
		}
	}
	addr := r.Complete(req.Addr)
	if addr.IsNull() {
		addr = r.Complete(r.emptyRecipient)
		req.Addr = addr
	}
	if r.refuseUnlisted && r.isMalformed(addr) {
		return nil, badSyntaxStatus()
	}
	given := addr
	addr, err := r.returned(addr, tr)
	if err != nil {
		return r.unreturned(req, addr, err)
	}
	if addr == given {
		addr, err = r.canonical(ctx, envelopeRecipient, addr, tr)
	}
	if err != nil {
		return nil, err
	}
	if reply, ok := r.asReply(addr); ok {
		return r.reply(ctx, req, reply, tr)
	}
	x, err := r.expandPostmaster(ctx, addr, tr)
	if err != nil {
		return nil, err
	}
	x.matched = x.matched || addr != given
	if x.matched && req.Copies && !req.Unlisted && len(r.attributes.whole) > 0 {
		if err := r.alive(ctx, addr, req.Sender, tr); err != nil {
			return nil, err
		}
	}
	origin := mail.Recipient{Orig: req.Addr, ORcpt: req.ORcpt, Notify: req.Notify}
	if origin.ORcpt == "" {
		// As it was written: smtp(8) passes it on as ORCPT, RFC 3461 section 4.2.
		origin.ORcpt = "rfc822;" + external(req.Addr)
		if addr != given {
			origin.ORcpt = "rfc822;" + external(addr) // or as cleanup(8) has made it
		}
	}
	if len(x.targets) > 1 || x.targets[0] != addr {
		origin.Notify = afterExpansion(origin.Notify)
	}
	rcpts, alive, refusal, err := r.deliverTo(ctx, x, origin, req.Sender, tr)
	if err != nil {
		return nil, err
	}
	if req.Copies {
		copies, err := r.copies(ctx, "recipient_bcc_maps", r.recipientBcc, addr, req.Sender, tr)
		if err != nil {
			return nil, err
		}
		rcpts = append(rcpts, copies...)
	}
	if alive || !r.refuseUnlisted || req.Unlisted {
		return rcpts, nil
	}
	// RFC 5321 section 4.5.1: the bare name is always valid. What becomes of it is said
	// in a report, as Postfix does.
	if req.Addr.Domain == "" && strings.EqualFold(req.Addr.Local, "postmaster") || r.postmasterOfReturns(req.Addr) {
		return rcpts, nil
	}
	return nil, refusal
}

// deliverTo gives each target of an expansion its destination and drops duplicates.
// It tells whether any target is alive, and if none is, how to refuse the recipient.
func (r *Resolver) deliverTo(ctx context.Context, x expansion, origin mail.Recipient, sender mail.Address, tr *trace) (rcpts []mail.Recipient, alive bool, refusal *mail.Status, err error) {
	rcpts = make([]mail.Recipient, 0, len(x.targets))
	seen := mail.NewDuplicates(r.o.DuplicateFilterLimit, r.o.EnableOriginalRecipient)
	for _, target := range x.targets {
		rt, err := r.resolve(ctx, sender, target)
		if err != nil {
			tr.failed(target)
			return nil, false, nil, err
		}
		rcpt := origin
		rcpt.Final, rcpt.Dest = rt.final, r.absorb(rt)
		if len(x.targets) > 1 && seen.Seen(&rcpt) {
			tr.duplicate(target)
			continue
		}
		rcpts = append(rcpts, rcpt)
		tr.target(target, rt)
		if !r.refuseUnlisted || alive && tr == nil {
			continue // one is enough
		}
		dead, err := r.refusal(ctx, x, rt)
		if err != nil {
			return nil, false, nil, err
		}
		if dead == nil {
			alive = true
		} else {
			tr.dead(rt, dead)
			refusal = dead
		}
	}
	return rcpts, alive, refusal, nil
}

// absorb is the destination of a route, but for the sender of reports that must not come
// back (double_bounce_sender): whatever delivers local mail, that mail is at its end.
func (r *Resolver) absorb(rt route) mail.Dest {
	if rt.class == mail.ClassLocal && r.o.DoubleBounceSender != "" && strings.EqualFold(rt.final.Local, r.o.DoubleBounceSender) {
		return mail.DestDoubleBounce
	}
	return rt.dest
}

// refusal is nil when mail to a target has a chance. Otherwise it is what to refuse
// the recipient with, if its other targets have none either.
func (r *Resolver) refusal(ctx context.Context, x expansion, rt route) (*mail.Status, error) {
	aliased := x.matched
	if rt.malformed {
		if aliased {
			return nil, nil // Postfix takes it and returns it with 5.1.3
		}
		return badSyntaxStatus(), nil
	}
	text, code := r.unknownText(rt.class), r.unknownCode(rt.class)
	enhanced := mail.Code(5, 1, 1)
	switch rt.dest.Transport() {
	case "error":
		enhanced, text = splitStatus(rt.dest.NextHop(), enhanced)
		if rt.class != mail.ClassVirtualAlias && text != r.unknownText(rt.class) {
			code = 550
		}
	case "retry":
		enhanced, text = splitStatus(rt.dest.NextHop(), mail.Code(4, 1, 1))
		code = 450
	default:
		if aliased && rt.class != mail.ClassLocal {
			// The tables of recipients are for what RCPT names: whoever takes the mail next
			// knows his recipients himself (smtpd(8), reject_unlisted_recipient).
			return nil, nil
		}
		exists, err := r.exists(ctx, rt)
		if exists || err != nil {
			return nil, err
		}
	}
	if aliased && rt.by == (hit{}) {
		// Which address of ours is missing is not the client's business.
		text, enhanced = r.unknownText(mail.ClassVirtualAlias), mail.Code(5, 1, 1)
		code = r.o.UnknownVirtualAliasCode
	}
	switch enhanced {
	// What is said of a sender, said of a recipient (smtpd(8)).
	case mail.Code(enhanced[0], 1, 7):
		enhanced = mail.Code(enhanced[0], 1, 3)
	case mail.Code(enhanced[0], 1, 8):
		enhanced = mail.Code(enhanced[0], 1, 2)
	}
	enhanced[0] = uint16(code / 100)
	return &mail.Status{Code: code, Enhanced: enhanced, Text: "Recipient address rejected: " + text}, nil
}

// badSyntaxStatus is the answer to an address that no mail can be sent to.
func badSyntaxStatus() *mail.Status {
	return &mail.Status{Code: 501, Enhanced: mail.Code(5, 1, 3), Text: "Bad recipient address syntax"}
}

// exists asks the recipient maps of a class (ADDRESS_CLASS_README). A class without
// them takes every address.
func (r *Resolver) exists(ctx context.Context, rt route) (bool, error) {
	maps := r.locals
	switch rt.class {
	case mail.ClassLocal:
		if r.isSystemName(rt.final.Local) {
			return true, nil
		}
	case mail.ClassVirtualMailbox:
		maps = r.mailboxes
	case mail.ClassRelay:
		maps = r.relay
	default:
		return true, nil
	}
	if len(maps.whole) == 0 {
		return true, nil
	}
	_, found, err := r.find(ctx, maps, rt.final)
	return found, err
}

func (r *Resolver) unknownCode(class mail.Class) int {
	switch class {
	case mail.ClassLocal:
		return r.o.UnknownLocalCode
	case mail.ClassVirtualMailbox:
		return r.o.UnknownVirtualMailboxCode
	case mail.ClassRelay:
		return r.o.UnknownRelayCode
	}
	return r.o.UnknownVirtualAliasCode
}

// afterExpansion is what is left of a NOTIFY request when an alias leads elsewhere:
// success is answered here, with the report "expanded", and not asked of the next hop
// (RFC 3461 section 5.2.7.3).
func afterExpansion(n mail.Notify) mail.Notify {
	if n&mail.NotifySuccess == 0 {
		return n
	}
	if n &^= mail.NotifySuccess; n == 0 {
		n = mail.NotifyNever
	}
	return n | mail.NotifyExpanded
}

// Reroute expands a queued recipient of mail from sender once more, by the tables of
// now, and gives it its destination anew: postsuper -r. When the tables cannot answer,
// the recipient stays what it is.
func (r *Resolver) Reroute(sender mail.Address, rcpt mail.Recipient) []mail.Recipient {
	ctx, cancel := context.WithTimeout(context.Background(), unattended)
	defer cancel()
	x, err := r.expand(ctx, r.Complete(rcpt.Final), nil)
	if err != nil {
		return []mail.Recipient{rcpt}
	}
	if len(x.targets) > 1 || x.targets[0] != rcpt.Final {
		rcpt.Notify = afterExpansion(rcpt.Notify)
	}
	rcpts, _, _, err := r.deliverTo(ctx, x, rcpt, sender, nil)
	if err != nil || len(rcpts) == 0 {
		return []mail.Recipient{rcpt}
	}
	return rcpts
}
