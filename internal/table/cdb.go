package table

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// cdb is a table in the constant database format of D. J. Bernstein, cdb(5), as
// Postfix and tinycdb write and read it: FILE.cdb, made by postmap of FILE.
type cdb struct {
	watched[cdbFile]
	source, file string
}

func openCDB(path string, o Options) (Table, error) {
	t := &cdb{source: path, file: path + cdbSuffix}
	t.name, t.o = "cdb:"+path, o
	t.load = func() (*cdbFile, error) {
		t.reads(t.file)
		f, err := openCDBFile(t.file)
		if err != nil {
			return nil, fmt.Errorf(`%w; run "aliasmx %s %s"`, &fileError{"open database", t.file, err}, o.builder(), t.name)
		}
		return f, nil
	}
	t.done = (*cdbFile).close
	if err := t.open(); err != nil {
		return nil, err
	}
	old, source := identityAt(t.file), identityAt(path)
	if source.sec > old.sec && source.sec < o.Now().Unix()-100 {
		o.warnf("database %s is older than source file %s", t.file, path)
	}
	return t, nil
}

const cdbSuffix = ".cdb"

func (t *cdb) Lookup(_ context.Context, key string) (string, bool, error) {
	asked := key
	key, ok := t.o.lookupKey(t.shown(), key)
	if !ok {
		return "", false, nil
	}
	var value []byte
	err := t.use(func(f *cdbFile) (err error) {
		for _, k := range t.o.NullForm.keys(key) {
			if value, err = f.find(k); value != nil || err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || value == nil {
		return "", false, err
	}
	text := string(untilNull(value))
	if err := t.o.checkValue(t.shown(), asked, text); err != nil {
		return "", false, err
	}
	return text, true, nil
}

// use is the watched's, with the file named in errors.
func (t *cdb) use(f func(*cdbFile) error) error {
	var failed error
	err := t.watched.use(func(c *cdbFile) error {
		failed = f(c)
		return nil
	})
	if err == nil && failed != nil {
		err = fmt.Errorf("database %s: %w", t.file, failed)
	}
	return err
}

// Each implements Lister.
func (t *cdb) Each(yield func(key, value string) bool) error {
	return t.use(func(f *cdbFile) error {
		return f.each(func(key, value []byte) bool {
			return yield(string(bytes.TrimSuffix(key, []byte{0})), string(untilNull(value)))
		})
	})
}

func untilNull(b []byte) []byte {
	b, _, _ = bytes.Cut(b, []byte{0})
	return b
}

func (t *cdb) shown() string { return "cdb:" + t.file }

func (t *cdb) Name() string { return t.name }

func (t *cdb) Close() error { return t.close() }

// buildCDB makes FILE.cdb of a source text, byte for byte as Postfix does.
func buildCDB(path string, source io.Reader, info fs.FileInfo, o BuildOptions) error {
	// Only the files and the replacing are those of an indexed table.
	t := &indexed{name: "cdb:" + path, source: path, file: path + cdbSuffix}
	return t.replaceFile(o, info, func(f *os.File) error {
		w := newCDBWriter(f)
		opts := o.options()
		form, n := opts.keyForm(), 0
		err := readSource(source, path, opts, "", func(e entry) error {
			key, ok := form.key(e.key)
			if !ok {
				return nil
			}
			stored, value := key, e.value
			if o.NullForm == NullAdded {
				stored, value = key+"\x00", value+"\x00"
			}
			if w.add(stored, value, o.Dup) && o.Dup == DupWarn {
				opts.warnf(`%s: duplicate entry: "%s"`, path, key)
			}
			if n++; o.Progress != nil && n%progressStep == 0 {
				o.Progress(n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := w.finish(); err != nil {
			return &fileError{"write", t.file, err}
		}
		return nil
	})
}
