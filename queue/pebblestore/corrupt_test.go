package pebblestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// TestCorruptQueue follows a message whose body was altered on disk.
func TestCorruptQueue(t *testing.T) {
	for _, size := range []int{3000, 9000} { // in a table or the log; in a file
		disk := vfs.NewMem()
		log := &logBook{}
		o := crashOptions(disk)
		o.Log = log.logger()
		s := mustOpen(t, o)
		rng := rand.New(rand.NewPCG(1, 1))
		jobs, err := put(s, rng, size)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := put(s, rng, size)
		if err != nil {
			t.Fatal(err)
		}
		id := jobs[0].ID
		env, body, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := storetest.ReadBody(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if size < 4000 {
			pebblestore.Tamper(t, disk, "/var/queue/db", func(batch *pebble.Batch) {
				_ = batch.Set(pebblestore.BodyKey(id), append(bytes.Clone(b[:len(b)-1]), '!'), nil)
			})
		} else {
			path := "/var/queue/big/" + fmt.Sprintf("%02x", byte(id>>23)) + "/" + id.String()
			rewrite(t, disk, path, func(b []byte) []byte { b[0] ^= 1; return b })
		}

		s = mustOpen(t, o)
		claimed, _, err := s.Claim(t.Context(), "smtp:a.example", testTime.AddDate(9, 0, 0), 10)
		if err != nil || len(claimed) != 2 {
			t.Fatalf("%d jobs, %v", len(claimed), err)
		}
		for range 2 {
			if _, _, err := s.Load(t.Context(), id); !errors.Is(err, queue.ErrCorrupt) {
				t.Errorf("size %d: Load: %v", size, err)
			}
		}
		if _, _, err := s.Load(t.Context(), whole[0].ID); err != nil {
			t.Errorf("size %d: the other message: %v", size, err)
		}
		if a := storetest.Apply(s, queue.Outcome{Job: claimed[0]}); a.Err != nil || a.Removed {
			t.Errorf("size %d: outcome of a corrupt message: %+v", size, a)
		}
		s.Release(claimed[1:])
		list, err := storetest.List(s)
		if err != nil || len(list) != 2 || list[0].Queue != "corrupt" || list[0].ID != id || list[0].Sender != env.Sender ||
			len(list[0].Rcpts) != 1 || !strings.Contains(list[0].Rcpts[0].Reason, "checksum") {
			t.Errorf("size %d: listed %+v, %v", size, list, err)
		}
		if !strings.Contains(log.String(), id.String()) || s.Stats().Corrupt != 1 {
			t.Errorf("size %d: log %q, %d corrupt", size, log, s.Stats().Corrupt)
		}
		if err := s.Hold(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("size %d: Hold: %v", size, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		if list, err := storetest.List(s); err != nil || len(list) != 2 || list[0].Queue != "corrupt" {
			t.Errorf("size %d: listed later %+v, %v", size, list, err)
		}
		if err := s.Remove(t.Context(), id); err != nil {
			t.Errorf("size %d: Remove: %v", size, err)
		}
		if list, err := storetest.List(s); err != nil || len(list) != 1 || list[0].ID != whole[0].ID {
			t.Errorf("size %d: listed %+v, %v", size, list, err)
		}
		if left := len(files(t, disk, "/var/queue/big")); left != size/9000 {
			t.Errorf("size %d: %d body files are left", size, left)
		}
	}
}

// TestDamagedRecords: a damaged envelope of new mail, a damaged job, and a key of the
// index without its job are each told, and nothing else suffers.
func TestDamagedRecords(t *testing.T) {
	disk := vfs.NewMem()
	log := &logBook{}
	o := crashOptions(disk)
	o.Log, o.Now = log.logger(), storetest.NewClock(testTime).Now
	s := mustOpen(t, o)
	rng := rand.New(rand.NewPCG(1, 1))
	var jobs []queue.Job
	for range 4 {
		j, err := put(s, rng, 500)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j...)
	}
	for _, j := range jobs[1:] {
		storetest.Apply(s, queue.Outcome{Job: j, NextDue: testTime})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := pebblestore.DueKey("smtp:a.example", testTime.UnixMilli(), 12345)
	pebblestore.Tamper(t, disk, "/var/queue/db", func(b *pebble.Batch) {
		_ = b.Set(pebblestore.NewKey(jobs[0].ID), []byte("no envelope"), nil)
		_ = b.Set(pebblestore.JobKey(jobs[1].ID, 0), []byte("no job"), nil)
		_ = b.Set(pebblestore.JobKey(jobs[2].ID, 0), nil, nil)
		_ = b.Set(stray, nil, nil)
	})

	s = mustOpen(t, o)
	if s.Stats().Corrupt != 1 {
		t.Errorf("%d are corrupt after the start, want 1; log: %s", s.Stats().Corrupt, log)
	}
	got, next, err := s.Claim(t.Context(), "smtp:a.example", testTime, 10)
	if err != nil || len(got) != 1 || got[0].ID != jobs[3].ID || !next.IsZero() {
		t.Errorf("claimed %+v, next %v, %v", got, next, err)
	}
	if s.Stats().Corrupt != 3 || !strings.Contains(log.String(), "has no job") {
		t.Errorf("%d are corrupt, log: %s", s.Stats().Corrupt, log)
	}
	list, err := storetest.List(s)
	if err != nil || len(list) != 4 || list[0].Queue != "corrupt" || list[1].Queue != "corrupt" || list[2].Queue != "corrupt" || list[3].Queue != "active" {
		t.Errorf("listed %+v, %v", list, err)
	}
	s.Release(got)
	told := len(log.String())
	if got, _, err := s.Claim(t.Context(), "smtp:a.example", testTime, 10); err != nil || len(got) != 1 {
		t.Errorf("claimed %+v, %v", got, err)
	}
	if len(log.String()) != told {
		t.Errorf("told again: %s", log.String()[told:])
	}
	for _, j := range jobs[:3] {
		if _, err := s.Requeue(t.Context(), j.ID, nil); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Requeue of a corrupt message: %v", err)
		}
		if err := s.Remove(t.Context(), j.ID); err != nil {
			t.Error(err)
		}
	}
	if list, err := storetest.List(s); err != nil || len(list) != 1 {
		t.Errorf("listed %+v, %v", list, err)
	}
}
