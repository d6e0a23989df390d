package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The disk, as everything in this package sees it: the one place where files are opened,
// made, and asked whose they are. What is made is for its owner alone, whatever the umask
// of the starter.
//
// What others could have changed is refused: somebody has to look at it first. What others
// could only read is mended, with a word in the log. A symbolic link is refused wherever
// it stands: who can make one decides where the mail goes.

// ownDisk is vfs.Default with modes.
type ownDisk struct{ vfs.FS }

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// Create implements vfs.FS.
func (d ownDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return private(d.FS.Create(name, c))
}

// OpenReadWrite implements vfs.FS.
func (d ownDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return private(d.FS.OpenReadWrite(name, c, opts...))
}

// private takes the rights of others from a file that was just made.
func private(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := syscall.Fchmod(int(f.Fd()), fileMode); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("chmod: %w", err)
	}
	return f, nil
}

// Lock implements vfs.FS.
func (d ownDisk) Lock(name string) (io.Closer, error) {
	lock, err := d.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, fileMode); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

// MkdirAll implements vfs.FS. The directories above the last one are others' affair.
func (d ownDisk) MkdirAll(dir string, perm os.FileMode) error {
	_, err := os.Lstat(dir)
	if err := d.FS.MkdirAll(dir, perm); err != nil {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return os.Chmod(dir, perm)
	}
	return nil
}

// Unwrap lets Pebble find the disk below.
func (d ownDisk) Unwrap() vfs.FS { return d.FS }

// keeper knows whose a file is. A file system that does not is not asked.
type keeper interface {
	Lstat(name string) (os.FileInfo, error)
	Chmod(name string, mode os.FileMode) error
}

func (ownDisk) Lstat(name string) (os.FileInfo, error)    { return os.Lstat(name) }
func (ownDisk) Chmod(name string, mode os.FileMode) error { return os.Chmod(name, mode) }

// checkFiles looks at what the store finds: its directories, and the files in them but
// for those of bodies, which are as many as there is large mail and which nobody can reach
// through their directories.
func (s *Store) checkFiles(k keeper, disk vfs.FS) error {
	c := &fileCheck{keeper: k}
	if err := c.all(disk, s.opts.Dir); err != nil {
		return err
	}
	if c.mended > 0 {
		s.log.Warn(fmt.Sprintf("queue %s: others could read %d of its files and directories, %s among them; their rights were taken away", s.opts.Dir, c.mended, c.first))
	}
	return nil
}

type fileCheck struct {
	keeper
	mended int
	first  string
}

func (c *fileCheck) all(disk vfs.FS, top string) error {
	if err := c.check(top, true); err != nil {
		return err
	}
	for _, sub := range []string{"", dbDir, bigDir} {
		dir := disk.PathJoin(top, sub)
		names, err := disk.List(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			isDir := sub == bigDir || sub == "" && (name == dbDir || name == bigDir)
			if err := c.check(disk.PathJoin(dir, name), isDir); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses a file or directory, or takes the rights of others from it.
func (c *fileCheck) check(path string, wantDir bool) error {
	info, err := c.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the database removes what it does not need any more
	}
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link; put what it leads to in its place", path)
	case wantDir && !mode.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case !wantDir && !mode.IsRegular():
		return fmt.Errorf("%s is not a file; it does not belong here, move it away", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		me := userName(os.Geteuid())
		return fmt.Errorf("%s belongs to %s, but this process runs as %s; give it away (chown %s %s)",
			path, userName(int(st.Uid)), me, me, path)
	}
	want := os.FileMode(fileMode)
	if wantDir {
		want = dirMode
	}
	switch perm := info.Mode().Perm(); {
	case perm&0o022 != 0:
		return fmt.Errorf("%s has mode %04o: others could change the queue; look whether somebody has, and take their rights away (chmod %04o %s)",
			path, perm, want, path)
	case perm&0o077 != 0 || perm&want != want:
		if err := c.Chmod(path, want); err != nil {
			return fmt.Errorf("chmod %04o %s: %w", want, path, err)
		}
		if perm&0o077 != 0 {
			c.mended++
			c.first = path
		}
	}
	return nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}
