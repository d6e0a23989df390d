package table

import (
	"context"
	"net/netip"
	"strings"
	"sync"
)

// followed is a matchList that follows the files in it: when one is replaced or edited,
// the list is made anew. Tables that stay in the list stay open.
type followed struct {
	watched[matchList]
	tables sharedTables
}

func parseMatchList(elems []string, networks bool, o Options) (*followed, error) {
	f := &followed{}
	var files []string
	for _, e := range elems {
		if e = strings.TrimLeft(e, "!"); strings.HasPrefix(e, "/") {
			files = append(files, e)
		}
	}
	f.name, f.kind, f.o = strings.Join(files, " "), "list", o.withDefaults()
	f.load = func() (*matchList, error) {
		l := &matchList{o: f.o, networks: networks, names: map[string]pattern{}, tables: &f.tables, reads: f.reads}
		if err := l.parse(elems, false, 0); err != nil {
			l.close()
			return nil, err
		}
		return l, nil
	}
	f.done = (*matchList).close
	return f, f.open()
}

// match asks for a name, an address, or both; "" and the zero Addr are none.
func (f *followed) match(ctx context.Context, name string, addr netip.Addr) (hit bool, err error) {
	err = f.use(func(l *matchList) (err error) {
		hit, err = l.match(ctx, name, addr)
		return err
	})
	return hit, err
}

// sharedTables are the open tables of a list and of its next version. The zero value is
// none.
type sharedTables struct {
	mu sync.Mutex
	by map[string]*sharedTable
}

type sharedTable struct {
	Table
	uses int
}

// open opens a table, or gives the one that is open already. Each open needs a close.
func (s *sharedTables) open(spec string, o Options) (Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.by[spec]; t != nil {
		t.uses++
		return t.Table, nil
	}
	t, err := Open(spec, o)
	if err != nil {
		return nil, err
	}
	if s.by == nil {
		s.by = map[string]*sharedTable{}
	}
	s.by[spec] = &sharedTable{Table: t, uses: 1}
	return t, nil
}

func (s *sharedTables) close(spec string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.by[spec]
	if t.uses--; t.uses > 0 {
		return nil
	}
	delete(s.by, spec)
	return t.Close()
}
