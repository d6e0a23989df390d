package mail

// AuthResult is what an authentication method found: a result word of RFC 8601 section
// 2.7. The zero value says that nobody asked.
type AuthResult string

// The results. Which of them a method has is its RFC's to say.
const (
	AuthNone      AuthResult = "none"
	AuthPass      AuthResult = "pass"
	AuthFail      AuthResult = "fail"
	AuthSoftFail  AuthResult = "softfail"
	AuthNeutral   AuthResult = "neutral"
	AuthPolicy    AuthResult = "policy"
	AuthTempError AuthResult = "temperror"
	AuthPermError AuthResult = "permerror"
)

// Authentic is what is known of who a message is really from. It is kept with the message,
// and tells what may be said in our own name about it. The zero value: nobody has asked.
type Authentic struct {
	// Author is the domain of the From field, as an A-label in lower case; "" where there is
	// none, or several.
	Author string
	// Vouched: the message is Author's. It passed DMARC's alignment, or was submitted by
	// somebody who may speak for Author (logged in, or of mynetworks). Only then may it leave
	// with a pass aligned to Author that it owes to us.
	Vouched bool
	// SPF is the result for the reverse-path (the HELO name where that is null), DMARC that of
	// RFC 9989, ARC the chain's validation status as it came.
	SPF, DMARC, ARC AuthResult
	// Results are the results of our own Authentication-Results field, without the name of who
	// says so: "dmarc=pass header.from=a.example; spf=pass smtp.mailfrom=a.example". "" when
	// there is no such field.
	Results string
}

// Judged tells whether the message is a stranger's, and was looked at.
func (a *Authentic) Judged() bool { return a.SPF != "" || a.DMARC != "" || a.ARC != "" }

// Unauthenticated tells whether the message was looked at and nothing says who it is from.
func (a *Authentic) Unauthenticated() bool {
	return a.DMARC != "" && !a.Vouched && a.DMARC != AuthPass && a.SPF != AuthPass
}

// AuthRequest is what is known at MAIL of a transaction whose message is to be
// authenticated.
type AuthRequest struct {
	Client Client
	Sender Address // reverse-path, completed
	// Trusted: the client may relay (mynetworks, or logged in as Login), or is local. Its mail
	// is a submission, and not judged.
	Trusted bool
	Login   string
	// Owners: senders have owners (smtpd_sender_login_maps), and Login may speak for nobody
	// else than Sender. Owner: Sender is his.
	Owners, Owner bool
}

// AuthMessage is a message that has come whole and is not yet committed.
type AuthMessage struct {
	ID    QueueID
	Body  Body        // as it is kept, without what stands above it
	Rcpts []Recipient // where it leads
	// Given are the recipients as the client named them.
	Given []Address
}

// AuthVerdict is what is to become of a message.
type AuthVerdict struct {
	// Refused, when not nil, is the reply instead of 250. Reason is for the log.
	Refused *Status
	Reason  string
	Hold    bool   // it is taken, and goes on hold
	Prepend []byte // fields to stand above all others, CRLF line ends
	Auth    Authentic
}

// Outgoing is a message as it is about to leave: what signs it, or seals it, sees the
// envelope it came with and the one it leaves with.
type Outgoing struct {
	Env    *Envelope // as it came; shared, read only
	Dest   Dest
	Sender Address // the reverse-path it leaves with
	Rcpts  []int   // of Env.Rcpts, in this transaction
	// Prepend stands above Body: Env.Prepend, and what was signed before.
	Prepend []byte
	Body    Body
}
