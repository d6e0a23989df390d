package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// faults makes the k-th operation on the disk fail, alone or with all that follow.
type faults struct {
	at      int64 // 0: none
	onwards bool
	err     error
	short   bool // only writes fail, and a part of what they should write is written

	count   atomic.Int64
	logSync atomic.Bool // a sync of the log has failed
	mu      sync.Mutex  // guards what follows
	hit     string
	kinds   map[string]int // without faults: the operations there are
}

func (f *faults) look(o op) verdict {
	if o.kind == "close" || f.short && o.kind != "write" {
		return verdict{}
	}
	n := f.count.Add(1)
	if f.at == 0 {
		f.mu.Lock()
		f.kinds[o.kind]++
		if strings.HasSuffix(o.path, ".sst") {
			f.kinds[o.kind+" table"]++
		}
		f.mu.Unlock()
	}
	if n < f.at || n > f.at && !f.onwards || f.at == 0 {
		return verdict{}
	}
	if o.kind == "sync" && strings.HasSuffix(o.path, ".log") {
		f.logSync.Store(true)
	}
	f.mu.Lock()
	if f.hit == "" {
		f.hit = o.String()
	}
	f.mu.Unlock()
	v := verdict{err: f.err}
	if f.short {
		v.written = int(n*37) % 700
	}
	return v
}

// faultKinds are the ways in which an operation fails.
var faultKinds = []struct {
	name    string
	err     error
	onwards bool
	short   bool
}{
	{"EIO", syscall.EIO, false, false},
	{"EIO from then on", syscall.EIO, true, false},
	{"ENOSPC", syscall.ENOSPC, false, false},
	{"ENOSPC from then on", syscall.ENOSPC, true, false},
	{"short write, EIO", syscall.EIO, false, true},
	{"short write, ENOSPC", syscall.ENOSPC, false, true},
}

// TestFaults lets every operation on the disk fail in turn, reads and all, in two lives:
// one with bodies in files, one with memtables that are flushed. Nobody is told that his
// mail is safe after a sync of the log has failed; what a later process finds, on the disk
// as it was synced and on the disk as it was written, is what was acknowledged; and it
// goes on working.
func TestFaults(t *testing.T) {
	var total, failed atomic.Int64
	t.Run("lives", func(t *testing.T) {
		for _, flushes := range []bool{false, true} {
			var clean faults
			clean.kinds = make(map[string]int)
			if _, err := faultLife(flushes, &clean); err != nil {
				t.Fatalf("without faults: %v", err)
			}
			t.Logf("flushes %v: %v", flushes, clean.kinds)
			wanted := []string{"create", "write", "sync", "rename", "remove", "mkdir", "open", "opendir", "list", "stat", "read", "lock", "preallocate"}
			if flushes {
				wanted = append(wanted, "create table", "write table", "sync table")
			}
			for _, kind := range wanted {
				if clean.kinds[kind] == 0 {
					t.Errorf("flushes %v: no %s is tried", flushes, kind)
				}
			}
			for _, kind := range faultKinds {
				if flushes && kind.onwards && kind.err == syscall.ENOSPC {
					continue // it waits for room, as it should: space_full_test.go
				}
				t.Run(fmt.Sprintf("%s, flushes %v", kind.name, flushes), func(t *testing.T) {
					t.Parallel()
					every := int64(1)
					if testing.Short() {
						every = 17
					}
					for k := int64(1); ; k += every {
						f := &faults{at: k, err: kind.err, onwards: kind.onwards, short: kind.short}
						died, err := faultLife(flushes, f)
						if f.hit == "" {
							break // there are no more
						}
						total.Add(1)
						if died {
							failed.Add(1)
						}
						if err != nil {
							t.Fatalf("operation %d, %s: %v", k, f.hit, err)
						}
					}
				})
			}
		}
	})
	t.Logf("%d operations failed, and ended the store at %d of them", total.Load(), failed.Load())
	if least := int64(1500); !testing.Short() && total.Load() < least {
		t.Errorf("only %d operations failed, want %d", total.Load(), least)
	}
}

