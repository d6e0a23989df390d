package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Queue joins the store, the scheduler, the transports and the notifier. It is safe
// for concurrent use. Messages may be staged before Run is called: they are delivered
// once it runs.
type Queue struct {
	store     Store
	transport Transport
	notifier  Notifier
	sites     Sites
	log       *slog.Logger
	now       func() time.Time
	rand      func() float64
	grace     time.Duration
	began     time.Time // when New was called
	params    atomic.Pointer[Params]
	rounds    *rounds
	limits    RecipientLimits
	unheard   *unheard
	underway  underway

	mu    sync.Mutex // guards the scheduler and what follows
	sched *scheduler
	armed time.Time // what Run's timer is set to
	links map[connID]*link
	// What is relayed while its client waits: messages, wishes for connections, and legs of
	// messages that were queued meanwhile.
	relays   int
	wishes   map[lendID]*leg
	lastWish lendID
	legs     map[*leg]bool

	behind  atomic.Int64  // the scheduler's
	rearm   chan struct{} // the timer is set too late
	begun   atomic.Bool   // Run was called
	stop    chan struct{} // Close was called
	ended   chan struct{} // Run has returned
	closing atomic.Bool   // the end has begun
	drained chan struct{} // nothing is under way, and nothing will be
	looking atomic.Bool   // a rescan is under way
	stopped sync.Once
	emptied sync.Once

	holding sync.Mutex // holds and releases of destinations, one after the other

	tasks  tasks           // every goroutine of the queue
	ctx    context.Context // of reading the store; ends last
	cancel context.CancelFunc
	work   context.Context // of the connections; ends when the queue is to end
	idle   context.CancelFunc
}

// New makes a queue. Run has to be called for anything to be delivered.
func New(o Options) (*Queue, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	q := &Queue{
		store:     o.Store,
		transport: o.Transport,
		notifier:  o.Notifier,
		sites:     o.Sites,
		log:       o.Log,
		now:       o.Now,
		rand:      o.Rand,
		grace:     o.ShutdownGrace,
		began:     o.Now(),
		rounds:    newRounds(),
		limits:    o.RecipientLimits,
		unheard:   newUnheard(o.Unheard, o.Now, o.Log),
		wishes:    make(map[lendID]*leg),
		legs:      make(map[*leg]bool),
		links:     make(map[connID]*link),
		rearm:     make(chan struct{}, 1),
		stop:      make(chan struct{}),
		ended:     make(chan struct{}),
		drained:   make(chan struct{}),
	}
	q.params.Store(&o.Params)
	q.sched = newScheduler(o.Params, q.jitter)
	q.sched.asks = o.Sites != nil
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.work, q.idle = context.WithCancel(q.ctx)
	return q, nil
}

// jitter is around 1: what failed together is not to be tried together.
func (q *Queue) jitter() float64 { return 0.9 + 0.2*q.rand() }

// Update changes the settings. What is under way is finished under the old ones.
func (q *Queue) Update(p Params) {
	p = p.withDefaults()
	q.params.Store(&p)
	q.tell(evParams{p})
	q.rewind()
}

// Run delivers mail until ctx ends or Close is called. Then it hands nothing out any
// more, waits for the attempts under way as long as ShutdownGrace, records what became
// of them, and leaves everything else in the store as it is. It returns early with an
// error if the store cannot be read. It is called once.
func (q *Queue) Run(ctx context.Context) error {
	if q.begun.Swap(true) {
		return errors.New("queue: Run was called twice")
	}
	defer close(q.ended)
	err := q.holdAgain(ctx)
	if err == nil {
		err = q.look(ctx)
	}
	if err == nil {
		q.tell(evOpen{})
		q.loop(ctx)
	}
	q.shutDown()
	return err
}

// Close makes Run end and waits until it has.
func (q *Queue) Close() {
	q.stopped.Do(func() { close(q.stop) })
	if q.begun.Load() {
		<-q.ended
		return
	}
	q.stopWork()
	q.tell(evClose{})
	<-q.tasks.ended()
}

// loop keeps the time. All else happens in the goroutines of those who tell.
func (q *Queue) loop(ctx context.Context) {
	rescan := time.NewTimer(q.params.Load().QueueRunDelay)
	defer rescan.Stop()
	for {
		timer := q.arm()
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-q.stop:
			timer.Stop()
			return
		case <-timer.C:
			q.tell(evTick{})
		case <-q.rearm:
			timer.Stop()
		case <-rescan.C:
			timer.Stop()
			q.rescan()
			rescan.Reset(q.params.Load().QueueRunDelay)
		}
	}
}

