package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	key   string
	value string
}

// each goes through the tables that can be gone through without asking anybody.
func (t *tlsTable) each(yield func(tlsEntry) bool) error {
	at := fmt.Sprintf("%s (%s)", t.parameter, t.cfg.Where(t.parameter))
	for _, m := range t.maps {
		lister, ok := m.(table.Lister)
		if !ok || !table.Local(m.Name()) {
			continue
		}
		more := true
		err := lister.Each(func(key, value string) bool {
			where := at
			if l, ok := m.(table.Locator); ok {
				where = cmp.Or(l.Locate(key), at)
			}
			more = yield(tlsEntry{where, key, value})
			return more
		})
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if !more {
			break
		}
	}
	return nil
}

// proveNeeds refuses entries that need a parameter which is empty.
func (t *tlsTable) proveNeeds() (wrong error) {
	err := t.each(func(e tlsEntry) bool {
		if p, ok := errors.AsType[*tlspolicy.ParameterError](t.policies.Check(e.value)); ok {
			wrong = fmt.Errorf("%s: %s: %w (%s)", e.where, e.key, p, t.cfg.Where(p.Parameters[0]))
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
			if err := t.policies.Check(e.value); err != nil {
				add(e, "TLS policy: "+err.Error())
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
