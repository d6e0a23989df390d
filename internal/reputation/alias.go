package reputation

import (
	"strings"

	"aliasmx/internal/mail"
)

// maxAddress bounds what is remembered of an address; RFC 5321 section 4.5.3.1.3 has 256.
const maxAddress = 512

// alias is an address as it is counted: in lower case, as tables are asked, and without its
// extension, so that nobody has as many aliases as he can think of extensions.
func (p *Params) alias(a mail.Address) (key, domain string) {
	a = p.Complete(a)
	local := p.StripExtension(a.Local)
	domain = strings.ToLower(a.Domain)
	key = strings.ToLower(mail.Address{Local: local, Domain: domain}.Internal())
	return key[:min(len(key), maxAddress)], domain
}
