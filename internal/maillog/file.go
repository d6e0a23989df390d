package maillog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// File is the log file of postconf(5) maillog_file. After it was moved away, Reopen
// begins a new one. It is safe for concurrent use.
type File struct {
	path string
	mode fs.FileMode

	mu    sync.Mutex // guards f
	f     *os.File
	slow  *stream // writes to f, when that is no regular file
	given bool    // f is standard output or error: not ours to close

	gather *gatherer // set before the first line; nil: each line is written by itself
}

// OpenFile opens a log file for appending and makes it, readable by its owner alone,
// if there is none (postconf(5): maillog_file_permissions). /dev/stdout and
// /dev/stderr are the streams of this process, whatever they are: a pipe of another
// user cannot be opened again by that name.
func OpenFile(path string) (*File, error) { return OpenFileMode(path, 0o600) }

// OpenFileMode is OpenFile with other permissions for a new file.
func OpenFileMode(path string, mode fs.FileMode) (*File, error) {
	file := &File{path: path, mode: mode}
	switch path {
	case "/dev/stdout":
		file.f, file.given = os.Stdout, true
	case "/dev/stderr":
		file.f, file.given = os.Stderr, true
	default:
		f, err := file.open()
		if err != nil {
			return nil, err
		}
		file.f = f
	}
	if info, err := file.f.Stat(); err != nil || !info.Mode().IsRegular() {
		file.slow = newStream(file.f)
	}
	return file, nil
}

func (l *File) open() (*os.File, error) {
	// O_NONBLOCK: a named pipe without a reader is refused, not waited for.
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, l.mode)
	if err != nil {
		return nil, fmt.Errorf("open logfile: %w", err)
	}
	return f, nil
}

// Gather lets lines wait up to a millisecond for others, to be written together; Flush
// writes what waits. It is called before the first line. What is no regular file has
// a buffer of its own already.
func (l *File) Gather() {
	if l.slow == nil && !l.given {
		l.gather = newGatherer(l.append)
	}
}

// Flush writes the lines that wait.
func (l *File) Flush() {
	if l.gather != nil {
		l.gather.flush()
	}
}

// Write appends; the handler gives it whole lines.
func (l *File) Write(p []byte) (int, error) {
	if l.gather == nil {
		return l.append(p)
	}
	return len(p), l.gather.add(p)
}

func (l *File) append(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, fmt.Errorf("write %s: %w", l.path, os.ErrClosed)
	}
	if l.slow != nil {
		return l.slow.Write(p)
	}
	return l.f.Write(p)
}

// Reopen opens the path again, for a file that was moved away. If that fails, the
// lines still go where they went.
func (l *File) Reopen() error {
	l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slow != nil || l.given {
		return nil
	}
	if l.f == nil {
		return fmt.Errorf("reopen %s: %w", l.path, os.ErrClosed)
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	old := l.f
	l.f = f
	return old.Close()
}

// Close closes the file. What is written after it fails.
func (l *File) Close() error {
	if l.gather != nil {
		l.gather.close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.f
	l.f = nil
	if f == nil {
		return nil
	}
	if l.slow != nil {
		l.slow.close()
		if l.given {
			return nil
		}
		return f.Close()
	}
	if l.given {
		return nil
	}
	return errors.Join(f.Sync(), f.Close())
}
