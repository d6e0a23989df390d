package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// ErrCrashed is what becomes of a letter while World.Crash was called.
var ErrCrashed = errors.New("sim: the machine crashed")

// Setup is what a queue of the simulation is made of.
type Setup struct {
	Store  queue.Store // the caller's to close
	World  *World
	Params queue.Params
	Seed   uint64
}

// Defaults are the settings that a configuration without a word in it has, but for
// default_process_limit, which is Postfix's: where there are 500 connections, few have to
// share.
func Defaults() queue.Params {
	return queue.Params{
		ProcessLimit:         100,
		MaximalQueueLifetime: 5 * 24 * time.Hour,
		BounceQueueLifetime:  5 * 24 * time.Hour,
		Default:              queue.DefaultTransportParams(),
		ConnectionReuseCount: 100,
		ConnectionReuseTime:  300 * time.Second,
	}
}

// Postfix are those by which Postfix feeds back (postconf(5)); nothing else of it is
// imitated. Its cohort limit of 1 is reached, ours is exceeded: hence a little less.
func Postfix() queue.Params {
	p := Defaults()
	p.Default.PositiveFeedback.Num, p.Default.NegativeFeedback.Num, p.Default.FailedCohortLimit = 1, 1, 0.999
	return p
}

// Rig is a queue that runs in a world.
type Rig struct {
	Queue *queue.Queue
	World *World

	here  machine
	rest  []byte // what bodies are made of
	end   context.CancelFunc
	ended chan error
}

// Start runs a queue.
func Start(s Setup) (*Rig, error) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(s.Seed, 3))
	here := machine{s.World, s.World.Crashes()}
	q, err := queue.New(queue.Options{
		Store: s.Store, Transport: here, Notifier: notifier{here}, Sites: s.World, Params: s.Params,
		Rand: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return rng.Float64()
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Rig{Queue: q, World: s.World, here: here, end: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- q.Run(ctx) }()
	return r, nil
}

// Stop ends the queue, and waits until it has ended and all connections are closed.
func (r *Rig) Stop() error {
	r.end()
	err := <-r.ended
	r.World.under.Wait()
	return err
}

// Feed queues the letters of a trace when their times come, counted from now, and returns
// after the last.
func (r *Rig) Feed(t Trace) error {
	_, err := r.FeedFrom(r.World.Now(), t)
	return err
}

// FeedFrom is Feed with times counted from began. It tells how many letters were queued.
func (r *Rig) FeedFrom(began time.Duration, t Trace) (int, error) {
	for i, a := range t {
		if wait := began + a.At - r.World.Now(); wait > 0 {
			<-time.After(wait)
		}
		if err := r.send(a); err != nil {
			return i, err
		}
	}
	return len(t), nil
}

func (r *Rig) send(a Arrival) error {
	env := envelope(r.Queue.NewID(), a)
	d, err := r.Queue.Stage(context.Background())
	if err != nil {
		return err
	}
	if len(r.rest) < a.Size {
		r.rest = bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcd\r\n"), a.Size/48+1)
	}
	if _, err := d.Write([]byte("Subject: test\r\n\r\n")); err != nil {
		return err
	}
	if _, err := d.Write(r.rest[:a.Size]); err != nil {
		return err
	}
	// The book knows it before: the queue may deliver it before Commit has returned.
	r.World.mu.Lock()
	l := r.World.Book.sent(env, a.Kind, r.World.Now())
	r.World.mu.Unlock()
	err = d.Commit(context.Background(), env)
	r.World.mu.Lock()
	defer r.World.mu.Unlock()
	switch {
	case !r.here.alive():
		l.unsure = true
		return ErrCrashed
	case err != nil:
		return fmt.Errorf("queue a letter: %w", err)
	}
	return nil
}

// envelope is that of a letter. Its sender is its own name: a report says whose it is.
func envelope(id mail.QueueID, a Arrival) *mail.Envelope {
	env := &mail.Envelope{ID: id, Arrived: time.Now(), Sender: mail.Address{Local: id.String(), Domain: "reports.example"}}
	for i, domain := range a.To {
		to := mail.Address{Local: fmt.Sprintf("r%d", i), Domain: domain}
		env.Rcpts = append(env.Rcpts, mail.Recipient{Final: to, Orig: to, Dest: mail.MakeDest("smtp", domain)})
	}
	return env
}

// Lost counts the letters with a recipient who has not got it, of whom the sender was not
// told, and who is not in the queue.
func (r *Rig) Lost() (int, error) {
	waiting := make(map[mail.QueueID]int)
	err := r.Queue.List(context.Background(), func(l mail.Listed) bool {
		waiting[l.ID] += len(l.Rcpts)
		return true
	})
	r.World.mu.Lock()
	defer r.World.mu.Unlock()
	lost := 0
	for id, l := range r.World.Book.Letters {
		if !l.unsure && !l.settled() && l.left > l.failed+waiting[id] {
			lost++
		}
	}
	return lost, err
}

// notifier writes reports, and notes in the book who was told of what.
type notifier struct{ machine }

func (n notifier) Notify(_ context.Context, r mail.Report) (*mail.Envelope, []byte, error) {
	if r.Env.Sender.IsNull() {
		return nil, nil, nil
	}
	if r.Kind != mail.ReportFailed {
		return nil, nil, errors.New("sim: a report that nobody asked for")
	}
	n.mu.Lock()
	if n.Book != nil && n.alive() {
		if l := n.Book.Letters[r.Env.ID]; l != nil {
			l.failed += len(r.Results)
			l.Failed = n.Now()
		}
	}
	n.mu.Unlock()
	to := mail.Recipient{Final: r.Env.Sender, Orig: r.Env.Sender, Dest: mail.MakeDest("smtp", r.Env.Sender.Domain)}
	env := &mail.Envelope{ID: r.NewID, Arrived: r.Now, Flags: mail.FlagNotice, Rcpts: []mail.Recipient{to}}
	return env, []byte("Subject: failed\r\n\r\n"), nil
}

// Undelivered is how many letters have neither arrived, nor does their sender know that
// they have not.
func (r *Rig) Undelivered() int {
	r.World.mu.Lock()
	defer r.World.mu.Unlock()
	n := 0
	for _, l := range r.World.Book.Letters {
		if !l.unsure && !l.settled() {
			n++
		}
	}
	return n
}
