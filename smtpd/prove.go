package smtpd

import (
	"context"
	"log/slog"
	"net/netip"

	"aliasmx/internal/mail"
)

// What can be proven of restriction lists before anybody connects: whether they let a
// stranger through to a recipient that is none of ours.

// Stranger is a client that nobody knows. Its address has no name.
type Stranger struct {
	Addr      netip.Addr
	Helo      string
	Sender    mail.Address
	Recipient mail.Address // in no domain of ours
}

// Loophole is what lets every stranger relay.
type Loophole struct {
	List string // smtpd_relay_restrictions or smtpd_recipient_restrictions
	By   string // the restriction, with its table
}

// FindLoophole asks the lists of o, as at RCPT, about strangers: nil unless all of them
// may relay. Restrictions that would ask a server say nothing, nor do those that only
// those whom the operator knows can meet, or that ask for what any stranger can have.
// Tables are asked if local says so of TYPE:NAME.
func FindLoophole(ctx context.Context, o Options, strangers []Stranger, local func(spec string) bool) *Loophole {
	p := prover{local: local, rules: make(map[string]*rule), classes: make(map[string][]Restriction)}
	for _, list := range []*[]Restriction{&o.Client, &o.Helo, &o.Sender, &o.Relay, &o.Recipient} {
		*list = p.offline(*list)
	}
	o.Language = p.language(o.Language)
	o.LogPermit, o.RejectUnlistedSender = nil, false
	var found *Loophole
	for _, who := range strangers {
		s := &session{o: &o, ctx: ctx, log: slog.New(slog.DiscardHandler), helo: who.Helo, esmtp: true,
			peer: Peer{Name: "unknown", Reverse: "unknown", Addr: who.Addr}}
		if !s.relays(ctx, who) {
			return nil
		}
		if found == nil {
			found = s.loophole(ctx)
		}
	}
	return found
}

// relays takes a stranger through the lists.
func (s *session) relays(ctx context.Context, who Stranger) bool {
	s.begin("RCPT", &who.Recipient)
	delayed := s.o.DelayReject
	if !delayed {
		s.begin("CONNECT", nil)
	}
	s.tx.active = delayed
	s.tx.sender, s.tx.from = who.Sender, who.Sender
	if s.askClient(ctx) != nil || s.askHelo(ctx) != nil {
		return false
	}
	s.tx.active = true
	if s.askSender(ctx) != nil {
		return false
	}
	s.begin("RCPT", &who.Recipient)
	return s.askRecipient(ctx) == nil && !s.tx.Discard
}

// loophole finds what permits in front of what would refuse.
func (s *session) loophole(ctx context.Context) *Loophole {
	for _, of := range []struct {
		name string
		list []Restriction
	}{{"smtpd_relay_restrictions", s.o.Relay}, {"smtpd_recipient_restrictions", s.o.Recipient}} {
		if !GuardsRelay(of.list) {
			continue
		}
		if by := s.permitter(ctx, of.list); by != "" {
			return &Loophole{of.name, by}
		}
	}
	return nil
}

// permitter names the element of a list that permits, "" for none.
func (s *session) permitter(ctx context.Context, list []Restriction) string {
	for i, r := range list {
		s.start(s.rcptSub(), nil, (*session).checkRecipient)
		switch {
		case s.judge(ctx, list[:i+1]) != permits:
		case r.rule.name == aClass:
			return s.permitter(ctx, r.class) + ", in restriction class " + r.arg
		case r.rule.name == bareTable:
			return r.arg
		default:
			return r.String()
		}
	}
	return ""
}

// prover makes of restrictions what can be asked offline.
type prover struct {
	local   func(spec string) bool
	rules   map[string]*rule         // made so far
	classes map[string][]Restriction // likewise
}

// answers are the restrictions that say something of a stranger.
func (p *prover) answers(name string) bool {
	switch name {
	case "permit", "reject", "defer", "warn_if_reject", "defer_if_permit", "defer_if_reject", aClass, bareTable,
		"check_client_access", "check_reverse_client_hostname_access", "check_helo_access", "check_sender_access",
		"check_recipient_access", "check_address_map":
		return true
	}
	return false
}

func (p *prover) rule(r *rule) *rule {
	if made := p.rules[r.name]; made != nil {
		return made
	}
	made := *r
	switch {
	case r.name == "reject_unauth_destination" || r.name == "defer_unauth_destination":
		made.apply = (*session).notOurs
	case !p.answers(r.name):
		made.apply = (*session).nobody
	}
	p.rules[r.name] = &made
	return &made
}

func (p *prover) offline(list []Restriction) []Restriction {
	made := make([]Restriction, len(list))
	for i, r := range list {
		remote := r.table != nil && !p.local(r.arg)
		r.rule = p.rule(r.rule)
		if remote {
			silent := *r.rule
			silent.apply = (*session).nobody
			r.rule = &silent
		}
		if r.class != nil {
			if p.classes[r.arg] == nil {
				p.classes[r.arg] = p.offline(r.class)
			}
			r.class = p.classes[r.arg]
		}
		made[i] = r
	}
	return made
}

// language is what results of tables mean then.
func (p *prover) language(l *Language) *Language {
	if l == nil {
		l = new(Language)
	}
	made := &Language{DNS: true, Verify: true, Greylist: true, Classes: l.Classes, OpenList: l.OpenList,
		rules: make(map[string]*rule), parsed: make(map[string][]Restriction)}
	for name, r := range builtin() {
		made.rules[name] = p.rule(r)
	}
	for name, list := range l.parsed {
		made.parsed[name] = p.offline(list)
	}
	return made
}

// notOurs is reject_unauth_destination for a recipient that is none of ours.
func (s *session) notOurs(context.Context, *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	return s.refusal(about(s.judged.rcpt, status(s.o.RelayRejectCode, mail.Code(5, 7, 1), "Relay access denied")), true)
}
