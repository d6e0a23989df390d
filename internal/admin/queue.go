package admin

import (
	"context"
	"errors"
	"fmt"

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
	// Load returns envelope and body of a message.
	Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error)

	Hold(ctx context.Context, id mail.QueueID) error    // postsuper -h
	Release(ctx context.Context, id mail.QueueID) error // postsuper -H
	Delete(ctx context.Context, id mail.QueueID) error  // postsuper -d
	Requeue(ctx context.Context, id mail.QueueID) error // postsuper -r
	Expire(ctx context.Context, id mail.QueueID) error  // postsuper -e

	Flush(ctx context.Context) error                    // postqueue -f
	FlushID(ctx context.Context, id mail.QueueID) error // postqueue -i
	FlushDest(ctx context.Context, site string) error   // postqueue -s
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
}

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

// Done is what postsuper(1) says when it has done a to one message.
func (a Action) Done() string { return actions[a].done }

// Summary is what it says in the end: "Deleted: 2 messages".
func (a Action) Summary(n int) string {
	if n == 1 {
		return actions[a].summary + ": 1 message"
	}
	return fmt.Sprintf("%s: %d messages", actions[a].summary, n)
}
