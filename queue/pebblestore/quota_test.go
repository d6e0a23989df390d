package pebblestore_test

import (
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallDisk is a file system in memory of a fixed size: files take what was written to
// them or preallocated, whichever is more.
type smallDisk struct {
	vfs.FS

	mu          sync.Mutex // guards what follows
	total, used int64
	files       map[string]*smallFile
}

type smallFile struct{ size, allocated int64 }

func newSmallDisk(fs vfs.FS, total int64) *smallDisk {
	return &smallDisk{FS: fs, total: total, files: make(map[string]*smallFile)}
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return vfs.DiskUsage{
		AvailBytes: uint64(max(d.total-d.used, 0)), TotalBytes: uint64(d.total), UsedBytes: uint64(d.used),
	}, nil
}

// fill takes room away, or gives it back, as other programs do.
func (d *smallDisk) fill(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used += n
}

func (d *smallDisk) free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total - d.used
}

// list is the names of all files that contain part.
func (d *smallDisk) list(part string) (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		if strings.Contains(name, part) {
			names = append(names, name)
		}
	}
	return names
}

// take makes a file at least as large as size. The caller holds d.mu.
func (d *smallDisk) take(op string, f *smallFile, size int64) error {
	if more := size - f.allocated; more > 0 {
		if d.used+more > d.total {
			return &os.PathError{Op: op, Path: "file", Err: syscall.ENOSPC}
		}
		d.used += more
		f.allocated = size
	}
	return nil
}

func (d *smallDisk) drop(name string) {
	if f := d.files[name]; f != nil {
		d.used -= f.allocated
		delete(d.files, name)
	}
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(name)
	d.files[name] = &smallFile{}
	return &smallHandle{File: f, disk: d, file: d.files[name]}, nil
}

func (d *smallDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		d.files[name] = &smallFile{}
	}
	return &smallHandle{File: f, disk: d, file: d.files[name]}, nil
}

func (d *smallDisk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = d.files[old]
	delete(d.files, old)
	return &smallHandle{File: f, disk: d, file: d.files[name]}, nil
}

func (d *smallDisk) Rename(old, name string) error {
	if err := d.FS.Rename(old, name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(name)
	if f := d.files[old]; f != nil {
		d.files[name] = f
		delete(d.files, old)
	}
	return nil
}

func (d *smallDisk) Remove(name string) error {
	if err := d.FS.Remove(name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(name)
	return nil
}

type smallHandle struct {
	vfs.File
	disk *smallDisk
	file *smallFile
	at   int64
}

func (h *smallHandle) Write(p []byte) (int, error) {
	h.disk.mu.Lock()
	err := h.disk.take("write", h.file, h.at+int64(len(p)))
	h.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := h.File.Write(p)
	h.at += int64(n)
	return n, err
}

func (h *smallHandle) Preallocate(offset, length int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.disk.take("fallocate", h.file, offset+length)
}

// Fd makes Pebble believe in a real file, so that it preallocates.
func (h *smallHandle) Fd() uintptr { return 1 << 30 }
