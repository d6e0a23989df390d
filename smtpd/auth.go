package smtpd

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// AUTH (RFC 4954): the exchange of challenges and responses. Who may log in knows
// Options.Logins; what it is good for say the restrictions (restrict_login.go). A response
// is a secret: it is never logged and never told back.

// identity is who a client has proved to be; "": nobody.
type identity struct {
	method, username string
}

// maxLoginTime bounds one exchange, with everything that is waited for.
const maxLoginTime = 10 * time.Minute

// auth carries out AUTH.
func (c *conn) auth(arg string) reply {
	// Tables may have been opened anew since the connection began.
	if o := c.srv.latest(c.o); o != c.o && !c.mail {
		c.o, c.log = o, o.log
		c.wc.SetTimeout(o.Timeout)
	}
	s, canAuth := c.sess.(smtp.AuthSession)
	words := strings.FieldsFunc(arg, func(r rune) bool { return r == ' ' || r == '\t' })
	switch {
	case c.authsTooOften():
		return say(450, mail.Code(4, 7, 1), "Error: too many AUTH commands from "+addrOr(c.peer.Addr))
	case c.o.HeloRequired && !c.greeted:
		return say(503, mail.Code(5, 5, 1), "Error: send HELO/EHLO first")
	case !canAuth || c.discards("AUTH") || len(s.AuthMechanisms()) == 0:
		return say(503, mail.Code(5, 5, 1), "Error: authentication not enabled")
	case c.mail || c.bdat != bdatNone:
		return say(503, mail.Code(5, 5, 1), "Error: MAIL transaction in progress")
	case c.authenticated:
		return say(503, mail.Code(5, 5, 1), "Error: already authenticated")
	case len(words) < 1 || len(words) > 2:
		return say(501, mail.Code(5, 5, 4), "Syntax: AUTH mechanism")
	}
	method := words[0]
	if !isMechanism(method) { // but a password, perhaps
		return c.authFailed("(unknown)", "", status(535, mail.Code(5, 7, 8), "Invalid authentication mechanism"))
	}
	exchange, err := s.Auth(words[0])
	if err != nil {
		return c.authFailed(method, "", err)
	}
	if l, ok := exchange.(Login); ok {
		defer l.Close()
	}
	var response []byte
	if len(words) > 1 {
		if response, err = decodeResponse(words[1], true); err != nil {
			return c.authFailed(method, "", status(535, mail.Code(5, 7, 8), "Invalid base64 data in initial response"))
		}
	}
	return c.exchange(method, exchange, response)
}

