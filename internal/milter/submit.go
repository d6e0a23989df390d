package milter

import (
	"context"
	"log/slog"
	"net/netip"

	"aliasmx/internal/mail"
)

// Mail that no SMTP client brought: milters are told what they would be told if a client
// on this machine had (postconf(5): non_smtpd_milters).

// Submit shows the milters a submitted message. The connection, EHLO, MAIL, RCPT and DATA
// are made up, as cleanup(8) does it. What is decided is logged here: there is no session
// that could.
func (s *Set) Submit(ctx context.Context, from mail.MilterSubmission, m *mail.MilterMessage) (mail.MilterReply, error) {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	rcpt := ""
	macros := func(name string) (string, bool) {
		switch name {
		case "i":
			return m.ID.String(), true
		case "_":
			return "localhost [127.0.0.1]", true
		case "client_addr", "daemon_addr":
			return local.String(), true
		case "client_name", "client_ptr":
			return "localhost", true
		case "client_port", "daemon_port":
			return "0", true
		case "mail_addr":
			return from.Sender.String(), true
		case "rcpt_addr":
			return rcpt, rcpt != ""
		}
		return "", false
	}
	m.Macros = macros
	sn := s.Session(ctx, m.Log, macros)
	defer sn.Close()
	last := ""
	log := func(stage string, r mail.MilterReply) {
		attrs := []slog.Attr{
			slog.String(mail.KeyQueueID, m.ID.String()), slog.String(mail.KeyKind, r.Kind()), slog.String(mail.KeyStage, stage),
			slog.String(mail.KeyClient, "localhost[127.0.0.1]"), slog.String(mail.KeyReason, r.AtEnd(m.HoldReason)),
			slog.String(mail.KeyFrom, from.Sender.String()),
		}
		if last != "" {
			attrs = append(attrs, slog.String(mail.KeyTo, last))
		}
		m.Log.LogAttrs(ctx, slog.LevelInfo, mail.EventCleanup, attrs...)
	}
	held := false
	// decided tells whether a reply ends it. What only holds the message does not.
	decided := func(stage string, r mail.MilterReply) bool {
		switch {
		case r.Action == mail.MilterContinue:
			return false
		case r.Action == mail.MilterHold && held:
			return false
		}
		log(stage, r)
		held = held || r.Action == mail.MilterHold
		return r.Action != mail.MilterHold
	}
	result := func(r mail.MilterReply, err error) (mail.MilterReply, error) {
		if r.Action == mail.MilterContinue && held {
			r.Action = mail.MilterHold
		}
		return r, err
	}
	r := sn.Connect(mail.MilterClient{Name: "localhost", Addr: local})
	if decided("CONNECT", r) {
		return r, nil
	}
	if r.Action == mail.MilterContinue {
		if r = sn.Helo("localhost"); decided("EHLO", r) {
			return r, nil
		}
	}
	if r.Action == mail.MilterContinue {
		if r = sn.Mail([]string{from.Sender.String()}); decided("MAIL", r) {
			return r, nil
		}
	}
	for _, to := range from.Rcpts {
		rcpt, last = to.String(), to.String()
		if r = sn.Rcpt([]string{rcpt}, false); decided("RCPT", r) {
			if r.Action == mail.MilterRefuse {
				m.Log.Warn(m.ID.String() + ": milter configuration error: can't reject recipient in non-smtpd(8) submission")
				m.Log.Warn(m.ID.String() + ": message not accepted, try again later")
				r.Text = "451 4.3.5 Server configuration error"
			}
			return r, nil
		}
	}
	if r = sn.Data(); decided("DATA", r) {
		return r, nil
	}
	r, err := sn.Message(m)
	if err != nil || decided("END-OF-MESSAGE", r) {
		return r, err
	}
	return result(r, nil)
}
