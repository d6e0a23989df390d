package ldaptable

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"aliasmx/internal/table/dbtable"
)

// walk is one lookup: from the entries that a search finds, by their special attributes,
// to the entries that those name.
type walk struct {
	*source
	conn   *ldap.Conn
	result *dbtable.Result
	ctx    context.Context
}

func (w *walk) search(base string, scope int, filter string, names []string) ([]*ldap.Entry, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	seconds := int(w.timeout.Seconds())
	found, err := w.conn.Search(ldap.NewSearchRequest(base, scope, w.dereference, w.sizeLimit, seconds, false, parenthesized(filter), names, nil))
	if err != nil {
		return nil, err
	}
	if w.sizeLimit > 0 && len(found.Entries) > w.sizeLimit {
		return nil, fmt.Errorf("size_limit (%d) exceeded", w.sizeLimit)
	}
	return found.Entries, nil
}

// entries adds what entries say to the result. Depth is 1 for those that were searched
// for by the key.
func (w *walk) entries(found []*ldap.Entry, depth int) error {
	for _, entry := range found {
		if err := w.entry(entry, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry: one with a terminal attribute gives those and nothing else. Without, one with a
// special attribute gives no leaf attributes.
func (w *walk) entry(entry *ldap.Entry, depth int) error {
	a := w.attributes
	isTerminal := has(entry, a.names[:a.terminal])
	isLeaf := isTerminal || a.leaf == a.terminal || !has(entry, a.names[a.ordinary:])
	for _, attribute := range entry.Attributes {
		if len(attribute.Values) == 0 {
			continue
		}
		i := a.index(attribute.Name)
		var err error
		switch {
		case i < a.ordinary || isTerminal:
			if isTerminal && i >= a.terminal || !isLeaf && i < a.leaf {
				continue
			}
			for _, value := range attribute.Values {
				if err = w.result.Add(value); err != nil {
					break
				}
			}
		case i == len(a.names):
		case depth >= w.recursion:
			err = fmt.Errorf("recursion_limit (%d) exceeded at special attribute %s", w.recursion, attribute.Name)
		default:
			err = w.follow(attribute.Values, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// has tells whether an entry has a value of one of the attributes.
func has(entry *ldap.Entry, names []string) bool {
	for _, name := range names {
		if len(entry.GetEqualFoldAttributeValues(name)) > 0 {
			return true
		}
	}
	return false
}

// follow goes to the entries that values name, as DN or as URL. One that names nothing is
// passed over.
func (w *walk) follow(values []string, depth int) error {
	for _, value := range values {
		found, err := w.named(value)
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			w.warn(fmt.Sprintf("DN %q not found, skipping", value))
			continue
		}
		if err == nil {
			err = w.entries(found, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) named(value string) ([]*ldap.Entry, error) {
	if !isURL(value) {
		return w.search(value, ldap.ScopeBaseObject, "(objectClass=*)", w.attributes.names)
	}
	u, err := parseURL(value)
	if err != nil {
		return nil, err
	}
	names := w.attributes.within(u.attributes)
	if names == nil {
		return nil, nil // nothing of interest
	}
	return w.search(u.base, u.scope, u.filter, names)
}

// searchURL is what an LDAP URL asks for: RFC 4516. Its host does not matter, the server
// that gave it is asked.
type searchURL struct {
	base       string
	attributes []string
	scope      int
	filter     string
}

func isURL(value string) bool {
	scheme, _, ok := strings.Cut(value, "://")
	scheme = strings.ToLower(scheme)
	return ok && (scheme == "ldap" || scheme == "ldaps" || scheme == "ldapi")
}

func parseURL(value string) (searchURL, error) {
	malformed := fmt.Errorf("malformed URL %q", value)
	_, rest, _ := strings.Cut(value, "://")
	_, rest, _ = strings.Cut(rest, "/")
	parts := strings.Split(rest, "?")
	if len(parts) > 5 {
		return searchURL{}, malformed
	}
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return searchURL{}, malformed
		}
	}
	parts = append(parts, "", "", "", "")[:4]
	u := searchURL{base: parts[0], filter: parts[3]}
	for name := range strings.SplitSeq(parts[1], ",") {
		if name != "" && name != "*" {
			u.attributes = append(u.attributes, name)
		}
	}
	switch strings.ToLower(parts[2]) {
	case "", "base":
		u.scope = ldap.ScopeBaseObject
	case "one":
		u.scope = ldap.ScopeSingleLevel
	case "sub":
		u.scope = ldap.ScopeWholeSubtree
	default:
		return searchURL{}, malformed
	}
	if u.filter == "" {
		u.filter = "(objectClass=*)"
	}
	return u, nil
}
