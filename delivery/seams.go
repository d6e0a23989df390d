package delivery

import (
	"context"

	"aliasmx/internal/mail"
)

// What others decide for the client, when there is somebody who does. Each is safe for
// concurrent use and may wait as long as ctx lives; errors are temporary unless they
// are a *mail.Status that says otherwise.

// TLSPolicy knows what TLS a destination wants.
type TLSPolicy interface {
	// TLS is asked before each connection to a host. An error skips the host, as a
	// *mail.TLSError with the status it has; Policies of the choice count then too.
	TLS(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error)
}

// TLSReporter hears what became of the TLS of connections that were to have it (RFC 8460).
type TLSReporter interface {
	// Session is told of a connection once, when its TLS is there or has failed, or why
	// there is none. It does not block.
	Session(mail.TLSSession)
}

// SenderRewriter gives a message the reverse-path it leaves with (SRS).
type SenderRewriter interface {
	// RewriteSender is asked for each recipient of a transaction, by its index in Env.Rcpts.
	// Recipients whose mail has another reverse-path get a transaction of their own. Env is
	// shared and read only. An error decides the recipient; a *mail.Status may be permanent.
	RewriteSender(ctx context.Context, env *mail.Envelope, rcpt int) (mail.Address, error)
}

// Signer makes header fields that go on top of a message: DKIM signatures, ARC sets. It is
// where the next generation (draft-ietf-dkim-dkim2-spec) will sit, which binds the envelope
// of each hop and what the hop has changed: both are in mail.Outgoing.
type Signer interface {
	// Sign is asked once for each transaction and returns fields with CRLF line ends; none is
	// no error.
	Sign(ctx context.Context, m mail.Outgoing) ([]byte, error)
}
