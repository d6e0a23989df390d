package table

import "os"

// Owned is a Table that knows who has made it: local(8) does what an alias says with the
// rights of the owner of its file, and with those of nobody when that is root.
type Owned interface {
	// Owner is the user who owned the file when it was opened. It is not known of a table
	// on another server: whoever may change that is not a user of this system.
	Owner() (uid int, known bool)
}

// noOwner stands for a file whose owner could not be told.
const noOwner = -1

func fileOwner(f *os.File) int {
	id, err := identityOf(int(f.Fd()))
	if err != nil {
		return noOwner
	}
	return int(id.uid)
}

// Owner implements Owned by the file that answers: the index, or the source text that
// stands in for it.
func (t *indexed) Owner() (uid int, known bool) {
	g := t.current()
	if g == nil {
		return 0, false
	}
	defer t.release(g)
	switch s := g.store.(type) {
	case *index:
		return int(s.id.uid), true
	case *memory:
		return s.owner, s.owner != noOwner
	}
	return 0, false
}

// Owner implements Owned. What stands in the configuration is root's.
func (t *texts) Owner() (uid int, known bool) {
	uid = noOwner
	err := t.use(func(m *memory) error {
		if uid = m.owner; m.file == "" {
			uid = 0
		}
		return nil
	})
	return uid, err == nil && uid != noOwner
}

// Owner implements Owned.
func (t *static) Owner() (uid int, known bool) { return 0, true }

// Owner implements Owned.
func (t *cdb) Owner() (uid int, known bool) {
	uid = noOwner
	err := t.use(func(f *cdbFile) error {
		uid = f.owner
		return nil
	})
	return uid, err == nil && uid != noOwner
}

// Owner implements Owned. Rules in the configuration are root's.
func (t *patterns) Owner() (uid int, known bool) {
	uid = noOwner
	err := t.use(func(r *rules) error {
		if uid = r.owner; r.file == "" {
			uid = 0
		}
		return nil
	})
	return uid, err == nil && uid != noOwner
}
