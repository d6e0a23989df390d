package alias

import (
	"context"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Reverse aliases: the owner of an alias writes to a correspondent in its name.

// Replies knows reverse aliases. It is safe for concurrent use.
type Replies interface {
	// Parse reads one; false: the address is none.
	Parse(a mail.Address) (mail.Reply, bool)
}

// reply is where a reverse alias leads, for somebody whom its alias leads to. To everybody
// else it does not exist: it is nobody's business which reverse aliases there are.
func (r *Resolver) reply(ctx context.Context, req mail.RcptRequest, reply mail.Reply, tr *trace) ([]mail.Recipient, error) {
	tr.reply(req.Addr, reply)
	unknown := &mail.Status{
		Code: r.o.UnknownVirtualAliasCode, Enhanced: mail.Code(uint16(r.o.UnknownVirtualAliasCode/100), 1, 1),
		Text: "Recipient address rejected: " + r.unknownText(mail.ClassVirtualAlias),
	}
	owner, err := r.isOwner(ctx, reply.Alias, req.Sender, tr)
	if err != nil {
		return nil, err
	}
	if !owner {
		return nil, unknown
	}
	attr, err := r.attributesOf(ctx, reply.Alias, tr)
	if err != nil {
		return nil, err
	}
	if attr.Suspended != nil || !attr.Expires.IsZero() && !r.o.Now().Before(attr.Expires) {
		return nil, unknown
	}
	x, err := r.expand(ctx, reply.Correspondent, tr)
	if err != nil {
		return nil, err
	}
	if x.matched {
		if err := r.alive(ctx, reply.Correspondent, reply.Alias, tr); err != nil {
			return nil, err
		}
	}
	origin := mail.Recipient{Orig: req.Addr, ORcpt: "rfc822;" + external(reply.Correspondent), Notify: req.Notify}
	rcpts, alive, refusal, err := r.deliverTo(ctx, x, origin, reply.Alias, tr)
	if err != nil {
		return nil, err
	}
	if !alive && r.refuseUnlisted {
		return nil, refusal
	}
	return rcpts, nil
}

// isOwner tells whether an alias leads to somebody. Of one with an extension that only its
// targets have got from it, those without it are owners, too: that is how they are known to
// themselves.
func (r *Resolver) isOwner(ctx context.Context, alias, who mail.Address, tr *trace) (bool, error) {
	of := []mail.Address{alias}
	h, found, err := r.find(ctx, r.aliases, alias)
	if err != nil {
		return false, err
	}
	if found && h.extension != "" {
		of = append(of, mail.Address{Local: strings.TrimSuffix(alias.Local, h.extension), Domain: alias.Domain})
	}
	for _, a := range of {
		x, err := r.expand(ctx, a, tr)
		if err != nil {
			return false, err
		}
		if x.matched && slices.ContainsFunc(x.targets, func(t mail.Address) bool { return r.same(t, who) }) {
			return true, nil
		}
	}
	return false, nil
}

// asReply tells whether an address is a reverse alias.
func (r *Resolver) asReply(a mail.Address) (mail.Reply, bool) {
	if r.o.Replies == nil || !strings.Contains(a.Local, "=") {
		return mail.Reply{}, false
	}
	return r.o.Replies.Parse(a)
}

func (tr *trace) reply(a mail.Address, reply mail.Reply) {
	if tr != nil {
		tr.note("%s is a reverse alias: %s writes to %s; only whom %s leads to may use it", external(a), reply.Alias, reply.Correspondent, reply.Alias)
	}
}
