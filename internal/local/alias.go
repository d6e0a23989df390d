package local

import (
	"errors"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// alias delivers to what an alias leads to. found is false when the name is none.
func (d *delivery) alias(st state, name string) (waits, found bool) {
	st.level++
	// An alias that names itself means the user of that name, who does not exist here.
	if strings.EqualFold(st.expanding, name) {
		return false, false
	}
	if st.level > nesting {
		d.warn("alias database loop for %s", name)
		return d.fails(st, mail.Code(5, 4, 6), "alias database loop for %s", name), true
	}
	st.expanding = name
	for _, t := range d.Aliases {
		value, found, err := d.lookUp(t, name)
		if err != nil {
			d.warn("%s: lookup of '%s' failed: %v", t.Name(), name, err)
			return d.fails(st, mail.Code(4, 3, 0), "alias database unavailable"), true
		}
		if found {
			return d.expand(st, name, value, t), true
		}
	}
	return false, false
}

// lookUp asks a table for a name in its quoted form, and then as it is: tables differ in
// how they hold names that need quotes.
func (d *delivery) lookUp(t table.Table, name string) (value string, found bool, err error) {
	quoted := mail.Address{Local: name}.String()
	value, found, err = t.Lookup(d.ctx, quoted)
	if !found && err == nil && quoted != name {
		value, found, err = t.Lookup(d.ctx, name)
	}
	return value, found, err
}

// find asks all tables.
func (d *delivery) find(name string) (value string, found bool, err error) {
	for _, t := range d.Aliases {
		if value, found, err = d.lookUp(t, name); found || err != nil {
			return value, found, err
		}
	}
	return "", false, nil
}

// expand delivers to the value of an alias, which t has said.
func (d *delivery) expand(st state, name, value string, t table.Table) bool {
	if d.tell != nil {
		d.step("alias %s (%s) leads to %s", name, where(t, name), value)
	}
	if d.probing {
		return d.sent(st, "aliased to %s", value)
	}
	st.source = fromAlias
	rights, reason := d.rightsOf(t)
	if reason != "" {
		return d.fails(st, mail.Code(4, 3, 0), "%s", reason)
	}
	st.rights = rights

	owner, err := d.owner(name)
	if err != nil {
		d.warn("%s: lookup of '%s' failed: %v", t.Name(), "owner-"+name, err)
		return d.fails(st, mail.Code(4, 3, 0), "alias database unavailable")
	}
	list := !owner.IsNull()
	switch {
	case list:
		d.step("owner-%s: a list; its sender is %s", name, owner)
		st.sender, st.owner = owner, owner.Internal()
	case d.ResetOwnerAlias:
		st.owner = ""
	}
	if d.ThawDelivered {
		st.to = st.rcpt
	}
	inner := st
	inner.notify = withoutSuccess(st.notify)
	if list {
		// RFC 3461 section 5.2.7.1: what a list sends on is not asked for by the sender.
		inner.envID, inner.ret, inner.orcpt, inner.orig = "", "", "", mail.Address{}
	}
	targets := table.AliasTargets(value)
	if len(targets) == 0 {
		d.warn("no recipient in alias lookup result for %s", name)
		return d.fails(st, mail.Code(4, 3, 0), "alias database unavailable")
	}
	if st.notify&mail.NotifySuccess != 0 {
		d.expanded, d.list = !list, list
	}
	waits := false
	for _, target := range targets {
		waits = d.target(inner, target) || waits
	}
	return waits
}

// withoutSuccess is what is left to ask of the targets when the alias itself is reported
// as expanded (RFC 3461 section 5.2.7.3).
func withoutSuccess(n mail.Notify) mail.Notify {
	if n == mail.NotifySuccess {
		return mail.NotifyNever
	}
	return n &^ mail.NotifySuccess
}

// rightsOf are those of an alias: of the owner of its table, none in particular for
// root's.
func (d *delivery) rightsOf(t table.Table) (User, string) {
	owned, ok := t.(table.Owned)
	uid, known := 0, false
	if ok {
		uid, known = owned.Owner()
	}
	if !known {
		d.warn("no owner UID for alias database %s", t.Name())
		return User{}, "mail system configuration error"
	}
	if uid == 0 {
		return User{}, ""
	}
	u, err := d.UserByID(uid)
	if err != nil {
		d.warn("cannot find alias database owner for %s: %v", t.Name(), err)
		return User{}, "cannot find alias database owner"
	}
	return u, ""
}

// owner is who owns an alias as a list, the null address when it is none.
func (d *delivery) owner(name string) (mail.Address, error) {
	if d.SplitOwnerRequest {
		return mail.Address{}, nil
	}
	value, found, err := d.find("owner-" + name)
	if !found || err != nil {
		return mail.Address{}, err
	}
	if !d.ExpandOwnerAlias {
		return d.Router.Complete(mail.Address{Local: "owner-" + name}), nil
	}
	targets := table.AliasTargets(value)
	if len(targets) == 0 {
		return mail.Address{}, errors.New("it leads to nothing")
	}
	return d.Router.Complete(addressOf(targets[0])), nil
}

// ownerOf is the owner of the list that an address is, with or without its extension.
func (d *delivery) ownerOf(st state) (mail.Address, error) {
	local := strings.ToLower(st.rcpt.Local)
	owner, err := d.owner(local)
	if user, _, delimiter := d.split(local); err == nil && owner.IsNull() && delimiter != 0 {
		owner, err = d.owner(user)
	}
	return owner, err
}

// where tells where a name stands, as far as the table knows.
func where(t table.Table, name string) string {
	if l, ok := t.(table.Locator); ok {
		if at := l.Locate(name); at != "" {
			return at
		}
	}
	return t.Name()
}

// addressOf is a target that is an address.
func addressOf(t table.AliasTarget) mail.Address {
	if t.Domain < 0 {
		return mail.Address{Local: t.Text}
	}
	return mail.Address{Local: t.Text[:t.Domain], Domain: t.Text[t.Domain+1:]}
}
