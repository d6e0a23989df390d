package queue

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// A message can be given to its next hops while the client that sent it waits for the reply
// to its end (relay_while_connected): then the client hears what they say, and mail that
// nobody takes is never in the queue and never bounced.
//
// Each destination is one leg (connected_leg.go), over a connection that the scheduler lends
// (connected_lend.go). As long as no leg has sent the end of the content, all can be given up
// and the message queued as any other: nothing of it is anywhere. From then on a leg may have
// delivered, and what it says in the end is the outcome, whoever waits for it. So when the
// time is up the message is queued with those recipients in attempt, the client has its 250,
// and the leg goes on (connected_keep.go).
//
// Invariants. A leg that may have delivered is never given up. There is no 250 before every
// recipient has the message from a next hop, or the store has it. No 5xx for a message that
// somebody has.

// connectedLegs is how many destinations a message may have: with more it is unlikely that
// all refuse it, which is what a client would be told.
const connectedLegs = 10

// relay is one message.
type relay struct {
	q      *Queue
	d      *draft
	env    *mail.Envelope // as attempts see it; shared, read only
	body   *movingBody
	with   mail.WhileConnected
	active time.Time
	trace  trace
	before bool          // some recipients have it from an earlier time (connected_unheard.go)
	poked  chan struct{} // something has changed

	mu    sync.Mutex // guards legs (connected_leg.go) and what follows
	legs  []*leg
	waits bool // the client's reply is not decided yet
	gone  bool // the client has left
	over  bool // Relay returns: the client's connection is not ours to ask any more
}

// Relay ends the draft as Commit does, but gives the message to its next hops before, if that
// can be done now. An error is a *mail.Status: nothing is kept. A result with Refused is an
// end, too.
func (d *draft) Relay(ctx context.Context, env *mail.Envelope, with mail.WhileConnected) (mail.Relayed, error) {
	q := d.q
	jobs, why := q.legsOf(env)
	if why == "" && !q.beginRelay() {
		why = "the mail system is stopping"
	}
	if why != "" {
		return d.asUsual(ctx, env, why)
	}
	defer q.endRelay()
	r, err := d.newRelay(env, with)
	if err != nil {
		return mail.Relayed{}, err
	}
	if first := q.underway.enter(r); first != nil {
		return mail.Relayed{}, r.putOff(first)
	}
	out, err := r.relay(ctx, jobs)
	r.returns(&out)
	return out, err
}

// relay does what is left to do of the message; jobs are its destinations.
func (r *relay) relay(ctx context.Context, jobs [][]int) (mail.Relayed, error) {
	if done := r.again(); done {
		return mail.Relayed{Again: true, Heard: r.hearing()}, nil
	}
	if r.before {
		var why string
		if jobs, why = r.q.legsOf(r.env); why != "" { // cannot be: they are fewer
			return r.asUsual(ctx, why)
		}
	}
	for _, rcpts := range jobs {
		r.legs = append(r.legs, &leg{r: r, dest: r.env.Rcpts[rcpts[0]].Dest, rcpts: rcpts})
	}
	return r.run(ctx)
}

// asUsual queues the message like any other.
func (d *draft) asUsual(ctx context.Context, env *mail.Envelope, why string) (mail.Relayed, error) {
	d.q.logConnected(env.ID, "queued: "+why)
	return mail.Relayed{}, d.Commit(ctx, env)
}

// legsOf divides a message by destinations, or says why it is to be queued.
func (q *Queue) legsOf(env *mail.Envelope) (jobs [][]int, why string) {
	if env.Flags&mail.FlagHold != 0 {
		return nil, "it goes on hold"
	}
	all := make([]int, len(env.Rcpts))
	for i := range all {
		all[i] = i
		if t := env.Rcpts[i].Dest.Transport(); (agents{}).serves(t) || t == localTransport {
			return nil, "not all of it leaves by SMTP or LMTP"
		}
	}
	jobs = SplitRcpts(env, all, q.limits)
	if len(jobs) == 0 || len(jobs) > connectedLegs {
		return nil, "it has too many destinations"
	}
	for i := range jobs {
		if i > 0 && env.Rcpts[jobs[i][0]].Dest == env.Rcpts[jobs[i-1][0]].Dest {
			return nil, "it has too many recipients at one destination"
		}
	}
	return jobs, ""
}

