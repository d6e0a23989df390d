package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// How restriction lists are evaluated. The first element that has an opinion decides; a
// list that has come to its end permits. Beside that there are two refusals that are put
// off: one for when everything else permits (defer_if_permit), one for when something
// refuses for good (defer_if_reject). They are what an error that may pass leaves behind:
// nobody is refused for good because a name server was down.

// judgement is what evaluating lists for one command has come to.
type judgement struct {
	stage string  // the command, as the log names it
	about subject // of the list
	etrn  string  // the domain of ETRN

	rcpt    mail.Address // the recipient under way
	hasRcpt bool
	several bool // recipients, at a command that is about all of them

	byDefault func(*session, context.Context, *Restriction) outcome // what a table alone is asked for; nil: nothing

	depth    int // lists within lists
	warnOnly int // the depth at which warn_if_reject stands; 0: it does not
	fallback int // default actions of policy servers within each other

	refused  *mail.Status // the reply, after refuses
	ifPermit *mail.Status // put off by defer_if_permit
	ifReject *mail.Status // put off by defer_if_reject

	// What defer_if_permit has left behind in the lists before, for the lists after them.
	clientPermit, heloPermit, senderPermit *mail.Status

	senderListed bool // reject_unlisted_sender has been asked
}

// subject is what a restriction list is asked about, as refusals name it: "<name>: class
// rejected: ...".
type subject struct {
	class string
	name  string
	addr  mail.Address // instead of the name
}

func (u *subject) String() string {
	if u.name != "" {
		return u.name
	}
	return u.addr.Internal()
}

// rejected is the text of a refusal.
func (u *subject) rejected(why string) string {
	return "<" + echo(u.String(), maxEchoedAddress) + ">: " + u.class + " rejected: " + why
}

// The classes of subjects.
const (
	classClient    = "Client host"
	classReverse   = "Unverified Client host"
	classHelo      = "Helo command"
	classSender    = "Sender address"
	classRecipient = "Recipient address"
	classEtrn      = "Etrn command"
	classData      = "Data command"
	classEndOfData = "End-of-data"
	classLogin     = "SASL login name"
)

func (s *session) client() subject     { return subject{class: classClient, name: s.peer.String()} }
func (s *session) reverseSub() subject { return subject{class: classReverse, name: s.peer.Reverse} }
func (s *session) heloSub() subject    { return subject{class: classHelo, name: s.helo} }
func (s *session) senderSub() subject  { return subject{class: classSender, addr: s.tx.sender} }
func (s *session) rcptSub() subject    { return subject{class: classRecipient, addr: s.judged.rcpt} }

// begin prepares for the lists of one command. to is the recipient under way.
func (s *session) begin(stage string, to *mail.Address) {
	j := &s.judged
	j.stage, j.hasRcpt, j.rcpt, j.etrn, j.several = stage, to != nil, mail.Address{}, "", false
	if to != nil {
		j.rcpt = *to
	}
}

// askClient asks smtpd_client_restrictions.
func (s *session) askClient(ctx context.Context) *mail.Status {
	refused := s.ask(ctx, s.o.Client, s.client(), nil, (*session).checkClient)
	s.judged.clientPermit = s.judged.ifPermit
	return refused
}

// askHelo asks smtpd_helo_restrictions, of a client that has said HELO.
func (s *session) askHelo(ctx context.Context) *mail.Status {
	j := &s.judged
	if s.helo == "" {
		j.heloPermit = j.clientPermit
		return nil
	}
	refused := s.ask(ctx, s.o.Helo, s.heloSub(), j.clientPermit, (*session).checkHeloAccess)
	j.heloPermit = j.ifPermit
	return refused
}

// askSender asks smtpd_sender_restrictions.
func (s *session) askSender(ctx context.Context) *mail.Status {
	j := &s.judged
	j.senderListed = false
	refused := s.ask(ctx, s.o.Sender, s.senderSub(), j.heloPermit, (*session).checkSender)
	j.senderPermit = j.ifPermit
	if refused != nil || !s.o.RejectUnlistedSender || j.senderListed || s.tx.Discard {
		return refused
	}
	return s.end(s.rejectUnlistedSender(ctx, nil))
}

