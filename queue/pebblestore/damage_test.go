package pebblestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// damagedQueue makes a queue with small and large, new and deferred mail, and closes
// it. Much of it is in tables, the rest in the log.
func damagedQueue(t *testing.T) (*disk, *ledger) {
	t.Helper()
	disk, book := newDisk(), newLedger()
	for round := range uint64(3) {
		s, err := pebblestore.Open(crashOptions(disk))
		if err != nil {
			t.Fatal(err)
		}
		(&traffic{ledger: book, store: s, rng: rand.New(rand.NewPCG(round, 8)), large: 5000}).run(25, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return disk, book
}

// files lists all files below a directory.
func files(t *testing.T, disk vfs.FS, dir string) (paths []string) {
	t.Helper()
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := disk.PathJoin(dir, name)
		info, err := disk.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			paths = append(paths, files(t, disk, path)...)
		} else {
			paths = append(paths, path)
		}
	}
	return paths
}

// rewrite replaces a file by what change makes of it; nil removes it.
func rewrite(t *testing.T, disk vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b = change(b); b == nil {
		if err := disk.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if f, err = disk.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamage flips bits in, cuts, and removes every file of a closed queue. The queue
// refuses to open, or it says what is wrong; it never hands out a message that is not
// the one that was stored, and never loses one without a word.
func TestDamage(t *testing.T) {
	disk, book := damagedQueue(t)
	all := files(t, disk, "/var/queue")
	rng := rand.New(rand.NewPCG(6, 6))
	outcomes := make(map[string]int)
	for _, path := range all {
		if strings.HasSuffix(path, "/lock") || strings.HasSuffix(path, "/LOCK") || strings.Contains(path, "ballast") {
			continue // nothing is in there
		}
		for i := range 12 {
			what := fmt.Sprintf("bits of %s flipped", path)
			change := func(b []byte) []byte {
				if len(b) > 0 {
					b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				}
				return b
			}
			switch {
			case i == 0:
				what, change = path+" removed", func([]byte) []byte { return nil }
			case i < 4:
				what, change = path+" cut", func(b []byte) []byte { return append([]byte{}, b[:rng.IntN(len(b)+1)]...) }
			}
			clone := disk.killed()
			before := checksum(t, clone, path)
			rewrite(t, clone, path, change)
			if checksum(t, clone, path) == before {
				continue
			}
			outcome, err := judge(clone, book)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			outcomes[outcome]++
		}
	}
	t.Logf("%d files: %v", len(all), outcomes)
	if outcomes["refused"] == 0 || outcomes["told"] == 0 {
		t.Errorf("outcomes %v: some kind of damage was not met", outcomes)
	}
}

func checksum(t *testing.T, disk vfs.FS, path string) string {
	f, err := disk.Open(path)
	if err != nil {
		return "none"
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// judge opens a damaged queue and reads all of it.
func judge(disk vfs.FS, book *ledger) (outcome string, err error) {
	log := &logBook{}
	o := crashOptions(disk)
	o.Log = log.logger()
	var died atomic.Bool
	o.Fatal = func(error) { died.Store(true) }
	s, err := pebblestore.Open(o)
	if err != nil {
		return "refused", nil
	}
	defer s.Close()
	list, listErr := storetest.List(s)
	there := make(map[string]bool)
	for _, l := range list {
		there[l.ID.String()] = true
		err := sameMessage(s, book.messages[l.ID])
		if err != nil && !errors.Is(err, queue.ErrCorrupt) && listErr == nil && !strings.Contains(log.String(), "level=ERROR") {
			return "", fmt.Errorf("%s: %w", l.ID, err)
		}
		if err == nil && l.Queue == "corrupt" {
			return "", fmt.Errorf("%s is whole, but in the corrupt queue", l.ID)
		}
	}
	missing := ""
	for id, e := range book.messages {
		if e.acked && len(e.final) < len(e.env.Rcpts) && !there[id.String()] {
			missing = id.String()
		}
	}
	told := listErr != nil || s.Stats().Corrupt > 0 || died.Load() || strings.Contains(log.String(), "level=ERROR")
	switch {
	case told:
		return "told", nil
	case missing != "":
		return "", fmt.Errorf("%s is missing without a word", missing)
	}
	return "harmless", nil
}

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
