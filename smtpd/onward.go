package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// Onward looks at where an accepted recipient leads, and says whether mail can leave for
// there. It is safe for concurrent use.
type Onward interface {
	// MayLeave is asked once for each recipient, before it is accepted: from is the reverse-path
	// as it is kept, to the recipient as the client named it. A refusal is the whole reply to
	// RCPT. It may wait for a table as long as ctx lives.
	MayLeave(ctx context.Context, from, to mail.Address, targets []mail.Recipient) *mail.Status
}

// mayLeave asks Onward. Local users hear of a refusal in a report, as of any other.
func (s *session) mayLeave(ctx context.Context, to mail.Address, targets []mail.Recipient) *mail.Status {
	if s.o.Onward == nil || s.peer.Local {
		return nil
	}
	return s.o.Onward.MayLeave(ctx, s.tx.reverse.Path, to, targets)
}
