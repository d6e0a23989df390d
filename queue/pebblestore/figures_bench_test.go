package pebblestore_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// The figures that the queue promises. Each is one run that fails where a bound is broken.
//
//	go test ./queue/pebblestore -run '^$' -bench 'Accept|WriteAmplification' -benchtime 20000x

const (
	mostSyncs         = 5   // p99 of an acceptance, in syncs of the same disk
	mostAmplification = 1.3 // bytes written for each byte of mail that is delivered at once
)

// oneSync is the median time of writing 4 KiB to a file and syncing it.
func oneSync(b *testing.B, disk vfs.FS, dir string) time.Duration {
	f, err := disk.Create(filepath.Join(dir, "sync.log"), vfs.WriteCategoryUnspecified)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	took := make([]time.Duration, 300)
	block := make([]byte, 4096)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// slowDisk is a disk whose syncs of the log take so much longer.
type slowDisk struct {
	vfs.FS
	longer time.Duration
}

func (d slowDisk) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name)(d.FS.Create(name, k))
}

func (d slowDisk) ReuseForWrite(old, name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name)(d.FS.ReuseForWrite(old, name, k))
}

func (d slowDisk) file(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil || d.longer == 0 || !strings.HasSuffix(name, ".log") {
			return f, err
		}
		return slowFile{f, d.longer}, nil
	}
}

type slowFile struct {
	vfs.File
	longer time.Duration
}

func (f slowFile) Sync() error     { time.Sleep(f.longer); return f.File.Sync() }
func (f slowFile) SyncData() error { time.Sleep(f.longer); return f.File.SyncData() }

// BenchmarkAccept is what a client waits for after the final dot, with fifty sessions that
// send 100 letters a second each: together about what the whole program takes in on two
// processors. The bound is for a disk whose syncs take a millisecond and more; on one that
// takes a tenth of that, waking four goroutines one after the other is what takes time.
func BenchmarkAccept(b *testing.B) {
	for _, longer := range []time.Duration{0, time.Millisecond} {
		b.Run(fmt.Sprintf("longer=%v", longer), func(b *testing.B) {
			dir := b.TempDir()
			disk := slowDisk{vfs.Default, longer}
			sync1 := oneSync(b, disk, dir)
			took := accept(b, pebblestore.Options{Dir: filepath.Join(dir, "store"), FS: disk})
			p99 := took[len(took)*99/100]
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(sync1.Microseconds()), "µs/sync")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(p99.Microseconds()), "µs-p99")
			b.ReportMetric(float64(p99)/float64(sync1), "syncs-p99")
			if longer > 0 && b.N >= 5000 && p99 > mostSyncs*sync1 {
				b.Errorf("p99 of an acceptance is %v, more than %d syncs of %v", p99, mostSyncs, sync1)
			}
		})
	}
}

// accept has fifty sessions commit b.N messages, and returns how long each took, in order.
func accept(b *testing.B, o pebblestore.Options) []time.Duration {
	const sessions, between = 50, 10 * time.Millisecond
	s := mustOpen(b, o)
	body := make([]byte, 4096)
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var all, outcomes sync.WaitGroup
	b.ResetTimer()
	for n := range sessions {
		all.Go(func() {
			tick := time.NewTicker(between)
			defer tick.Stop()
			time.Sleep(between * time.Duration(n) / sessions)
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				<-tick.C
				began := time.Now()
				jobs, err := commitOne(s, body)
				took[i] = time.Since(began)
				if err != nil {
					b.Error(err)
					return
				}
				outcomes.Add(1)
				s.Apply(queue.Outcome{Job: jobs[0], Results: []mail.Result{{State: mail.Delivered}}}, func(queue.Applied) { outcomes.Done() })
			}
		})
	}
	all.Wait()
	b.StopTimer()
	outcomes.Wait()
	slices.Sort(took)
	return took
}

// BenchmarkWriteAmplification delivers each message a thousand later ones after it came.
func BenchmarkWriteAmplification(b *testing.B) {
	const sessions, behind = 64, 1000
	s := mustOpen(b, pebblestore.Options{Dir: b.TempDir()})
	body := make([]byte, 4096)
	for i := range body {
		body[i] = byte(i * i >> 3)
	}
	waiting := make(chan queue.Job, behind)
	var next atomic.Int64
	var all, outcomes sync.WaitGroup
	deliver := func(j queue.Job) {
		outcomes.Add(1)
		s.Apply(queue.Outcome{Job: j, Results: []mail.Result{{State: mail.Delivered}}}, func(queue.Applied) { outcomes.Done() })
	}
	b.ResetTimer()
	for range sessions {
		all.Go(func() {
			for next.Add(1) <= int64(b.N) {
				jobs, err := commitOne(s, body)
				if err != nil {
					b.Error(err)
					return
				}
				for len(jobs) > 0 {
					select {
					case waiting <- jobs[0]:
						jobs = nil
					default:
						deliver(<-waiting)
					}
				}
			}
		})
	}
	all.Wait()
	for len(waiting) > 0 {
		deliver(<-waiting)
	}
	outcomes.Wait()
	b.StopTimer()
	st := s.Stats()
	mailBytes := float64(b.N) * (4096 + 400) // body, and an envelope of about 400
	written := float64(st.LogBytes + st.TableBytes)
	b.ReportMetric(float64(st.LogBytes)/mailBytes, "log/mail")
	b.ReportMetric(float64(st.TableBytes)/mailBytes, "tables/mail")
	b.ReportMetric(written/mailBytes, "written/mail")
	if b.N >= 20000 && written > mostAmplification*mailBytes {
		b.Errorf("%.2f bytes are written for each byte of mail, more than %.1f", written/mailBytes, mostAmplification)
	}
}
