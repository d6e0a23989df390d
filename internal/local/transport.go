package local

import (
	"context"
	"sync"
	"sync/atomic"

	"aliasmx/internal/mail"
)

// Transport is the transport "local" of the queue. It is safe for concurrent use.
type Transport struct {
	set    atomic.Pointer[settings]
	ctx    context.Context // of every command; ends at Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	turns  turns
	memory memory
}

// New makes a Transport. An error is a mistake in the options.
func New(o Options) (*Transport, error) {
	set, err := newSettings(o)
	if err != nil {
		return nil, err
	}
	t := &Transport{}
	t.set.Store(set)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Update changes the options for attempts that begin from now on. On an error nothing is
// changed.
func (t *Transport) Update(o Options) error {
	set, err := newSettings(o)
	if err == nil {
		t.set.Store(set)
	}
	return err
}

// Close ends the commands that are running, with all processes they have started, and
// waits until what was under way has been reported.
func (t *Transport) Close() {
	t.cancel()
	t.tasks.Wait()
}

// Work delivers what src hands out, one recipient after the other.
func (t *Transport) Work(ctx context.Context, _ mail.Dest, src mail.Source) {
	t.tasks.Add(1)
	defer t.tasks.Done()
	for {
		a, ok := src.Next(ctx, 0)
		if !ok {
			return
		}
		set := t.set.Load()
		results := make([]mail.Result, 0, len(a.Rcpts))
		for _, i := range a.Rcpts {
			results = append(results, t.recipient(set, a, i))
		}
		src.Done(a, results, mail.FeedbackGood)
	}
}

// recipient delivers to one recipient of an attempt.
func (t *Transport) recipient(set *settings, a *mail.Attempt, i int) mail.Result {
	rcpt := &a.Env.Rcpts[i]
	result := mail.Result{Rcpt: i, Agent: "local", Relay: "local"}
	if a.Probe {
		return set.probe(t.ctx, a, result)
	}
	name := foldAddress(rcpt.Final)
	if !t.turns.take(t.ctx, name, set.RecipientParallel) {
		return deferred(result, mail.Code(4, 3, 2), "too many deliveries to this recipient are under way")
	}
	defer t.turns.give(name)

	d := newDelivery(set, t.ctx, a, i)
	if err := d.readDeliveredTo(); err != nil {
		return deferred(result, mail.Code(4, 3, 0), "cannot read the message: "+err.Error())
	}
	key := memoryKey{a.Env.ID, i}
	d.seen = t.memory.take(key)
	first := d.first()
	waits := d.recipient(first)
	d.finish(first, waits)
	d.sum(&result)
	if result.State == mail.Deferred {
		t.memory.keep(key, d.done)
	}
	return result
}

func deferred(r mail.Result, code mail.Enhanced, reason string) mail.Result {
	r.State, r.Status, r.Reason = mail.Deferred, mail.Status{Enhanced: code, Text: reason}, reason
	return r
}

// probe tells what would become of mail for a recipient, as local(8) does for verify(8):
// an alias is enough.
func (s *settings) probe(ctx context.Context, a *mail.Attempt, result mail.Result) mail.Result {
	d := newDelivery(s, ctx, a, result.Rcpt)
	d.probing = true
	d.recipient(d.first())
	d.sum(&result)
	result.Targets, result.Expanded = nil, false
	return result
}
