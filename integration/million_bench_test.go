package integration

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// A queue with a million deferred messages for seventy thousand destinations: how long the
// daemon takes to listen, what it needs of memory, whether new mail notices, how soon an
// operator sees something. One run that prints figures, and fails where a bound is broken.
//
//	go test ./integration -run '^$' -bench MillionDeferred -benchtime 1x -timeout 30m

const (
	deferredMessages     = 1_000_000
	deferredDestinations = 70_000
	mostToListen         = 2 * time.Second
	mostResident         = 200 << 20
	leastOfEmpty         = 0.9 // of the throughput with an empty queue
)

func BenchmarkMillionDeferred(b *testing.B) {
	for b.Loop() {
		const letters, rounds = 5000, 7
		crowded, sink := millionRelay(b)
		fill(b, filepath.Join(crowded.top, "queue", "store"))
		began := time.Now()
		crowded.launch()
		for {
			c, err := net.Dial("tcp", crowded.smtp)
			if err == nil { // the port is open before the queue is: the greeting counts
				_, err = bufio.NewReader(c).ReadString('\n')
				c.Close()
			}
			if err == nil {
				break
			}
			if time.Since(began) > limit {
				b.Fatalf("it does not listen: %v\n%s", err, crowded.log())
			}
			time.Sleep(5 * time.Millisecond)
		}
		listens := time.Since(began)
		b.ReportMetric(listens.Seconds(), "s-to-listen")
		if listens > mostToListen {
			b.Errorf("it listens after %v, more than %v", listens, mostToListen)
		}
		time.Sleep(5 * time.Second) // until all destinations have been looked at
		rss := resident(b, crowded.cmd.Process.Pid)
		b.ReportMetric(float64(rss)/(1<<20), "MiB-resident")
		if rss > mostResident {
			b.Errorf("%d MiB are resident, more than %d", rss>>20, mostResident>>20)
		}
		head(b, crowded)

		empty, emptySink := millionRelay(b)
		empty.start()
		var ratios []float64
		arrived := 0
		for round := range rounds + 1 { // in turn; the first is to warm up
			a := throughput(b, empty.smtp, emptySink.Count, letters, arrived)
			c := throughput(b, crowded.smtp, sink.Count, letters, arrived)
			arrived += letters
			if round > 0 {
				ratios = append(ratios, c/a)
			}
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[rounds/2], "of-empty")
		if ratios[rounds/2] < leastOfEmpty {
			b.Errorf("new mail has %.2f of its throughput, less than %.2f", ratios[rounds/2], leastOfEmpty)
		}
		rss = resident(b, crowded.cmd.Process.Pid)
		b.ReportMetric(float64(rss)/(1<<20), "MiB-after-mail")
		crowded.stop()
		empty.stop()
	}
}

func millionRelay(b *testing.B) (*relay, interface{ Count() int }) {
	sink := newSink(b)
	sink.CountOnly()
	cf := base(sink)
	cf["smtpd_client_connection_count_limit"] = "0"
	return newRelay(b, cf, nil), sink
}

// fill makes the queue as a run of the daemon would have left it. Most destinations have
// few messages, some have very many.
func fill(b *testing.B, dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	const writers = 128
	body := []byte("Subject: deferred\r\n\r\n" + strings.Repeat("A line that waits with sixty-one others.\r\n", 24))
	now := time.Now()
	var left atomic.Int64
	left.Store(deferredMessages)
	var all, recorded sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			zipf := rand.NewZipf(rng, 1.1, 20, deferredDestinations-1)
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				n := int(i) // each destination has one at least
				if n >= deferredDestinations {
					n = int(zipf.Uint64())
				}
				host := fmt.Sprintf("host%d.example", n)
				env := &mail.Envelope{
					ID: s.IDs().Next(), Arrived: now.Add(-time.Hour), Sender: mail.Address{Local: "list", Domain: "sender.example"},
					Prepend: []byte("Received: from sender.example\r\n"),
					Rcpts: []mail.Recipient{{
						Orig: mail.Address{Local: "info", Domain: "alias.example"}, Final: mail.Address{Local: "user", Domain: host},
						Dest: mail.Dest("smtp:" + host),
					}},
				}
				d, err := s.Stage(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = d.Write(body)
				jobs, err := d.Commit(context.Background(), env)
				if err != nil {
					b.Error(err)
					return
				}
				recorded.Add(1)
				s.Apply(queue.Outcome{
					Job: jobs[0], Trouble: true, NextDue: now.Add(2*time.Hour + time.Duration(rng.IntN(4000))*time.Second),
					Results: []mail.Result{{State: mail.Deferred, Reason: "connect to " + host + "[192.0.2.1]:25: Connection timed out"}},
				}, func(queue.Applied) { recorded.Done() })
			}
		})
	}
	all.Wait()
	recorded.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// head measures how soon the first lines of a listing come.
func head(b *testing.B, r *relay) {
	began := time.Now()
	cmd := exec.Command(binary, "postqueue", "-c", r.dir, "-p")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 20 {
		if !lines.Scan() {
			b.Fatalf("the listing ends early: %v", lines.Err())
		}
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-20-lines")
	out.Close()
	cmd.Wait()
}

// throughput sends letters to a daemon whose next hop has got some already.
func throughput(b *testing.B, addr string, count func() int, letters, arrived int) float64 {
	began := time.Now()
	sendNormal(b, addr, int64(letters))
	for end := time.Now().Add(10 * limit); count() < arrived+letters; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d arrived", count()-arrived, letters)
		}
	}
	return float64(letters) / time.Since(began).Seconds()
}
