package ldaptable

import (
	"strings"

	"aliasmx/internal/table/dbtable"
)

// attributes are the attributes whose values are of interest, by what becomes of them:
// ldap_table(5), LDAP parameters.
type attributes struct {
	names []string // terminal, then leaf, then ordinary, then special ones
	// How many of names are terminal; terminal or leaf; none of the special ones.
	terminal, leaf, ordinary int
}

func readAttributes(c *dbtable.Config) (a attributes) {
	a.names = c.List("terminal_result_attribute")
	a.terminal = len(a.names)
	a.names = append(a.names, c.List("leaf_result_attribute")...)
	a.leaf = len(a.names)
	if _, set := c.Lookup("result_attribute"); set {
		a.names = append(a.names, c.List("result_attribute")...)
	} else {
		a.names = append(a.names, "maildrop")
	}
	a.ordinary = len(a.names)
	a.names = append(a.names, c.List("special_result_attribute")...)
	return a
}

// index is the place of the first name that an attribute of an entry is, or is a subtype
// of: "mail;lang-de" is a "mail". len(names) when there is none.
func (a attributes) index(attribute string) int {
	for i, name := range a.names {
		if subtype(attribute, name) {
			return i
		}
	}
	return len(a.names)
}

// subtype tells whether an attribute description is another, or that with options more:
// RFC 4512 section 2.5.
func subtype(a, of string) bool {
	return len(a) >= len(of) && strings.EqualFold(a[:len(of)], of) && (len(a) == len(of) || a[len(of)] == ';')
}

// within is the attributes to ask for where a URL names some: what is in both lists, the
// more special one where they differ by options. Nil when nothing is.
func (a attributes) within(url []string) []string {
	if len(url) == 0 {
		return a.names
	}
	var both []string
	for _, u := range url {
		for _, name := range a.names {
			switch {
			case subtype(name, u):
				both = append(both, name)
			case subtype(u, name):
				both = append(both, u)
			}
		}
	}
	return both
}