// rescan finds what is due and no timer knows: other due times than expected after the
// clock was set, a job given back during an error. One is enough at a time.
func (q *Queue) rescan() {
	if q.looking.Swap(true) {
		return
	}
	q.tasks.Go(func() {
		defer q.looking.Store(false)
		if err := q.look(q.work); err != nil && q.work.Err() == nil {
			q.warn("cannot read the queue", err)
		}
	})
}

// arm sets a timer to when the scheduler wants to hear of the time again.
func (q *Queue) arm() *time.Timer {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = q.sched.next()
	wait := q.params.Load().QueueRunDelay
	if !q.armed.IsZero() {
		wait = min(wait, max(q.armed.Sub(q.now()), 0))
	}
	return time.NewTimer(wait)
}

// rewind makes Run look at its timers again.
func (q *Queue) rewind() {
	select {
	case q.rearm <- struct{}{}:
	default:
	}
}

// look tells the scheduler of all destinations with work in the store.
func (q *Queue) look(ctx context.Context) error {
	const batch = 256
	heads := make([]DestHead, 0, batch)
	err := q.store.Heads(ctx, func(h DestHead) bool {
		if heads = append(heads, h); len(heads) == batch {
			q.tell(evHeads{heads: heads})
			heads = heads[:0]
		}
		return true
	})
	q.tell(evHeads{heads: heads})
	return err
}

// tell gives the scheduler an event and carries out its answer.
func (q *Queue) tell(ev event) { q.perform(q.ask(ev)) }

// ask gives the scheduler an event; what it answers must be performed.
func (q *Queue) ask(ev event) []action {
	q.mu.Lock()
	defer q.mu.Unlock()
	actions := q.sched.step(q.now(), ev)
	for _, a := range actions {
		if a, ok := a.(actStart); ok {
			q.links[a.conn] = newLink(q, a)
		}
	}
	if next := q.sched.next(); !next.IsZero() && (q.armed.IsZero() || next.Before(q.armed)) {
		q.rewind()
	}
	q.behind.Store(int64(q.sched.behind))
	q.lookDrained()
	return actions
}

// lookDrained tells who waits for the end that there is nothing left. The caller holds mu.
func (q *Queue) lookDrained() {
	if q.sched.drained() && q.relays == 0 {
		q.emptied.Do(func() { close(q.drained) })
	}
}

func (q *Queue) link(id connID) *link {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.links[id]
}

// perform carries actions out. It does not wait: a client may be waiting for its 250.
func (q *Queue) perform(actions []action) {
	for _, a := range actions {
		switch a := a.(type) {
		case actStart:
			q.tasks.Go(q.link(a.conn).run)
		case actGive:
			q.link(a.conn).answer <- grant{a.job, a.ok}
		case actLocate:
			q.tasks.Go(func() { q.locate(a) })
		case actClaim:
			q.tasks.Go(func() { q.claim(a) })
		case actSuspend:
			q.tasks.Go(func() { q.suspend(a) })
		case actRelease:
			q.tasks.Go(func() { q.release(a.jobs) })
		case actLent:
			q.lent(a)
		}
	}
}

// claim fetches jobs from the store: what is due, then what is to be woken.
func (q *Queue) claim(a actClaim) {
	ev := evClaimed{dest: a.dest, wake: a.wake}
	jobs, next, err := q.store.Claim(q.ctx, a.dest, a.until, a.max)
	if err == nil && !a.wake.Before.IsZero() {
		var woken []Job
		if ev.more = len(jobs) >= a.max; !ev.more {
			woken, ev.more, err = q.store.Woken(q.ctx, a.dest, a.wake, a.max-len(jobs))
			jobs = append(jobs, woken...)
		}
	}
	if err != nil && q.ctx.Err() == nil {
		q.warn("cannot read the queue; trying again in a minute", err, slog.String("destination", string(a.dest)))
	}
	ev.jobs, ev.next, ev.failed = q.rounds.enter(jobs, q.now()), next, err != nil
	q.tell(ev)
}

// release gives jobs back to the store that the scheduler has no room for. They leave
// their rounds first: the store may give them out again at once.
func (q *Queue) release(jobs []Job) {
	for _, j := range jobs {
		q.leave(j)
	}
	q.giveBack(jobs)
}

// leave takes a job out of its round, and deals with what waited for it.
func (q *Queue) leave(j Job) {
	out, aside := q.rounds.leave(j)
	if len(out) > 0 {
		q.tasks.Go(func() { q.settleHeld(j.ID, out) })
	}
	q.giveBack(aside)
}

// giveBack releases jobs that are not in their rounds, and tells the scheduler that
// they are there.
func (q *Queue) giveBack(jobs []Job) {
	if len(jobs) == 0 {
		return
	}
	q.store.Release(jobs)
	heads := make([]DestHead, len(jobs))
	for i, j := range jobs {
		heads[i] = DestHead{Dest: j.Dest, NextDue: j.Due}
	}
	q.tell(evHeads{heads: heads})
}
