package smtpd

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// subject is what a restriction list is asked about, as refusals name it: "<name>: class
// rejected: ...".
type subject struct {
	class string
	name  string
}

func (u subject) rejected(code int, enhanced mail.Enhanced, why string) *mail.Status {
	enhanced[0] = uint16(code / 100)
	return status(code, enhanced, "<"+echo(u.name, maxEchoedAddress)+">: "+u.class+" rejected: "+why)
}

// The subjects of the lists.
func (s *session) client() subject    { return subject{"Client host", s.peer.String()} }
func (s *session) heloSub() subject   { return subject{"Helo command", s.helo} }
func (s *session) senderSub() subject { return subject{"Sender address", s.tx.sender.Internal()} }
func rcptSub(a mail.Address) subject  { return subject{"Recipient address", a.Internal()} }

// ask evaluates one list: the refusal, or nil. The first restriction that has an opinion
// decides; an empty list permits. rcpt is the recipient under way, nil when there is none.
func (s *session) ask(ctx context.Context, list []Restriction, about subject, rcpt *mail.Address) *mail.Status {
	for _, r := range list {
		permit, refused := s.apply(ctx, r, about, rcpt)
		if refused != nil {
			return refused
		}
		if permit {
			return nil
		}
	}
	return nil
}

// apply evaluates one restriction: permit, refuse, or neither.
func (s *session) apply(ctx context.Context, r Restriction, about subject, rcpt *mail.Address) (permit bool, refused *mail.Status) {
	switch r.name {
	case "permit":
		return true, nil
	case "reject":
		return false, about.rejected(s.o.RejectCode, mail.Code(5, 7, 1), "Access denied")
	case "defer":
		return false, about.rejected(s.o.DeferCode, mail.Code(4, 3, 2), "Try again later")
	case "permit_mynetworks":
		return s.inMyNetworks(ctx)
	case "permit_inet_interfaces":
		return s.o.OwnAddr != nil && s.o.OwnAddr(s.peer.Addr), nil
	case "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_tls_all_clientcerts":
		return false, nil // nobody is authenticated without AUTH and TLS
	case "reject_unauth_pipelining":
		if s.improper {
			return false, about.rejected(503, mail.Code(5, 5, 0), "Improper use of SMTP command pipelining")
		}
		return false, nil
	case "reject_invalid_helo_hostname":
		return false, s.checkHelo(false)
	case "reject_non_fqdn_helo_hostname":
		return false, s.checkHelo(true)
	case "reject_non_fqdn_sender", "reject_unknown_sender_domain", "reject_unlisted_sender":
		if !s.tx.active {
			return false, nil
		}
		return false, s.applyToSender(ctx, r)
	}
	if rcpt == nil {
		return false, nil
	}
	return s.applyToRecipient(ctx, r, *rcpt)
}

func (s *session) applyToSender(ctx context.Context, r Restriction) *mail.Status {
	switch r.name {
	case "reject_non_fqdn_sender":
		return s.checkFQDN(s.tx.sender, s.senderSub())
	case "reject_unknown_sender_domain":
		return s.checkDomain(ctx, s.tx.from, s.senderSub(), mail.Code(4, 1, 8))
	default:
		return s.unlistedSender(ctx)
	}
}

func (s *session) applyToRecipient(ctx context.Context, r Restriction, rcpt mail.Address) (permit bool, refused *mail.Status) {
	switch r.name {
	case "permit_auth_destination":
		ours, refused := s.isOurs(ctx, rcpt)
		return ours && refused == nil, refused
	case "reject_unauth_destination":
		return false, s.unauthDestination(ctx, rcpt, s.o.RelayRejectCode)
	case "defer_unauth_destination":
		return false, s.unauthDestination(ctx, rcpt, 400+s.o.RelayRejectCode%100)
	case "reject_non_fqdn_recipient":
		return false, s.checkFQDN(rcpt, rcptSub(rcpt))
	case "reject_unknown_recipient_domain":
		return false, s.checkDomain(ctx, s.o.Recipients.Complete(rcpt), rcptSub(rcpt), mail.Code(4, 1, 2))
	case "reject_unlisted_recipient":
		_, refused := s.expand(ctx, rcpt)
		return false, refused
	}
	return false, nil
}

