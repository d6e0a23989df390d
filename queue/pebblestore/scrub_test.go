package pebblestore_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// keptMail makes a closed queue with n messages of a size that nobody touches.
// The weekly check is due in an hour.
func keptMail(t *testing.T, disk vfs.FS, n, size int) (ids []mail.QueueID) {
	t.Helper()
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk})
	for range n {
		jobs, err := put(s, rand.New(rand.NewPCG(1, 1)), size)
		if err != nil {
			t.Fatal(err)
		}
		s.Release(jobs)
		ids = append(ids, jobs[0].ID)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Pebble has clocks of its own that tick: a week of virtual time takes long.
	pebblestore.Tamper(t, disk, "/queue/db", func(b *pebble.Batch) {
		_ = b.Set(pebblestore.ScrubKey(), pebblestore.ScrubDone(time.Now().Add(time.Hour-7*24*time.Hour)), nil)
	})
	return ids
}

// TestScrub: what has rotted is found within the week, though nobody asks for it, and goes
// to the corrupt queue; what has not, stays.
func TestScrub(t *testing.T) {
	for name, size := range map[string]int{"in the database": 500, "in files": 200_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := vfs.NewMem()
				ids := keptMail(t, disk, 6, size)
				victims := map[mail.QueueID]bool{ids[1]: true, ids[4]: true}
				if size < 1000 {
					pebblestore.Tamper(t, disk, "/queue/db", func(b *pebble.Batch) {
						_ = b.Set(pebblestore.BodyKey(ids[1]), []byte("rotten"), nil)
						_ = b.Set(pebblestore.JobKey(ids[4], 0), []byte("rotten"), nil)
					})
				} else {
					for _, path := range files(t, disk, "/queue/big") {
						for id := range victims {
							if strings.HasSuffix(path, id.String()) {
								rewrite(t, disk, path, func(b []byte) []byte { b[len(b)-1] ^= 4; return b })
							}
						}
					}
				}
				log := &logBook{}
				s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, Log: log.logger()})
				time.Sleep(59 * time.Minute)
				if st := s.Stats(); st.Scrubbed != 0 || st.Corrupt != 0 {
					t.Errorf("before its time: %+v", st)
				}
				time.Sleep(3 * time.Minute)
				if st := s.Stats(); st.Scrubbed != 6 || st.Corrupt != 2 {
					t.Errorf("%d messages read, %d corrupt", st.Scrubbed, st.Corrupt)
				}
				list, err := storetest.List(s)
				if err != nil || len(list) != 6 {
					t.Errorf("%d messages, %v", len(list), err)
				}
				for _, l := range list {
					if (l.Queue == "corrupt") != victims[l.ID] {
						t.Errorf("%s is in the %s queue", l.ID, l.Queue)
					}
				}
				if text := log.String(); strings.Count(text, "moved to the corrupt queue") != 2 || !strings.Contains(text, "6 messages read, 2 of them corrupt") {
					t.Errorf("log: %s", text)
				}
				time.Sleep(6 * time.Hour)
				if st := s.Stats(); st.Scrubbed != 6 || st.Corrupt != 2 {
					t.Errorf("the same day again: %d messages read, %d corrupt", st.Scrubbed, st.Corrupt)
				}
			})
		})
	}
}

// TestScrubIsSlow: it reads no more than a megabyte a second, less while the queue is at
// work, and goes on where it was after a restart.
func TestScrubIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		const n, size = 30, 1 << 20
		keptMail(t, disk, n, size)
		open := func() *pebblestore.Store {
			return mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk})
		}
		s := open()
		time.Sleep(time.Hour + 10*time.Second)
		first := s.Stats().Scrubbed
		if first < 2 || first > 12 {
			t.Errorf("%d MB in ten seconds", first)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 30 {
			jobs, err := put(s, rng, 10)
			if err != nil {
				t.Fatal(err)
			}
			s.Release(jobs)
			time.Sleep(time.Second)
		}
		busy := s.Stats().Scrubbed - first
		if busy < 1 || busy > 4 {
			t.Errorf("%d MB in thirty seconds of work", busy)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
		time.Sleep(time.Hour)
		if rest := s.Stats().Scrubbed; rest+first+busy < n || rest > n+30-first-busy {
			t.Errorf("%d, then %d messages, then after a restart %d", first, busy, rest)
		}
	})
}
