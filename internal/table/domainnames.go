package table

import (
	"cmp"
	"slices"
)

// Each enumerates what a list names: its names in order, with no table, then the keys of
// its tables, each with its table. What is excluded by ! is not named, nor is what a
// table holds that cannot enumerate: such tables are returned by name. A key need not be
// a domain: a table may hold other things as well, and Match alone tells what the list
// matches.
func (d *DomainList) Each(yield func(name string, in Table) bool) (opaque []string, err error) {
	err = d.list.use(func(l *matchList) (err error) {
		opaque, err = l.each(yield)
		return err
	})
	return opaque, err
}

func (l *matchList) each(yield func(name string, in Table) bool) (opaque []string, err error) {
	names := make([]string, 0, len(l.names))
	for name, p := range l.names {
		if !p.not {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(l.names[a].place, l.names[b].place) })
	for _, name := range names {
		if !yield(name, nil) {
			return opaque, nil
		}
	}
	for _, p := range l.rest {
		if p.table == nil || p.not {
			continue
		}
		lister, ok := p.table.(Lister)
		if !ok {
			opaque = append(opaque, p.table.Name())
			continue
		}
		more := true
		err := lister.Each(func(key, _ string) bool {
			more = yield(key, p.table)
			return more
		})
		if err != nil || !more {
			return opaque, err
		}
	}
	return opaque, nil
}
