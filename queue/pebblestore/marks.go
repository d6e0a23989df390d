package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Two small files beside the database say what the database cannot say of itself: that
// there has to be one, of which format, and how it looked when it was last closed.

// formatVersion is the version of keyspace and records that this program writes.
const formatVersion = 1

const formatText = "aliasmx queue format "

// checkFormat refuses a queue that a newer program has written, before anything in it
// is touched. It tells whether the queue was there before.
func checkFormat(disk vfs.FS, dir string) (exists bool, err error) {
	text, err := readMark(disk, disk.PathJoin(dir, formatFile))
	if err != nil || text == "" {
		return false, err
	}
	number, found := strings.CutPrefix(text, formatText)
	version, err := strconv.Atoi(number)
	switch {
	case !found || err != nil:
		return false, fmt.Errorf("%s is damaged: it says %q, not %q and a number", disk.PathJoin(dir, formatFile), text, formatText)
	case version > formatVersion:
		return false, fmt.Errorf("its format is version %d, this program knows up to %d; use the program that wrote it, or a newer one", version, formatVersion)
	}
	return true, nil
}

// markFormat signs a new queue. From then on a directory without a database is not a
// new queue, but one that has lost its database.
func markFormat(disk vfs.FS, dir string) error {
	return writeMark(disk, dir, formatFile, formatText+strconv.Itoa(formatVersion))
}

// maxMark bounds a mark: that of a clean shutdown names every file of the database.
const maxMark = 16 << 20

// readMark returns the text of a file; "" when there is none.
func readMark(disk vfs.FS, path string) (string, error) {
	f, err := disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMark))
	_ = f.Close()
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) == 0 {
		return " ", nil // there, and damaged
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// writeMark writes a file that is there whole or not at all, also after a crash.
func writeMark(disk vfs.FS, dir, name, text string) error {
	path := disk.PathJoin(dir, name)
	f, err := disk.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return writeError("make "+path, err)
	}
	_, err = f.Write([]byte(text + "\n"))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = disk.Rename(path+".new", path)
	}
	if err != nil {
		return writeError("write "+path, err)
	}
	return syncDir(disk, dir)
}
