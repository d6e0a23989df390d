package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// slowDisk is when a write or sync that has not returned is told to the operator.
const slowDisk = 5 * time.Second

// Open opens the queue in a directory, or makes it. It returns an error that wraps
// queue.ErrInUse when another process has it open. What was under way when the queue
// was last in use can be claimed, due now.
func Open(o Options) (_ *Store, err error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &Store{
		opts:    o,
		log:     o.Log,
		now:     o.Now,
		active:  make(map[mail.QueueID]*message),
		cursors: make(cursors),
		wakes:   make(wakes),
		memory:  budget{limit: o.BodyMemory},
		cache:   budget{limit: o.BodyMemory},
		failed:  make(chan struct{}),
	}
	defer func() {
		if err != nil {
			s.closeHalf()
			err = fmt.Errorf("open queue %s: %w", o.Dir, err)
		}
	}()
	disk := o.FS
	if disk == nil {
		own := ownDisk{vfs.Default}
		if err := s.checkFiles(own, own); err != nil {
			return nil, err
		}
		checked, closer := vfs.WithDiskHealthChecks(own, slowDisk, nil, func(i vfs.DiskSlowInfo) {
			s.log.Warn(fmt.Sprintf("queue: the disk is slow: %v", i))
		})
		disk, s.release = checked, append(s.release, closer)
	}
	if err := makeDirs(disk, o.Dir); err != nil {
		return nil, err
	}
	if err := s.lock(disk); err != nil {
		return nil, err
	}
	exists, err := checkFormat(disk, o.Dir)
	if err != nil {
		return nil, err
	}
	if err := checkAdopted(disk, o.Dir, o.adopted); err != nil {
		return nil, err
	}
	s.disk = disk
	s.watchSpace(disk)
	s.spool = &spool{fs: disk, dir: disk.PathJoin(o.Dir, bigDir), log: s.log, made: make(map[byte]bool)}

	if s.closedAt, err = s.takeClean(); err != nil {
		return nil, err
	}
	elog := newEngineLog(s.log, s.now)
	elog.park = o.adopted
	engineDisk := newEngineFS(disk, s.space, elog)
	if s.db, err = openEngine(disk.PathJoin(o.Dir, dbDir), engineDisk, exists, &s.opts, elog); err != nil {
		return nil, writeError("open its database", err)
	}
	elog.setFatal(s.fail)
	if err := s.orFailed(s.recover); err != nil {
		return nil, err
	}
	if !exists {
		if err := markFormat(disk, o.Dir); err != nil {
			return nil, err
		}
	}
	s.space.open()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.reclaimed = stop, make(chan struct{})
	go s.reclaim(ctx)
	s.scrubbed = make(chan struct{})
	s.committer = newCommitter(s.writeChange, s.syncChange, s.tellChange, s.fail)
	if o.adopted {
		close(s.scrubbed) // all of it is about to be read
	} else {
		go s.scrub(ctx)
	}
	return s, nil
}

// closeHalf undoes an Open that did not get to its end.
func (s *Store) closeHalf() {
	if s.db != nil && s.failure() == nil { // else see Close
		_ = s.orFailed(s.db.Close)
	}
	if s.opts.adopted && s.failure() != nil {
		return // see adoption.close
	}
	for i := len(s.release) - 1; i >= 0; i-- {
		_ = s.release[i].Close()
	}
}

// orFailed calls f, as guarded does. In a store whose failure does not end the process it
// does not wait for f after one: f may be waiting for ever for what failed.
func (s *Store) orFailed(f func() error) error {
	if !s.opts.adopted {
		return guarded(f)
	}
	ended := make(chan error, 1)
	go func() { ended <- guarded(f) }()
	select {
	case err := <-ended:
		return err
	case <-s.failed:
		return s.failure()
	}
}

const (
	dbDir       = "db"
	lockFile    = "lock"
	ballastFile = "ballast"
	formatFile  = "format"
	cleanFile   = "clean"
	adoptedFile = "adopted"
)

