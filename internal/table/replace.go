package table

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Replacing an index, so that whoever reads it, and whatever happens to the machine
// meanwhile, finds the old one or the new one whole: write beside it, sync, rename,
// sync the directory.

// replace writes a new index with fill and puts it in the place of the old one. The
// source gives owner and mode to an index that is the first; it may be nil.
func (t *indexed) replace(o BuildOptions, source fs.FileInfo, fill func(*indexWriter) error) error {
	return t.replaceFile(o, source, func(f *os.File) error { return t.write(f, fill) })
}

// replaceFile is replace for what write makes of a new file. It must sync it.
func (t *indexed) replaceFile(o BuildOptions, source fs.FileInfo, write func(*os.File) error) error {
	dir, base := filepath.Split(t.file)
	if dir == "" {
		dir = "."
	}
	lock, locked, err := lockDir(dir)
	if err != nil {
		return &fileError{"open", t.file, err}
	}
	defer lock.Close()
	if info, err := os.Stat(t.file); err == nil && info.IsDir() {
		return &fileError{"open", t.file, unix.EISDIR}
	}
	if locked {
		removeLeftovers(dir, base)
	}
	f, err := os.CreateTemp(dir, "."+base+".*"+tempSuffix)
	if err != nil {
		return &fileError{"create", t.file, err}
	}
	if err = t.permit(f, o, source); err != nil {
		err = &fileError{"set the owner and mode of", t.file, err}
	} else {
		err = write(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), t.file)
	}
	if err != nil {
		os.Remove(f.Name())
		if errors.Is(err, errNoChange) {
			return nil
		}
		return err
	}
	return syncDir(dir)
}

const tempSuffix = ".tmp"

func (t *indexed) write(f *os.File, fill func(*indexWriter) error) error {
	w, err := newIndexWriter(f)
	if err != nil {
		return &fileError{"write", t.file, err}
	}
	if err := fill(w); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return &fileError{"write", t.file, err}
	}
	return nil
}

// permit gives the new index the mode and owner that it should have. Only root can
// give a file away: others need not try.
func (t *indexed) permit(f *os.File, o BuildOptions, source fs.FileInfo) error {
	mode, uid, gid := fs.FileMode(0o644), -1, -1
	if source != nil && source.Mode().IsRegular() {
		if o.SourceMode {
			mode &= source.Mode().Perm() | 0o700
		}
		if o.AsOwner {
			uid, gid = ownerAndGroup(t.source)
		}
	}
	if old, err := os.Stat(t.file); err == nil {
		mode = old.Mode().Perm()
		uid, gid = ownerAndGroup(t.file)
	}
	if uid >= 0 && os.Geteuid() == 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

func ownerAndGroup(path string) (uid, gid int) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// removeLeftovers removes what a build that was killed left behind. Nobody else
// builds here now: the directory is locked.
func removeLeftovers(dir, base string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "."+base+".") && strings.HasSuffix(f.Name(), tempSuffix) {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

// lockDir keeps two builds in one directory apart: the second waits for the first, as
// with Postfix. A file system that has no locks must do without. Closing the
// directory unlocks it.
func lockDir(dir string) (d *os.File, locked bool, err error) {
	d, err = os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	for {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return d, err == nil, nil
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return &fileError{"sync directory", dir, err}
	}
	return nil
}
