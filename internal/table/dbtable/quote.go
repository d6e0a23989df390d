package dbtable

import (
	"strings"
	"unicode/utf8"
)

// storable tells whether a server can have a key at all. Postfix does not ask for what is
// no UTF-8, whatever smtputf8_enable is; a null byte ends a text in C.
func storable(key string) bool {
	return utf8.ValidString(key) && strings.IndexByte(key, 0) < 0
}

// quoteName doubles the quote of a name within quotes.
func quoteName(quote byte) func(string) string {
	return func(name string) string {
		return strings.ReplaceAll(name, string(quote), string([]byte{quote, quote}))
	}
}