// makeDirs makes the directories of a queue and checks whose they are.
func makeDirs(disk vfs.FS, dir string) error {
	if err := makeDir(disk, dir); err != nil {
		return err
	}
	if err := checkOwner(disk, dir, 0o002); err != nil {
		return err
	}
	for _, sub := range []string{dbDir, bigDir, disk.PathJoin(bigDir, newDir)} {
		path := disk.PathJoin(dir, sub)
		if err := disk.MkdirAll(path, 0o700); err != nil {
			return writeError("make "+sub, err)
		}
		if err := checkOwner(disk, path, 0o077); err != nil {
			return err
		}
	}
	if err := syncDir(disk, disk.PathJoin(dir, bigDir)); err != nil {
		return err
	}
	return syncDir(disk, dir)
}

// makeDir makes a directory that is not there, and those above it, so that they are
// there after a crash. A queue that is marked has been through this. One that is not may
// have been made by a process that was killed before it had synced what it made: then the
// names of directories that are there are synced too.
func makeDir(disk vfs.FS, dir string) error {
	if _, err := disk.Stat(disk.PathJoin(dir, formatFile)); err == nil {
		return nil
	}
	_, err := disk.Stat(dir)
	there := err == nil
	if !there && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := disk.PathDir(dir)
	if above == dir {
		return nil
	}
	if err := makeDir(disk, above); err != nil {
		return err
	}
	if !there {
		if err := disk.MkdirAll(dir, 0o700); err != nil {
			return writeError("make it", err)
		}
	}
	err = syncDir(disk, above)
	if there && errors.Is(err, fs.ErrPermission) {
		return nil // not ours to read: somebody else has made it
	}
	return err
}

// checkOwner wants a directory to be ours, and nobody else to have the rights given.
// File systems without owners pass.
func checkOwner(disk vfs.FS, dir string, forbidden os.FileMode) error {
	info, err := disk.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if me := os.Geteuid(); int(st.Uid) != me {
		return fmt.Errorf("%s belongs to %s, but this process runs as %s; give it away (chown %s %s) or name a directory that does not exist yet",
			dir, userName(int(st.Uid)), userName(me), userName(me), dir)
	}
	if bad := info.Mode().Perm() & forbidden; bad != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%s has mode %04o: others could change the queue; take their rights away (chmod %04o %s)",
			dir, info.Mode().Perm(), info.Mode().Perm()&^forbidden, dir)
	}
	return nil
}

// lock makes this process the owner of the queue until Close.
func (s *Store) lock(disk vfs.FS) error {
	lock, err := disk.Lock(disk.PathJoin(s.opts.Dir, lockFile))
	var path *fs.PathError
	switch {
	case err == nil:
		s.release = append(s.release, lock)
		return nil
	case errors.As(err, &path) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("lock it: %w", err)
	}
	return fmt.Errorf("%w (%w); stop that process first", queue.ErrInUse, err)
}

// watchSpace sets what depends on the size of the disk.
func (s *Store) watchSpace(disk vfs.FS) {
	usage := func() (free, total int64, err error) {
		u, err := disk.GetDiskUsage(s.opts.Dir)
		return int64(u.AvailBytes), int64(u.TotalBytes), err
	}
	_, total, err := usage()
	if err != nil {
		total = 0
	}
	s.opts.fitDisk(total)
	b := &ballast{
		fs:   disk,
		path: disk.PathJoin(s.opts.Dir, ballastFile),
		size: ballastSize(total),
		log:  s.log,
	}
	if _, err := disk.Stat(b.path); err == nil {
		b.held = true
	}
	s.space = &space{
		usage:   usage,
		now:     s.now,
		log:     s.log,
		line:    s.opts.MinFree,
		closing: make(chan struct{}),
		short:   make(chan struct{}, 1),
		ballast: b,
	}
}
