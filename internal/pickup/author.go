package pickup

import "aliasmx/internal/mail"

// author notes in the envelope who the message is from. Of what sendmail -G brings, nobody
// here is the author.
func (s *session) author(env *mail.Envelope) error {
	if s.Author == nil || s.req.Gateway {
		return nil
	}
	body, err := s.draft.Body()
	if err == nil {
		env.Auth, err = s.Author(s.ctx, env.Sender, body)
	}
	return err
}
