package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Large bodies are files: big/xx/ID, where xx spreads them over 256 directories. While
// a body comes in its file is big/new/N; it gets its name when its message is
// committed. A file is on stable storage, and its name too, before a batch speaks of it.

const (
	bigDir = "big"
	newDir = "new"
)

// spool is the directory of body files. It is safe for concurrent use.
type spool struct {
	fs  vfs.FS
	dir string
	log *slog.Logger

	serial atomic.Uint64

	mu   sync.Mutex // guards made
	made map[byte]bool
}

func bucket(id mail.QueueID) byte { return byte(id >> 23) } // the last bits of its time

func (s *spool) bucketDir(b byte) string { return s.fs.PathJoin(s.dir, fmt.Sprintf("%02x", b)) }

func (s *spool) path(id mail.QueueID) string {
	return s.fs.PathJoin(s.bucketDir(bucket(id)), id.String())
}

// create begins a file.
func (s *spool) create() (*spoolFile, error) {
	path := s.fs.PathJoin(s.dir, newDir, fmt.Sprintf("%d", s.serial.Add(1)))
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, writeError("create body file", err)
	}
	return &spoolFile{spool: s, path: path, file: f, buf: make([]byte, 0, lastChunk)}, nil
}

// bucket makes the directory of an ID, once.
func (s *spool) bucket(b byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[b] {
		return nil
	}
	if err := s.fs.MkdirAll(s.bucketDir(b), 0o700); err != nil {
		return writeError("make body directory", err)
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	s.made[b] = true
	return nil
}

// remove unlinks the file of a message. What cannot be removed is swept at the next
// start.
func (s *spool) remove(id mail.QueueID) {
	if err := s.fs.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn(fmt.Sprintf("queue: remove body of %s: %v", id, err))
	}
}

// spoolFile is a file being written. It is used by one goroutine.
type spoolFile struct {
	spool *spool
	path  string
	file  vfs.File
	buf   []byte // not written yet
}

// Write copies p: bytes come in lines, and what a caller gave is not handed on.
func (f *spoolFile) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(f.buf)-len(f.buf))
		f.buf = append(f.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(f.buf) == cap(f.buf) {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (f *spoolFile) flush() error {
	_, err := f.file.Write(f.buf)
	f.buf = f.buf[:0]
	return writeError("write body file", err)
}

// place puts the file on stable storage under the name of its message. After an error
// it may have the old name or the new; abort removes both.
func (f *spoolFile) place(id mail.QueueID) error {
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.file.SyncData(); err != nil {
		return syncError("body file "+f.path, err)
	}
	err := f.file.Close()
	f.file = nil
	if err != nil {
		return writeError("close body file", err)
	}
	if err := f.spool.bucket(bucket(id)); err != nil {
		return err
	}
	if err := f.spool.fs.Rename(f.path, f.spool.path(id)); err != nil {
		return writeError("name body file", err)
	}
	f.path = f.spool.path(id)
	return syncDir(f.spool.fs, f.spool.bucketDir(bucket(id)))
}

// abort removes the file.
func (f *spoolFile) abort() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
	if err := f.spool.fs.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.spool.log.Warn(fmt.Sprintf("queue: remove unfinished body: %v", err))
	}
}

// errSync marks a failed sync: the store cannot go on.
var errSync = errors.New("sync failed")

func syncError(what string, err error) error {
	if full(err) {
		return writeError("sync "+what, err) // nothing was promised about it yet
	}
	return fmt.Errorf("%s: %w: %w", what, errSync, err)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return writeError("open directory", err)
	}
	err = d.Sync()
	_ = d.Close()
	if err != nil {
		return syncError("directory "+dir, err)
	}
	return nil
}

// writeError says what failed, and that the disk is full if that is why.
func writeError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case full(err):
		return fmt.Errorf("%s: %w: %w", what, queue.ErrNoSpace, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
