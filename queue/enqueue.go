package queue

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// How messages come in: Queue is the Enqueuer of smtpd and of local submission.

// errShutDown is what the operator is told of work that the end of the process cut.
var errShutDown = errors.New("the queue is shutting down")

// Admit tells whether a message of the declared size (0: not declared) may come: nil
// or a *mail.Status to refuse with.
func (q *Queue) Admit(size int64) error {
	if q.closing.Load() {
		return &mail.Status{Code: 421, Enhanced: mail.Code(4, 3, 2), Text: "Service shutting down"}
	}
	if err := q.store.Admit(size); err != nil {
		return q.refusal("take mail", err)
	}
	return nil
}

// FlowDelay is how long a client is to wait before the next message, because much more
// comes than can be tried (postconf(5): in_flow_delay): what waits for its first attempt
// without having found room in memory is ten times what has.
func (q *Queue) FlowDelay() time.Duration {
	p := q.params.Load()
	if p.InFlowDelay <= 0 || q.behind.Load() <= 10*int64(p.MessageActiveLimit) {
		return 0
	}
	return p.InFlowDelay
}

// NewID returns a queue ID for the log and for the message to be staged.
func (q *Queue) NewID() mail.QueueID { return q.store.IDs().Next() }

// Stage begins a message.
func (q *Queue) Stage(ctx context.Context) (mail.Draft, error) {
	s, err := q.store.Stage(ctx)
	if err != nil {
		return nil, q.refusal("begin a message", err)
	}
	return &draft{q: q, staged: s}, nil
}

// draft is a mail.Draft whose message is handed to the scheduler by Commit.
type draft struct {
	q      *Queue
	staged Staged
}

// Write implements io.Writer. An error is a *mail.Status.
func (d *draft) Write(p []byte) (int, error) {
	n, err := d.staged.Write(p)
	if err != nil {
		err = d.q.refusal("write a message", err)
	}
	return n, err
}

// Body implements mail.Draft. An error is a *mail.Status.
func (d *draft) Body() (mail.Body, error) {
	b, err := d.staged.Body()
	if err != nil {
		return nil, d.q.refusal("read a message", err)
	}
	return b, nil
}

// Commit implements mail.Draft. An error is a *mail.Status.
func (d *draft) Commit(ctx context.Context, env *mail.Envelope) error {
	jobs, err := d.staged.Commit(ctx, env)
	if err != nil {
		return d.q.refusal("store a message", err)
	}
	if len(jobs) > 0 { // none of a message that goes on hold
		d.q.perform(d.q.arrive(env, jobs))
	}
	return nil
}

// Abort implements mail.Draft.
func (d *draft) Abort() { d.staged.Abort() }

// arrive takes the claimed jobs of a message that is in the store now. The actions it
// returns must be performed.
func (q *Queue) arrive(env *mail.Envelope, jobs []Job) []action {
	jobs = q.rounds.enter(jobs, q.now())
	r := q.rounds.of(env.ID)
	actions := q.ask(evArrived{jobs})
	if r != nil && released(actions, env.ID) < len(jobs) {
		q.logActive(r, env)
	}
	return actions
}

// released is how many jobs of a message found no room and are to wait in the store.
func released(actions []action, id mail.QueueID) int {
	n := 0
	for _, a := range actions {
		if a, ok := a.(actRelease); ok {
			for _, j := range a.jobs {
				if j.ID == id {
					n++
				}
			}
		}
	}
	return n
}

// refusal says to a client that its message cannot be kept, and to the operator why.
func (q *Queue) refusal(what string, err error) error {
	if s, ok := errors.AsType[*mail.Status](err); ok {
		return s
	}
	if errors.Is(err, ErrNoSpace) {
		q.log.Warn("cannot "+what+": not enough free space in mail queue: "+strings.TrimSuffix(err.Error(), ": "+ErrNoSpace.Error()), slog.String(mail.KeyDaemon, "qmgr"))
		return &mail.Status{Code: 452, Enhanced: mail.Code(4, 3, 1), Text: "Insufficient system storage"}
	}
	if !errors.Is(err, context.Canceled) {
		q.log.Warn("cannot "+what+": queue file write error: "+err.Error(), slog.String(mail.KeyDaemon, "qmgr"))
	}
	return &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Error: queue file write error"}
}