// inMyNetworks matches the client against mynetworks.
func (s *session) inMyNetworks(ctx context.Context) (bool, *mail.Status) {
	if s.o.MyNetworks == nil {
		return false, nil
	}
	ok, err := s.o.MyNetworks.Match(ctx, s.peer.Name, s.peer.Addr)
	if err != nil {
		s.warn("mynetworks: " + err.Error())
		refused := *errLookup()
		refused.Text = "<" + s.peer.String() + ">: " + refused.Text
		return false, &refused
	}
	return ok, nil
}

// isOurs tells whether we are responsible for an address.
func (s *session) isOurs(ctx context.Context, rcpt mail.Address) (bool, *mail.Status) {
	class, err := s.o.Recipients.Class(ctx, s.o.Recipients.Complete(rcpt))
	if err != nil {
		return false, about(rcpt, s.lookupFailed(err))
	}
	return class != mail.ClassDefault, nil
}

func (s *session) unauthDestination(ctx context.Context, rcpt mail.Address, code int) *mail.Status {
	ours, refused := s.isOurs(ctx, rcpt)
	if ours || refused != nil {
		return refused
	}
	return about(rcpt, status(code, mail.Code(uint16(code/100), 7, 1), "Relay access denied"))
}

// checkHelo looks at the form of the HELO name. It is never looked up: RFC 5321 section
// 4.1.4 forbids to refuse mail because the name does not verify.
func (s *session) checkHelo(qualified bool) *mail.Status {
	name := s.helo
	switch {
	case name == "":
		return nil
	case name[0] == '[':
		if _, ok := mail.ParseLiteral(name); !ok {
			return s.heloSub().rejected(s.o.InvalidHostnameRejectCode, mail.Code(5, 5, 2), "invalid ip address")
		}
		return nil
	}
	name = strings.TrimSuffix(name, ".")
	if valid := mail.ValidHostname(name); qualified && (!valid || !strings.Contains(name, ".")) {
		return s.heloSub().rejected(s.o.NonFQDNRejectCode, mail.Code(5, 5, 2), "need fully-qualified hostname")
	} else if !valid {
		return s.heloSub().rejected(s.o.InvalidHostnameRejectCode, mail.Code(5, 5, 2), "Invalid name")
	}
	return nil
}

func (s *session) checkFQDN(a mail.Address, what subject) *mail.Status {
	if a.IsNull() || strings.HasPrefix(a.Domain, "[") {
		return nil
	}
	domain := strings.TrimSuffix(a.Domain, ".")
	if mail.ValidHostname(domain) && strings.Contains(domain, ".") {
		return nil
	}
	return what.rejected(s.o.NonFQDNRejectCode, mail.Code(5, 5, 2), "need fully-qualified address")
}

// checkDomain asks whether mail to a domain could go anywhere.
func (s *session) checkDomain(ctx context.Context, a mail.Address, what subject, enhanced mail.Enhanced) *mail.Status {
	if a.IsNull() || strings.HasPrefix(a.Domain, "[") {
		return nil
	}
	if class, err := s.o.Recipients.Class(ctx, a); err == nil && class != mail.ClassDefault {
		return nil
	}
	if s.o.DomainExists == nil {
		return status(451, mail.Code(4, 3, 5), "Server configuration error")
	}
	exists, err := s.o.DomainExists(ctx, strings.TrimSuffix(a.Domain, "."))
	if err != nil {
		return what.rejected(450, enhanced, "Domain not found")
	}
	if !exists {
		return what.rejected(s.o.UnknownAddressRejectCode, enhanced, "Domain not found")
	}
	return nil
}

// about puts the address in front of a refusal's text.
func about(a mail.Address, s *mail.Status) *mail.Status {
	refused := *s
	refused.Text = "<" + echo(a.Internal(), maxEchoedAddress) + ">: " + s.Text
	return &refused
}
