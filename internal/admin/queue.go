package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aliasmx/internal/mail"
)

// Errors that callers branch on.
var (
	// ErrDown: no daemon serves the socket.
	ErrDown = errors.New("mail system is down")
	// ErrForbidden: the daemon does not let this user do that.
	ErrForbidden = errors.New("permission denied")
	// ErrNotFound: no such message, or not in a state to which the action applies.
	ErrNotFound = errors.New("no such message in the queue")
)

// Queue is what operators do to the queue. It is safe for concurrent use.
type Queue interface {
	// List yields all messages, oldest first, until yield returns false. Messages may
	// come and go meanwhile.
	List(ctx context.Context, yield func(mail.Listed) bool) error
	// Find is what List yields of one message.
	Find(ctx context.Context, id mail.QueueID) (mail.Listed, error)
	// Load returns envelope and body of a message.
	Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error)

	Hold(ctx context.Context, id mail.QueueID) error    // postsuper -h
	Release(ctx context.Context, id mail.QueueID) error // postsuper -H
	Delete(ctx context.Context, id mail.QueueID) error  // postsuper -d
	Requeue(ctx context.Context, id mail.QueueID) error // postsuper -r
	Expire(ctx context.Context, id mail.QueueID) error  // postsuper -e

	Flush(ctx context.Context) error                    // postqueue -f
	FlushID(ctx context.Context, id mail.QueueID) error // postqueue -i
	// FlushDest returns when all messages have been looked at, and tells progress, unless
	// it is nil, how many have been.
	FlushDest(ctx context.Context, site string, progress func(n int)) error // postqueue -s

	// Counts is how many messages are in each queue. It is cheap.
	Counts(ctx context.Context) (mail.QueueCounts, error)

	// HoldDest lets nothing be sent to a destination until ReleaseDest; HeldDests are all
	// those that are held.
	HoldDest(ctx context.Context, dest mail.Dest, reason string) error
	ReleaseDest(ctx context.Context, dest mail.Dest) error
	HeldDests(ctx context.Context) ([]mail.HeldDest, error)
}

// Action is what postsuper(1) does to one message.
type Action string

// The actions.
const (
	ActionHold    Action = "hold"
	ActionRelease Action = "release"
	ActionDelete  Action = "delete"
	ActionRequeue Action = "requeue"
	ActionExpire  Action = "expire"
)

// Request asks for one action on several messages.
type Request struct {
	Action Action         `json:"action"`
	All    bool           `json:"all,omitempty"` // every message of Queues
	IDs    []mail.QueueID `json:"ids,omitempty"` // else these, at most MaxIDs
	// Queues restricts the action to messages in these queues: active, incoming,
	// deferred, hold, corrupt. When empty it is the default of postsuper(1) for All, and
	// no restriction for IDs.
	Queues []string `json:"queues,omitempty"`
	// Select takes of All only what it selects.
	Select Selection `json:"select,omitzero"`

	// Progress is told of long work now and then, unless it is nil: how many messages have
	// been looked at, and about how many there are; total 0: nobody knows.
	Progress Progress `json:"-"`
}

// Progress is told how far long work is. It is called by whoever does the work, between
// two steps.
type Progress func(done, total int64)

// MaxIDs is how many messages one Request may name.
const MaxIDs = 1000

// Result is what an action made of one message. Err is nil when it was done, and
// ErrNotFound when there was nothing to do it to.
type Result struct {
	ID  mail.QueueID
	Err error
}

// actions says what each action is.
var actions = map[Action]struct {
	do      func(Queue, context.Context, mail.QueueID) error
	done    string   // what postsuper(1) says of one message
	summary string   // and of all together
	queues  []string // that it goes through without being told
}{
	ActionHold:    {Queue.Hold, "placed on hold", "Placed on hold", []string{"incoming", "active", "deferred"}},
	ActionRelease: {Queue.Release, "released from hold", "Released from hold", []string{"hold"}},
	ActionDelete:  {Queue.Delete, "removed", "Deleted", []string{"hold", "incoming", "active", "deferred"}},
	ActionRequeue: {Queue.Requeue, "requeued", "Requeued", []string{"hold", "incoming", "active", "deferred"}},
	ActionExpire:  {Queue.Expire, "expired", "Force-expired", []string{"hold", "incoming", "active", "deferred"}},
}

// Queues are those that a goes through without being told.
func (a Action) Queues() []string { return slices.Clone(actions[a].queues) }

// Sum is the summary of a request for all messages, with what they were selected by.
func (req *Request) Sum(done int) string {
	sum := req.Action.Summary(done)
	if !req.Select.IsZero() {
		sum += " (" + req.String() + ")"
	}
	return sum
}

// String is what a request for all messages asks for: "delete ALL --sender a@b".
func (req *Request) String() string {
	s := string(req.Action) + " ALL"
	if !req.Select.IsZero() {
		s += " " + req.Select.String()
	}
	return s
}

// Done is what postsuper(1) says when it has done a to one message.
func (a Action) Done() string { return actions[a].done }

// Summary is what it says in the end: "Deleted: 2 messages".
func (a Action) Summary(n int) string {
	if n == 1 {
		return actions[a].summary + ": 1 message"
	}
	return fmt.Sprintf("%s: %d messages", actions[a].summary, n)
}
