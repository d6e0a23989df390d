package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Subdomains says which domains a name in a list matches beside itself.
type Subdomains uint8

const (
	// DotSubdomains: ".example.com" matches all below example.com, and
	// "example.com" only itself.
	DotSubdomains Subdomains = iota
	// ParentSubdomains: "example.com" matches itself and all below it, as for the
	// lists that postconf(5) parent_domain_matches_subdomains names.
	ParentSubdomains
	// NoSubdomains: names match themselves only, as in mydestination and
	// virtual_alias_domains.
	NoSubdomains
)

// matchList is a list of match_list(3): names, networks, tables, and files that hold
// more of them. The first pattern that matches decides, and a ! before it turns its
// answer around. Names are kept in a map with their place in the list, so that a long
// list of domains costs no more than a short one.
type matchList struct {
	o        Options
	networks bool // addresses and networks are patterns of their own
	names    map[string]pattern
	rest     []pattern // tables and networks, in order
	n        int       // patterns so far

	tables *sharedTables
	opened []string          // of them
	reads  func(file string) // is told of each file before it is opened
}

// pattern is a name when it has neither table nor network.
type pattern struct {
	place   int
	not     bool
	table   Table
	network netip.Prefix
}

// maxFileDepth bounds files that name files.
const maxFileDepth = 10

func (l *matchList) parse(elems []string, not bool, depth int) error {
	for _, elem := range elems {
		item := strings.TrimLeft(elem, "!")
		not := not != ((len(elem)-len(item))%2 == 1)
		var err error
		switch {
		case item == "":
			err = errors.New("no pattern after '!'")
		case item[0] == '/':
			err = l.parseFile(item, not, depth)
		default:
			err = l.add(item, not)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseFile puts what a file holds in the place of its name.
func (l *matchList) parseFile(file string, not bool, depth int) error {
	if depth == maxFileDepth {
		return fmt.Errorf("open file %s: files that name files, more than %d deep; does one name itself?", file, maxFileDepth)
	}
	l.reads(file)
	f, err := openFile(file)
	if err != nil {
		return &fileError{"open file", file, err}
	}
	defer f.Close()
	lines := newLineReader(f, file, l.o.Warn)
	for {
		text, n, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		elems := splitList(string(text))
		for i, e := range elems {
			if e[0] == '#' {
				l.o.warnf(`%s: #comment after other text is not allowed: "%s"`, where(file, n), strings.Join(elems[i:], " "))
				elems = elems[:i]
				break
			}
		}
		if err := l.parse(elems, not, depth+1); err != nil {
			return fmt.Errorf("%s: %w", where(file, n), err)
		}
	}
}

func (l *matchList) add(item string, not bool) error {
	p := pattern{place: l.n, not: not}
	l.n++
	typ, _, isTable := strings.Cut(item, ":")
	isTable = isTable && item[0] != '['
	if l.networks && (!isTable || openers(l.o)[typ] == nil) {
		network, ok, err := parseNetwork(item)
		if err != nil {
			return err
		}
		if ok {
			p.network = network
			l.rest = append(l.rest, p)
			return nil
		}
	}
	if isTable {
		t, err := l.tables.open(item, l.o)
		if err != nil {
			return err
		}
		l.opened = append(l.opened, item)
		p.table = t
		l.rest = append(l.rest, p)
		return nil
	}
	name, ok := l.o.keyForm().key(item)
	if !ok {
		return fmt.Errorf(`"%s" is not UTF-8`, item)
	}
	if _, dup := l.names[name]; !dup {
		l.names[name] = p
	}
	return nil
}

// match asks for a name, an address, or both; "" and the zero Addr are none.
func (l *matchList) match(ctx context.Context, name string, addr netip.Addr) (bool, error) {
	name, ok := l.o.keyForm().key(name)
	if !ok {
		name = ""
	}
	best, byName := l.byName(name)
	for _, p := range l.rest {
		if byName && best.place < p.place {
			break
		}
		hit := p.network.Contains(addr)
		if p.table != nil {
			var err error
			if hit, err = l.inTable(ctx, p.table, name, addr); err != nil {
				return false, fmt.Errorf("%s: table lookup problem: %w", p.table.Name(), err)
			}
		}
		if hit {
			return !p.not, nil
		}
	}
	return byName && !best.not, nil
}

// byName finds the first name in the list that matches.
func (l *matchList) byName(name string) (best pattern, found bool) {
	l.forms(name, func(form string) bool {
		if p, ok := l.names[form]; ok && (!found || p.place < best.place) {
			best, found = p, true
		}
		return true
	})
	return best, found
}

// forms calls yield with a name and, as Subdomains says, its parents, until yield has
// enough.
func (l *matchList) forms(name string, yield func(string) bool) {
	if name == "" || !yield(name) || l.o.Subdomains == NoSubdomains {
		return
	}
	for {
		i := strings.IndexByte(name[1:], '.') + 1
		if i == 0 {
			return
		}
		if l.o.Subdomains == ParentSubdomains {
			i++
		}
		if name = name[i:]; name == "" || !yield(name) {
			return
		}
	}
}

func (l *matchList) inTable(ctx context.Context, t Table, name string, addr netip.Addr) (hit bool, err error) {
	l.forms(name, func(form string) bool {
		_, hit, err = t.Lookup(ctx, form)
		return !hit && err == nil
	})
	if !hit && err == nil && addr.IsValid() {
		_, hit, err = t.Lookup(ctx, addr.String())
	}
	return hit, err
}

// close closes the tables of the list.
func (l *matchList) close() error {
	var errs []error
	for _, spec := range l.opened {
		errs = append(errs, l.tables.close(spec))
	}
	return errors.Join(errs...)
}
