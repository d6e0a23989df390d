package table

import "strings"

// WholeKeys tells by its name, type:argument, whether a table is asked for whole keys
// only: it matches patterns (regexp_table(5), pcre_table(5), cidr_table(5)), of which a
// part might match by accident, or asks a server that is promised whole addresses
// (tcp_table(5), socketmap_table(5)). A table made of others is one if any of them is.
func WholeKeys(name string) bool {
	kind, argument, _ := strings.Cut(name, ":")
	switch kind {
	case "regexp", "pcre", "cidr", "tcp", "socketmap", "fail", "randmap":
		return true
	case "proxy":
		return WholeKeys(argument)
	case "unionmap", "pipemap":
		for _, member := range strings.FieldsFunc(argument, func(r rune) bool { return strings.ContainsRune("{}, \t", r) }) {
			if WholeKeys(member) {
				return true
			}
		}
	}
	return false
}
