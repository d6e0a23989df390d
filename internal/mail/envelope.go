package mail

import (
	"net/netip"
	"strings"
	"time"
)

// Dest says who serves a recipient: a transport and a next hop, as transport(5)
// writes them: "smtp:dest.example", "smtp:[192.0.2.1]:25", "relay:dest.example",
// "error:5.1.1 User unknown in virtual alias table", "lmtp:unix:/path". It is stable
// without DNS, and is the key of everything that is kept per destination.
type Dest string

// DestDoubleBounce takes mail for the sender of reports that must not come back
// (postconf(5): double_bounce_sender): it is done with, by qmgr(8) itself.
const DestDoubleBounce Dest = "discard:2.0.0 undeliverable postmaster notification discarded"

// MakeDest joins a transport and a next hop.
func MakeDest(transport, nextHop string) Dest { return Dest(transport + ":" + nextHop) }

// Transport is the part before the first colon.
func (d Dest) Transport() string { t, _, _ := strings.Cut(string(d), ":"); return t }

// NextHop is the part after the first colon.
func (d Dest) NextHop() string { _, n, _ := strings.Cut(string(d), ":"); return n }

// Notify says when the sender wants to hear of a recipient, RFC 3461 section 4.1.
// The zero value is the default: failure and delay.
type Notify uint8

// The NOTIFY keywords.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
	// NotifyExpanded is no keyword: success was asked for, and an alias led elsewhere. It
	// is answered with the report "expanded" as soon as the message is in the queue, and
	// not asked of the next hop (RFC 3461 section 5.2.7.3).
	NotifyExpanded
)

// Recipient is one final recipient of a message, with where it came from.
type Recipient struct {
	Final  Address // after expansion: what RCPT TO will say
	Orig   Address // as the client or submitter wrote it; the log's orig_to
	ORcpt  string  // original recipient "type;address", decoded; RFC 3461 section 4.2
	Notify Notify
	Dest   Dest
}

// OrigTo is what the log and reports show as orig_to: the address as given, in external
// form (postconf(5): info_log_address_format), or "" when that is the final address
// itself.
func (r *Recipient) OrigTo() string {
	if r.Orig != r.Final {
		return r.Orig.String()
	}
	return ""
}

// Client is who handed us the message.
type Client struct {
	Name string     // verified host name, or "unknown"
	Addr netip.Addr // zero for local submission
	Port uint16
	Helo string
	// Protocol is the "with" keyword of Received (RFC 3848): SMTP, ESMTP, ESMTPS...;
	// "" for local submission.
	Protocol string
	UID      int // of a local submitter; -1 otherwise
}

// Flags of a message, noted while it came in.
type Flags uint32

// What the body is, as the passing bytes showed it, and what MAIL asked for.
const (
	FlagEightBit       Flags = 1 << iota // holds bytes above 127
	FlagDotLines                         // some line begins with a dot: the client must stuff
	FlagLongLines                        // some line is longer than 998 octets
	FlagBody8BitMIME                     // MAIL said BODY=8BITMIME
	FlagSMTPUTF8                         // MAIL said SMTPUTF8, or the header needs it
	FlagNotice                           // a report of our own
	FlagSubmitted                        // came by the sendmail command
	FlagBody7Bit                         // MAIL said BODY=7BIT
	FlagHold                             // goes on hold as it comes in (access(5): HOLD)
	FlagStrayEnds                        // holds a CR or LF that is no CRLF, or does not end in CRLF
	FlagRequireTLS                       // MAIL said REQUIRETLS (RFC 8689)
	FlagTLSOptional                      // the header says TLS-Required: No, and MAIL did not say REQUIRETLS
	FlagMayHaveArrived                   // its end was sent somewhere before it was kept, and what was said to it was not known then
)

// Envelope is all that is kept with a message beside its body.
type Envelope struct {
	ID      QueueID
	Arrived time.Time // when the transaction began
	Sender  Address   // reverse-path
	EnvID   string    // ENVID, decoded; RFC 3461 section 4.4
	Ret     string    // RET: FULL, HDRS or ""
	Flags   Flags
	Client  Client
	// Prepend is what stands above the message as it came: our Received field and
	// what else was added on top, CRLF line ends.
	Prepend []byte
	Auth    Authentic
	Rcpts   []Recipient
	Size    int64  // of the body, without Prepend, bytes with CRLF
	CRC     uint32 // CRC32C of the body
}

// RcptRequest is one RCPT TO as the client gave it, already parsed.
type RcptRequest struct {
	Addr   Address
	ORcpt  string
	Notify Notify
	Sender Address
	// Unlisted takes the recipient even where all it leads to is unknown or refused: who it
	// is has been decided already. A report tells then.
	Unlisted bool
	// Copies asks for the automatic copies that the recipient has beside where it leads
	// (recipient_bcc_maps). Reports of our own have none.
	Copies bool
	// Replies takes reverse aliases: whoever asks makes the message anew that goes on. To
	// everybody else they do not exist.
	Replies bool
}
