package main

import (
	"cmp"
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
}

// checkTLSPolicies tells what is wrong with the entries of policy tables, as far as tables
// can be gone through. An entry that several transports read alike is told of once.
func checkTLSPolicies(v *view, find func(where, key, text string)) error {
	type finding struct{ where, key, text string }
	var found []finding
	for _, t := range v.tlsTables {
		for _, m := range t.maps {
			lister, ok := m.(table.Lister)
			if !ok || !table.Local(m.Name()) {
				continue
			}
			if err := lister.Each(func(key, value string) bool {
				if err := t.policies.Check(value); err != nil {
					where := fmt.Sprintf("%s (%s)", t.parameter, t.cfg.Where(t.parameter))
					if l, ok := m.(table.Locator); ok {
						where = cmp.Or(l.Locate(key), where)
					}
					if f := (finding{where, key, "TLS policy: " + err.Error()}); !slices.Contains(found, f) {
						found = append(found, f)
					}
				}
				return true
			}); err != nil {
				return fmt.Errorf("%s (%s): %w", t.parameter, t.cfg.Where(t.parameter), err)
			}
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
