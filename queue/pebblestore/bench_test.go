package pebblestore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// countedDisk counts syncs of the log.
type countedDisk struct {
	vfs.FS
	syncs *atomic.Int64
}

func (c countedDisk) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	return c.file(name)(c.FS.Create(name, k))
}

func (c countedDisk) ReuseForWrite(old, name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	return c.file(name)(c.FS.ReuseForWrite(old, name, k))
}

func (c countedDisk) file(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil || !strings.HasSuffix(name, ".log") {
			return f, err
		}
		return countedFile{f, c.syncs}, nil
	}
}

type countedFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (f countedFile) Sync() error     { f.syncs.Add(1); return f.File.Sync() }
func (f countedFile) SyncData() error { f.syncs.Add(1); return f.File.SyncData() }

// BenchmarkCommit is messages of 4 KiB from several sessions onto a real disk, each
// delivered after it was accepted.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("sessions=%d", writers), func(b *testing.B) {
			var syncs atomic.Int64
			s := mustOpen(b, pebblestore.Options{Dir: b.TempDir(), FS: countedDisk{vfs.Default, &syncs}})
			body := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			syncs.Store(0)
			var sessions, outcomes sync.WaitGroup
			var left atomic.Int64
			left.Store(int64(b.N))
			for range writers {
				sessions.Go(func() {
					for left.Add(-1) >= 0 {
						jobs, err := commitOne(s, body)
						if err != nil {
							b.Error(err)
							return
						}
						outcomes.Add(1)
						o := queue.Outcome{Job: jobs[0], Results: []mail.Result{{State: mail.Delivered}}}
						s.Apply(o, func(queue.Applied) { outcomes.Done() })
					}
				})
			}
			sessions.Wait()
			outcomes.Wait()
			b.StopTimer()
			b.ReportMetric(float64(syncs.Load())/float64(b.N), "syncs/msg")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

func commitOne(s *pebblestore.Store, body []byte) ([]queue.Job, error) {
	d, err := s.Stage(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := d.Write(body); err != nil {
		return nil, err
	}
	return d.Commit(context.Background(), storetest.Envelope(s.IDs().Next(), time.Now(), "smtp:a.example"))
}

// backlog opens a queue with n deferred messages for n/10 destinations.
func backlog(b *testing.B, dir string, n int) *pebblestore.Store {
	s := mustOpen(b, pebblestore.Options{Dir: dir})
	var sessions sync.WaitGroup
	const writers = 100
	for w := range writers {
		sessions.Go(func() {
			for i := w; i < n; i += writers {
				d, err := s.Stage(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = d.Write([]byte("Subject: x\r\n"))
				dest := mail.Dest(fmt.Sprintf("smtp:d%d.example", i%max(n/10, 1)))
				jobs, err := d.Commit(context.Background(), storetest.Envelope(s.IDs().Next(), time.Now(), dest))
				if err != nil {
					b.Error(err)
					return
				}
				s.Apply(queue.Outcome{Job: jobs[0], NextDue: time.Now().Add(time.Hour)}, func(queue.Applied) {})
			}
		})
	}
	sessions.Wait()
	return s
}

// BenchmarkOpen opens queues with little and much deferred mail.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprintf("deferred=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			if err := backlog(b, dir, n).Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s, err := pebblestore.Open(pebblestore.Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkBacklog reads a queue of 100,000 deferred messages for 10,000 destinations.
func BenchmarkBacklog(b *testing.B) {
	s := backlog(b, b.TempDir(), 100_000)
	b.Run("heads", func(b *testing.B) {
		for b.Loop() {
			if heads, err := storetest.Heads(s); err != nil || len(heads) != 10_000 {
				b.Fatal(len(heads), err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if list, err := storetest.List(s); err != nil || len(list) != 100_000 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("claim", func(b *testing.B) {
		later := time.Now().Add(2 * time.Hour)
		i := 0
		for b.Loop() {
			dest := mail.Dest(fmt.Sprintf("smtp:d%d.example", i%10_000))
			jobs, _, err := s.Claim(context.Background(), dest, later, 10)
			if err != nil || len(jobs) != 10 {
				b.Fatal(len(jobs), err)
			}
			s.Release(jobs)
			i++
		}
	})
	b.Run("load", func(b *testing.B) {
		list, err := storetest.List(s)
		if err != nil {
			b.Fatal(err)
		}
		i := 0
		for b.Loop() {
			if _, _, err := s.Load(context.Background(), list[i%len(list)].ID); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}
