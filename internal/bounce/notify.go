package bounce

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"aliasmx/internal/mail"
)

// Who is told, of what, and from whom.

// form is how a report is written.
type form struct {
	to       mail.Address // completed
	from     mail.Address // reverse-path
	copy     bool         // for the postmaster: other subject, no text but the facts
	headOnly bool         // returns the header of the message only
	global   bool         // goes by SMTPUTF8: in the forms of RFC 6533
	veil     *veil        // nil: nothing is kept from the reader
	entries  []entry
}

// Notify writes the report for the sender of a message, RFC 3461 section 6. The
// envelope is nil when nobody is to be told: the recipients' NOTIFY says so, the
// reverse-path is null, or the message was a notice of our own. An error means that the
// report may succeed later.
func (w *Writer) Notify(ctx context.Context, r mail.Report) (*mail.Envelope, []byte, error) {
	sender := w.complete(r.Env.Sender)
	f := form{to: sender, veil: w.veilFor(r.Env), headOnly: r.Kind != mail.ReportFailed || r.Env.Ret == "HDRS" || needsTLS(r.Env)}
	wanted := wantedBy(r.Kind)
	switch {
	case w.isDoubleBounce(sender):
		w.log.Warn(fmt.Sprintf("%s: undeliverable postmaster notification discarded", r.Env.ID))
		return nil, nil, nil
	case r.Env.Sender.IsNull():
		// A report of somebody, perhaps of ours, that nobody takes: a double bounce.
		postmaster, ok := w.doubleBounceTo(r.Kind)
		if !ok {
			return nil, nil, nil
		}
		f.to, f.from, f.veil = w.parse(postmaster), w.doubleBounceSender(), nil
		f.copy = r.Kind == mail.ReportFailed || r.Kind == mail.ReportDelayed
		f.headOnly = !f.copy || needsTLS(r.Env)
		wanted = everything
	case w.mayBeForged(r.Env):
		if r.Kind != mail.ReportFailed {
			return nil, nil, nil
		}
		// Whoever is named there has most likely never written it. Nothing may vanish: the
		// postmaster gets it, whatever notify_classes says.
		w.log.Warn(fmt.Sprintf("%s: sender non-delivery notification withheld: the sender was not authentic; sent to the postmaster", r.Env.ID))
		f = form{to: w.parse(w.o.DoubleBounceRecipient), from: w.doubleBounceSender(), copy: true, headOnly: needsTLS(r.Env)}
		wanted = everything
	}
	return w.write(ctx, r, f, wanted)
}

// mayBeForged tells whether a report would go to somebody who is hardly the sender
// (bounce_unauthenticated): SPF says that the client may not use the reverse-path, or nothing
// says that it may and the author's domain that it has not sent the message.
func (w *Writer) mayBeForged(env *mail.Envelope) bool {
	a := &env.Auth
	if w.o.Unauthenticated || a.Vouched || a.SPF == mail.AuthPass {
		return false
	}
	return a.SPF == mail.AuthFail || a.DMARC == mail.AuthFail
}

// Copy writes the copy of a report that notify_classes wants for the postmaster
// ("bounce": of failures; "delay": of delays). It does not heed NOTIFY. The envelope is
// nil when there is none to be sent. It is less important than the report: if it
// cannot be written it is forgotten.
func (w *Writer) Copy(ctx context.Context, r mail.Report) (*mail.Envelope, []byte, error) {
	to := w.o.BounceRecipient
	switch {
	case r.Env.Sender.IsNull() || w.isDoubleBounce(w.complete(r.Env.Sender)), w.mayBeForged(r.Env) && r.Kind == mail.ReportFailed:
		return nil, nil, nil // Notify has written to the postmaster already
	case r.Kind == mail.ReportFailed && w.notifies("bounce"):
	case r.Kind == mail.ReportDelayed && w.notifies("delay"):
		to = w.o.DelayRecipient
	default:
		return nil, nil, nil
	}
	return w.write(ctx, r, form{
		to: w.parse(to), from: w.doubleBounceSender(), copy: true, headOnly: true,
	}, everything)
}

