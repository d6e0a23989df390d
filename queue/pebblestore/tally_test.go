package pebblestore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// some puts one message into each queue and returns what was counted of them.
func some(t *testing.T, s *pebblestore.Store) mail.QueueCounts {
	t.Helper()
	commit := func(held bool) (*mail.Envelope, []queue.Job) {
		env := storetest.Envelope(s.IDs().Next(), testTime, "smtp:a")
		if held {
			env.Flags |= mail.FlagHold
		}
		d, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := d.Commit(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		return env, jobs
	}
	for range 3 {
		_, jobs := commit(false)
		o := queue.Outcome{Job: jobs[0], NextDue: testTime.Add(time.Hour)}
		if a := storetest.Apply(s, o); a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	commit(true)
	commit(false) // a new message
	_, jobs := commit(false)
	s.Release(jobs) // one that waits in the store
	return counted(t, s)
}

func counted(t *testing.T, s *pebblestore.Store) mail.QueueCounts {
	t.Helper()
	c, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The numbers outlive a restart; where there are none yet, or damaged ones, they are
// made from what is there.
func TestCountsAfterRestart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*pebble.Batch)
		said   string
	}{
		{"as they were", nil, ""},
		{"none, as in a queue of an earlier version", func(b *pebble.Batch) { b.Delete(pebblestore.CountsKey(), nil) }, ""},
		{"damaged", func(b *pebble.Batch) { b.Set(pebblestore.CountsKey(), []byte("nonsense"), nil) }, "checksum does not match; they are counted anew"},
		{"empty", func(b *pebble.Batch) { b.Set(pebblestore.CountsKey(), nil, nil) }, "malformed record; they are counted anew"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := vfs.NewMem()
			book := &logBook{}
			o := pebblestore.Options{Dir: "/queue", FS: disk, Now: func() time.Time { return testTime }, Log: book.logger()}
			s, err := pebblestore.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := some(t, s), (mail.QueueCounts{Incoming: 1, Active: 1, Deferred: 3, Hold: 1}); got != want {
				t.Errorf("counts %+v, want %+v", got, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				pebblestore.Tamper(t, disk, "/queue/db", tc.change)
			}
			want := mail.QueueCounts{Incoming: 2, Deferred: 3, Hold: 1}
			for range 2 { // the second time by the record that the first has made
				s := mustOpen(t, o)
				if got := counted(t, s); got != want {
					t.Errorf("counts %+v after a restart, want %+v", got, want)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := book.String(); !strings.Contains(got, tc.said) || tc.said == "" && strings.Contains(got, "count") {
				t.Errorf("log: %s", got)
			}
		})
	}
}

// A damaged message is counted as corrupt, whatever can still be read of it, and the
// numbers are right again after the next start.
func TestCountsOfDamaged(t *testing.T) {
	disk := vfs.NewMem()
	book := &logBook{}
	o := pebblestore.Options{Dir: "/queue", FS: disk, Now: func() time.Time { return testTime }, Log: book.logger()}
	s := mustOpen(t, o)
	some(t, s)
	l, err := storetest.List(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	pebblestore.Tamper(t, disk, "/queue/db", func(b *pebble.Batch) { b.Set(pebblestore.JobKey(l[0].ID, 0), []byte("nonsense"), nil) })
	s = mustOpen(t, o)
	if _, err := s.MakeDue(t.Context(), l[0].ID); err == nil {
		t.Fatal("a damaged job was made due")
	}
	if got := counted(t, s); got.Corrupt != 1 {
		t.Errorf("counts %+v", got)
	}
	s.Close()
	s = mustOpen(t, o)
	if got, want := counted(t, s), (mail.QueueCounts{Incoming: 2, Deferred: 2, Hold: 1, Corrupt: 1}); got != want {
		t.Errorf("counts %+v after a restart, want %+v", got, want)
	}
	if err := s.Remove(t.Context(), l[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, s); got.Corrupt != 0 {
		t.Errorf("counts %+v after the corrupt one was removed", got)
	}
}

// What operators hold stays held over a restart, and also when its record is damaged.
func TestHeldDestsAfterRestart(t *testing.T) {
	disk := vfs.NewMem()
	book := &logBook{}
	o := pebblestore.Options{Dir: "/queue", FS: disk, Now: func() time.Time { return testTime }, Log: book.logger()}
	s := mustOpen(t, o)
	for _, d := range []mail.Dest{"smtp:a", "b.example", "c.example"} {
		if err := s.HoldDest(t.Context(), d, "since "+string(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ReleaseDest(t.Context(), "c.example"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	pebblestore.Tamper(t, disk, "/queue/db", func(b *pebble.Batch) { b.Set(pebblestore.HeldDestKey("b.example"), []byte("nonsense"), nil) })
	s = mustOpen(t, o)
	held, err := s.HeldDests(t.Context())
	if err != nil || len(held) != 2 || held[0].Dest != "b.example" || held[1].Dest != "smtp:a" {
		t.Fatalf("held %+v, %v", held, err)
	}
	if held[0].Reason != "" || held[1].Reason != "since smtp:a" || !held[1].Since.Equal(testTime) {
		t.Errorf("held %+v", held)
	}
	if !strings.Contains(book.String(), "why destination b.example is on hold cannot be read") {
		t.Errorf("log: %s", book)
	}
}

// sameCounts compares the numbers with what is listed.
func sameCounts(s *pebblestore.Store, list []mail.Listed) error {
	listed := map[string]int64{}
	for _, l := range list {
		listed[l.Queue]++
	}
	c, err := s.Counts(context.Background())
	if err != nil {
		return err
	}
	for _, name := range []string{"incoming", "active", "deferred", "hold", "corrupt"} {
		if c.Of(name) != listed[name] {
			return fmt.Errorf("counts %+v, listed %v", c, listed)
		}
	}
	return nil
}
