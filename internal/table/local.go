package table

import "strings"

// Local tells by its name, type:argument, whether a table answers from this machine
// alone, and the same key alike each time: files, and what stands in the configuration.
// Such a table can be asked before anything runs. One made of others is local if all of
// them are.
func Local(name string) bool {
	kind, argument, _ := strings.Cut(name, ":")
	switch kind {
	case "hash", "btree", "dbm", "lmdb", "cdb", "texthash", "inline", "static", "fail", "regexp", "pcre", "cidr", "environ":
		return true
	case "proxy":
		return Local(argument)
	case "unionmap", "pipemap":
		for _, member := range braced(argument) {
			if !Local(member) {
				return false
			}
		}
		return true
	}
	return false
}
