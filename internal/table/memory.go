package table

import (
	"context"
	"os"
	"strconv"
)

// memory is a table held in memory: texthash, inline, and the source text of an
// index that we cannot read. Keys are in stored form. It does not change once made.
type memory struct {
	file    string // source of the lines, "" for none
	entries map[string]located
}

type located struct {
	value string
	line  int
}

// readMemory reads a source text. The first of two entries with one key counts, as
// with postmap.
func readMemory(file string, o Options) (*memory, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &fileError{"open database", file, err}
	}
	defer f.Close()
	m := &memory{file: file, entries: map[string]located{}}
	form := o.keyForm()
	err = readEntries(f, file, o, " -- ignoring this line", func(e entry) error {
		key, ok := form.key(e.key)
		if !ok {
			return nil // readEntries has seen to it
		}
		if _, dup := m.entries[key]; dup {
			o.warnf(`%s, line %d: duplicate entry: "%s"`, file, e.line, e.key)
			return nil
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

// fixed is a Table over memory that stays as it is until the next reload.
type fixed struct {
	name string
	o    Options
	m    *memory
}

func openTexthash(path string, o Options) (Table, error) {
	m, err := readMemory(path, o)
	if err != nil {
		return nil, err
	}
	return &fixed{name: "texthash:" + path, o: o, m: m}, nil
}

func (t *fixed) Lookup(_ context.Context, key string) (string, bool, error) {
	key, ok := t.o.lookupKey(t.name, key)
	if !ok {
		return "", false, nil
	}
	l, found, err := t.m.find(key)
	return l.value, found, err
}

func (t *fixed) Name() string { return t.name }
func (t *fixed) Close() error { return nil }

// Locate implements Locator.
func (t *fixed) Locate(key string) string {
	key, _ = t.o.keyForm().key(key)
	l, ok := t.m.entries[key]
	if !ok {
		return ""
	}
	return where(t.m.file, l.line)
}

// Each implements Lister.
func (t *fixed) Each(yield func(key, value string) bool) error {
	return t.m.each(func(key string, l located) bool { return yield(key, l.value) })
}

// where is "FILE, line N", or "" when the line is not known.
func where(file string, line int) string {
	if file == "" || line == 0 {
		return ""
	}
	return file + ", line " + strconv.Itoa(line)
}