// askRecipient asks smtpd_relay_restrictions and smtpd_recipient_restrictions.
func (s *session) askRecipient(ctx context.Context) *mail.Status {
	j := &s.judged
	lists := [2][]Restriction{s.o.Relay, s.o.Recipient}
	if s.o.RecipientBeforeRelay {
		lists[0], lists[1] = lists[1], lists[0]
	}
	s.start(s.rcptSub(), j.senderPermit, (*session).checkRecipient)
	for _, list := range lists {
		if refused := s.end(s.judge(ctx, list)); refused != nil {
			return refused
		}
	}
	return s.putOff()
}

// askAlone asks a list that stands for itself: that of DATA, of the end of data, of ETRN.
func (s *session) askAlone(ctx context.Context, list []Restriction, about subject, left *mail.Status, byDefault func(*session, context.Context, *Restriction) outcome) *mail.Status {
	if refused := s.ask(ctx, list, about, left, byDefault); refused != nil {
		return refused
	}
	return s.putOff()
}

// ask evaluates one list: the refusal, or nil. left is what the lists before put off.
func (s *session) ask(ctx context.Context, list []Restriction, about subject, left *mail.Status, byDefault func(*session, context.Context, *Restriction) outcome) *mail.Status {
	s.start(about, left, byDefault)
	return s.end(s.judge(ctx, list))
}

func (s *session) start(about subject, left *mail.Status, byDefault func(*session, context.Context, *Restriction) outcome) {
	j := &s.judged
	j.about, j.byDefault = about, byDefault
	j.depth, j.warnOnly, j.ifPermit, j.ifReject, j.refused = 0, 0, left, nil, nil
}

func (s *session) end(o outcome) *mail.Status {
	if o == refuses {
		return s.judged.refused
	}
	return nil
}

// putOff is the refusal for when everything permits, if there is one.
func (s *session) putOff() *mail.Status {
	j := &s.judged
	if j.ifPermit == nil {
		return nil
	}
	return s.end(s.refusal(j.ifPermit, true))
}

// judge evaluates a list, or a class within one.
func (s *session) judge(ctx context.Context, list []Restriction) (result outcome) {
	if len(list) == 0 {
		return dunno
	}
	j := &s.judged
	outer := j.depth
	j.depth++
	for i := range list {
		if s.tx.Discard {
			break // the message goes nowhere: there is nothing left to ask
		}
		r := &list[i]
		result = r.rule.apply(s, ctx, r)
		if r.rule.name == "warn_if_reject" {
			continue
		}
		if j.warnOnly >= j.depth {
			j.warnOnly = 0
		}
		if result != dunno || j.ifPermit != nil && j.ifReject != nil {
			break
		}
	}
	j.depth = outer
	if j.warnOnly >= j.depth {
		j.warnOnly = 0
	}
	return result
}

// reject refuses for what the operator wants refused.
func (s *session) reject(about subject, code int, enhanced mail.Enhanced, why string) outcome {
	return s.refusal(status(code, enhanced, about.rejected(why)), true)
}

// refusal refuses with a reply. What the operator wants refused (policy) is only warned
// of after warn_if_reject; what we cannot know is not.
func (s *session) refusal(refused *mail.Status, policy bool) outcome {
	j := &s.judged
	if refused.Code < 400 || refused.Code > 599 {
		s.warn("SMTP reply code configuration error: " + refused.Error())
		refused = status(450, mail.Code(4, 7, 1), "Service unavailable")
	}
	refused.Enhanced[0] = uint16(refused.Code / 100)
	if policy && j.warnOnly > 0 {
		if s.o.SoftBounce {
			refused = soften(refused)
		}
		s.logAction("reject_warning", refused.Error())
		return dunno
	}
	if later := j.ifReject; later != nil && refused.Code/100 == 5 {
		j.warnOnly, j.ifReject = 0, nil
		refused = later
	}
	j.refused = refused
	return refuses
}

