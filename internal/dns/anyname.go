package dns

import (
	"strings"

	"github.com/miekg/dns"
)

// Names that no host could have. An SPF record makes them of the local part of a sender or
// of what a client says in HELO (RFC 7208 section 7), and any byte may be in a label
// (RFC 2181 section 11).

// anyName brings a name of ASCII into the form that replies have it in, special characters
// escaped. Dots part its labels, and nothing in name is an escape.
func anyName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", false
	}
	var b strings.Builder
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c < ' ' || c > '~':
			return "", false
		case c == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('.')
	wire := make([]byte, 255)
	if _, err := dns.PackDomainName(b.String(), wire, 0, nil, false); err != nil {
		return "", false
	}
	escaped, _, err := dns.UnpackDomainName(wire, 0)
	return escaped, err == nil
}
