package pebblestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
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

// spare is what the database may write meanwhile.
const spare = 1 << 20

// TestLargeBodyOnFullDisk: a body that does not fit is refused while it comes in, and
// no trace of it is left; the room that is kept back is not touched.
func TestLargeBodyOnFullDisk(t *testing.T) {
	disk := newSmallDisk(vfs.NewMem(), 16<<20)
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, MinFree: 4 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	if _, err := put(s, rng, 5<<20); err != nil {
		t.Fatal(err)
	}
	free := disk.free()
	if err := s.Admit(20 << 20); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Admit of 20 MB: %v", err)
	}
	d, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = d.Write(make([]byte, 100_000))
	}
	if !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Write: %v", err)
	}
	if left := disk.free(); left < 2<<20-spare {
		t.Errorf("%d bytes are left", left)
	}
	if _, err := d.Commit(t.Context(), storetest.Envelope(s.IDs().Next(), testTime, "smtp:a")); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Commit: %v", err)
	}
	if left := disk.list("/big/new/"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if now := disk.free(); now < free-spare {
		t.Errorf("%d bytes free after it, %d before", now, free)
	}
}

// TestOthersFillTheDisk: when other programs take the last byte, the ballast goes, then
// the log waits; nothing fails, mail is turned away at once, and all goes on when there
// is room.
func TestOthersFillTheDisk(t *testing.T) {
	disk := newSmallDisk(vfs.NewMem(), 32<<20)
	clock := storetest.NewClock(testTime)
	log := &logBook{}
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, Now: clock.Now, Log: log.logger()})
	rng := rand.New(rand.NewPCG(1, 1))
	var jobs []queue.Job
	for range 100 {
		j, err := put(s, rng, 1000)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j...)
	}
	if len(disk.list("ballast")) != 1 {
		t.Errorf("no ballast: %v", disk.list(""))
	}
	taken := int64(0)
	fill := func() {
		n := disk.free()
		disk.fill(n)
		taken += n
	}
	fill()
	clock.Add(time.Second)
	if err := s.Admit(0); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Admit: %v", err)
	}
	if _, err := s.Stage(t.Context()); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Stage: %v", err)
	}
	// One job is deferred again and again, until there is no room for it to be noted.
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() {
		disk.fill(-taken)
		close(stop)
		<-stopped
	}()
	var progress atomic.Int64
	go func() {
		defer close(stopped)
		for j := jobs[0]; ; j.Attempts++ {
			select {
			case <-stop:
				return
			default:
			}
			res := mail.Result{Rcpt: 0, Reason: strings.Repeat("x", 1000)}
			if a := storetest.Apply(s, queue.Outcome{Job: j, NextDue: testTime, Results: []mail.Result{res}}); a.Err != nil {
				t.Errorf("Apply: %v", a.Err)
				return
			}
			if again, _, err := s.Claim(t.Context(), "smtp:a.example", testTime, 1); err != nil || len(again) != 1 {
				t.Errorf("claimed %+v, %v", again, err)
				return
			}
			progress.Add(1)
		}
	}()
	last, since := int64(-1), 0
	waitFor(t, "end of all room", func() bool {
		fill() // also what the database itself has given back
		since++
		if now := progress.Load(); now != last {
			last, since = now, 0
		}
		return since > 300
	})
	if text := log.String(); !strings.Contains(text, "the ballast was given up") && !strings.Contains(text, "no room") {
		t.Errorf("log: %s", text)
	}
	if err := s.Admit(0); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Admit: %v", err)
	}
	disk.fill(-taken)
	taken = 0
	waitFor(t, "progress", func() bool { return progress.Load() > last+10 })
	waitFor(t, "new mail", func() bool {
		clock.Add(time.Second)
		_, err := put(s, rng, 1000)
		return err == nil
	})
	if len(disk.list("ballast")) != 1 {
		t.Errorf("the ballast was not restored")
	}
}

// askedDisk counts how often the disk is asked for its free space.
type askedDisk struct {
	*smallDisk
	asked atomic.Int64
	away  atomic.Bool
}

func (d *askedDisk) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	d.asked.Add(1)
	if d.away.Load() {
		return vfs.DiskUsage{}, errors.New("stale handle")
	}
	return d.smallDisk.GetDiskUsage(path)
}

// TestAdmit: cheap, exact to what was written since the disk was last asked, and an
// error, not an answer, when the disk cannot be asked.
func TestAdmit(t *testing.T) {
	disk := &askedDisk{smallDisk: newSmallDisk(vfs.NewMem(), 64<<20)}
	clock := storetest.NewClock(testTime)
	log := &logBook{}
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, Now: clock.Now, MinFree: 10 << 20, Log: log.logger()})
	if err := s.Admit(0); err != nil {
		t.Fatal(err)
	}
	before := disk.asked.Load()
	for range 1000 {
		if err := s.Admit(0); err != nil {
			t.Fatal(err)
		}
	}
	if n := disk.asked.Load() - before; n > 0 {
		t.Errorf("the disk was asked %d times in an instant", n)
	}
	free := s.Stats().Free
	for _, tt := range []struct {
		size int64
		ok   bool
	}{{0, true}, {free - 10<<20, true}, {free - 10<<20 + 1, false}, {-1, true}, {1 << 62, false}} {
		if err := s.Admit(tt.size); (err == nil) != tt.ok || err != nil && !errors.Is(err, queue.ErrNoSpace) {
			t.Errorf("Admit of %d with %d free: %v", tt.size, free, err)
		}
	}
	d, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Admit(free - 10<<20 - 500); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("bytes under way do not count: %v", err)
	}
	d.Abort()
	if err := s.Admit(free - 10<<20 - 500); err != nil {
		t.Errorf("bytes of an aborted message count: %v", err)
	}
	disk.away.Store(true)
	clock.Add(time.Second)
	if err := s.Admit(0); err == nil || errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Admit with a disk that does not answer: %v", err)
	}
}
