package dkim

import "strings"

// No laundering: what we sign lends our name. DMARC takes a signature for the author's if d=
// and the From field's domain have the same organizational domain (relaxed alignment, RFC 9989
// section 5.1.1). Which that is only the DNS knows, and it can be asked later than we sign, by
// others; so what could be aligned counts as aligned here.

// couldAlign tells whether two domains could have the same organizational domain: one is
// within the other, or they share more than a top-level domain.
func couldAlign(a, b string) bool {
	a, b = strings.TrimSuffix(lower(a), "."), strings.TrimSuffix(lower(b), ".")
	if within(a, b) || within(b, a) {
		return true
	}
	common := 0
	for {
		i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
		if a[i+1:] != b[j+1:] {
			return common > 1
		}
		common++
		if i < 0 || j < 0 {
			return common > 1
		}
		a, b = a[:i], b[:j]
	}
}
