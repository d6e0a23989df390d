package dmarc

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
)

// normal is a domain as it is compared and asked for: A-labels, lower case, no dot at the
// end.
func normal(domain string) (string, error) {
	const longest = 1024 // in Unicode: making A-labels takes the square of the length
	if len(domain) > longest {
		return "", fmt.Errorf("%q... is too long for a domain", domain[:40])
	}
	if !utf8.ValidString(domain) {
		return "", fmt.Errorf("%q is no domain", domain)
	}
	d := domain
	for i := 0; i < len(d); i++ {
		if d[i] >= 0x80 {
			var err error
			if d, err = idna.Lookup.ToASCII(d); err != nil {
				return "", fmt.Errorf("%q is no domain", domain)
			}
			break
		}
	}
	d = strings.ToLower(strings.TrimSuffix(d, "."))
	if !dns.ValidName(d) {
		return "", fmt.Errorf("%q is no domain", domain)
	}
	return d, nil
}

// parent is the name above, "" above one label.
func parent(domain string) string {
	_, above, _ := strings.Cut(domain, ".")
	return above
}

func labels(domain string) int { return 1 + strings.Count(domain, ".") }

// last returns the n rightmost labels.
func last(domain string, n int) string {
	for i := labels(domain); i > n; i-- {
		domain = parent(domain)
	}
	return domain
}

// below tells whether a name is another or stands below it. All stand below "".
func below(name, top string) bool {
	rest, ok := strings.CutSuffix(name, top)
	return ok && (rest == "" || top == "" || rest[len(rest)-1] == '.')
}
