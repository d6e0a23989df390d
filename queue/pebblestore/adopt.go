package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Taking over the queue of a node that is no more. In this order, each step on stable
// storage before the next:
//
//	1  the source is locked, and marked as taken over by this queue
//	2  a page of messages is put into this queue, each with the key of its origin
//	3  the page is removed from the source
//	4  the keys of origin go, with the next page
//
// From 2 to 3 a page is in both queues. If that is where it ends, the next run finds the
// keys of origin, and does 3 only. Nobody opens the source meanwhile: it is marked. A
// message of this queue is given out when 2 is on stable storage, so that one that a
// next hop has seen is never in the source alone.
//
// The messages keep their queue IDs, so that whoever looks for one finds it, unless the
// ID is not free here, or this process has given it out or might: then they get a new
// one, and the log tells both.

// A page is that many messages, or bytes of bodies, whatever comes first: what is in
// memory, and what is in both queues.
const (
	adoptPage  = 64
	adoptBytes = 1 << 20
)

// tellEvery is how often the log hears of a long adoption.
const tellEvery = time.Minute

// sourceMemTable is enough to remove messages.
const sourceMemTable = 4 << 20

// adoption is one run. It is used by one goroutine.
type adoption struct {
	taker  *Store
	source *Store
	gone   []mail.QueueID // of the last page: removed from the source, their keys still here
	tell   func(mail.Adoption, []queue.DestHead)
	told   time.Time

	mu    sync.Mutex // guards sofar: a page may not know yet that it was given up
	sofar mail.Adoption
}

func (a *adoption) add(change func(*mail.Adoption)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.sofar)
}

func (a *adoption) soFar() mail.Adoption {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sofar
}

var _ queue.Adopter = (*Store)(nil)

// Adopt implements queue.Adopter. dir is a queue directory, or the directory of a store in
// one.
func (s *Store) Adopt(ctx context.Context, dir string, progress func(mail.Adoption, []queue.DestHead)) (mail.Adoption, error) {
	if !s.adopting.TryLock() {
		return mail.Adoption{}, fmt.Errorf("adopt %s: another adoption is under way", dir)
	}
	defer s.adopting.Unlock()
	a := &adoption{taker: s, tell: progress, told: s.now()}
	err := a.run(ctx, dir)
	if err != nil {
		err = fmt.Errorf("adopt %s: %w", dir, err)
		text := err.Error()
		if n := a.soFar().Messages; n > 0 {
			text += fmt.Sprintf("; %d messages were taken; run it again to go on", n)
		}
		s.log.Warn(text, slog.String(mail.KeyDaemon, "postsuper"))
	}
	return a.soFar(), err
}

func (a *adoption) run(ctx context.Context, dir string) (err error) {
	if err := a.open(dir); err != nil {
		return err
	}
	defer func() {
		if cerr := a.close(); err == nil {
			err = cerr
		}
	}()
	whole := false
	err = a.within(func() (err error) {
		if whole, err = a.begin(); err == nil && !whole {
			err = a.inherit()
		}
		return err
	})
	if err != nil {
		return err
	}
	if whole {
		a.add(func(sum *mail.Adoption) { sum.Whole = true })
		return a.within(func() error { return a.forget(true) })
	}
	a.log("adopting %s: begun", a.source.opts.Dir)
	if err := a.takeAll(ctx); err != nil {
		return err
	}
	if err := a.within(a.finish); err != nil {
		return err
	}
	a.add(func(sum *mail.Adoption) { sum.Whole = true })
	sum := a.soFar()
	a.log("adopted %s: %d messages, %d of them corrupt", a.source.opts.Dir, sum.Messages, sum.Corrupt)
	return nil
}

// within calls f while this queue cannot be closed. After a failure of the source nobody
// goes on with the adoption.
func (a *adoption) within(f func() error) error {
	if err := a.taker.enter(); err != nil {
		return err
	}
	defer a.taker.leave()
	return a.source.orFailed(f)
}

func (a *adoption) log(format string, args ...any) {
	a.taker.log.Info(fmt.Sprintf(format, args...), slog.String(mail.KeyDaemon, "postsuper"))
}

