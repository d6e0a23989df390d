package pebblestore_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
func oneSync(b *testing.B, dir string) time.Duration {
	f, err := os.Create(filepath.Join(dir, "sync"))
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

// BenchmarkAccept is what a client waits for after the final dot, with fifty sessions.
func BenchmarkAccept(b *testing.B) {
	const sessions = 50
	dir := b.TempDir()
	sync1 := oneSync(b, dir)
	s := mustOpen(b, pebblestore.Options{Dir: filepath.Join(dir, "store")})
	body := make([]byte, 4096)
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var all, outcomes sync.WaitGroup
	b.ResetTimer()
	for range sessions {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
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
	p99 := took[len(took)*99/100]
	b.ReportMetric(float64(sync1.Microseconds()), "µs/sync")
	b.ReportMetric(float64(p99.Microseconds()), "µs-p99")
	b.ReportMetric(float64(p99)/float64(sync1), "syncs-p99")
	if b.N >= 5000 && p99 > mostSyncs*sync1 {
		b.Errorf("p99 of an acceptance is %v, more than %d syncs of %v", p99, mostSyncs, sync1)
	}
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
