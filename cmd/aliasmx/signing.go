package main

import (
	"context"
	"log/slog"
	"slices"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
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

// signing has what leaves sealed, over what those sign who sign already. It comes before
// v.sending, which gives the signer to all transports.
func (v *view) signing(log *slog.Logger) error {
	var list signers
	if err := v.signer(log); err != nil {
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
	v.delivery.Signer = list.one()
	return nil
}
