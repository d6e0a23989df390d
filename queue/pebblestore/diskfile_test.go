package pebblestore_test

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFile is an open file or directory of a disk.
type diskFile struct {
	disk *disk
	node *node
	path string
	pos  int // guarded by disk.mu
}

var _ vfs.File = (*diskFile)(nil)

func (f *diskFile) Close() error { return f.disk.look("close", f.path).err }

func (f *diskFile) Read(p []byte) (int, error) {
	n, err := f.readAt(p, -1)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *diskFile) ReadAt(p []byte, at int64) (int, error) { return f.readAt(p, int(at)) }

// readAt reads at a place, or, when that is negative, where the last read ended.
func (f *diskFile) readAt(p []byte, at int) (int, error) {
	if v := f.disk.look("read", f.path); v.err != nil {
		return 0, v.err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	from := at
	if at < 0 {
		from = f.pos
	}
	if from >= len(f.node.data) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[from:])
	if at < 0 {
		f.pos += n
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) Write(p []byte) (int, error) {
	n, err := f.writeAt(p, -1)
	return n, err
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) { return f.writeAt(p, int(at)) }

func (f *diskFile) writeAt(p []byte, at int) (int, error) {
	v := f.disk.look("write", f.path)
	if v.err != nil {
		p = p[:min(v.written, len(p))]
	}
	f.disk.mu.Lock()
	if at < 0 {
		at = f.pos
		f.pos += len(p)
	}
	if len(p) > 0 {
		f.node.write(p, at)
	}
	f.disk.mu.Unlock()
	f.disk.seen("write", f.path)
	return len(p), v.err
}

func (f *diskFile) Sync() error {
	v := f.disk.look("sync", f.path)
	if v.err != nil {
		return v.err
	}
	if !v.swallow {
		f.disk.mu.Lock()
		f.node.sync()
		f.disk.mu.Unlock()
	}
	f.disk.seen("sync", f.path)
	return nil
}

func (f *diskFile) SyncData() error { return f.Sync() }

// SyncTo promises nothing, and so does nothing.
func (f *diskFile) SyncTo(int64) (bool, error) { return false, f.disk.look("syncto", f.path).err }

func (f *diskFile) Preallocate(int64, int64) error {
	return f.disk.look("preallocate", f.path).err
}

func (f *diskFile) Stat() (vfs.FileInfo, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return diskInfo{name: f.path, size: int64(len(f.node.data)), isDir: f.node.isDir}, nil
}

func (f *diskFile) Prefetch(int64, int64) error { return nil }

// Fd is a number, so that Pebble preallocates; nothing else is done with it.
func (f *diskFile) Fd() uintptr { return 1 << 20 }

// diskInfo is what is known of a file.
type diskInfo struct {
	name  string
	size  int64
	isDir bool
}

func (i diskInfo) Name() string           { return i.name }
func (i diskInfo) Size() int64            { return i.size }
func (i diskInfo) ModTime() time.Time     { return testTime }
func (i diskInfo) IsDir() bool            { return i.isDir }
func (i diskInfo) Sys() any               { return nil }
func (i diskInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
func (i diskInfo) Mode() os.FileMode {
	if i.isDir {
		return os.ModeDir | 0o700
	}
	return 0o600
}

func (n *node) String() string {
	if n.isDir {
		return fmt.Sprintf("directory of %d names, %d of them synced", len(n.names), len(n.kept))
	}
	return fmt.Sprintf("file of %d bytes, %d of them synced", len(n.data), len(n.safe))
}