// beginRelay counts a message in, unless the end has begun. endRelay counts it out.
func (q *Queue) beginRelay() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing.Load() {
		return false
	}
	q.relays++
	return true
}

func (q *Queue) endRelay() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.relays--
	q.lookDrained()
}

func (d *draft) newRelay(env *mail.Envelope, with mail.WhileConnected) (*relay, error) {
	body, err := d.Body()
	if err != nil {
		return nil, err
	}
	sent := *env
	r := &relay{q: d.q, d: d, env: &sent, with: with, active: d.q.now(), poked: make(chan struct{}, 1), waits: true}
	if r.trace, err = traceOf(&sent, body, &with); err != nil {
		return nil, d.q.refusal("read a message", err)
	}
	r.body = &movingBody{size: body.Size(), body: body, load: func() (mail.Body, error) { return d.q.loadBody(env.ID) }}
	return r, nil
}

// poke tells who waits that something has changed.
func (r *relay) poke() {
	select {
	case r.poked <- struct{}{}:
	default:
	}
}

// run has the legs make their attempts, and waits for them.
func (r *relay) run(ctx context.Context) (mail.Relayed, error) {
	q := r.q
	late := time.NewTimer(r.with.Wait)
	defer late.Stop()
	for _, l := range r.legs {
		q.wish(l)
	}
	why := r.await(ctx, late, legLent)
	if why == "" && r.has(legDropped) {
		why = "no connection to spare"
	}
	if why != "" {
		r.release()
		return r.asUsual(ctx, why)
	}
	q.event("qmgr", mail.EventActive, r.env.ID,
		slog.String(mail.KeyFrom, r.env.Sender.String()),
		slog.Int64(mail.KeySize, r.env.Size+int64(len(r.env.Prepend))),
		slog.Int(mail.KeyNrcpt, len(r.env.Rcpts)))
	for _, l := range r.legs {
		l.start()
	}
	return r.decide(ctx, r.await(ctx, late, legDone))
}

// asUsual queues a message of which nothing was sent.
func (r *relay) asUsual(ctx context.Context, why string) (mail.Relayed, error) {
	r.body.end()
	out, err := r.d.asUsual(ctx, r.env, why)
	if err == nil {
		out.Heard = r.hearing()
	}
	return out, err
}

// await returns when all legs have come as far as that, or why it did not wait for them.
func (r *relay) await(ctx context.Context, late *time.Timer, state legState) (why string) {
	for {
		r.mu.Lock()
		ready := !slices.ContainsFunc(r.legs, func(l *leg) bool { return l.state < state })
		gone := r.gone
		r.mu.Unlock()
		switch {
		case gone:
			return "the client has left"
		case ready:
			return ""
		}
		select {
		case <-r.poked:
		case <-late.C:
			return fmt.Sprintf("no answer of the next hop within %d seconds", int(r.with.Wait.Round(time.Second).Seconds()))
		case <-r.q.work.Done():
			return "the mail system is stopping"
		case <-ctx.Done():
			r.mu.Lock()
			r.gone = true
			r.mu.Unlock()
		}
	}
}

// has tells whether a leg is in a state.
func (r *relay) has(state legState) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.legs, func(l *leg) bool { return l.state == state })
}

// release gives back what legs have that were not started.
func (r *relay) release() {
	r.mu.Lock()
	r.waits = false
	var lent, asking []*leg
	for _, l := range r.legs {
		switch l.state {
		case legLent:
			lent = append(lent, l)
		case legAsking:
			asking = append(asking, l)
		}
		l.drop()
	}
	r.mu.Unlock()
	for _, l := range asking {
		r.q.unwish(l)
	}
	for _, l := range lent {
		r.q.tell(evSkip{l.conn})
		r.q.tell(evExit{l.conn})
	}
}

// logConnected is the one line that mail has more than that of the queue.
func (q *Queue) logConnected(id mail.QueueID, what string) {
	q.log.Info("relay while connected: "+what, slog.String(mail.KeyDaemon, "qmgr"), slog.String(mail.KeyQueueID, id.String()))
}
