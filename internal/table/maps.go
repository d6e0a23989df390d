package table

import (
	"context"
	"errors"
	"fmt"
)

// Maps is a list of tables that are asked in order: what a parameter such as
// virtual_alias_maps holds.
type Maps []Table

// OpenMaps opens every table of a list, or none.
func OpenMaps(specs []string, o Options) (Maps, error) {
	var m Maps
	for _, spec := range specs {
		t, err := Open(spec, o)
		if err != nil {
			m.Close()
			return nil, err
		}
		m = append(m, t)
	}
	return m, nil
}

// Lookup returns the first table's answer that there is, and the table. A table that
// cannot answer ends the search: what the tables behind it say does not count. An
// empty key is nowhere, and an empty value is a mistake that counts as an error.
func (m Maps) Lookup(ctx context.Context, key string) (value string, by Table, found bool, err error) {
	if key == "" {
		return "", nil, false, nil
	}
	for _, t := range m {
		value, found, err := t.Lookup(ctx, key)
		switch {
		case err != nil:
			return "", t, false, fmt.Errorf(`%s lookup error for "%s": %w`, t.Name(), key, err)
		case found && value == "":
			return "", t, false, fmt.Errorf(`%s lookup of %s returns an empty string result; `+
				`it should return no result for a key that is not there`, t.Name(), key)
		case found:
			return value, t, true, nil
		}
	}
	return "", nil, false, nil
}

// Close closes every table.
func (m Maps) Close() error {
	var errs []error
	for _, t := range m {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
