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
	// RewriteSender is asked once for each transaction. Env is shared and read only,
	// rcpts are indexes into Env.Rcpts.
	RewriteSender(ctx context.Context, env *mail.Envelope, rcpts []int) (mail.Address, error)
}

// Signer makes header fields that go on top of a message.
type Signer interface {
	// Sign returns fields with CRLF line ends. Env is shared and read only.
	Sign(ctx context.Context, env *mail.Envelope, body mail.Body) ([]byte, error)
}
