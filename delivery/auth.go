package delivery

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
)

// AUTH, RFC 4954. Whoever has a password for a server logs in there before any mail, and
// sends none if that fails; to a server without AUTH, or one that no password is for, mail
// goes as a stranger's. A failure is the site's: it holds for every message, which waits.
//
// Nothing that is sent here is logged, or part of a reason.

// auth is what a session knows of its login.
type auth struct {
	identity
	refused  *refusedLogins
	err      error    // looking it up failed
	offered  bool     // AUTH was
	methods  []string // those of the server that smtp_sasl_mechanism_filter leaves
	sent     []string // responses
	loggedIn bool
}

const (
	// authStepsMax is how many challenges are answered.
	authStepsMax = 100
	// authCommandMax is the longest command with an initial response: RFC 4954 section 4,
	// RFC 5321 section 4.5.3.1.4.
	authCommandMax = 512
)

// learnAuth takes the words after AUTH. More such lines add to the list, as one in the form
// of an old draft may stand beside the proper one.
func (s *session) learnAuth(ctx context.Context, words []string) {
	a := s.set.SASL
	if a == nil {
		return
	}
	before := len(s.auth.methods)
	for _, w := range words {
		if a.Mechanism != nil {
			if ok, err := a.Mechanism(ctx, w); err != nil || !ok {
				if err != nil {
					s.log.Warn("smtp_sasl_mechanism_filter: " + err.Error())
				}
				continue
			}
		}
		if !slices.Contains(s.auth.methods, w) {
			s.auth.methods = append(s.auth.methods, w)
		}
	}
	if before == 0 && len(s.auth.methods) == 0 && !s.auth.offered {
		text := " offered null AUTH mechanism list"
		if len(words) > 0 {
			text = " offered no supported AUTH mechanisms: '" + strings.Join(words, " ") + "'"
		}
		s.log.Warn(s.relay + text)
	}
	s.auth.offered = true
}

// mayGiveAway tells whether a password could be meant for this server: then a failure of
// TLS is no reason to go on without.
func (s *session) mayGiveAway() bool { return s.auth.known || s.auth.err != nil }

// logIn is false when the session is of no use for mail; then the job has been told why.
func (s *session) logIn(j *job) bool {
	if s.set.SASL == nil || !s.auth.offered {
		return true
	}
	if s.auth.err != nil {
		s.log.Warn(s.proto.String()+"_sasl_password_maps lookup error: "+s.auth.err.Error(), mail.KeyQueueID, j.a.Env.ID.String())
		j.fail(siteFailure(mail.Code(4, 3, 0), "local data error while talking to "+s.place), s)
		return false
	}
	if !s.auth.known {
		return true
	}
	f, lost := s.authenticate()
	switch {
	case lost != nil:
		s.lost(j, lost, "performing the "+s.greetingVerb()+" handshake")
		return false
	case f != nil:
		f.site = true
		j.fail(f, s)
		return false
	}
	s.auth.loggedIn = true
	return true
}

func (s *session) greetingVerb() string {
	if s.proto == protoLMTP {
		return "LHLO"
	}
	return "EHLO"
}

// authenticate is the exchange: nil when it went well. lost is a broken connection.
func (s *session) authenticate() (_ *failure, lost error) {
	a := s.set.SASL
	if len(s.auth.methods) == 0 {
		return local(mail.Code(4, 7, 0), "SASL authentication failed: server "+s.place+
			" offered no compatible authentication mechanisms for this type of connection security"), nil
	}
	if old, ok := s.auth.refused.find(s.host.name, s.auth.identity, a.FailureTime, s.set.Now()); ok {
		return s.authRefused(old.code, old.enhanced, old.text, "SASL [CACHED] authentication failed; server "+s.host.name), nil
	}
	x, err := mechanism.Choose(s.auth.methods, s.security(), mechanism.Credentials{
		User: s.auth.user, Password: s.auth.password, Authzid: a.Authzid,
	})
	if err != nil {
		return s.cannotAuthenticate(err), nil
	}
	name, first, err := x.Start()
	if err != nil {
		return s.cannotAuthenticate(err), nil
	}
	if lost := s.exchange(x, name, first); lost != nil {
		if f, ok := errors.AsType[*authError](lost); ok {
			return f.failure, nil
		}
		return nil, lost
	}
	if s.reply.Class() != 2 {
		s.hideSecrets()
		text := s.reply.Text()
		if s.reply.Code == 535 && a.FailureTime > 0 {
			s.auth.refused.store(s.host.name, s.auth.identity, refusal{s.reply.Code, s.reply.Status(), text, s.set.Now()})
		}
		return s.authRefused(s.reply.Code, s.reply.Status(), text, "SASL authentication failed; server "+s.place), nil
	}
	if err := x.Finish(); err != nil {
		return s.cannotAuthenticate(err), nil
	}
	return nil, nil
}