// isMechanism tells whether a word can be the name of a mechanism (RFC 4422 section 3.1).
func isMechanism(s string) bool {
	return len(s) <= 20 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// exchange goes on until the client is known, or is not.
func (c *conn) exchange(method string, x sasl.Server, response []byte) reply {
	for {
		challenge, done, err := x.Next(response)
		username := ""
		if l, ok := x.(Login); ok {
			username = l.Username()
		}
		switch {
		case err != nil:
			return c.authFailed(method, username, err)
		case done:
			c.authenticated = true
			return say(235, mail.Code(2, 7, 0), "Authentication successful")
		}
		var refused *reply
		if response, refused = c.ask(method, username, challenge); refused != nil {
			return *refused
		}
	}
}

// ask sends a challenge and reads the response to it.
func (c *conn) ask(method, username string, challenge []byte) ([]byte, *reply) {
	refuse := func(r reply) ([]byte, *reply) { return nil, &r }
	// A challenge may be longer than other replies: RFC 4954 section 4.
	c.wc.WriteString("334 " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
	if !c.flush() {
		return refuse(reply{silent: true})
	}
	c.allowForCommand()
	line, err := c.wc.ReadCommand(c.o.AuthResponseLimit)
	switch {
	case err != nil:
		c.readFailed(err)
		return refuse(reply{silent: true})
	case line.Cut:
		return refuse(say(500, mail.Code(5, 5, 6), "SASL response limit exceeded"))
	case string(line.Text) == "*":
		c.log.Warn(c.peer.String() + ": SASL " + method + " authentication aborted")
		return refuse(say(501, mail.Code(5, 7, 0), "Authentication aborted"))
	}
	response, err := decodeResponse(string(line.Text), false)
	if err != nil {
		return refuse(c.authFailed(method, username, status(535, mail.Code(5, 7, 8), "Invalid base64 data in continued response")))
	}
	return response, nil
}

// decodeResponse takes the base64 off a response; an empty initial one is written "=". It
// is never nil, which would be none.
func decodeResponse(s string, initial bool) ([]byte, error) {
	if initial && s == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// authFailed is the reply to an attempt that came to nothing. Whoever fails again and
// again waits longer and longer for it.
func (c *conn) authFailed(method, username string, err error) reply {
	why := "(reason unavailable)"
	st, ok := statusIn(err)
	if ok && st.Text != "" {
		why = echo(st.Text, maxEchoed)
	}
	log := c.peer.String() + ": SASL " + method + " authentication failed: "
	who := ", sasl_username=" + orElse(echo(username, maxEchoed), "(unavailable)")
	if !ok || st.Code != 535 {
		if !ok { // what is no reply is for the operator
			log += err.Error() + ": "
		}
		c.log.Warn(log + why + who)
		return say(454, mail.Code(4, 7, 0), "Temporary authentication failure: "+why)
	}
	c.log.Warn(log + why + who)
	// Whom no limit concerns may be a webmail server, with many users behind it.
	if c.counted != nil && c.wc.Flush() == nil {
		c.srv.pause(c.srv.failed.add(c.o, c.peer.Addr))
	}
	return say(535, mail.Code(5, 7, 8), "Error: authentication failed: "+why)
}

// announced are the mechanisms that EHLO tells of, "" for none. Clients of
// smtpd_sasl_exceptions_networks are not told, but may.
func (c *conn) announced() string {
	s, ok := c.sess.(smtp.AuthSession)
	if !ok {
		return ""
	}
	list := s.AuthMechanisms()
	if len(list) == 0 || c.isAuthorized("smtpd_sasl_exceptions_networks", c.o.AuthExceptions) {
		return ""
	}
	return strings.Join(list, " ")
}

// authsTooOften counts an AUTH command (smtpd_client_auth_rate_limit).
func (c *conn) authsTooOften() bool {
	if c.o.ClientAuthRate <= 0 || c.counted == nil {
		return false
	}
	n := c.srv.clients.login(c.o, c.peer.Addr)
	if !over(n, c.o.ClientAuthRate) {
		return false
	}
	c.log.Warn("AUTH command rate limit exceeded: " + itoa(n) + " from " + c.peer.String() + " for service " + c.o.Service)
	return true
}

// withoutSecret is a command line as the log may have it.
func withoutSecret(line []byte) string {
	if v, word, _ := parseCommand(string(line)); v == verbAuth {
		return word + " "
	}
	return string(line)
}

// AuthMechanisms implements smtp.AuthSession: what the client is offered now.
func (s *session) AuthMechanisms() []string {
	o := s.srv.latest(s.o)
	if s.tx.active {
		o = s.o
	}
	switch {
	case o.Logins == nil || s.peer.Local:
		return nil
	case s.tls == nil && (o.TLSAuthOnly || o.TLS != nil && o.TLS.Required):
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	return o.Logins.Mechanisms(ctx, s.tls != nil)
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(method string) (sasl.Server, error) {
	if o := s.srv.latest(s.o); o != s.o {
		s.o, s.log = o, o.log
	}
	if s.o.Logins == nil {
		return nil, smtp.ErrAuthUnsupported
	}
	ctx, cancel := context.WithTimeout(s.ctx, maxLoginTime)
	l, err := s.o.Logins.Begin(ctx, LoginRequest{
		Mechanism: method, Client: netip.AddrPortFrom(s.peer.Addr, s.peer.Port), Server: s.peer.Server, Secured: s.tls != nil,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return &loggingIn{Login: l, s: s, method: method, cancel: cancel}, nil
}

// loggingIn is a Login whose success the session remembers.
type loggingIn struct {
	Login
	s      *session
	method string
	cancel context.CancelFunc
}

func (l *loggingIn) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := l.Login.Next(response)
	if done && err == nil {
		username := echo(l.Username(), maxEchoedAddress)
		if username == "" {
			return nil, true, status(454, mail.Code(4, 7, 0), "nobody knows who it is")
		}
		l.s.login = identity{method: l.method, username: username}
	}
	return challenge, done, err
}

func (l *loggingIn) Close() {
	l.Login.Close()
	l.cancel()
}
