package smtpd

import (
	"io"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// What go-smtp's Session cannot say. The engine asks for each of these by type
// assertion; a session that has none of them is driven as go-smtp drives it. An error is
// the refusal: a *mail.Status or a *smtp.SMTPError, anything else is temporary.

// ConnectSession is asked before the banner. After a refusal the client may only QUIT.
type ConnectSession interface {
	Connect() error
}

// HeloSession hears of HELO and EHLO. A transaction has been reset before.
type HeloSession interface {
	Helo(name string, ehlo bool) error
}

// AddressSession is given addresses whose local part and domain cannot be mixed up. For
// it MAIL and RCPT do not come as Mail and Rcpt. Options of RCPT are good until the next.
type AddressSession interface {
	MailAddress(from mail.Address, opts *smtp.MailOptions) error
	RcptAddress(to mail.Address, opts *smtp.RcptOptions) error
}

// RateSession counts what a client does (smtpd_client_message_rate_limit and its
// relatives). It is asked for each MAIL, RCPT and VRFY, before anybody looks at the address,
// and refuses what is too much.
type RateSession interface {
	Count(verb string) error
}

// DataSession is asked when DATA or the first BDAT has come with valid recipients:
// before 354.
type DataSession interface {
	BeforeData(verb string) error
}

// ChunkSession takes content in BDAT chunks. Without it CHUNKING is not offered.
type ChunkSession interface {
	// Chunk takes one chunk of size octets; the last one ends the message as Data does.
	// After an error the chunks that are left are not brought.
	Chunk(r io.Reader, size int64, last bool) error
}

// VerifySession answers VRFY: nil if mail to the address would be accepted.
type VerifySession interface {
	Vrfy(a mail.Address) error
}

// EtrnSession is asked whether a client may say ETRN for a domain.
type EtrnSession interface {
	Etrn(domain string) error
}

// PipeliningSession hears that the client has sent on without waiting for a reply it had
// to wait for (RFC 2920 section 3.1).
type PipeliningSession interface {
	ImproperPipelining()
}
