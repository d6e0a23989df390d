package table

import (
	"context"
	"strconv"
)

// memory is a table held in memory: texthash, inline, and the source text of an
// index that we cannot read. Keys are in stored form. It does not change once made.
type memory struct {
	file    string // source of the lines, "" for none
	owner   int    // of the file when it was read; -1: of none
	entries map[string]located
}

type located struct {
	value string
	line  int
}

// readMemory reads a source text. The first of two entries with one key counts, as
// with postmap.
func readMemory(file string, o Options) (*memory, error) {
	f, err := openFile(file)
	if err != nil {
		return nil, &fileError{"open database", file, err}
	}
	defer f.Close()
	m := &memory{file: file, owner: fileOwner(f), entries: map[string]located{}}
	form := o.keyForm()
	err = readSource(f, file, o, " -- ignoring this line", func(e entry) error {
		key, ok := form.key(e.key)
		if !ok {
			return nil // readEntries has seen to it
		}
		if _, dup := m.entries[key]; dup {
			switch o.Dup {
			case DupWarn:
				o.warnf(`%s, line %d: duplicate entry: "%s"`, file, e.line, e.key)
				return nil
			case DupIgnore:
				return nil
			}
		}
		m.entries[key] = located{e.value, e.line}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *memory) find(key string) (located, bool, error) {
	l, ok := m.entries[key]
	return l, ok, nil
}

func (m *memory) each(yield func(key string, l located) bool) error {
	for k, l := range m.entries {
		if !yield(k, l) {
			break
		}
	}
	return nil
}

func (m *memory) close() error { return nil }

// texts is a Table over memory: texthash, which follows its file, and inline, which is
// in none.
type texts struct{ watched[memory] }

func openTexthash(path string, o Options) (Table, error) {
	o.Aliases = false // the text is that of postmap in alias_maps too
	t := &texts{}
	t.name, t.o = "texthash:"+path, o
	t.load = func() (*memory, error) {
		t.reads(path)
		return readMemory(path, o)
	}
	return t, t.open()
}

func (t *texts) Lookup(_ context.Context, key string) (value string, found bool, err error) {
	key, ok := t.o.lookupKey(t.name, key)
	if !ok {
		return "", false, nil
	}
	err = t.use(func(m *memory) error {
		l, ok, err := m.find(key)
		value, found = l.value, ok
		return err
	})
	if err == nil && found {
		err = t.o.checkValue(t.name, key, value)
	}
	return value, found && err == nil, err
}

func (t *texts) Name() string { return t.name }
func (t *texts) Close() error { return t.close() }

// Locate implements Locator.
func (t *texts) Locate(key string) (at string) {
	key, _ = t.o.keyForm().key(key)
	err := t.use(func(m *memory) error {
		if l, ok := m.entries[key]; ok {
			at = where(m.file, l.line)
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return at
}

// Each implements Lister.
func (t *texts) Each(yield func(key, value string) bool) error {
	return t.use(func(m *memory) error {
		return m.each(func(key string, l located) bool { return yield(key, l.value) })
	})
}

// where is "FILE, line N", or "" when the line is not known.
func where(file string, line int) string {
	if file == "" || line == 0 {
		return ""
	}
	return file + ", line " + strconv.Itoa(line)
}
