package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// counter is a transport that defers every recipient once, and then takes it.
type counter struct {
	want int
	full chan struct{} // closed when want recipients have been taken

	mu    sync.Mutex // guards what follows
	tries map[string]int
	taken map[string]int
}

func (c *counter) Work(ctx context.Context, _ mail.Dest, src mail.Source) {
	for a, ok := src.Next(ctx, 10*time.Millisecond); ok; a, ok = src.Next(ctx, 10*time.Millisecond) {
		results := make([]mail.Result, len(a.Rcpts))
		c.mu.Lock()
		for i, n := range a.Rcpts {
			to := a.Env.Rcpts[n].Final.String()
			results[i] = mail.Result{Rcpt: n, Reason: "450 later"}
			if c.tries[to]++; c.tries[to] > 1 {
				results[i] = mail.Result{Rcpt: n, State: mail.Delivered, Reason: "250 Ok"}
				if c.taken[to]++; len(c.taken) == c.want && c.taken[to] == 1 {
					close(c.full)
				}
			}
		}
		c.mu.Unlock()
		src.Done(a, results, mail.FeedbackGood)
	}
}

// TestOnDisk is the queue on its real store, with the real clock: many sessions at
// once, a restart in the middle, every recipient deferred once. It waits for what
// happens, never for a time.
func TestOnDisk(t *testing.T) {
	const sessions, messages = 8, 40
	dir := t.TempDir()
	hop := &counter{
		want: sessions * messages * 2, full: make(chan struct{}),
		tries: map[string]int{}, taken: map[string]int{},
	}
	start := func() (q *queue.Queue, stop func()) {
		store, err := pebblestore.Open(pebblestore.Options{Dir: dir, MinFree: 1 << 20, MemTableSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		q, err = queue.New(queue.Options{
			Store: store, Transport: hop, Notifier: &notes{},
			Params: queue.Params{
				MinimalBackoff: 20 * time.Millisecond, MaximalBackoff: 50 * time.Millisecond,
				MaximalQueueLifetime: time.Hour, MessageActiveLimit: 100, ProcessLimit: 10,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- q.Run(context.Background()) }()
		return q, func() {
			q.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for half := range 2 {
		q, stop := start()
		var all sync.WaitGroup
		for s := range sessions {
			all.Go(func() {
				for m := range messages / 2 {
					if err := enqueue(q, fmt.Sprintf("h%ds%dm%d", half, s, m)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if half == 1 {
			<-hop.full
		}
		stop()
	}
	for to, n := range hop.taken {
		if n != 1 {
			t.Errorf("%s: taken %d times", to, n)
		}
	}
	q, stop := start()
	defer stop()
	if err := q.List(context.Background(), func(l mail.Listed) bool {
		t.Errorf("left in the queue: %+v", l)
		return true
	}); err != nil {
		t.Error(err)
	}
}

// enqueue queues a message for two recipients at two of three destinations.
func enqueue(q *queue.Queue, name string) error {
	env := &mail.Envelope{ID: q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender)}
	for i := range 2 {
		to := mail.Address{Local: name, Domain: fmt.Sprintf("d%d.example", (len(name)+int(env.ID)+i)%3)}
		env.Rcpts = append(env.Rcpts, mail.Recipient{Orig: to, Final: to, Dest: mail.MakeDest("smtp", to.Domain)})
	}
	d, err := q.Stage(context.Background())
	if err != nil {
		return err
	}
	if _, err := d.Write([]byte("Subject: test\r\n\r\nHello.\r\n")); err != nil {
		return err
	}
	return d.Commit(context.Background(), env)
}
