package delivery

import (
	"context"
	"crypto/tls"

	"aliasmx/internal/mail"
)

// What others decide for the client, when there is somebody who does. Each is safe for
// concurrent use and may wait as long as ctx lives; errors are temporary unless they
// are a *mail.Status that says otherwise.

// TLSPolicy knows what TLS a destination wants.
type TLSPolicy interface {
	// TLS is asked before each connection to a host of domain (the next hop). Level is
	// none, may or encrypt. A cfg that is not nil is used for the handshake, and must
	// verify the peer: who passes is logged as Verified. An error skips the host.
	TLS(ctx context.Context, domain, host string) (level string, cfg *tls.Config, err error)
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
