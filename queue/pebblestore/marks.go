package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
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

// markClean leaves behind, on a clean shutdown, what the last record of the log says.
func (s *Store) markClean(last mail.QueueID) error {
	return writeMark(s.spool.fs, s.opts.Dir, cleanFile, last.String())
}

// checkClean notices a log whose end was cut off while nobody used it: the database
// takes that for a crash, after which an end without sync is nothing unusual. The mail
// that was in there cannot be had back; the operator must know.
func (s *Store) checkClean(last mail.QueueID) error {
	disk := s.spool.fs
	path := disk.PathJoin(s.opts.Dir, cleanFile)
	text, err := readMark(disk, path)
	if err != nil || text == "" {
		return err
	}
	if want := last.String(); text != want {
		s.counts.corrupt.Add(1)
		s.log.Error(fmt.Sprintf("queue %s: it was closed with %q as its last queue ID, but what is there ends at %s: files were damaged meanwhile, mail may be missing",
			s.opts.Dir, text, want))
	}
	if err := disk.Remove(path); err != nil {
		return writeError("remove "+path, err)
	}
	return syncDir(disk, s.opts.Dir)
}

// readMark returns the text of a file; "" when there is none.
func readMark(disk vfs.FS, path string) (string, error) {
	f, err := disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, 256))
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
