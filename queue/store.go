package queue

import (
	"context"
	"errors"
	"time"

	"aliasmx/internal/mail"
)

// Errors of a Store that callers branch on.
var (
	// ErrNoSpace: too little room on disk to accept anything; 452 4.3.1.
	ErrNoSpace = errors.New("insufficient system storage")
	// ErrNotFound: no such message, or it is gone by now.
	ErrNotFound = errors.New("no such message in the queue")
	// ErrCorrupt: the stored bytes are not those that were stored; the message has been
	// moved to the corrupt queue.
	ErrCorrupt = errors.New("corrupt queue entry")
	// ErrInUse: another process has this queue open.
	ErrInUse = errors.New("queue is in use by another process")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("queue is closed")
)

// DestinationRecipientLimit is how many recipients a job has at most, unless a store
// is told otherwise (postconf(5): default_destination_recipient_limit).
const DestinationRecipientLimit = 50

// Job is what is left to do of one message at one destination. A Job that Commit or
// Claim returned is claimed: it is not given out again before Apply or Release.
type Job struct {
	ID       mail.QueueID
	N        int // which of the message's jobs this is; set and read by the store alone
	Dest     mail.Dest
	Rcpts    []int // indexes into Envelope.Rcpts
	Attempts int   // attempts made before this one
	// Bulk: it is large, or one of many of its message, or of a report: it can wait while
	// small letters go first (IsBulk).
	Bulk    bool
	Due     time.Time
	Arrived time.Time // of the message
	Expired bool      // forced to expire by an operator
}

// DestHead is a destination with work, and when the first of it is due.
type DestHead struct {
	Dest    mail.Dest
	NextDue time.Time
}

// Wake is about the jobs of a destination that were deferred before a time, or never
// tried: those that wait because of the destination's trouble (Outcome.Trouble), or all.
type Wake struct {
	Before time.Time // zero: nothing is woken
	All    bool
}

// Outcome is what became of a Job. It is applied whole or not at all, and applying it
// twice changes nothing. An outcome that no longer applies (the message was removed,
// the attempt was recorded before) is answered by a zero Applied, and what it would
// have emitted is dropped; with Also, if none of them applies. Times are kept to the millisecond.
type Outcome struct {
	Job     Job
	Results []mail.Result // of Job's recipients; one without a result is deferred
	NextDue time.Time     // of those deferred
	// Trouble: those deferred wait because of their destination's trouble, not on their own
	// account. As soon as the destination answers again they may be tried (Store.Woken).
	Trouble bool
	// Emit are reports born with this outcome (their envelopes with IDs, their bodies):
	// they become messages in the queue in the same commit.
	Emit []Emission
	// Also are outcomes of other jobs of the message, recorded in the same commit: what
	// failed in one round is reported once, whatever happens meanwhile. Emit is about all of
	// them; they have neither Emit nor Also.
	Also []Outcome
}

// Each yields o and those recorded with it.
func (o *Outcome) Each(yield func(*Outcome) bool) {
	if !yield(o) {
		return
	}
	for i := range o.Also {
		if !yield(&o.Also[i]) {
			return
		}
	}
}

// Emission is a message of our own making, small enough to be in memory.
type Emission struct {
	Env  *mail.Envelope
	Body []byte
}

// Applied is what Apply has done.
type Applied struct {
	Removed bool  // no recipient is left: the message is gone
	Jobs    []Job // of the emitted messages, claimed
	Err     error // nothing was recorded
}

// Store keeps messages on stable storage. It is safe for concurrent use.
//
// A message that is in the store is in exactly one of: incoming (never tried),
// deferred, hold, corrupt. Jobs of held and corrupt messages are not given out.
type Store interface {
	// IDs makes queue IDs that were never used in this store.
	IDs() *mail.IDSource

	// Admit tells whether a message of about size bytes may be taken in now: nil,
	// ErrNoSpace, or why the store takes nothing.
	Admit(size int64) error

	// Stage begins a message. Bytes count against the free space while it is under way.
	Stage(ctx context.Context) (Staged, error)

	// Apply records an outcome and calls done when it is on stable storage, or could not
	// be put there. It may return before that; done is called from another goroutine,
	// but for a closed store: there Apply itself calls it. The job is claimed until then.
	Apply(o Outcome, done func(Applied))

	// Heads yields every destination with jobs that are not claimed, in no order.
	Heads(ctx context.Context, yield func(DestHead) bool) error

	// Claim returns at most max unclaimed jobs of a destination that are due at now, the
	// longest due first, and the due time of the next one after them (zero: none).
	Claim(ctx context.Context, dest mail.Dest, now time.Time, max int) ([]Job, time.Time, error)

	// Woken returns at most max unclaimed jobs of a destination that w is about, whatever
	// their due time, the earliest due first, and whether there may be more. A job that
	// fails again is not returned again for the same Wake.
	Woken(ctx context.Context, dest mail.Dest, w Wake, max int) (jobs []Job, more bool, err error)

	// Release gives claimed jobs back unchanged.
	Release(jobs []Job)

	// Load returns envelope and body of a message, checked against their checksums.
	Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error)

	// List yields all messages, oldest first, without stopping anything meanwhile.
	// Jobs that are claimed are shown as the active queue.
	List(ctx context.Context, yield func(mail.Listed) bool) error

	// Find is what List yields of one message, or ErrNotFound.
	Find(ctx context.Context, id mail.QueueID) (mail.Listed, error)

	// The operator's hand. Each returns ErrNotFound for a message that is not there, or
	// not in a state to which it applies. A message whose job is claimed is changed at
	// once: what its attempt reports later is ignored as far as it no longer applies.
	Hold(ctx context.Context, id mail.QueueID) error
	Unhold(ctx context.Context, id mail.QueueID) (heads []DestHead, err error)
	Remove(ctx context.Context, id mail.QueueID) error
	// MakeDue makes all jobs of a message due now. ForceExpire also makes them expire at
	// their next attempt (postsuper -e).
	MakeDue(ctx context.Context, id mail.QueueID) (heads []DestHead, err error)
	ForceExpire(ctx context.Context, id mail.QueueID) (heads []DestHead, err error)
	// Requeue gives each unfinished recipient the destination that route says (and, when
	// route returns other recipients, those in its place), due now: postsuper -r.
	Requeue(ctx context.Context, id mail.QueueID, route Route) (heads []DestHead, err error)

	// HoldDest notes that nothing is to be sent to a destination, and why; a second time
	// changes the reason. ReleaseDest takes that back, or returns ErrNotFound. HeldDests are
	// all of them, by destination. The store keeps the note; it gives out jobs as before.
	HoldDest(ctx context.Context, dest mail.Dest, reason string) error
	ReleaseDest(ctx context.Context, dest mail.Dest) error
	HeldDests(ctx context.Context) ([]mail.HeldDest, error)

	// Counts is how many messages are in each queue, as List would show them. It does not
	// look at them: it takes no longer when there are many.
	Counts(ctx context.Context) (mail.QueueCounts, error)

	Close() error
}

// Route says where an unfinished recipient of a message from sender goes by the tables of
// now. It may take its time.
type Route func(sender mail.Address, r mail.Recipient) []mail.Recipient

// Staged is a message being written into a Store: a mail.Draft whose Commit also
// tells the jobs, claimed. A message with mail.FlagHold goes on hold as it comes in: it has
// no jobs until Unhold.
type Staged interface {
	Write(p []byte) (int, error)
	Body() (mail.Body, error)
	Commit(ctx context.Context, env *mail.Envelope) ([]Job, error)
	Abort()
}