// open opens the source. Nothing is made in a directory that is no queue.
func (a *adoption) open(dir string) error {
	t := a.taker
	path, err := findQueue(t.disk, dir)
	if err != nil {
		return err
	}
	if same, err := sameDir(t.disk, path, t.opts.Dir); same || err != nil {
		if same {
			err = errors.New("it is this very queue")
		}
		return err
	}
	a.source, err = Open(Options{
		Dir:          path,
		FS:           t.opts.FS,
		MemTableSize: sourceMemTable,
		BodyMemory:   sourceMemTable,
		Now:          t.now,
		Log:          t.opts.Log,
		// Its disk is not ours: what fails there ends the adoption alone.
		Fatal:   func(error) {},
		adopted: true,
	})
	if errors.Is(err, queue.ErrInUse) {
		return fmt.Errorf("%w: only the queue of a dead node can be taken over", err)
	}
	if err == nil && a.source.damaged {
		a.add(func(sum *mail.Adoption) { sum.Damaged = true })
	}
	return err
}

// findQueue finds the store in a directory.
func findQueue(disk vfs.FS, dir string) (string, error) {
	for _, path := range []string{dir, disk.PathJoin(dir, "store")} {
		_, err := disk.Stat(disk.PathJoin(path, formatFile))
		switch {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return "", err
		}
	}
	return "", fmt.Errorf("there is no queue of aliasmx: neither %s nor %s exists",
		disk.PathJoin(dir, formatFile), disk.PathJoin(dir, "store", formatFile))
}

// sameDir tells whether two names are of one directory. The lock cannot tell: a process
// that locks a file by two names has it twice, and loses it with the first.
func sameDir(disk vfs.FS, a, b string) (bool, error) {
	infoA, err := disk.Stat(a)
	if err != nil {
		return false, err
	}
	infoB, err := disk.Stat(b)
	if err != nil {
		return false, err
	}
	statA, okA := infoA.Sys().(*syscall.Stat_t)
	statB, okB := infoB.Sys().(*syscall.Stat_t)
	if okA && okB {
		return statA.Dev == statB.Dev && statA.Ino == statB.Ino, nil
	}
	return disk.PathJoin(a) == disk.PathJoin(b), nil
}

// close lets the source go. After a failure of its disk it stays open and locked until
// this process ends: its database may still be writing.
func (a *adoption) close() error {
	err := a.source.failure()
	if err == nil {
		err = a.source.orFailed(a.source.Close)
	}
	if a.source.failure() != nil {
		return fmt.Errorf("%w; the directory stays locked until this process ends", a.source.failure())
	}
	return err
}

// takeAll takes page after page.
func (a *adoption) takeAll(ctx context.Context) error {
	from := mail.QueueID(0)
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		type taken struct {
			heads []queue.DestHead
			next  mail.QueueID
			more  bool
		}
		ended := make(chan taken, 1) // a page that was given up may end later
		err := a.within(func() error {
			heads, next, more, err := a.takePage(from)
			ended <- taken{heads, next, more}
			return err
		})
		select {
		case page := <-ended:
			from, more = page.next, page.more
			a.tell(a.soFar(), page.heads)
		default:
		}
		if err != nil {
			return err
		}
		if now := a.taker.now(); now.Sub(a.told) >= tellEvery {
			a.told = now
			a.log("adopting %s: %d messages so far", a.source.opts.Dir, a.soFar().Messages)
		}
	}
	return nil
}

// takePage takes the messages from an ID on, as many as are a page, and returns where the
// next one begins.
func (a *adoption) takePage(from mail.QueueID) (heads []queue.DestHead, next mail.QueueID, more bool, err error) {
	if err := a.source.failure(); err != nil {
		return nil, from, false, err
	}
	ids, err := a.source.idsFrom(from, adoptPage)
	if err != nil || len(ids) == 0 {
		return nil, from, false, err
	}
	var page []*parcel
	size := int64(0)
	var stop error
	for _, id := range ids {
		p, err := a.pack(id)
		if err != nil {
			stop = err
			break
		}
		from = id + 1
		if p == nil {
			continue
		}
		page = append(page, p)
		if size += p.inMemory(); size >= adoptBytes {
			break
		}
	}
	// What was packed is taken, whatever kept the rest from it.
	heads, err = a.unpack(page)
	if err == nil {
		err = a.remove(page)
	}
	if err == nil {
		err = stop
	}
	return heads, from, true, err
}
