package reversealias

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"

	"aliasmx/internal/mail"
)

const (
	prefix     = "re="
	hashLength = 10 // characters of base32: 50 bits
	// maxParts bounds what a local part is taken apart to: which of its = signs part the
	// names is only known by the hash.
	maxParts = 16
	// maxPath is how long an address may be (RFC 5321 section 4.5.3.1.3, without <>).
	maxPath = 254
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Codec makes reverse aliases and reads them. It is safe for concurrent use.
type Codec struct{ secrets [][]byte }

// New makes a Codec. The first secret signs, all verify: how long they are is for whoever
// reads them to say.
func New(secrets []string) (*Codec, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret")
	}
	c := &Codec{}
	for _, s := range secrets {
		c.secrets = append(c.secrets, []byte(s))
	}
	return c, nil
}

// ErrTooLong: the names are too long for one address.
var ErrTooLong = errors.New("the reverse alias would be longer than an address may be")

// Make is the address that the owner of an alias writes to.
func (c *Codec) Make(r mail.Reply) (mail.Address, error) {
	a := mail.Address{
		Local:  prefix + hash(c.secrets[0], r) + "=" + r.Correspondent.Domain + "=" + r.Correspondent.Local + "=" + r.Alias.Local,
		Domain: r.Alias.Domain,
	}
	if len(a.String()) > maxPath || strings.Count(a.Local, "=") > maxParts {
		return mail.Address{}, ErrTooLong
	}
	return a, nil
}

// Parse reads a reverse alias. It is false for every other address, and for a forged one: who
// guesses learns nothing that he would not hear of any unknown address.
func (c *Codec) Parse(a mail.Address) (mail.Reply, bool) {
	if len(a.Local) < len(prefix)+hashLength || !strings.EqualFold(a.Local[:len(prefix)], prefix) || len(a.Local)+len(a.Domain) > maxPath {
		return mail.Reply{}, false
	}
	parts := strings.Split(a.Local[len(prefix):], "=")
	if len(parts) < 4 || len(parts) > maxParts || len(parts[0]) != hashLength {
		return mail.Reply{}, false
	}
	given := []byte(strings.ToLower(parts[0]))
	for i := 3; i < len(parts); i++ {
		r := mail.Reply{
			Alias:         mail.Address{Local: strings.Join(parts[i:], "="), Domain: a.Domain},
			Correspondent: mail.Address{Local: strings.Join(parts[2:i], "="), Domain: parts[1]},
		}
		if r.Alias.Local == "" || r.Correspondent.Local == "" || r.Correspondent.Domain == "" {
			continue
		}
		for _, s := range c.secrets {
			if hmac.Equal(given, []byte(hash(s, r))) {
				return r, true
			}
		}
	}
	return mail.Reply{}, false
}

// hash vouches for alias and correspondent, in whatever case, and form of the domain, they are
// written.
func hash(secret []byte, r mail.Reply) string {
	m := hmac.New(sha256.New, secret)
	for _, s := range [...]string{"reverse alias", r.Alias.Local, asciiDomain(r.Alias.Domain), r.Correspondent.Local, asciiDomain(r.Correspondent.Domain)} {
		m.Write([]byte(strings.ToLower(s)))
		m.Write([]byte{0})
	}
	return letters.EncodeToString(m.Sum(nil))[:hashLength]
}
