package pickup

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// busyQueue wants its clients to wait.
type busyQueue struct {
	fakeQueue
	delay time.Duration
}

func (q *busyQueue) FlowDelay() time.Duration { return q.delay }

func TestLetFlow(t *testing.T) {
	for _, c := range []struct {
		name    string
		queue   Queue
		cut, is time.Duration
	}{
		{"a queue without an opinion", &fakeQueue{}, time.Hour, 0},
		{"all is well", &busyQueue{}, time.Hour, 0},
		{"mail comes in too fast", &busyQueue{delay: time.Second}, time.Hour, time.Second},
		{"the end comes first", &busyQueue{delay: 10 * time.Second}, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.cut)
			defer cancel()
			began := time.Now()
			(&session{Options: &Options{Queue: c.queue}, ctx: ctx}).letFlow()
			if took := time.Since(began); took != c.is {
				t.Errorf("%s: waited %s, want %s", c.name, took, c.is)
			}
		})
	}
}

// A submission waits before it is told to go on.
func TestSubmissionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		client, server := &link{conn: near, timeout: time.Hour}, &link{conn: far, timeout: time.Hour}
		s := &session{
			Options: Options{Queue: &busyQueue{delay: 3 * time.Second}, Recipients: fakeRecipients{}}.withDefaults(),
			ctx:     t.Context(), log: slog.New(slog.DiscardHandler), link: server,
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.run()
		}()
		began := time.Now()
		if refused, err := client.open(&Request{}, modeSubmit); refused != nil || err != nil {
			t.Fatal(refused, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("told to go on after %s", took)
		}
		near.Close()
		<-ended
	})
}
