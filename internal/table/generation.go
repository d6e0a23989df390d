package table

import "sync/atomic"

// store is what an indexed table answers from: an index, or the source text held in
// memory. Keys are in stored form.
type store interface {
	find(key string) (located, bool, error)
	each(yield func(key string, l located) bool) error
	close() error
}

// generation is a store in use. A table swaps generations while lookups go on: the
// old store is closed when the last lookup in it is done.
type generation struct {
	store
	file string // where the lines of located are counted

	refs atomic.Int64 // the table's own, and one for each lookup
}

func newGeneration(s store, source string) *generation {
	g := &generation{store: s, file: source}
	g.refs.Store(1)
	return g
}

// acquire fails for a generation that is closed already.
func (g *generation) acquire() bool {
	for {
		n := g.refs.Load()
		if n == 0 {
			return false
		}
		if g.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) release() error {
	if g.refs.Add(-1) == 0 {
		return g.store.close()
	}
	return nil
}
