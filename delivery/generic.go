package delivery

import (
	"context"

	"aliasmx/internal/mail"
)

// Addresses that mean something only here are replaced when mail leaves, generic(5): in
// MAIL and RCPT and in the fields of the header that hold addresses. The queue, the log
// and ORCPT keep them. SIZE stays that of the message as it is stored, as in Postfix.

// addressRewriter is what header.Options want.
type addressRewriter = func(a mail.Address, sender bool) (mail.Address, error)

// genericOf is what replaces addresses over a protocol; nil: nothing does.
func (s *settings) genericOf(p protocol) func(context.Context, mail.Address) (mail.Address, error) {
	if p == protoLMTP {
		return s.LMTPGeneric
	}
	return s.Generic
}

// replaceAddresses looks up what the envelope holds, before anything is said to the
// server: a table that fails is no reason to break a transaction off.
func (t *transaction) replaceAddresses(ctx context.Context) error {
	generic := t.set.genericOf(t.proto)
	if generic == nil {
		return nil
	}
	t.rewrite = func(a mail.Address, _ bool) (mail.Address, error) {
		if a.IsNull() {
			return a, nil
		}
		return generic(ctx, a)
	}
	var err error
	if t.sender, err = t.rewrite(t.sender, true); err != nil {
		return err
	}
	a := t.j.a
	t.to = make([]mail.Address, len(a.Rcpts))
	for _, pos := range t.j.left {
		if t.to[pos], err = t.rewrite(a.Env.Rcpts[a.Rcpts[pos]].Final, false); err != nil {
			return err
		}
	}
	return nil
}

// target is the address that a recipient's mail is sent to.
func (t *transaction) target(pos int) mail.Address {
	if t.to != nil {
		return t.to[pos]
	}
	return t.j.a.Env.Rcpts[t.j.a.Rcpts[pos]].Final
}