// everything is for who has to know whatever the sender wished to hear.
const everything = mail.Notify(0xff)

// wantedBy are the NOTIFY keywords that ask for a kind of report. Who asked for
// nothing hears of failures and delays (RFC 3461 section 4.1).
func wantedBy(k mail.ReportKind) mail.Notify {
	switch k {
	case mail.ReportFailed:
		return mail.NotifyFailure
	case mail.ReportDelayed:
		return mail.NotifyDelay
	}
	return mail.NotifySuccess | mail.NotifyExpanded
}

// doubleBounceTo is who hears of mail with a null reverse-path.
func (w *Writer) doubleBounceTo(k mail.ReportKind) (string, bool) {
	switch k {
	case mail.ReportFailed:
		return w.o.DoubleBounceRecipient, w.notifies("2bounce", "bounce")
	case mail.ReportDelayed:
		return w.o.DelayRecipient, w.notifies("delay")
	}
	return w.o.DoubleBounceRecipient, w.notifies("2bounce")
}

func (w *Writer) doubleBounceSender() mail.Address {
	return mail.Address{Local: w.o.DoubleBounceSender, Domain: w.o.MyOrigin}
}

func (w *Writer) isDoubleBounce(a mail.Address) bool {
	own := w.doubleBounceSender()
	return strings.EqualFold(a.Local, own.Local) && strings.EqualFold(a.Domain, own.Domain)
}

// complete gives a bare name the domain of our own mail (append_at_myorigin).
func (w *Writer) complete(a mail.Address) mail.Address {
	if a.Domain == "" && a.Local != "" && !strings.HasSuffix(a.Local, "@") {
		a.Domain = w.o.MyOrigin
	}
	return a
}

func (w *Writer) parse(addr string) mail.Address { return w.complete(mail.SplitAddress(addr)) }

// write makes envelope and body of a report, if there is anything in it that is wanted.
func (w *Writer) write(ctx context.Context, r mail.Report, f form, wanted mail.Notify) (*mail.Envelope, []byte, error) {
	f.global = r.Env.Flags&mail.FlagSMTPUTF8 != 0 || !isASCII(f.to.String())
	if f.entries = w.entries(r, &f, wanted); len(f.entries) == 0 {
		return nil, nil, nil
	}
	kind, _ := typed(f.to, true)
	req := mail.RcptRequest{Addr: f.to, ORcpt: kind + ";" + f.to.Internal(), Sender: f.from}
	rcpts, err := w.o.Resolve(ctx, req)
	if err != nil {
		if status := mail.StatusOf(err); !status.Temporary() {
			w.log.Warn(fmt.Sprintf("%s: sender notification failed to %s: %v", r.Env.ID, f.to, status),
				slog.String(mail.KeyTo, f.to.String()))
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("report on %s to %s: %w", r.Env.ID, f.to, err)
	}
	if len(rcpts) == 0 {
		return nil, nil, nil
	}
	body, err := w.compose(r, f)
	if err != nil {
		return nil, nil, fmt.Errorf("report on %s: %w", r.Env.ID, err)
	}
	env := &mail.Envelope{
		ID:      r.NewID,
		Arrived: r.Now,
		Sender:  f.from,
		Flags:   mail.FlagNotice | mail.FlagBody8BitMIME | r.Env.Flags&mail.FlagRequireTLS,
		Client:  mail.Client{UID: -1},
		Prepend: w.received(r),
		Rcpts:   rcpts,
	}
	if f.global {
		env.Flags |= mail.FlagSMTPUTF8
	}
	return env, body, nil
}

// needsTLS tells whether a message must not be seen on its way. A report about it keeps
// that wish, and as it may be in vain has no more of the message than its header (RFC 8689
// section 5).
func needsTLS(env *mail.Envelope) bool { return env.Flags&mail.FlagRequireTLS != 0 }