// faultLife works on a queue until it fails or all is done, and checks what it leaves. It
// tells whether the store failed.
func faultLife(flushes bool, f *faults) (died bool, err error) {
	l, steps := newLife(7, flushes), 40
	if flushes {
		steps = 110
	}
	if err := l.live(20, 1); err != nil { // what an earlier process left
		return false, err
	}
	d := l.disk.killed()
	d.watch(f.look, nil)
	o, log, fatal := l.options(d)
	o.CommitTimeout = 5 * time.Second
	extra := &extras{l: l}
	s, err := pebblestore.Open(o)
	if err == nil {
		p := l.play(s, l.history.Asked(), 5)
		p.Dead = fatal.at
		if err = p.Begin(); err == nil {
			err = p.Run(steps)
		}
		for _, size := range []int{100, 10_000, 100} {
			broken := f.logSync.Load()
			if extra.add(s, size) != 0 && broken {
				return true, fmt.Errorf("a message was acknowledged after a failed sync of the log")
			}
		}
		if cerr := fatal.close(s); err == nil {
			err = cerr
		}
	}
	died = fatal.cause() != nil
	if f.at == 0 && (err != nil || died) {
		return died, fmt.Errorf("%w; log: %s", err, log)
	}
	d.watch(nil, nil)
	for _, percent := range []int{0, 50, 100} {
		if err := extra.judge(d.cut(percent, rand.New(rand.NewPCG(uint64(f.at), 5)))); err != nil {
			return died, fmt.Errorf("%d %% of what was not synced: %w\nlog: %s", percent, err, log)
		}
	}
	return died, nil
}

// extras are messages that were sent after something had failed.
type extras struct {
	l      *life
	bodies map[mail.QueueID][]byte
	acked  map[mail.QueueID]bool
}

// add sends a message; 0: it was not taken.
func (x *extras) add(s *pebblestore.Store, size int) mail.QueueID {
	if x.bodies == nil {
		x.bodies, x.acked = make(map[mail.QueueID][]byte), make(map[mail.QueueID]bool)
	}
	id := s.IDs().Next()
	body := bytes.Repeat([]byte{byte(id >> 3)}, size)
	x.bodies[id] = body
	d, err := s.Stage(context.Background())
	if err != nil {
		return 0
	}
	defer d.Abort()
	if _, err := d.Write(body); err != nil {
		return 0
	}
	if _, err := d.Commit(context.Background(), storetest.Envelope(id, testTime, "smtp:extra.example")); err != nil {
		return 0
	}
	x.acked[id] = true
	return id
}

// judge opens what was left: the messages that were acknowledged are there, and the rest
// is in a state that it may be in. Then it still works.
func (x *extras) judge(d *disk) error {
	o, log, died := x.l.options(d)
	s, err := pebblestore.Open(o)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	for id, body := range x.bodies {
		_, b, err := s.Load(context.Background(), id)
		var got []byte
		if err == nil {
			got, err = storetest.ReadBody(b)
		}
		switch {
		case errors.Is(err, queue.ErrNotFound) && !x.acked[id]:
			continue
		case err != nil || !bytes.Equal(got, body):
			err = fmt.Errorf("message %s, acknowledged %v: %d bytes, %w", id, x.acked[id], len(got), err)
		default:
			err = s.Remove(context.Background(), id)
		}
		if err != nil {
			_ = s.Close()
			return err
		}
	}
	_, err = x.l.history.Find(s, x.l.history.Sure(), x.l.history.Asked())
	if err == nil && s.Stats().Corrupt > 0 {
		err = errors.New("something is corrupt")
	}
	if err == nil {
		err = noStrays(s, d)
	}
	if fresh := (&extras{l: x.l}).add(s, 10_000); err == nil && fresh == 0 {
		err = errors.New("it takes no mail any more")
	}
	if cerr := died.close(s); err == nil {
		err = cerr
	}
	if err == nil {
		err = died.cause()
	}
	if err == nil && strings.Contains(log.String(), "level=ERROR") {
		err = errors.New("it complains")
	}
	if err != nil {
		return fmt.Errorf("%w; log: %s", err, log)
	}
	return nil
}
