package pebblestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// put commits a message with a body of size bytes that do not compress.
func put(s *pebblestore.Store, rng *rand.Rand, size int) ([]queue.Job, error) {
	ctx := context.Background()
	if err := s.Admit(int64(size)); err != nil {
		return nil, err
	}
	d, err := s.Stage(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Abort()
	for size > 0 {
		line := make([]byte, min(size, 4096))
		for i := range line {
			line[i] = byte(rng.Uint32())
		}
		if _, err := d.Write(line); err != nil {
			return nil, err
		}
		size -= len(line)
	}
	return d.Commit(ctx, storetest.Envelope(s.IDs().Next(), testTime, "smtp:a.example"))
}

// TestDiskFull fills small disks with mail. Mail is turned away in time, what was taken
// in stays, can be delivered while the disk is full, and makes room again.
func TestDiskFull(t *testing.T) {
	for _, megabytes := range []int64{8, 24} {
		disk := newSmallDisk(vfs.NewMem(), megabytes<<20)
		clock := storetest.NewClock(testTime)
		s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, Now: clock.Now, MessageSizeLimit: 10 << 20})
		rng := rand.New(rand.NewPCG(1, 1))

		for round := range 3 {
			var jobs []queue.Job
			var err error
			for err == nil {
				var j []queue.Job
				j, err = put(s, rng, 1000+rng.IntN(150_000))
				jobs = append(jobs, j...)
				clock.Add(10 * time.Millisecond)
			}
			if !errors.Is(err, queue.ErrNoSpace) {
				t.Fatalf("%d MB: %v", megabytes, err)
			}
			t.Logf("%d MB, round %d: %d messages, then %d kB free", megabytes, round, len(jobs), disk.free()>>10)
			// Later there are the traces of what was delivered; the room for them comes back
			// bit by bit.
			if least := megabytes * int64(5-2*min(round, 2)); int64(len(jobs)) < least {
				t.Errorf("%d MB, round %d: full after %d messages", megabytes, round, len(jobs))
			}
			if left := disk.list("/big/new/"); len(left) > 0 {
				t.Errorf("%d MB: unfinished bodies were left: %v", megabytes, left)
			}
			for i, j := range jobs {
				if _, b, err := s.Load(t.Context(), j.ID); err != nil {
					t.Fatalf("%d MB: message %d of %d: %v", megabytes, i, len(jobs), err)
				} else if _, err := storetest.ReadBody(b); err != nil {
					t.Fatalf("%d MB: message %d of %d: %v", megabytes, i, len(jobs), err)
				}
				if i%2 == 0 && round != 1 {
					storetest.Apply(s, queue.Outcome{Job: j, NextDue: testTime})
				}
			}
			for _, j := range jobs {
				o := queue.Outcome{Job: j, Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}}}
				storetest.Apply(s, o)
			}
			due, _, err := s.Claim(t.Context(), "smtp:a.example", testTime, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range due {
				o := queue.Outcome{Job: j, Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}}}
				if a := storetest.Apply(s, o); a.Err != nil || !a.Removed {
					t.Fatalf("%d MB: %+v", megabytes, a)
				}
			}
			waitFor(t, "room on the disk", func() bool {
				clock.Add(time.Second)
				return s.Admit(0) == nil
			})
		}
	}
}

// waitFor polls for something that a goroutine of the store does in its own time.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s after 20 seconds", what)
		}
	}
}
