package main

import (
	"cmp"
	"fmt"

	"aliasmx/internal/checks"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// proveActions refuses tables of header_checks and its relatives with an action that would
// come to nothing but a warning when a message meets it: what it was to refuse would be let
// through. Only tables that know all their values are looked at; an index (hash, lmdb, cdb)
// may have millions.
func (v *view) proveActions(cfg *postconf.Config, parameter string, tables []checks.Table) error {
	route := func(dest string) error {
		if err := v.checkFilter(cfg, dest); err != nil {
			return fmt.Errorf("FILTER %s: %w", dest, err)
		}
		return nil
	}
	for _, t := range tables {
		valued, ok := t.(table.Valued)
		if !ok {
			continue
		}
		var wrong error
		err := valued.Values(func(value table.Value) bool {
			if err := checks.CheckAction(parameter, value.Text, value.Open, route); err != nil {
				wrong = fmt.Errorf("%s: %w; correct it: nothing would be done", cmp.Or(value.Where, t.Name()), err)
			}
			return wrong == nil
		})
		if wrong != nil {
			return wrong
		}
		if err != nil {
			return err
		}
	}
	return nil
}
