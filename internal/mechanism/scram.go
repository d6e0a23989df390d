package mechanism

import (
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// SCRAM, RFC 5802 and RFC 7677: the password stays here, and the server proves that it
// knows it too. There is no channel binding.

// scramIterations bounds how much work a server may ask for: RFC 7677 has 4096, today's
// servers some ten or hundred thousand.
const scramIterations = 1_000_000

type scramClient struct {
	name         string
	conversation *scram.ClientConversation
	err          error
	asked        bool
}

func scramSHA256(c *Credentials) Client { return newScram("SCRAM-SHA-256", scram.SHA256, c) }
func scramSHA1(c *Credentials) Client   { return newScram("SCRAM-SHA-1", scram.SHA1, c) }

func newScram(name string, hash scram.HashGeneratorFcn, c *Credentials) Client {
	s := &scramClient{name: name}
	client, err := hash.NewClient(c.User, c.Password, c.authzid())
	if err != nil { // a password that RFC 4013 forbids
		s.err = ErrFailed
		return s
	}
	s.conversation = client.NewConversation()
	return s
}

func (s *scramClient) Start() (string, []byte, error) {
	if s.err != nil {
		return s.name, nil, s.err
	}
	first, err := s.conversation.Step("")
	if err != nil {
		return s.name, nil, ErrFailed
	}
	return s.name, []byte(first), nil
}

func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	text := string(challenge)
	if !s.asked && tooMuchWork(text) {
		return nil, ErrProtocol
	}
	answer, err := s.conversation.Step(text)
	switch {
	case err != nil && s.asked:
		return nil, ErrMutual
	case err != nil:
		return nil, ErrProtocol
	}
	s.asked = true
	return []byte(answer), nil
}

// tooMuchWork looks at the iterations in "r=...,s=...,i=4096".
func tooMuchWork(first string) bool {
	for field := range strings.SplitSeq(first, ",") {
		if i, ok := strings.CutPrefix(field, "i="); ok {
			n, err := strconv.Atoi(i)
			return err != nil || n > scramIterations
		}
	}
	return true
}

// Finish wants the server's proof: RFC 5802 section 3.
func (s *scramClient) Finish() error {
	if s.err != nil || !s.conversation.Valid() {
		return ErrMutual
	}
	return nil
}
