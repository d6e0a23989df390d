package alias

import (
	"context"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// readKey reads a key of an alias table the other way round: which address is looked
// up by it (virtual(5), TABLE SEARCH ORDER).

// tableKey is what a key stands for.
type tableKey struct {
	addr       mail.Address
	catchAll   bool // @domain: addr has no local part
	bare       bool // user: addr is that user at $myorigin
	domainOnly bool // domain: lists the domain, when virtual_alias_domains has the table
}

// readKey also says why no address is ever looked up by a key.
func (r *Resolver) readKey(ctx context.Context, key string) (k tableKey, why string) {
	if domain, ok := strings.CutPrefix(key, "@"); ok {
		k.catchAll = true
		k.addr.Domain = domain
		if !isDomain(domain) {
			return k, fmt.Sprintf("no mail comes for it: %q is no domain", domain)
		}
		return k, ""
	}
	if !strings.Contains(key, "@") && strings.Contains(key, ".") {
		if listed, err := r.inList(ctx, r.o.VirtualAliasDomains, "virtual_alias_domains", key); listed && err == nil {
			k.domainOnly = true
			return k, ""
		}
	}
	parsed := parseList(key)
	if len(parsed) != 1 {
		return k, "never counts: it is not one address; addresses with special characters are quoted: \"odd user\"@example.com"
	}
	k.addr = toAddress(parsed[0])
	if k.addr.Domain == "" {
		k.bare = true
		if form := external(k.addr); !strings.EqualFold(form, key) {
			return k, "never counts: the address is looked up as " + form
		}
		if r.o.AppendAtMyOrigin {
			k.addr.Domain = r.o.MyOrigin
		}
		return k, ""
	}
	k.addr = r.Complete(k.addr)
	if form := external(k.addr); !strings.EqualFold(form, key) {
		return k, "never counts: the address is looked up as " + form
	}
	if r.isMalformed(k.addr) {
		return k, "no mail comes for it: it is no valid address"
	}
	return k, ""
}
