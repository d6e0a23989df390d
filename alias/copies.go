package alias

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// The reverse-path, and automatic copies of messages: sender_bcc_maps,
// recipient_bcc_maps, always_bcc. Nobody is told what becomes of a copy.

// Sender is what becomes of a reverse-path: completed, in its canonical form, and with
// the copies that the message is to have because of it. Mail from our own MAILER-DAEMON
// has the null reverse-path. An error is a *mail.Status, always temporary.
func (r *Resolver) Sender(ctx context.Context, a mail.Address) (mail.Reverse, error) {
	path := r.Complete(a)
	if strings.EqualFold(path.Local, mailerDaemon) && equalFold(path, r.Complete(mail.Address{Local: mailerDaemon})) {
		path = mail.Address{}
	}
	path, err := r.canonical(ctx, envelopeSender, path, nil)
	if err != nil {
		return mail.Reverse{}, err
	}
	rev := mail.Reverse{Path: path}
	if !path.IsNull() {
		if rev.First, err = r.copies(ctx, "sender_bcc_maps", r.senderBcc, path, path, nil); err != nil {
			return mail.Reverse{}, err
		}
	}
	if r.o.AlwaysBcc != "" {
		if rev.Last, err = r.copyTo(ctx, r.o.AlwaysBcc, path, nil); err != nil {
			return mail.Reverse{}, err
		}
	}
	return rev, nil
}

const mailerDaemon = "MAILER-DAEMON"

// copies are the recipients that a table has for an address.
func (r *Resolver) copies(ctx context.Context, parameter string, in searched, a, sender mail.Address, tr *trace) ([]mail.Recipient, error) {
	h, found, err := r.find(ctx, in, a)
	if err != nil {
		r.log.Warn(parameter + " map lookup problem -- message not accepted, try again later")
		return nil, err
	}
	if !found {
		return nil, nil
	}
	tr.copied(a, h, parameter)
	return r.copyTo(ctx, h.value, sender, tr)
}

// copyTo is where a copy goes that is addressed as a parameter or table says.
func (r *Resolver) copyTo(ctx context.Context, address string, sender mail.Address, tr *trace) ([]mail.Recipient, error) {
	lax := r.AcceptUnlisted()
	a, err := lax.canonical(ctx, envelopeRecipient, lax.Complete(splitInternal(address)), tr)
	if err != nil {
		return nil, err
	}
	x, err := lax.expand(ctx, a, tr)
	if err != nil {
		return nil, err
	}
	origin := mail.Recipient{Orig: a, ORcpt: "rfc822;" + external(a), Notify: mail.NotifyNever}
	rcpts, _, _, err := lax.deliverTo(ctx, x, origin, sender, tr)
	return rcpts, err
}
