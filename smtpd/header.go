package smtpd

import (
	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// headerOptions say what becomes of the header of the message under way. Addresses in
// it are rewritten, and missing fields added, for local clients; for others only if
// there is a domain to complete their addresses with that is not ours (postconf(5):
// remote_header_rewrite_domain).
func (s *session) headerOptions() header.Options {
	o := header.Options{
		DropFields: s.o.MessageDropHeaders,
		ID:         s.tx.id, MyHostname: s.o.MyHostname, Now: s.tx.arrived, From: s.tx.reverse.Path, ObsoleteFrom: s.o.HeaderFromObsolete,
		HeaderSizeLimit: s.o.HeaderSizeLimit, TokenLimit: s.o.HeaderTokenLimit,
	}
	if s.tx.auth.running != nil && !s.bringsResults() {
		o.MayDrop = []string{"Authentication-Results"}
		o.Drop = func(_ string, field []byte) bool { return s.o.Authenticator.Forged(field) }
	}
	domain := ""
	rewrite := s.isLocalClient()
	if !rewrite {
		domain = s.o.RemoteHeaderDomain
		rewrite = domain != ""
	}
	if rewrite {
		o.Rewrite = func(a mail.Address, sender bool) (mail.Address, error) {
			to, err := s.o.Recipients.HeaderAddress(s.lookup(), a, sender, domain)
			if err != nil {
				err = s.lookupFailed(err)
			}
			return to, err
		}
		if from, err := o.Rewrite(o.From, true); err == nil && !o.From.IsNull() {
			o.From = from // where the message has none
		}
	}
	o.AddMissing = rewrite || s.o.AlwaysAddMissingHeaders
	return o
}

// bringsResults tells whether a message can have an Authentication-Results field that is ours:
// where a content filter hands it back, from this machine or with XFORWARD. Users have no say in
// what we have found out (RFC 8601 section 5).
func (s *session) bringsResults() bool {
	return s.peer.Local || s.tx.auth.trusted && s.loginName() == "" && (s.peer.Addr.Unmap().IsLoopback() || s.original.client)
}
