package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth"
)

// What is put on top of mail that leaves, and in which order.

// signers sign a message one after the other. Each sees what those before it have put on
// top, so that the one that seals all of it is the last.
type signers []delivery.Signer

// Sign is the fields of all, the last on top.
func (s signers) Sign(ctx context.Context, m mail.Outgoing) ([]byte, error) {
	var added []byte
	below := m.Prepend
	for _, signer := range s {
		fields, err := signer.Sign(ctx, m)
		if err != nil {
			return nil, err
		}
		if len(fields) > 0 {
			added = slices.Concat(fields, added)
			m.Prepend = slices.Concat(added, below)
		}
	}
	return added, nil
}

// one is the list as one Signer; nil for an empty list, so that sending costs nothing.
func (s signers) one() delivery.Signer {
	switch len(s) {
	case 0:
		return nil
	case 1:
		return s[0]
	}
	return s
}

// asJudged has mail signed for the author that it was judged by. Milters and PREPEND actions
// come after that: of whom they have made the author nothing is known, and what was known is
// not about him.
type asJudged struct {
	delivery.Signer
	log *slog.Logger
}

// Sign is delivery.Signer.
func (s asJudged) Sign(ctx context.Context, m mail.Outgoing) ([]byte, error) {
	if auth := &m.Env.Auth; auth.Author != "" && m.Body != nil {
		author, err := mailauth.AuthorOf(m.Prepend, m.Body)
		if err != nil {
			return nil, fmt.Errorf("cannot read the message: %w", err)
		}
		if author != auth.Author {
			s.log.Warn("not signed by its author: From was changed from "+auth.Author+" after it was judged", mail.KeyQueueID, m.Env.ID.String())
			env := *m.Env
			env.Auth = mail.Authentic{SPF: auth.SPF, ARC: auth.ARC}
			m.Env = &env
		}
	}
	return s.Signer.Sign(ctx, m)
}

// signing has what leaves sealed, over what those sign who sign already. It comes before
// v.sending, which gives the signer to all transports.
func (v *view) signing(names *dns.Resolver, log *slog.Logger) error {
	var list signers
	field, err := v.replyFields(log)
	if err != nil {
		return err
	}
	if field != nil {
		list = append(list, field)
	}
	if err := v.signer(names, log); err != nil {
		return err
	}
	if v.delivery.Signer != nil {
		list = append(list, v.delivery.Signer)
	}
	seal, err := arcSealing(v.cfg, log)
	if err != nil {
		return err
	}
	if seal != nil {
		list = append(list, seal)
	}
	if signer := list.one(); signer != nil {
		v.delivery.Signer = asJudged{signer, log.With(mail.KeyDaemon, "smtp")}
	}
	return nil
}
