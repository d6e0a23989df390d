package shaping

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Table is tables that are asked as one. It is safe for concurrent use.
type Table interface {
	// Lookup returns the line of a key and where it stands; an error means that the tables
	// could not answer.
	Lookup(ctx context.Context, key string) (line, where string, found bool, err error)
}

// Tables are smtp_shaping_maps and smtp_shaping_defaults; either may be nil. They are safe
// for concurrent use.
type Tables struct{ Maps, Defaults Table }

// Answer is the line that holds for a destination.
type Answer struct {
	Line         // what it says not with defaults is filled in
	Key   string // by which it was found
	Where string // the line stands
}

// Error is a line that says nothing.
type Error struct {
	Key, Where string
	Err        error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Where, e.Key, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

const (
	// hostsMost is how many hosts of a destination are looked up, parentsMost how many
	// domains above each: others decide how many there are.
	hostsMost   = 20
	parentsMost = 8
)

// Find returns the line for a domain with these hosts, best first. Without a line found is
// false. An *Error is a line that cannot be read, any other that a table could not answer.
func (t *Tables) Find(ctx context.Context, domain string, hosts []string) (a Answer, found bool, err error) {
	hosts = hosts[:min(len(hosts), hostsMost)]
	for i, table := range []Table{t.Maps, t.Defaults} {
		if table == nil {
			continue
		}
		if a, found, err = find(ctx, table, domain, hosts); err != nil {
			return Answer{}, false, err
		}
		if !found {
			continue
		}
		if a.Defaults && i == 0 && t.Defaults != nil {
			more, found, err := find(ctx, t.Defaults, domain, hosts)
			if err != nil {
				return Answer{}, false, err
			}
			if found {
				a.Line = a.Line.or(more.Line)
			}
		}
		a.Defaults = false
		if a.Site != "" && !strings.EqualFold(a.Key, domain) {
			ok, err := t.allOf(ctx, a.Site, hosts)
			if err != nil {
				return Answer{}, false, err
			}
			if !ok {
				a.Site = ""
			}
		}
		return a, true, nil
	}
	return Answer{}, false, nil
}

func find(ctx context.Context, t Table, domain string, hosts []string) (Answer, bool, error) {
	if a, found, err := ask(ctx, t, strings.ToLower(domain)); found || err != nil {
		return a, found, err
	}
	for _, h := range hosts {
		if a, found, err := byHost(ctx, t, h); found || err != nil {
			return a, found, err
		}
	}
	return Answer{}, false, nil
}

// byHost asks for a host and the domains above it.
func byHost(ctx context.Context, t Table, host string) (Answer, bool, error) {
	host = strings.ToLower(host)
	if a, found, err := ask(ctx, t, host); found || err != nil {
		return a, found, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return Answer{}, false, nil
	}
	for rest, n := host, 0; n < parentsMost; n++ {
		i := strings.IndexByte(rest, '.')
		if i < 0 || i == len(rest)-1 {
			break
		}
		if a, found, err := ask(ctx, t, rest[i:]); found || err != nil {
			return a, found, err
		}
		rest = rest[i+1:]
	}
	return Answer{}, false, nil
}

func ask(ctx context.Context, t Table, key string) (Answer, bool, error) {
	text, where, found, err := t.Lookup(ctx, key)
	if err != nil || !found {
		return Answer{}, false, err
	}
	l, err := Parse(text)
	if err != nil {
		return Answer{}, false, &Error{key, where, err}
	}
	return Answer{l, key, where}, true, nil
}

// allOf tells whether all hosts are of a group.
func (t *Tables) allOf(ctx context.Context, group string, hosts []string) (bool, error) {
	for _, h := range hosts {
		of := ""
		for _, table := range []Table{t.Maps, t.Defaults} {
			if table == nil {
				continue
			}
			a, found, err := byHost(ctx, table, h)
			if err != nil {
				return false, err
			}
			if found && (a.Site != "" || !a.Defaults) {
				of = a.Site
				break
			}
		}
		if of != group {
			return false, nil
		}
	}
	return true, nil
}
