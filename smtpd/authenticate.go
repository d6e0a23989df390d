package smtpd

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Who a message is from, as far as a session has to do with it: it says when to begin, at
// MAIL, asks at RCPT and when the message has come whole, and ends what is under way when
// the transaction does. What is found, and what follows from it, is the Authenticator's.

// Authenticator finds out who messages are from, and decides what becomes of them. It is
// safe for concurrent use.
type Authenticator interface {
	// Begin is told of a transaction at MAIL, and does not wait. What it begins lasts no
	// longer than ctx, and is ended by one Close.
	Begin(ctx context.Context, r mail.AuthRequest) Authentication

	// Forged tells whether a header field that a stranger has sent says that it is ours
	// (RFC 8601 section 5).
	Forged(field []byte) bool
}

// Authentication is what is being found out about one transaction. Path and Message wait
// within time limits of its own; neither fails: who cannot be asked is part of the verdict.
// It is used by one goroutine.
type Authentication interface {
	// Path is asked at each RCPT: a refusal if the envelope alone is enough for one.
	Path(ctx context.Context) *mail.Status

	// Message is asked once, of a message that has come whole and that the checks of
	// content have let pass.
	Message(ctx context.Context, m mail.AuthMessage) mail.AuthVerdict

	Close() // ends it, finished or not
}

// authentication is what a transaction has to do with an Authenticator.
type authentication struct {
	running Authentication // nil: nobody asks
	trusted bool
	given   []mail.Address // recipients as the client named them
	above   []byte         // fields that stand above all others
	found   mail.Authentic
}

// beginAuthentication has an Authenticator begin, once a transaction has been let in.
func (s *session) beginAuthentication() error {
	if s.o.Authenticator == nil {
		return nil
	}
	a := &s.tx.auth
	r := mail.AuthRequest{Client: s.authClient(), Sender: s.tx.from, Login: s.loginName()}
	var refused *mail.Status
	if a.trusted, refused = s.isTrusted(&r.Client); refused == nil && r.Login != "" {
		r.Owners = len(s.o.SenderLoginMaps) > 0
		r.Owner, refused = s.isOwner()
	}
	if refused != nil {
		return s.refuse("MAIL", nil, refused)
	}
	r.Trusted = a.trusted
	a.running = s.o.Authenticator.Begin(s.ctx, r)
	return nil
}

// authClient is the client that a message is judged by: who stands before us, or whom that
// one has it from (XFORWARD).
func (s *session) authClient() mail.Client {
	c := mail.Client{
		Name: s.peer.Name, Addr: s.peer.Addr, Port: s.peer.Port, Helo: s.helo, Protocol: s.with(), UID: s.peer.UID,
	}
	if o := &s.original; o.client && o.addr.IsValid() {
		c.Name, c.Addr, c.Port, c.Helo, c.UID = orElse(o.name, unknownName), o.addr, o.port, o.helo, -1
	}
	return c
}

// loginName is who has logged in, "" if nobody has or if that is anybody.
func (s *session) loginName() string {
	if strings.EqualFold(s.login.method, "ANONYMOUS") {
		return ""
	}
	return s.login.username
}

// isTrusted tells whether a message is a submission: of a local user, of who has logged in, of
// a client in mynetworks or with a certificate that lets it relay. Where nobody can say, the
// message is to come again.
func (s *session) isTrusted(client *mail.Client) (bool, *mail.Status) {
	switch {
	case s.peer.Local || s.loginName() != "" || s.original.source == "LOCAL":
		return true, nil
	}
	if may, err := s.relaysByCertificate(s.lookup()); may || err != nil {
		return may, refusalOf(err)
	}
	if s.o.MyNetworks == nil {
		return false, nil
	}
	ok, err := s.o.MyNetworks.Match(s.lookup(), client.Name, client.Addr)
	if err != nil {
		s.warn("mynetworks: " + err.Error())
		return false, errLookup()
	}
	return ok, nil
}

func refusalOf(err error) *mail.Status {
	if err == nil {
		return nil
	}
	return errLookup()
}

// isOwner tells whether the reverse-path is one of who has logged in
// (smtpd_sender_login_maps).
func (s *session) isOwner() (bool, *mail.Status) {
	if len(s.o.SenderLoginMaps) == 0 || s.tx.from.IsNull() {
		return false, nil
	}
	s.begin("MAIL", nil)
	s.start(s.senderSub(), nil, nil)
	names, _, o := s.owners(s.lookup())
	if o == refuses {
		return false, s.judged.refused
	}
	return namesUser(names, s.login.username), nil
}

// namesUser tells whether a value of smtpd_sender_login_maps names a user.
func namesUser(names, user string) bool {
	for name := range strings.FieldsFuncSeq(names, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
		if strings.EqualFold(name, user) {
			return true
		}
	}
	return false
}

// authenticPath asks about the envelope, at RCPT.
func (s *session) authenticPath(ctx context.Context) *mail.Status {
	if s.tx.auth.running == nil || s.tx.Discard {
		return nil
	}
	return s.tx.auth.running.Path(ctx)
}

// authenticMessage asks about a message that has come whole, and logs what was found.
func (s *session) authenticMessage() error {
	a, c := &s.tx.auth, &s.tx.content
	if a.running == nil {
		return nil
	}
	body, err := c.draft.Body()
	if err != nil {
		return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), s.queueRefusal("cannot read it", err))
	}
	v := a.running.Message(s.ctx, mail.AuthMessage{ID: s.tx.id, Body: body, Rcpts: s.tx.rcpts, Given: a.given})
	if v.Reason != "" {
		s.log.Info("mailauth: "+v.Reason, slog.String(mail.KeyQueueID, s.tx.idText))
	}
	s.begin("END-OF-MESSAGE", s.onlyRecipient())
	s.judged.several = s.tx.accepted > 1
	if v.Refused != nil {
		return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), v.Refused)
	}
	if v.Hold && !s.tx.Hold {
		s.tx.Hold = true
		s.logAction("hold", v.Reason)
	}
	if c.checks == nil {
		a.above = v.Prepend
	} else {
		c.above = slices.Concat(v.Prepend, c.above) // what is above has been put together before
	}
	a.found = v.Auth
	return nil
}

// endAuthentication ends what is under way for the transaction.
func (s *session) endAuthentication() {
	if s.tx.auth.running != nil {
		s.tx.auth.running.Close()
	}
}
