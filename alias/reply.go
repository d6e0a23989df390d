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
	own, err := r.expand(ctx, reply.Alias, tr)
	if err != nil {
		return nil, err
	}
	if !own.matched || !slices.ContainsFunc(own.targets, func(t mail.Address) bool { return r.same(t, req.Sender) }) {
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
