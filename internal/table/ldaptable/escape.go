package ldaptable

import (
	"fmt"
	"strings"
)

// escapeDN protects a value in a search base: RFC 4514 section 2.4. As Postfix does, white
// space and # are escaped everywhere, which is more than is needed and does no harm.
func escapeDN(value string) string { return escape(value, " \t\"#+,;<>=\\\x00") }

// escapeFilter protects a value in a filter: RFC 4515 section 3.
func escapeFilter(value string) string { return escape(value, "*()\\\x00") }

func escape(value, special string) string {
	if !strings.ContainsAny(value, special) {
		return value
	}
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; strings.IndexByte(special, c) >= 0 {
			fmt.Fprintf(&b, `\%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
