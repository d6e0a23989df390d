package arc

import (
	"fmt"
	"slices"
	"strings"
)

// What a set of ours says and covers, as text.

// results is the AAR.
func (s *Sealer) results(instance int, results string) []byte {
	b := fmt.Appendf(nil, "ARC-Authentication-Results: i=%d; %s", instance, s.o.AuthservID)
	if trim(results) == "" {
		return append(b, "; none\r\n"...) // RFC 8601 section 2.2, no-result
	}
	for _, method := range splitMethods(clean(results)) {
		b = append(b, ";\r\n\t"...)
		for len(method) > lineMax {
			cut := foldAt(method)
			if cut < 0 {
				break
			}
			b = append(append(b, method[:cut]...), "\r\n\t "...)
			method = method[cut+1:]
		}
		b = append(b, method...)
	}
	return append(b, "\r\n"...)
}

// lineMax is where a line of an AAR is folded, if it has a space that can be.
const lineMax = 900

// clean takes out of results what could end the field.
func clean(results string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, results)
}

// splitMethods splits results at the semicolons that are not in a quoted string or a comment.
func splitMethods(results string) (methods []string) {
	start := 0
	add := func(end int) {
		if m := trim(results[start:end]); m != "" {
			methods = append(methods, m)
		}
		start = end + 1
	}
	eachOutside(results, func(i int) bool {
		if results[i] == ';' {
			add(i)
		}
		return true
	})
	if start < len(results) {
		add(len(results))
	}
	return methods
}

// foldAt is the last space before lineMax at which a line can be folded without changing
// what it says, else the first one behind it; -1: there is none.
func foldAt(line string) int {
	at := -1
	eachOutside(line, func(i int) bool {
		if line[i] == ' ' && i > 0 && (at < 0 || i <= lineMax) {
			at = i
		}
		return at < 0 || i <= lineMax
	})
	return at
}

// eachOutside calls yield with each position that is outside of quoted strings and comments
// while it returns true.
func eachOutside(s string, yield func(i int) bool) {
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		default:
			if !yield(i) {
				return
			}
		}
	}
}

// signedOnce are fields that a message has once (RFC 5322 section 3.6, RFC 2045). Where they
// are there they are signed once more than they are, so that a second one breaks the
// signature. One that is missing may be added by a later hop, as receivers do with
// Message-ID; From must be there, and is signed so in any case.
func signedOnce() []string {
	return []string{"from", "date", "subject", "to", "cc", "reply-to", "message-id", "in-reply-to", "references",
		"mime-version", "content-type", "content-transfer-encoding"}
}

// signedAll are fields of which each that is there is signed (RFC 6376 section 5.4.1). ARC
// fields, Authentication-Results and trace fields are none of them (RFC 8617 section 4.1.2):
// later hops add and remove them.
func signedAll() []string {
	return []string{"sender", "content-id", "content-description", "resent-date", "resent-from", "resent-sender", "resent-to",
		"resent-cc", "resent-message-id", "list-id", "list-help", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe",
		"list-post", "list-owner", "list-archive", "dkim-signature"}
}

// signedMost bounds how often a field is in h=: more of it a later hop may forge.
const signedMost = 20

// signedNames is h= for a header.
func signedNames(fields []field) (names []string) {
	count := map[string]int{}
	for i := range fields {
		count[fields[i].name]++
	}
	for _, name := range signedOnce() {
		n := min(count[name], signedMost)
		if n > 0 || name == "from" {
			names = append(names, slices.Repeat([]string{name}, n+1)...)
		}
	}
	for _, name := range signedAll() {
		names = append(names, slices.Repeat([]string{name}, min(count[name], signedMost))...)
	}
	return names
}

// appendNames appends h= with its lines folded.
func appendNames(b []byte, names []string) []byte {
	b = append(b, "h="...)
	width := 10
	for i, name := range names {
		if i > 0 {
			b = append(b, ':')
		}
		if width += len(name) + 1; width > 76 {
			b = append(b, "\r\n\t "...)
			width = 9 + len(name)
		}
		b = append(b, name...)
	}
	return b
}
