package srs

import (
	"strings"

	"aliasmx/internal/mail"
)

// Forward is the reverse-path that mail from a leaves with. The null reverse-path and addresses
// of the domain itself stay as they are. The error is ErrNoDomain or ErrTooLong.
func (c *Codec) Forward(a mail.Address) (mail.Address, error) {
	switch {
	case a.IsNull(), a.Domain != "" && c.Ours(a.Domain):
		return a, nil
	case a.Domain == "" || a.Local == "" || a.Domain == databaseDomain || strings.Contains(a.Domain, "="):
		return mail.Address{}, ErrNoDomain
	}
	out := mail.Address{Local: c.token(a), Domain: c.written}
	if len("<>")+len(out.String()) > maxPath {
		return mail.Address{}, ErrTooLong
	}
	return out, nil
}

// token is the local part.
func (c *Codec) token(a mail.Address) string {
	separator := string(c.o.Separator)
	if _, ok := cutTag(a.Local, tag0); ok {
		opaque := a.Local[len(tag0):]
		return tag1 + separator + c.sign(a.Domain, opaque) + "=" + a.Domain + "=" + opaque
	}
	if rest, ok := cutTag(a.Local, tag1); ok {
		if _, host, opaque, ok := cutFirstHop(rest); ok {
			return tag1 + separator + c.sign(host, opaque) + "=" + host + "=" + opaque
		}
		// It only begins like one.
	}
	day := stamp(c.today())
	return tag0 + separator + c.sign(day, a.Domain, a.Local) + "=" + day + "=" + a.Domain + "=" + a.Local
}
