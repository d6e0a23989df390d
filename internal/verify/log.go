package verify

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// The lines of a probe in the mail log: those of any message, but for its status, which is
// "deliverable" or "undeliverable".

func (v *Verifier) logVerify() *slog.Logger { return v.log.With(mail.KeyDaemon, "verify") }

func (v *Verifier) event(daemon, event string, f *flight, attrs ...slog.Attr) {
	all := []slog.Attr{slog.String(mail.KeyDaemon, daemon), slog.String(mail.KeyQueueID, f.env.ID.String())}
	v.log.LogAttrs(context.Background(), slog.LevelInfo, event, append(all, attrs...)...)
}

// logMessageID gives the probe the header that Postfix gives it. Nobody gets to see it, but
// its size is told to the next hop.
func (v *Verifier) logMessageID(f *flight, p *Params) {
	env := f.env
	id := fmt.Sprintf("<%s.%s@%s>", env.Arrived.UTC().Format("20060102150405"), env.ID, p.MyHostname)
	date := env.Arrived.Format("Mon, _2 Jan 2006 15:04:05 -0700 (MST)")
	env.Prepend = fmt.Appendf(nil, "Received: by %s (%s)\r\n\tid %s; %s\r\nDate: %s\r\nFrom: %s\r\nMessage-Id: %s\r\n",
		p.MyHostname, p.MailName, env.ID, date, date, env.Sender, id)
	v.event("cleanup", mail.EventMessageID, f, slog.String(mail.KeyMessage, id))
}

func (v *Verifier) logActive(f *flight, nrcpt int) {
	v.event("qmgr", mail.EventActive, f,
		slog.String(mail.KeyFrom, f.env.Sender.String()),
		slog.Int64(mail.KeySize, int64(len(f.env.Prepend))),
		slog.Int(mail.KeyNrcpt, nrcpt))
}

func (v *Verifier) logRemoved(f *flight) { v.event("qmgr", mail.EventRemoved, f) }

func (v *Verifier) logDelivery(f *flight, r *mail.Result) {
	now, to := v.now(), &f.env.Rcpts[0]
	v.mu.Lock()
	cached := v.params.NegativeCache
	v.mu.Unlock()
	status := "undeliverable"
	switch {
	case r.State == mail.Delivered:
		status = "deliverable"
	case !cached:
		status = "undeliverable-but-not-cached"
	}
	attrs := []slog.Attr{slog.String(mail.KeyTo, to.Final.String())}
	if orig := to.OrigTo(); orig != "" {
		attrs = append(attrs, slog.String(mail.KeyOrigTo, orig))
	}
	attrs = append(attrs, slog.String(mail.KeyRelay, r.Relay))
	if r.ConnUse > 1 {
		attrs = append(attrs, slog.Int(mail.KeyConnUse, r.ConnUse))
	}
	if r.TLS != "" {
		attrs = append(attrs, slog.String(mail.KeyTLS, r.TLS))
	}
	delays := [4]time.Duration{f.active.Sub(f.env.Arrived), f.started.Sub(f.active), r.Connected, r.Transmitted}
	if r.Connected == 0 && r.Transmitted == 0 {
		delays[3] = now.Sub(f.started)
	}
	v.event(r.Agent, mail.EventDelivery, f, append(attrs,
		slog.Duration(mail.KeyDelay, now.Sub(f.env.Arrived)),
		slog.Any(mail.KeyDelays, delays),
		slog.String(mail.KeyDSN, r.Status.Enhanced.String()),
		slog.String(mail.KeyStatus, status),
		slog.String(mail.KeyReason, r.Reason))...)
}
