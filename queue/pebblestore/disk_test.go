package pebblestore_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a strict file system in memory: of every file and directory it keeps what was
// synced apart from what was written. What a power cut may leave of it is in
// diskcut_test.go. Whoever looks on sees each operation before and after it is done, can
// make it fail, and can swallow a sync: it then reports success and does nothing.
type disk struct {
	watcher atomic.Pointer[watcher] // nil: nobody looks on

	mu    sync.Mutex // guards the tree
	root  *node
	locks map[string]bool
	usage vfs.DiskUsage // zero: unknown
}

var _ vfs.FS = (*disk)(nil)

func newDisk() *disk { return &disk{root: newDir(), locks: make(map[string]bool)} }

// op is an operation on the disk.
type op struct {
	kind string // create, write, sync ...
	path string
}

func (o op) String() string { return o.kind + " " + o.path }

// verdict is what becomes of an operation.
type verdict struct {
	err     error
	written int  // bytes of a write that get to the file all the same
	swallow bool // of a sync
}

// changes tells whether an operation may change something.
func (o op) changes() bool {
	switch o.kind {
	case "open", "opendir", "list", "stat", "read", "usage", "close":
		return false
	}
	return true
}

// watcher is who looks on; nil functions do not.
type watcher struct {
	before func(op) verdict
	after  func(op)
}

// watch changes who looks on. A database that has failed may still be at work.
func (d *disk) watch(before func(op) verdict, after func(op)) {
	d.watcher.Store(&watcher{before, after})
}

func (d *disk) look(kind, path string) verdict {
	if w := d.watcher.Load(); w != nil && w.before != nil {
		return w.before(op{kind, path})
	}
	return verdict{}
}

func (d *disk) seen(kind, path string) {
	if w := d.watcher.Load(); w != nil && w.after != nil {
		w.after(op{kind, path})
	}
}

// node is a file or a directory.
type node struct {
	isDir bool

	data   []byte // of a file, as it was written
	safe   []byte // and as it was synced
	shared int    // so many bytes of data others have too: they are copied before a change
	from   int    // data[from:to] is not the same in safe
	to     int

	names map[string]*node // of a directory
	kept  map[string]*node // as synced
}

func newDir() *node { return &node{isDir: true, names: make(map[string]*node)} }

func (n *node) sync() {
	if n.isDir {
		n.kept = maps.Clone(n.names)
		return
	}
	n.safe = n.data[:len(n.data):len(n.data)]
	n.shared, n.from, n.to = len(n.data), 0, 0
}

func (n *node) write(p []byte, at int) {
	end := at + len(p)
	if at < n.shared {
		n.data = append(make([]byte, 0, max(2*end, len(n.data))), n.data...)
		n.shared = 0
	}
	if end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	copy(n.data[at:], p)
	if n.from == n.to {
		n.from, n.to = at, end
	}
	n.from, n.to = min(n.from, at), max(n.to, end)
}

