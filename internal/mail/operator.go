package mail

import (
	"context"
	"strings"
	"time"
)

// What operators do, in words that the rooms share.

// HeldDest is a destination to which an operator lets nothing be sent.
type HeldDest struct {
	// Dest is a transport and next hop as the queue has it (smtp:example.com), or a next
	// hop alone (example.com, [192.0.2.1]:25), which stands for that of any transport.
	Dest   Dest
	Reason string // the operator's, may be empty
	Since  time.Time
}

// IsHeldBy tells whether holding held holds d. Upper and lower case are the same.
func (d Dest) IsHeldBy(held Dest) bool {
	return strings.EqualFold(string(d), string(held)) || strings.EqualFold(d.NextHop(), string(held))
}

// QueueCounts is how many messages are in each queue. A message is in one of them.
type QueueCounts struct{ Incoming, Active, Deferred, Hold, Corrupt int64 }

// Of is the number for the name of a queue, 0 for a queue that we do not have.
func (c QueueCounts) Of(queue string) int64 {
	switch queue {
	case "incoming":
		return c.Incoming
	case "active":
		return c.Active
	case "deferred":
		return c.Deferred
	case "hold":
		return c.Hold
	case "corrupt":
		return c.Corrupt
	}
	return 0
}

type userKey struct{}

// ByUser notes that what is done under ctx is done for the local user uid: the log says
// so.
func ByUser(ctx context.Context, uid int) context.Context {
	return context.WithValue(ctx, userKey{}, uid)
}

// User is the local user for whom something is done, if it is known.
func User(ctx context.Context) (uid int, known bool) {
	uid, known = ctx.Value(userKey{}).(int)
	return uid, known
}