// authError is an exchange that came to nothing without the connection being lost.
type authError struct{ failure *failure }

func (e *authError) Error() string { return e.failure.reason }

// exchange sends AUTH and answers challenges, until a reply ends it.
func (s *session) exchange(x mechanism.Client, name string, first []byte) error {
	timeout := s.set.Timeouts.Helo
	line, late := "AUTH "+name, first != nil
	s.auth.sent = s.auth.sent[:0]
	if initial := base64.StdEncoding.EncodeToString(first); late && len(name)+len(initial)+8 <= authCommandMax {
		line, late = line+" "+initial, false
		s.auth.sent = append(s.auth.sent, initial)
	}
	for steps := 0; ; steps++ {
		s.conn.WriteString(line + "\r\n")
		if err := s.ask(timeout); err != nil {
			return err
		}
		if s.reply.Class() != 3 {
			return nil
		}
		if steps == authStepsMax {
			return &authError{local(mail.Code(4, 3, 0), "SASL authentication failed; authentication protocol loop with server "+s.place)}
		}
		lines := s.reply.Lines()
		text := strings.TrimSpace(lines[len(lines)-1])
		if late {
			if text != "" {
				return &authError{local(mail.Code(4, 7, 0), "SASL authentication failed; non-empty initial "+name+" challenge from server "+s.place)}
			}
			line, late = base64.StdEncoding.EncodeToString(first), false
			s.auth.sent = append(s.auth.sent, line)
			continue
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return &authError{s.cannotAuthenticate(mechanism.ErrProtocol)}
		}
		answer, err := x.Next(challenge)
		if err != nil {
			return &authError{s.cannotAuthenticate(err)}
		}
		line = base64.StdEncoding.EncodeToString(answer)
		s.auth.sent = append(s.auth.sent, line)
	}
}

// secrets are what of a login must not be shown: there are servers that repeat it.
func (s *session) secrets() []string {
	list := []string{s.auth.password}
	for _, sent := range s.auth.sent {
		list = append(list, sent, strings.TrimRight(sent, "=")) // with its padding, or without
	}
	return slices.DeleteFunc(list, func(secret string) bool { return len(secret) <= 3 }) // they are in every text
}

// hideSecrets takes them out of the reply that was read last.
func (s *session) hideSecrets() {
	for _, secret := range s.secrets() {
		s.reply.Hide(secret)
	}
}

// hide takes them out of a text that may have been cut in the middle of one.
func (s *session) hide(text string) string {
	for _, secret := range s.secrets() {
		text = strings.ReplaceAll(text, secret, "...")
		for n := min(len(secret)-1, len(text)); n > 3; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				text = text[:len(text)-n] + "..."
			}
		}
	}
	return text
}

// security are the options for the connection as it is.
func (s *session) security() mechanism.Security {
	switch a := s.set.SASL; {
	case !s.overTLS:
		return a.Clear
	case s.verified:
		return a.Verified
	default:
		return a.Secured
	}
}

func (s *session) cannotAuthenticate(err error) *failure {
	return local(mail.Code(4, 7, 0), "SASL authentication failed; cannot authenticate to server "+s.place+": "+err.Error())
}

// authRefused is a server that does not want us.
func (s *session) authRefused(code int, enhanced mail.Enhanced, text, who string) *failure {
	f := &failure{reason: who + " said: " + text, mta: s.host.name, reply: text}
	f.status = mail.Status{Code: code, Enhanced: enhanced, Text: text}
	if code/100 == 5 && !s.set.SASL.HardFailure {
		f.status.Enhanced[0] = 4
	}
	return f
}