func words(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

func notThere(what, name string) error {
	return &fs.PathError{Op: what, Path: name, Err: os.ErrNotExist}
}

// find returns a node, or nil. The caller holds d.mu.
func (d *disk) find(name string) *node {
	n := d.root
	for _, w := range words(name) {
		if n = n.names[w]; n == nil {
			return nil
		}
	}
	return n
}

// place returns the directory of a name.
func (d *disk) place(name string) (*node, string, error) {
	dir := d.find(path.Dir(name))
	if dir == nil || !dir.isDir {
		return nil, "", notThere("open", name)
	}
	return dir, path.Base(name), nil
}

// act does an operation on the tree that may change it.
func (d *disk) act(kind, name string, f func(dir *node, base string) error) error {
	if v := d.look(kind, name); v.err != nil {
		return v.err
	}
	d.mu.Lock()
	dir, base, err := d.place(name)
	if err == nil {
		err = f(dir, base)
	}
	d.mu.Unlock()
	d.seen(kind, name)
	return err
}

// Create implements vfs.FS: a file that has the name loses it.
func (d *disk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	n := &node{}
	err := d.act("create", name, func(dir *node, base string) error {
		dir.names[base] = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &diskFile{disk: d, node: n, path: name}, nil
}

func (d *disk) Link(old, name string) error {
	return d.act("link", name, func(dir *node, base string) error {
		n := d.find(old)
		switch {
		case n == nil:
			return notThere("link", old)
		case dir.names[base] != nil:
			return &fs.PathError{Op: "link", Path: name, Err: os.ErrExist}
		}
		dir.names[base] = n
		return nil
	})
}

func (d *disk) open(kind, name string) (vfs.File, error) {
	if v := d.look(kind, name); v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(name)
	if n == nil {
		return nil, notThere("open", name)
	}
	return &diskFile{disk: d, node: n, path: name}, nil
}

func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.open("open", name)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.open("open", name)
	if errors.Is(err, os.ErrNotExist) {
		return d.Create(name, c)
	}
	return f, err
}

func (d *disk) OpenDir(name string) (vfs.File, error) { return d.open("opendir", name) }

func (d *disk) Remove(name string) error {
	return d.act("remove", name, func(dir *node, base string) error {
		n := dir.names[base]
		switch {
		case n == nil:
			return notThere("remove", name)
		case len(n.names) > 0:
			return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
		delete(dir.names, base)
		return nil
	})
}

func (d *disk) RemoveAll(name string) error {
	return d.act("remove", name, func(dir *node, base string) error {
		delete(dir.names, base)
		return nil
	})
}

func (d *disk) Rename(old, name string) error {
	return d.act("rename", name, func(dir *node, base string) error {
		from, was, err := d.place(old)
		if err != nil {
			return err
		}
		n := from.names[was]
		if n == nil {
			return notThere("rename", old)
		}
		delete(from.names, was)
		dir.names[base] = n
		return nil
	})
}

func (d *disk) ReuseForWrite(old, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(old, name); err != nil {
		return nil, err
	}
	return d.open("open", name)
}

func (d *disk) MkdirAll(name string, _ os.FileMode) error {
	if v := d.look("mkdir", name); v.err != nil {
		return v.err
	}
	d.mu.Lock()
	n := d.root
	for _, w := range words(name) {
		if n.names[w] == nil {
			n.names[w] = newDir()
		}
		n = n.names[w]
	}
	d.mu.Unlock()
	d.seen("mkdir", name)
	return nil
}

// diskLock is a lock that somebody has.
type diskLock struct {
	disk *disk
	name string
}

func (l diskLock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	delete(l.disk.locks, l.name)
	return nil
}

func (d *disk) Lock(name string) (io.Closer, error) {
	if v := d.look("lock", name); v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[name] {
		return nil, syscall.EAGAIN
	}
	dir, base, err := d.place(name)
	if err != nil {
		return nil, err
	}
	if dir.names[base] == nil {
		dir.names[base] = &node{}
	}
	d.locks[name] = true
	return diskLock{d, name}, nil
}

func (d *disk) List(name string) ([]string, error) {
	if v := d.look("list", name); v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(name)
	if n == nil {
		return nil, notThere("open", name)
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if v := d.look("stat", name); v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(name)
	if n == nil {
		return nil, notThere("stat", name)
	}
	return diskInfo{name: path.Base(name), size: int64(len(n.data)), isDir: n.isDir}, nil
}

func (d *disk) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	if v := d.look("usage", name); v.err != nil {
		return vfs.DiskUsage{}, v.err
	}
	if d.usage == (vfs.DiskUsage{}) {
		return d.usage, vfs.ErrUnsupported
	}
	return d.usage, nil
}

func (d *disk) PathBase(p string) string       { return path.Base(p) }
func (d *disk) PathJoin(elem ...string) string { return path.Join(elem...) }
func (d *disk) PathDir(p string) string        { return path.Dir(p) }
func (d *disk) Unwrap() vfs.FS                 { return nil }
