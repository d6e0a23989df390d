package mail

import (
	"context"
	"time"
)

// State is what an attempt made of a recipient.
type State uint8

// The states. Deferred is the zero value: what nobody decided is tried again.
const (
	Deferred State = iota
	Delivered
	Failed
)

// Attempt is one try to deliver one message to its recipients at one destination.
type Attempt struct {
	Env   *Envelope // shared, read only
	Body  Body
	Dest  Dest
	Rcpts []int // indexes into Env.Rcpts
	// Probe asks whether the recipients would be accepted, and sends nothing: the
	// transaction ends after RCPT (ADDRESS_VERIFICATION_README). Body is nil then.
	Probe bool
	// Until, when not nil, gives the attempt up when it ends: nothing is waited for any longer,
	// and the connection is closed. Ending, when not nil, is asked before the end of the
	// content leaves, in each transaction: false gives the attempt up, and what was sent is
	// then no message (relay_while_connected). Ending does not wait.
	Until  context.Context
	Ending func() bool
	// Active is when the message entered the active queue, Started when this attempt
	// was handed out: the first two figures of the log's delays=.
	Active, Started time.Time
}

// Result is the fate of one recipient in an attempt.
type Result struct {
	Rcpt   int // index into Envelope.Rcpts
	State  State
	Status Status // for the DSN: reply code (0: none), enhanced code
	// Reason is the log's text in parentheses and the postqueue's delay reason:
	// "250 2.0.0 Ok", "host mx[1.2.3.4] said: 550 ... (in reply to RCPT TO command)".
	Reason string
	Agent  string // who did it: smtp, lmtp, error, ...: the daemon name in the log
	Relay  string // "mx.example.net[192.0.2.1]:25", or "none"
	// RemoteMTA is the host whose reply Status is, "" when there was none.
	RemoteMTA string
	// RemoteReply is the reply as it came ("550 5.1.1 no such user"), "" when there was none.
	RemoteReply string
	// DSNPassed tells that the next hop knows DSN (RFC 3461) and was given the
	// recipient's NOTIFY: a success is its to report.
	DSNPassed bool
	// TLS is how the connection was secured (postconf(5): smtp_log_tls_feature_status):
	// "dane", "may:none"; "": it is not told.
	TLS string
	// Relayed: the next hop may pass the message on. A success is then reported as relayed,
	// and not as delivered.
	Relayed bool
	// ReplyType is what RemoteReply is, where it is no SMTP reply: "x-unix" for the output
	// of a command (RFC 3464 section 2.3.6).
	ReplyType string
	// Targets are what became of each thing that a local recipient led to (local(8)):
	// logs and reports speak of them in place of the recipient. State is then that of all
	// together: Deferred if any is, else Delivered if any is. Nil: there is only the
	// recipient.
	Targets []Target
	// Expanded: an alias(5) led elsewhere, which is the success to be reported of.
	Expanded    bool
	ConnUse     int           // how many deliveries this connection has had, for conn_use=
	Connected   time.Duration // set-up of the connection, third figure of delays=
	Transmitted time.Duration // fourth figure
}

// Target is the fate of one thing that an alias led to: a command, a file, or a message
// that carries the addresses elsewhere.
type Target struct {
	To     Address // the local address that it stood for: the recipient, or an alias within
	Orig   Address // orig_to of the log; null: none
	State  State
	Status Status
	Reason string
	// Reply and ReplyType are the output of a command that failed, as in Result.
	Reply, ReplyType string
	// Owner, when not null, is who hears of a failure in place of the sender (aliases(5):
	// owner-name).
	Owner Address
	At    time.Time // when it was done; zero: with the attempt
}

// Feedback says how the destination as a whole behaved, apart from single recipients.
type Feedback uint8

// Good: it answered. Bad: it could not be reached, broke down, or asked to be left
// alone (connect, greeting, EHLO or TLS failure, 421, drop).
const (
	FeedbackGood Feedback = iota
	FeedbackBad
)

// Source hands attempts to a connection. It is implemented by the queue's scheduler
// and pulled by the delivery side, so that one connection can carry many messages.
// All attempts of a Source are for one destination. It is used by one goroutine.
type Source interface {
	// Next returns the next attempt, or false when there is nothing more for this
	// worker. It may wait a short while for one (the linger of an idle connection)
	// when idle is positive; it never waits longer than ctx or idle.
	Next(ctx context.Context, idle time.Duration) (*Attempt, bool)
	// Done reports an attempt. Each attempt is reported exactly once, with a result for
	// each of its recipients: one without a result counts as deferred.
	Done(a *Attempt, results []Result, f Feedback)
}

// ReportKind is what a delivery status notification says.
type ReportKind uint8

// The kinds, RFC 3464 section 2.3.3 and RFC 3461 section 5.2.
const (
	ReportFailed ReportKind = iota
	ReportDelayed
	ReportDelivered
	ReportRelayed
	ReportExpanded
)

// Report is what the sender of a message is to be told.
type Report struct {
	Kind    ReportKind
	Env     *Envelope
	Body    Body
	Results []Result
	NewID   QueueID // of the notification
	Now     time.Time
}
