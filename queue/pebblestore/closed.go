package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

// What a queue looked like when it was closed. A log that is missing, or whose end was cut
// off while nobody used it, is nothing unusual to the database: it takes that for a crash.
// The mail that was in there cannot be had back; the operator must know.

// markClean leaves behind, on a clean shutdown, what the last record of the log says, and
// which files with mail the database has.
func (s *Store) markClean(last mail.QueueID) error {
	files, err := mailFiles(s.disk, s.disk.PathJoin(s.opts.Dir, dbDir))
	if err != nil {
		return err
	}
	return writeMark(s.disk, s.opts.Dir, cleanFile, strings.Join(append([]string{last.String()}, files...), "\n"))
}

// mailFiles are the logs and tables of a database, each with its size.
func mailFiles(disk vfs.FS, dir string) (list []string, err error) {
	names, err := disk.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		switch ext := name[strings.LastIndexByte(name, '.')+1:]; ext {
		case "log", "sst", "blob":
			info, err := disk.Stat(disk.PathJoin(dir, name))
			if err != nil {
				return nil, fmt.Errorf("look at %s: %w", name, err)
			}
			list = append(list, name+" "+strconv.FormatInt(info.Size(), 10))
		}
	}
	return list, nil
}

// takeClean reads the mark of a clean shutdown, if there is one, holds it against the files
// that there are, and removes it: from now on they change. It is called before the database
// is opened, and returns the last queue ID that the mark speaks of.
func (s *Store) takeClean() (last string, err error) {
	path := s.disk.PathJoin(s.opts.Dir, cleanFile)
	text, err := readMark(s.disk, path)
	if err != nil || text == "" {
		return "", err
	}
	last, files, _ := strings.Cut(text, "\n")
	if files != "" {
		is, err := mailFiles(s.disk, s.disk.PathJoin(s.opts.Dir, dbDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		var odd []string
		for _, was := range strings.Split(files, "\n") {
			if !slices.Contains(is, was) {
				name, _, _ := strings.Cut(was, " ")
				odd = append(odd, name)
			}
		}
		if len(odd) > 0 {
			s.tellDamaged(fmt.Sprintf("files of its database are missing or have another size than when it was closed (%s)", strings.Join(odd, ", ")))
		}
	}
	if err := s.disk.Remove(path); err != nil {
		return "", writeError("remove "+path, err)
	}
	return last, syncDir(s.disk, s.opts.Dir)
}

// checkClean notices a log whose end was cut off.
func (s *Store) checkClean(last mail.QueueID) {
	if want := last.String(); s.closedAt != "" && s.closedAt != want {
		s.tellDamaged(fmt.Sprintf("it was closed with %q as its last queue ID, but what is there ends at %s", s.closedAt, want))
	}
}

func (s *Store) tellDamaged(what string) {
	s.damaged = true
	s.counts.corrupt.Add(1)
	s.log.Error(fmt.Sprintf("queue %s: %s: files were damaged meanwhile, mail may be missing", s.opts.Dir, what))
}
