package alias

import (
	"fmt"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Proving alias_attribute_maps: what cannot be read would defer mail, and attributes of
// nobody are a mistake in writing.

// attributes proves the tables of attributes, as far as they can be listed.
func (p *prover) attributes() bool {
	for _, t := range p.r.o.AttributeMaps {
		lister, ok := t.(table.Lister)
		if !ok {
			continue
		}
		err := lister.Each(func(key, value string) bool { return p.goOn(t.Name()) && p.attribute(t, key, value) })
		if err != nil && !p.over {
			p.tell(Finding{Kind: Unproven, Parameter: "alias_attribute_maps", Where: t.Name(), Text: "it cannot be read to its end: " + err.Error()})
		}
		if p.over {
			return false
		}
	}
	return true
}

func (p *prover) attribute(t table.Table, key, value string) bool {
	tell := func(info bool, kind Kind, format string, args ...any) bool {
		return p.tell(Finding{Kind: kind, Parameter: "alias_attribute_maps", Where: hit{key: key, table: t}.locate(), Key: key, Text: fmt.Sprintf(format, args...), Info: info})
	}
	attr, err := ParseAttributes(value)
	if err != nil {
		return tell(false, BadAttributes, "%v; mail to it is deferred", err)
	}
	if at := attr.Expires; !at.IsZero() && !p.r.o.Now().Before(at) && !tell(true, Expired, "has expired: %s", at.UTC().Format(time.RFC3339)) {
		return false
	}
	k, why := p.r.readKey(p.ctx, key)
	if why != "" || k.domainOnly {
		return tell(false, Unreachable, "never counts: no address is looked up by this key")
	}
	a := k.addr
	if k.catchAll {
		class, err := p.class(a.Domain)
		if err == nil && class != mail.ClassVirtualAlias {
			return tell(false, Unreachable, "%s is no virtual alias domain: it has no aliases", a.Domain)
		}
		return true
	}
	if _, found, err := p.r.find(p.ctx, p.r.aliases, a); err == nil && !found {
		return tell(false, Unreachable, "there is no such alias in virtual_alias_maps")
	}
	return true
}
