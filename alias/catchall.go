package alias

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// IsCatchAll tells whether nothing but the @domain entry of virtual_alias_maps takes an
// address. An error is a *mail.Status: the tables could not answer.
func (r *Resolver) IsCatchAll(ctx context.Context, a mail.Address) (bool, error) {
	a, err := r.canonical(ctx, envelopeRecipient, r.Complete(a), nil)
	if err != nil {
		return false, err
	}
	h, found, err := r.find(ctx, r.aliases, a)
	return found && strings.HasPrefix(h.key, "@"), err
}
