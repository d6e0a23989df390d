package table

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errNotRegular is a pipe in the place of a file: reading it could wait for ever.
var errNotRegular = errors.New("not a regular file")

// openFile opens a file for reading. What is no file is refused instead of waited for;
// a directory says so when it is read.
func openFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
