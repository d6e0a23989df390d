package main

import (
	"context"
	"slices"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
)

// signers sign a message one after the other, the innermost first: DKIM, and last what seals
// all of it. Each sees what those before it have put on top.
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

// withSigner adds a signer to those there are; nil adds none. Without any the result is nil,
// and sending costs nothing.
func withSigner(before, next delivery.Signer) delivery.Signer {
	switch first := before.(type) {
	case nil:
		return next
	case signers:
		if next == nil {
			return first
		}
		return append(slices.Clone(first), next)
	}
	if next == nil {
		return before
	}
	return signers{before, next}
}
