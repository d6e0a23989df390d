package mail

import (
	"log/slog"
	"net/netip"
)

// What passes between milters (MILTER_README) and the rooms that have mail for them.

// MilterReply is what milters want done at an event. The zero value is: go on.
type MilterReply struct {
	Action MilterAction
	// Text is the reply of MilterRefuse as SMTP says it, without the last CRLF: "550 5.7.1
	// Command rejected", or several lines with CRLF between them. It begins with 4 or 5.
	Text string
}

// MilterAction is the kind of a MilterReply.
type MilterAction uint8

// The actions.
const (
	MilterContinue MilterAction = iota
	MilterHold                  // take the message, and place it on hold; milters go on
	MilterDiscard               // take the message, and drop it
	MilterRefuse                // with Text
	MilterShutdown              // end the connection
)

// Kind is how the log calls what is done for a reply.
func (r MilterReply) Kind() string {
	switch r.Action {
	case MilterHold:
		return "milter-hold"
	case MilterDiscard:
		return "milter-discard"
	}
	return "milter-reject"
}

// Said is how smtpd(8) logs a reply: as the client is told.
func (r MilterReply) Said() string {
	switch r.Action {
	case MilterRefuse:
		return r.Text
	case MilterShutdown:
		return MilterClosing
	}
	return r.AtEnd("")
}

// MilterClosing is what a client is told for MilterShutdown.
const MilterClosing = "421 4.7.0 Server closing connection"

// AtEnd is how cleanup(8) logs a reply at the end of a message: without its code. reason is
// a milter's for holding it, "" for none.
func (r MilterReply) AtEnd(reason string) string {
	switch r.Action {
	case MilterHold:
		if reason != "" {
			return "milter triggers HOLD action: " + reason
		}
		return "milter triggers HOLD action"
	case MilterDiscard:
		return "milter triggers DISCARD action"
	case MilterShutdown:
		return "message content rejected"
	}
	return r.Text[min(len(r.Text), 4):]
}

// MilterMacros looks a macro up by its name without braces. A macro that is not known is
// not sent.
type MilterMacros func(name string) (value string, known bool)

// MilterClient is whom milters are told of when a connection begins.
type MilterClient struct {
	Name string     // "unknown": it has none
	Addr netip.Addr // zero: unknown
	Port uint16     // 0: unknown
}

// MilterMessage is a message at its end. Who has milters look at it fills in the first
// part, and finds what they changed in it.
type MilterMessage struct {
	ID QueueID
	// Prepend is what stands above the content; its last Received bytes are our own
	// Received field, which milters are not shown. It is changed in its place.
	Prepend  []byte
	Received int
	// Draft is the content as it was staged. When milters change it another one stands
	// here, and the first one has been aborted.
	Draft Draft
	// Stage begins another draft.
	Stage     func() (Draft, error)
	SizeLimit int64 // message_size_limit, of a content that milters replace; 0: none
	Macros    MilterMacros
	Log       *slog.Logger // of cleanup(8)

	// EightBitHeader: a field that was added has bytes above 127.
	EightBitHeader bool
	// Changes of the envelope, in their order.
	Changes []EnvelopeChange
	// HoldReason is what a milter gave as its reason for MilterHold.
	HoldReason string
}

// EnvelopeChange is what a milter wants changed in an envelope.
type EnvelopeChange struct {
	Kind EnvelopeChangeKind
	Addr Address
	// With AddRecipient: NOTIFY and ORCPT (RFC 3461); 0 and "" when not given.
	Notify Notify
	ORcpt  string
	// With ChangeSender: RET and ENVID; "" leaves what there is.
	Ret, EnvID string
}

// EnvelopeChangeKind is the kind of an EnvelopeChange.
type EnvelopeChangeKind uint8

// The kinds.
const (
	AddRecipient    EnvelopeChangeKind = iota
	DeleteRecipient                    // with all that it leads to; by the address as the client gave it
	ChangeSender
)

// MilterSubmission is the envelope of mail that no SMTP client brought.
type MilterSubmission struct {
	Sender Address
	Rcpts  []Address // completed, before they are expanded
}
