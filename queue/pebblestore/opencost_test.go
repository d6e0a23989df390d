package pebblestore

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// deferredQueue makes a closed queue with n deferred messages for 100 destinations. It
// writes what the store would, in fewer batches.
func deferredQueue(t *testing.T, n int) *vfs.MemFS {
	t.Helper()
	disk := vfs.NewMem()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := Open(Options{Dir: "/queue", FS: disk, MemTableSize: 1 << 20, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1000)
	for i := 0; i < n; {
		b := s.db.NewBatch()
		for range min(500, n-i) {
			dest := mail.Dest(fmt.Sprintf("smtp:d%d.example", i%100))
			env := &mail.Envelope{ID: s.ids.Next(), Arrived: now, Rcpts: []mail.Recipient{{Final: mail.Address{Local: "a", Domain: "b"}, Dest: dest}}}
			var scan queue.BodyScan
			_, _ = scan.Write(body)
			scan.Fill(env)
			m := &message{id: env.ID, arrived: now, fresh: false}
			m.split(env, []int{0}, queue.RecipientLimits{}, millis(now.Add(time.Hour)))
			put(b.Set(idKey(keyMessage, m.id), encodeEnvelope(env), nil))
			put(b.Set(idKey(keyBody, m.id), body, nil))
			saveJob(b, m, m.jobs[0])
			s.raiseHighWater(b, m.id)
			i++
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	// What is still to be merged would be merged in the background as soon as the queue is
	// open. Nobody waits for that, and it is not what is counted.
	if err := s.db.Compact(t.Context(), []byte{'a'}, []byte{'z'}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return disk
}

// openCost opens a queue and counts what that reads from the disk.
func openCost(t *testing.T, disk vfs.FS) (reads, opens int64) {
	t.Helper()
	var read, opened atomic.Int64
	counting := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileRead, errorfs.OpFileReadAt:
			read.Add(1)
		case errorfs.OpOpen:
			opened.Add(1)
		}
		return nil
	}))
	s, err := Open(Options{Dir: "/queue", FS: counting, MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	reads, opens = read.Load(), opened.Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return reads, opens
}

// TestOpenIsNotProportional: what Open reads does not grow with the deferred mail. Fifty
// times as much of it must not even cost twice the reads.
func TestOpenIsNotProportional(t *testing.T) {
	few, many := 1_000, 50_000
	if testing.Short() {
		many = 5_000
	}
	fewReads, fewOpens := openCost(t, deferredQueue(t, few))
	manyDisk := deferredQueue(t, many)
	manyReads, manyOpens := openCost(t, manyDisk)
	t.Logf("%d messages: %d reads of %d files; %d messages: %d reads of %d files", few, fewReads, fewOpens, many, manyReads, manyOpens)
	if fewReads == 0 || manyReads > 2*fewReads+50 {
		t.Errorf("%d reads with %d messages, %d with %d", fewReads, few, manyReads, many)
	}
	// The queue is what it is said to be.
	s, err := Open(Options{Dir: "/queue", FS: manyDisk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	if err := s.List(t.Context(), func(l mail.Listed) bool { n++; return true }); err != nil || n != many {
		t.Errorf("%d messages, %v", n, err)
	}
}
