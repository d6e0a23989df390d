package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// adopting is a store that has taken over something.
type adopting struct {
	queue.Store
	heads []queue.DestHead
}

func (a adopting) Adopt(_ context.Context, _ string, progress func(mail.Adoption, []queue.DestHead)) (mail.Adoption, error) {
	progress(mail.Adoption{Messages: 1}, a.heads)
	return mail.Adoption{Messages: 1, Whole: true}, nil
}

// A queue whose store cannot take over another says so; progress of one that can is told.
func TestAdopt(t *testing.T) {
	store := memstore.New(memstore.Options{Now: time.Now})
	open := func(s queue.Store) *queue.Queue {
		q, err := queue.New(queue.Options{Store: s, Transport: noTransport{}, Notifier: noNotifier{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(q.Close)
		return q
	}
	if _, err := open(store).Adopt(t.Context(), "/old", func(mail.Adoption) {}); err == nil || !strings.Contains(err.Error(), "cannot take over") {
		t.Errorf("%v", err)
	}
	told := 0
	q := open(adopting{store, []queue.DestHead{{Dest: "smtp:a.example", NextDue: time.Now()}}})
	sum, err := q.Adopt(t.Context(), "/old", func(sofar mail.Adoption) { told += sofar.Messages })
	if err != nil || told != 1 || !sum.Whole {
		t.Errorf("told of %d, %+v, %v", told, sum, err)
	}
}

type noTransport struct{}

func (noTransport) Work(context.Context, mail.Dest, mail.Source) {}

type noNotifier struct{}

func (noNotifier) Notify(context.Context, mail.Report) (*mail.Envelope, []byte, error) {
	return nil, nil, nil
}
