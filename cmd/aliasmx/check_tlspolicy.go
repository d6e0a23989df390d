package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/internal/tlspolicy"
)

// tlsTable is a policy table and who reads it.
type tlsTable struct {
	policies  *tlspolicy.Policies
	maps      table.Maps
	parameter string
	cfg       *postconf.Config
	warnings  []string // what was said when they were made: of each transport the same, once
}

// tlsEntry is one entry of a policy table.
type tlsEntry struct {
	where string // file and line, or the parameter
	key   string // "" where rules with patterns say which
	value string
	open  bool // the rest of the value depends on the key
}

// place is where it stands, and its key.
func (e tlsEntry) place() string {
	if e.key == "" {
		return e.where
	}
	return e.where + ": " + e.key
}

// each goes through the tables that can be gone through without asking anybody: by their
// keys, or by the results of their rules.
func (t *tlsTable) each(yield func(tlsEntry) bool) error {
	at := fmt.Sprintf("%s (%s)", t.parameter, t.cfg.Where(t.parameter))
	more := true
	for _, m := range t.maps {
		if !table.Local(m.Name()) || !more {
			continue
		}
		var err error
		switch m := m.(type) {
		case table.Lister:
			err = m.Each(func(key, value string) bool {
				where := at
				if l, ok := m.(table.Locator); ok {
					where = cmp.Or(l.Locate(key), at)
				}
				more = yield(tlsEntry{where, key, value, false})
				return more
			})
		case table.Valued:
			err = m.Values(func(value table.Value) bool {
				more = yield(tlsEntry{cmp.Or(value.Where, at), "", value.Text, value.Open})
				return more
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// check tells what is wrong with the value of an entry.
func (t *tlsTable) check(e tlsEntry) error {
	if e.open {
		return t.policies.CheckOpen(e.value)
	}
	return t.policies.Check(e.value)
}

// neverMatches tells why no next hop is looked up by a key; "": one may be.
func (t *tlsTable) neverMatches(key string) string {
	lmtp := strings.HasPrefix(t.parameter, "lmtp_")
	host := key
	switch {
	case strings.ToLower(key) != key:
		return "next hops are looked up in lower case; write " + strings.ToLower(key)
	case strings.HasPrefix(key, ".") && !strings.ContainsAny(key, "[]:"):
		host = "below" + key // of which it is the parent
	case lmtp && (strings.HasPrefix(key, "unix:") || strings.HasPrefix(key, "inet:")):
		return "next hops are looked up without " + key[:5] + "; write " + key[5:]
	case lmtp && strings.Contains(key, "/"):
		return "" // the path of a socket
	case strings.ContainsAny(key, ", \t"):
		return "several next hops are looked up one by one"
	}
	if strings.HasSuffix(host, ".") {
		return "a next hop has no dot at its end, unless it is written so; write " + strings.TrimSuffix(key, ".")
	}
	if err := delivery.CheckNextHop("smtp", host); err != nil {
		if host != key {
			return fmt.Sprintf("no domain can be below %q", key)
		}
		return err.Error()
	}
	return ""
}

// proveNeeds refuses entries that need a parameter which is empty.
func (t *tlsTable) proveNeeds() (wrong error) {
	err := t.each(func(e tlsEntry) bool {
		if p, ok := errors.AsType[*tlspolicy.ParameterError](t.check(e)); ok {
			wrong = fmt.Errorf("%s: %w (%s)", e.place(), p, t.cfg.Where(p.Parameters[0]))
		}
		return wrong == nil
	})
	return cmp.Or(wrong, err)
}

// checkTLSPolicies tells what is wrong with the entries of policy tables, as far as tables
// can be gone through. An entry that several transports read alike is told of once.
func checkTLSPolicies(v *view, find func(where, key, text string)) error {
	type finding struct{ where, key, text string }
	var found []finding
	add := func(e tlsEntry, text string) {
		if f := (finding{e.where, e.key, text}); !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	for _, t := range v.tlsTables {
		if err := t.each(func(e tlsEntry) bool {
			if err := t.check(e); err != nil {
				add(e, "TLS policy: "+err.Error())
			}
			if e.key == "" {
				return true
			}
			if why := t.neverMatches(e.key); why != "" {
				add(e, "TLS policy: never matches: "+why)
			}
			return true
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b finding) int {
		fileA, lineA, _ := cutLine(a.where)
		fileB, lineB, _ := cutLine(b.where)
		return cmp.Or(strings.Compare(fileA, fileB), cmp.Compare(lineA, lineB), strings.Compare(a.key, b.key))
	})
	for _, f := range found {
		find(f.where, f.key, f.text)
	}
	return nil
}
