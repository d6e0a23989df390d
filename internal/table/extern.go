package table

import "io"

// What types that live in packages of their own need of this one: they are opened
// through Options.Types, and are to behave as the types here do.

// LookupKey is the form in which a table of this name is asked for a key: folded unless
// NoFold is set. It is false for a key that no table can hold because it is not UTF-8.
func (o Options) LookupKey(name, key string) (string, bool) { return o.lookupKey(name, key) }

// CheckValue refuses a value that is not UTF-8 where all must be.
func (o Options) CheckValue(name, key, value string) error { return o.checkValue(name, key, value) }

// FileError says what was done to which file and why that failed, in the words of
// strerror(3).
func FileError(doing, file string, err error) error { return &fileError{doing, file, err} }

// EachLine calls f with every logical line of a text as Postfix's files have them, and
// the number of its first physical line.
func EachLine(r io.Reader, name string, warn func(string), f func(text string, line int) error) error {
	lines := newLineReader(r, name, warn)
	for {
		text, line, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(string(text), line); err != nil {
			return err
		}
	}
}

// Watched is what was made of a file, and is made again when the file is replaced. A new
// file that is broken changes nothing but for one warning.
type Watched[T any] struct{ w watched[T] }

// Watch loads a file. The name is the table's, for warnings; done gives up what is
// replaced or closed, after the last use of it.
func Watch[T any](name, file string, o Options, load func() (*T, error), done func(*T) error) (*Watched[T], error) {
	w := &Watched[T]{}
	w.w.name, w.w.o, w.w.done = name, o.withDefaults(), done
	w.w.load = func() (*T, error) {
		w.w.reads(file)
		return load()
	}
	return w, w.w.open()
}

// Use calls f with what is in force now. Once in a second it looks at the file.
func (w *Watched[T]) Use(f func(*T) error) error { return w.w.use(f) }

// Close gives up what is in force.
func (w *Watched[T]) Close() error { return w.w.close() }
