package mechanism

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// Client is one exchange. Start and Next are those of go-sasl; an initial response that
// is nil is none.
type Client interface {
	sasl.Client
	// Finish is called when the server says that the client is who it says. An error
	// means that the server is not: where a mechanism proves both sides.
	Finish() error
}

// Credentials are what a Client logs in with.
type Credentials struct {
	User, Password string
	// Authzid says User once more as the name to act for, where a mechanism has a place
	// for it (postconf(5): send_cyrus_sasl_authzid).
	Authzid bool
}

func (c *Credentials) authzid() string {
	if c.Authzid {
		return c.User
	}
	return ""
}

// Errors of an exchange, in the words of Cyrus SASL, which Postfix's log has.
var (
	ErrNone     = errors.New("no mechanism available")
	ErrProtocol = errors.New("bad protocol / cancel")
	ErrMutual   = errors.New("server failed mutual authentication step")
	ErrFailed   = errors.New("generic failure")
)

// clients are the mechanisms that we have, best first. A password is not taken for a
// token while there is another way to use it, so those for tokens come last.
var clients = []struct {
	name       string
	properties Properties
	start      func(*Credentials) Client
}{
	{"SCRAM-SHA-256", MutualAuth | Dictionary, scramSHA256},
	{"SCRAM-SHA-1", MutualAuth | Dictionary, scramSHA1},
	{"CRAM-MD5", Active | Dictionary, func(c *Credentials) Client { return &cramMD5{Credentials: *c} }},
	{sasl.Plain, Plaintext | Active | Dictionary, func(c *Credentials) Client {
		return oneSided{sasl.NewPlainClient(c.authzid(), c.User, c.Password)}
	}},
	{sasl.Login, Plaintext | Active | Dictionary, func(c *Credentials) Client { return &login{Credentials: *c} }},
	{sasl.OAuthBearer, Plaintext | Active | Dictionary, oauthBearer},
	{"XOAUTH2", Plaintext | Active | Dictionary, xoauth2},
}

// Choose begins the best exchange that a server offers and the options allow. Without one
// it is ErrNone.
func Choose(offered []string, s Security, c Credentials) (Client, error) {
	for _, m := range clients {
		if s.Allows(m.properties) && slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, m.name) }) {
			return m.start(&c), nil
		}
	}
	return nil, ErrNone
}

// oneSided proves the client alone.
type oneSided struct{ sasl.Client }

func (oneSided) Finish() error { return nil }

// Next of a mechanism with one message: there is nothing to ask after it.
func (o oneSided) Next([]byte) ([]byte, error) { return nil, ErrFailed }

// login is LOGIN, which nobody has specified. Servers ask in many words, so that it is the
// order that counts.
type login struct {
	Credentials
	asked int
}

func (l *login) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (l *login) Next([]byte) ([]byte, error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.User), nil
	case 2:
		return []byte(l.Password), nil
	}
	return nil, ErrFailed
}

func (l *login) Finish() error { return nil }

// cramMD5 is RFC 2195.
type cramMD5 struct {
	Credentials
	answered bool
}

func (c *cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	if c.answered || len(challenge) == 0 {
		return nil, ErrProtocol
	}
	c.answered = true
	digest := hmac.New(md5.New, []byte(c.Password))
	digest.Write(challenge)
	return []byte(c.User + " " + hex.EncodeToString(digest.Sum(nil))), nil
}

func (c *cramMD5) Finish() error { return nil }

// bearer sends a token: RFC 7628, and the older form of it that Google made up. A server
// that refuses says why in a challenge, and its reply comes after an empty answer.
type bearer struct {
	name, first, end string
	asked            bool
}

func oauthBearer(c *Credentials) Client {
	_, first, _ := sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: gs2Name(c.User), Token: c.Password}).Start()
	return &bearer{name: sasl.OAuthBearer, first: string(first), end: "\x01"}
}

func xoauth2(c *Credentials) Client {
	return &bearer{name: "XOAUTH2", first: "user=" + c.User + "\x01auth=Bearer " + c.Password + "\x01\x01"}
}

// gs2Name encodes a name: RFC 5801 section 4.
func gs2Name(name string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name)
}

func (b *bearer) Start() (string, []byte, error) { return b.name, []byte(b.first), nil }

func (b *bearer) Next([]byte) ([]byte, error) {
	if b.asked {
		return nil, ErrProtocol
	}
	b.asked = true
	return []byte(b.end), nil
}

func (b *bearer) Finish() error {
	if b.asked {
		return ErrProtocol
	}
	return nil
}
