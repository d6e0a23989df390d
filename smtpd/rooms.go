package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// Recipients decides about addresses. It is safe for concurrent use, may wait for a
// remote table as long as ctx lives, and is replaced as a whole on reload.
type Recipients interface {
	// Complete gives a bare name or a partial domain the domain that is meant
	// (append_at_myorigin, append_dot_mydomain). The null reverse-path stays null.
	Complete(a mail.Address) mail.Address

	// Class is the address class of a completed address. An error is temporary.
	Class(ctx context.Context, a mail.Address) (mail.Class, error)

	// Expand says where a recipient leads, with a destination for each. A refusal is a
	// *mail.Status whose Text is what follows "<address>: " in the reply, as in
	// "Recipient address rejected: User unknown in virtual alias table".
	Expand(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error)
}

// Enqueuer keeps messages. It is safe for concurrent use.
type Enqueuer interface {
	// Admit tells at MAIL whether a message of the declared size (0: not declared) may
	// come: nil or a *mail.Status to refuse with (452 4.3.1).
	Admit(size int64) error

	// NewID returns a fresh queue ID, for the log and for the message to be staged.
	NewID() mail.QueueID

	// Stage begins a message at DATA.
	Stage(ctx context.Context) (mail.Draft, error)
}
