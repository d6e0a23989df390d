package alias

import (
	"context"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Lookup finds what tables have for an address, in the order in which virtual(5) looks:
// for parameters that are about addresses and no matter of aliases. An error is a
// *mail.Status: the tables could not answer.
func (r *Resolver) Lookup(ctx context.Context, maps table.Maps, a mail.Address) (value string, found bool, err error) {
	h, found, err := r.find(ctx, search(maps), a)
	return h.value, found, err
}
