package table

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// BuildOptions are postmap(1)'s.
type BuildOptions struct {
	Warn     func(msg string)
	Progress func(entries int) // called now and then; nil for none
	Dup      DupPolicy
	NoFold   bool // -f: keys stay as they are
	NoUTF8   bool // -u: bytes need not be UTF-8
	Aliases  bool // the source text is that of aliases(5): postalias
	Files    bool // -F: the values are names of files

	NullForm NullForm          // -n, -N
	Types    map[string]Opener // as in Options

	// AsOwner gives the index to the owner of the source, for who is root; without it
	// (-o) it belongs to whoever builds it.
	AsOwner bool

	// SourceMode gives a new index the read permissions of the source for group and
	// others; without it (-p) it is 0644. An index that replaces another keeps the mode
	// and owner of that one: the daemon must stay able to read it.
	SourceMode bool
}

func (o BuildOptions) options() Options {
	return Options{
		Warn: o.Warn, NoFold: o.NoFold, NoUTF8: o.NoUTF8, Aliases: o.Aliases,
		Files: o.Files, NullForm: o.NullForm, Types: o.Types,
	}.withDefaults()
}

// progressStep is how many entries lie between two calls of Progress.
const progressStep = 50_000

// Build makes the index of a table from its source text, as postmap TYPE:FILE does.
// A line that is no entry is passed over with a warning. Until Build returns, and if
// it fails, the old index is in force.
func Build(spec string, o BuildOptions) error {
	if strings.HasPrefix(spec, "proxy:") {
		return errors.New("can't create maps via the proxy service")
	}
	typ, path, err := splitSpec(spec)
	if err != nil {
		return err
	}
	f, info, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if typ == "cdb" {
		o.warnOfOwner(path)
		return buildCDB(path, f, info, o)
	}
	t := indexedOf(typ, path)
	if t == nil {
		return o.cannotBuild(typ, path)
	}
	o.warnOfOwner(path)
	return t.replace(o, info, func(w *indexWriter) error {
		w.setNullForm(o.NullForm)
		return t.addText(w, f, t.source, true, o)
	})
}

func openSource(path string) (*os.File, fs.FileInfo, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, nil, &fileError{"open", path, err}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fileError{"read", path, unix.EISDIR}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Update adds the entries of a text to an index, or makes a new one: postmap -i.
func Update(spec string, text io.Reader, o BuildOptions) error {
	typ, path, err := splitSpec(throughProxy(spec))
	if err != nil {
		return err
	}
	t := indexedOf(typ, path)
	switch {
	case typ == "cdb":
		return errCDBUpdate
	case t == nil:
		return o.cannotBuild(typ, path)
	}
	return t.replace(o, nil, func(w *indexWriter) error {
		w.setNullForm(o.NullForm)
		err := t.addOld(w, func(string) bool { return true })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return t.addText(w, text, "stdin", false, o)
	})
}

// Delete removes keys from an index, postmap -d, and tells how many of them it had.
func Delete(spec string, keys []string, o BuildOptions) (found int, err error) {
	typ, path, err := splitSpec(throughProxy(spec))
	if err != nil {
		return 0, err
	}
	t := indexedOf(typ, path)
	if t == nil {
		return 0, o.cannotDelete(typ, path)
	}
	opts := o.options()
	gone := map[string]bool{}
	for _, k := range keys {
		if k, ok := opts.lookupKey(t.shown(), k); ok {
			gone[k] = true
		}
	}
	err = t.replace(o, nil, func(w *indexWriter) error {
		err := t.addOld(w, func(key string) bool {
			if !gone[key] || !o.NullForm.reads(w.nullForm()) {
				return true
			}
			found++
			return false
		})
		if err == nil && found == 0 {
			return errNoChange
		}
		return err
	})
	return found, err
}

// errNoChange ends a replacement that would change nothing.
var errNoChange = errors.New("nothing to change")

// indexedOf finds the files of a table that has an index of ours, nil for other types.
func indexedOf(typ, path string) *indexed {
	suffix := indexSuffix(typ)
	if suffix == "" {
		return nil
	}
	return &indexed{name: typ + ":" + path, source: path, file: path + suffix}
}

// addText adds a source text. Lines are worth remembering only of the source itself.
func (t *indexed) addText(w *indexWriter, text io.Reader, name string, lines bool, o BuildOptions) error {
	opts, n := o.options(), 0
	form := opts.keyForm()
	return readSource(text, name, opts, "", func(e entry) error {
		key, ok := form.key(e.key)
		if !ok {
			return nil
		}
		if !lines {
			e.line = 0
		}
		dup, err := w.add(key, e.value, e.line, o.Dup)
		if err != nil {
			return &fileError{"write", t.file, err}
		}
		if dup && o.Dup == DupWarn {
			opts.warnf(`%s: duplicate entry: "%s"`, t.label(), key)
		}
		if n++; o.Progress != nil && n%progressStep == 0 {
			o.Progress(n)
		}
		return nil
	})
}

// label is how Postfix calls a table in the warning of a duplicate: Berkeley DB by
// its file, LMDB by its name.
func (t *indexed) label() string {
	if strings.HasPrefix(t.name, "lmdb:") {
		return t.name
	}
	return t.file
}

// addOld adds those entries of the index in force that keep wants.
func (t *indexed) addOld(w *indexWriter, keep func(key string) bool) error {
	x, err := openIndex(t.file, t.source)
	if err != nil {
		if errors.Is(err, errNotOurs) && foreignKind(t.file) != "" {
			err = fmt.Errorf("made by Postfix (%s), which this program cannot change", foreignKind(t.file))
		}
		return t.openError(err)
	}
	defer x.close()
	w.setNullForm(x.head.nullForm())
	var addErr error
	err = x.each(func(key string, l located) bool {
		if keep(key) {
			_, addErr = w.add(key, l.value, l.line, DupReplace)
		}
		return addErr == nil
	})
	return errors.Join(err, addErr)
}
