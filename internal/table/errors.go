package table

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// unsupportedError is a table of a type that we do not have. It is an ErrUnsupported.
type unsupportedError struct {
	typ   string
	known []string
}

func (e *unsupportedError) Error() string {
	return fmt.Sprintf("unsupported dictionary type: %s; known: %s", e.typ, strings.Join(e.known, ", "))
}

func (e *unsupportedError) Unwrap() error { return ErrUnsupported }

// fileError says what was done to which file and why that failed, in the words of
// strerror(3) that operators search for: "open database /x.db: Permission denied".
type fileError struct {
	doing string // "open database", "read"
	file  string
	err   error
}

func (e *fileError) Error() string { return e.doing + " " + e.file + ": " + reason(e.err) }
func (e *fileError) Unwrap() error { return e.err }

// ValueError is a value that nobody may use; a warning has said already what is wrong
// with it.
type ValueError struct{ text string }

func (e *ValueError) Error() string { return e.text }

// reason is the system's own words for an error, without the operation and path that
// package os puts before them.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text := err.Error()
	if _, ok := errors.AsType[syscall.Errno](err); ok && text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}
