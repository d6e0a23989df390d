package pebblestore

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFS is the disk as Pebble gets it. On a full disk files are not equal: without
// its log and its manifest the database cannot go on, so that writes to them get the
// ballast, and after that wait for room (vfs.OnDiskFull); a table that cannot be
// written is written later.
type engineFS struct {
	vfs.FS
	vital vfs.FS // the same, for log and manifest
	space *space
	log   *engineLog
}

func newEngineFS(disk vfs.FS, space *space, log *engineLog) vfs.FS {
	return engineFS{FS: disk, vital: vfs.OnDiskFull(disk, space.full), space: space, log: log}
}

func (e engineFS) isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// Create implements vfs.FS.
func (e engineFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !e.isTable(name) {
		e.syncMarked(name)
		return e.wrap(name)(e.vital.Create(name, category))
	}
	e.space.calm()
	f, err := e.FS.Create(name, category)
	if err != nil {
		e.space.noteFull(err)
		return nil, err
	}
	return engineTable{f, e.space}, nil
}

// Remove implements vfs.FS.
func (e engineFS) Remove(name string) error {
	e.syncMarked(name)
	return e.FS.Remove(name)
}

// syncMarked puts the names of new files on stable storage before a marker is made that may
// speak of one of them, and that marker before the one is removed whose place it takes.
// Pebble leaves that to file systems that keep the order of changes to a directory; most
// do, none has to.
func (e engineFS) syncMarked(name string) {
	if !strings.HasPrefix(e.PathBase(name), "marker.") {
		return
	}
	if err := syncDir(e.FS, e.PathDir(name)); err != nil {
		e.log.die(err)
	}
}

// ReuseForWrite implements vfs.FS: it is for logs.
func (e engineFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return e.wrap(name)(e.vital.ReuseForWrite(old, name, category))
}

// Rename implements vfs.FS.
func (e engineFS) Rename(old, name string) error {
	err := e.vital.Rename(old, name)
	if err != nil {
		e.log.giveUpOpening(err)
	}
	return err
}

// wrap returns a file that is not a table as Pebble gets it.
func (e engineFS) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		file := engineFile{File: f, name: name, log: e.log, space: e.space}
		if err = file.check(err); err != nil {
			return nil, err
		}
		return file, nil
	}
}

// List implements vfs.FS. Pebble asks for it once more when other goroutines of it are at
// work already.
func (e engineFS) List(name string) ([]string, error) {
	names, err := e.FS.List(name)
	if err != nil {
		e.log.giveUpOpening(err)
	}
	return names, err
}

// OpenDir implements vfs.FS. Pebble panics, in goroutines of its own, when the sync of
// a directory fails; the store would rather say so and end.
func (e engineFS) OpenDir(name string) (vfs.File, error) {
	d, err := e.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return engineDir{d, name, e.log}, nil
}

type engineDir struct {
	vfs.File
	name string
	log  *engineLog
}

func (d engineDir) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.log.die(fmt.Errorf("sync of directory %s: %w", d.name, err))
	}
	return nil
}

// engineFile is a log, a manifest, or another file that is not a table.
type engineFile struct {
	vfs.File
	name  string
	log   *engineLog
	space *space
}

func (f engineFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.check(err)
}

func (f engineFile) Sync() error     { return f.check(f.File.Sync()) }
func (f engineFile) SyncData() error { return f.check(f.File.SyncData()) }

// check ends what cannot go on. When Pebble goes from one log to the next it panics on an
// error of either, without the lock that its own deferred calls give back, which takes
// down the process without a word; the store would rather say so and end. When it is being
// closed it returns the error.
func (f engineFile) check(err error) error {
	if err == nil {
		return nil
	}
	f.log.giveUpOpening(err)
	if strings.HasSuffix(f.name, ".log") && f.space.inUse() {
		f.log.die(fmt.Errorf("log %s: %w", f.name, err))
	}
	return err
}

// engineTable is a table being written.
type engineTable struct {
	vfs.File
	space *space
}

func (t engineTable) Write(p []byte) (int, error) {
	n, err := t.File.Write(p)
	t.space.noteFull(err)
	return n, err
}

// noteFull remembers that a table found no room.
func (s *space) noteFull(err error) {
	if full(err) {
		s.noRoom.Store(true)
	}
}

// calm waits before a table is tried again that found no room: Pebble itself would try
// again at once, and for ever.
func (s *space) calm() {
	if !s.noRoom.Swap(false) {
		return
	}
	if !s.inUse() {
		return
	}
	select {
	case <-s.closing:
	case <-time.After(fullPoll):
	}
}
