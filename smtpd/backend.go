package smtpd

import (
	"github.com/emersion/go-smtp"
)

// Backend makes the sessions of a Server for go-smtp's own engine, which shares nothing
// with ours but smtp.Session. What go-smtp has no words for is then missing: HELO or EHLO,
// what is asked before 354, VRFY. It is here to hold one engine against the other.
func (s *Server) Backend() smtp.Backend {
	return smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := s.newSession(s.options.Load(), peerOf(c.Conn()).settled())
		if err := session.Connect(); err != nil {
			return nil, refusal(err).SMTPError()
		}
		session.Helo(heloName(c.Hostname()), true)
		return session, nil
	})
}