// misconfigured refuses because of a mistake that only the operator can mend.
func (s *session) misconfigured() outcome {
	return s.refusal(status(451, mail.Code(4, 3, 5), "Server configuration error"), false)
}

// unanswered refuses because nobody could be asked about name.
func (s *session) unanswered(name string) outcome {
	refused := errLookup()
	refused.Text = "<" + echo(name, maxEchoedAddress) + ">: " + refused.Text
	return s.refusal(refused, false)
}

// deferLater refuses for now once everything else permits, or at once where the operator
// wants that (unknown_address_tempfail_action and the like).
func (s *session) deferLater(later bool, about subject, code int, enhanced mail.Enhanced, why string) outcome {
	j := &s.judged
	if !later || j.warnOnly > 0 {
		return s.reject(about, code, enhanced, why)
	}
	if j.ifPermit == nil {
		j.ifPermit = status(code, enhanced, about.rejected(why))
	}
	return dunno
}

// deferRefusal makes a later refusal for good one for now.
func (s *session) deferRefusal(about subject, code int, enhanced mail.Enhanced, why string) outcome {
	if j := &s.judged; j.ifReject == nil {
		enhanced[0] = uint16(code / 100)
		j.ifReject = status(code, enhanced, about.rejected(why))
	}
	return dunno
}

// permitted permits, and logs it where the operator wants to see it
// (smtpd_log_access_permit_actions). by is the table that said so.
func (s *session) permitted(ctx context.Context, action string, about subject, by string) outcome {
	if s.o.LogPermit == nil || s.judged.ifPermit != nil {
		return permits
	}
	logged, err := s.o.LogPermit.Match(ctx, action)
	if err != nil {
		s.warn("smtpd_log_access_permit_actions: " + err.Error())
	}
	if logged {
		text := "action=" + action + " for " + about.class + "=" + about.String()
		if text += " "; by != "" { // Postfix leaves the space where there is no table
			text += "from " + by
		}
		s.logAction("permit", text)
	}
	return permits
}

// logAction logs what a restriction did that is no refusal.
func (s *session) logAction(kind, text string) {
	var to *mail.Address
	if s.judged.hasRcpt {
		to = &s.judged.rcpt
	}
	s.logWhat(kind, s.judged.stage, to, text)
}

// isLocalClient tells whether addresses in the header of a message are completed and the
// fields that it has not are added (postconf(5): local_header_rewrite_clients).
func (s *session) isLocalClient() bool {
	switch {
	case s.original.source != "":
		return s.original.source == "LOCAL"
	case s.peer.Local || len(s.o.LocalClients) == 0:
		return s.peer.Local
	}
	ctx := s.lookup()
	s.start(s.client(), nil, (*session).checkAddressMap)
	for i := range s.o.LocalClients {
		if r := &s.o.LocalClients[i]; r.rule.apply(s, ctx, r) == permits {
			return true
		}
	}
	return false
}

// checkAddressMap permits clients whose address a table has
// (postconf(5): local_header_rewrite_clients, check_address_map).
func (s *session) checkAddressMap(ctx context.Context, r *Restriction) outcome {
	_, found, err := r.table.Lookup(ctx, s.peer.Addr.String())
	if err != nil {
		s.warn(r.table.Name() + ": table lookup problem: " + err.Error())
	}
	if found && err == nil {
		return permits
	}
	return dunno
}

// checkDefault asks a table that stands alone, for what its list is about.
func (s *session) checkDefault(ctx context.Context, r *Restriction) outcome {
	if s.judged.byDefault == nil {
		s.warn("specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, " +
			"check_sender_access, check_recipient_access, check_etrn_access) before " + s.judged.about.class + ` restriction "` + r.arg + `"`)
		return s.misconfigured()
	}
	return s.judged.byDefault(s, ctx, r)
}
