package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// sink is a transport that takes everything at once.
type sink struct{ taken atomic.Int64 }

func (s *sink) Work(ctx context.Context, _ mail.Dest, src mail.Source) {
	for a, ok := src.Next(ctx, time.Second); ok; a, ok = src.Next(ctx, time.Second) {
		src.Done(a, []mail.Result{{Rcpt: a.Rcpts[0], State: mail.Delivered, Reason: "250 Ok"}}, mail.FeedbackGood)
		s.taken.Add(1)
	}
}

// BenchmarkThrough is the way of a message of 4 KiB from Stage to its removal, on the
// real store, from 32 sessions to one destination.
func BenchmarkThrough(b *testing.B) {
	store, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir(), MinFree: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	hop := &sink{}
	q, err := queue.New(queue.Options{
		Store: store, Transport: hop, Notifier: &notes{},
		Params: queue.Params{MaximalQueueLifetime: time.Hour, Default: most(20)},
	})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = q.Run(context.Background()) }()
	defer q.Close()
	body := make([]byte, 4096)
	to := mail.SplitAddress("target@dest.example")
	b.SetBytes(int64(len(body)))
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d, err := q.Stage(context.Background())
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = d.Write(body)
			env := &mail.Envelope{
				ID: q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender),
				Rcpts: []mail.Recipient{{Orig: to, Final: to, Dest: "smtp:dest.example"}},
			}
			if err := d.Commit(context.Background(), env); err != nil {
				b.Error(err)
				return
			}
		}
	})
	q.Close() // ends with the attempts under way; the rest is counted, not waited for
	b.StopTimer()
	b.ReportMetric(float64(b.N-int(hop.taken.Load())), "left")
}
