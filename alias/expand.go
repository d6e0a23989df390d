package alias

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Expansion by virtual_alias_maps: recursive and bounded (virtual(5); postconf(5):
// virtual_alias_recursion_limit, virtual_alias_expansion_limit,
// virtual_alias_address_length_limit).
//
// The result is a list that starts as the address itself. Each element is looked up;
// the first address of what is found takes its place and is looked up in its turn, the
// others go to the end of the list and wait. So the recursion limit counts how often
// one place was replaced, the expansion limit how long the list grew, and nothing
// recurses. An address that leads to itself is looked up no more.

// expansion is what expand found.
type expansion struct {
	targets []mail.Address // at least one
	matched bool           // some table knows the address itself
}

// expand replaces a by its targets. An error is a *mail.Status, always temporary.
func (r *Resolver) expand(ctx context.Context, a mail.Address, tr *trace) (expansion, error) {
	x := expansion{targets: make([]mail.Address, 1, 4)}
	x.targets[0] = a
	var self map[string]bool // those that lead to themselves, folded
	for i := 0; i < len(x.targets); i++ {
		for depth := 0; ; depth++ {
			at := x.targets[i]
			if len(self) > 0 && self[r.folded(at)] {
				break
			}
			if depth >= r.o.RecursionLimit {
				return x, r.unreasonable(tr, "map nesting for "+a.Internal(), "virtual_alias_recursion_limit")
			}
			if err := ctx.Err(); err != nil {
				return x, lookupFailure()
			}
			h, found, err := r.find(ctx, r.aliases, at)
			if err != nil {
				tr.failed(at)
				return x, err
			}
			if !found {
				break
			}
			x.matched = x.matched || i == 0 && depth == 0
			results, err := r.results(at, h, tr)
			if err != nil {
				return x, err
			}
			x.targets[i] = results[0]
			x.targets = append(x.targets, results[1:]...)
			if len(x.targets) > r.o.ExpansionLimit {
				return x, r.unreasonable(tr, "map expansion size for "+a.Internal(), "virtual_alias_expansion_limit")
			}
			if slices.ContainsFunc(results, func(b mail.Address) bool { return r.same(at, b) }) {
				if self == nil {
					self = make(map[string]bool)
				}
				self[r.folded(at)] = true
			}
		}
	}
	return x, nil
}

// results reads what virtual_alias_maps said of an address.
func (r *Resolver) results(at mail.Address, h hit, tr *trace) ([]mail.Address, error) {
	results, err := r.addresses("virtual_alias_maps", at, h, r.propagate, tr)
	if err != nil {
		return nil, err
	}
	for _, t := range results {
		if len(t.Local)+len("@")+len(t.Domain) > r.o.AddressLengthLimit {
			return nil, r.unreasonable(tr, fmt.Sprintf("result %.300s...", t.Internal()), "virtual_alias_address_length_limit")
		}
	}
	return results, nil
}

// addresses reads a table's result as addresses, one at least, each with the extension
// of the address looked up when that is to be propagated.
func (r *Resolver) addresses(parameter string, at mail.Address, h hit, propagate bool, tr *trace) ([]mail.Address, error) {
	value, extension := h.value, h.extension
	if strings.HasPrefix(value, "@") {
		// @otherdomain: the same user there. Only the first address of a list can be meant;
		// of a list with more Postfix makes one odd address, and so do we.
		user := strings.TrimSuffix(at.Local, extension)
		value = external(splitInternal(user + value))
	}
	if !propagate {
		extension = ""
	}
	results := r.targets(value, extension)
	tr.found(at, h, results, propagate)
	if len(results) == 0 {
		r.log.Warn(fmt.Sprintf("%s lookup of %s returns non-address result %q", parameter, at.Internal(), h.value))
		return nil, lookupFailure()
	}
	return results, nil
}

// unreasonable is the answer when a limit is reached. It is temporary: the fault is in
// the tables, not in the mail.
func (r *Resolver) unreasonable(tr *trace, what, limit string) *mail.Status {
	tr.limited(what, limit)
	r.log.Warn("unreasonable virtual_alias_maps " + what + " -- message not accepted, try again later")
	return &mail.Status{
		Code: 451, Enhanced: mail.Code(4, 6, 0),
		Text: "Recipient address rejected: Alias expansion error",
	}
}

func equalFold(a, b mail.Address) bool {
	return strings.EqualFold(a.Local, b.Local) && strings.EqualFold(a.Domain, b.Domain)
}

// same tells whether two addresses are one, in whichever case and, with EquateLabels,
// form of the domain.
func (r *Resolver) same(a, b mail.Address) bool {
	if equalFold(a, b) {
		return true
	}
	if !r.o.EquateLabels || !strings.EqualFold(a.Local, b.Local) || isASCII(a.Domain) && isASCII(b.Domain) {
		return false
	}
	return r.folded(a) == r.folded(b)
}

// folded is what all addresses have in common that are the same.
func (r *Resolver) folded(a mail.Address) string {
	if r.o.EquateLabels && !isASCII(a.Domain) {
		if other, ok := otherLabels(a.Domain); ok {
			a.Domain = other
		}
	}
	return strings.ToLower(a.Internal())
}
