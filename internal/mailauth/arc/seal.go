package arc

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// SealerOptions say who seals.
type SealerOptions struct {
	Domain, Selector string // d= and s=, in A-labels
	// Key signs: RSA of at least 2048 bits, or Ed25519.
	Key crypto.Signer
	// AuthservID is who says the results (RFC 8601 section 2.5).
	AuthservID string
	// Now is the clock for t=; nil is time.Now.
	Now func() time.Time
}

// Sealer adds sets to chains. It is safe for concurrent use.
type Sealer struct {
	o         SealerOptions
	algorithm string
}

// minSealBits is the shortest RSA key to sign with (RFC 8301 section 3.2 on signers).
const minSealBits = 2048

// NewSealer makes a Sealer. Errors are for the operator.
func NewSealer(o SealerOptions) (*Sealer, error) {
	s := &Sealer{o: o}
	switch k := o.Key.(type) {
	case *rsa.PrivateKey:
		s.algorithm = algorithmRSA
		if bits := k.N.BitLen(); bits < minSealBits {
			return nil, fmt.Errorf("an RSA key of %d bits is too short to sign with; make one of %d", bits, minSealBits)
		}
	case ed25519.PrivateKey:
		s.algorithm = algorithmEd25519
	default:
		return nil, fmt.Errorf("keys to sign with are RSA or Ed25519, not %T", o.Key)
	}
	for what, name := range map[string]string{"domain": o.Domain, "selector": o.Selector} {
		if !dns.ValidName(name) && !isSelector(what, name) {
			return nil, fmt.Errorf("the %s %q is no name; write it in letters, digits and hyphens (A-labels)", what, name)
		}
	}
	if o.AuthservID == "" || strings.ContainsFunc(o.AuthservID, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("();\"\\,<>@:[]?=/", r) }) {
		return nil, fmt.Errorf("%q cannot be who says the results; write a host name", o.AuthservID)
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	return s, nil
}

// isSelector: other than a host name, a selector may be a number.
func isSelector(what, name string) bool {
	return what == "selector" && dns.ValidName("x."+name+".x") && len(name) <= 200
}

// Seal is a new set, ready to stand on top of the message.
type Seal struct {
	Fields   []byte // CRLF line ends; nil: nothing was added, and Reason says why
	Instance int
	CV       mail.AuthResult // what it says of the chain below: AuthNone, AuthPass or AuthFail
	Reason   string
}

// Seal makes the set that says results of a message whose chain was found to be status: "" or
// AuthTempError where that is not known. Results are those of an Authentication-Results field
// without who says them ("spf=pass smtp.mailfrom=a.example; dmarc=pass ..."), "" for none.
// Nothing may be changed in the message after this. Errors are of reading, of the key, or of
// ctx.
func (s *Sealer) Seal(ctx context.Context, message io.Reader, results string, status mail.AuthResult) (Seal, error) {
	r := bufio.NewReaderSize(&boundReader{ctx, message}, 32<<10)
	fields, err := readHeader(r, maxHeader)
	if err == errHeaderSize {
		return Seal{Reason: err.Error()}, nil
	}
	if err != nil {
		return Seal{}, err
	}
	n, sealedAsFailed := highest(fields)
	sets, broken := chainOf(fields)
	out := Seal{Instance: n + 1, CV: status}
	switch {
	case len(sets) == 0 && broken == nil && (status == "" || status == mail.AuthNone):
		out.CV = mail.AuthNone
	case sealedAsFailed:
		// RFC 8617 section 5.1, step 2.
		return Seal{Reason: "the chain has been sealed as failed"}, nil
	case n >= MaxInstances:
		return Seal{Reason: "the chain has as many sets as it can have"}, nil
	case broken != nil:
		out.CV = mail.AuthFail
	case len(sets) > 0 && (status == mail.AuthPass || status == mail.AuthFail):
	default:
		return Seal{Reason: "the chain was not verified"}, nil
	}
	if out.CV == mail.AuthFail {
		sets = nil // the seal is of its own set alone (RFC 8617 section 5.1.2)
	}
	body := newBodyHash(true)
	if _, err := io.Copy(body, r); err != nil {
		return Seal{}, err
	}
	body.end()
	out.Fields, err = s.fields(&out, results, fields, body.sum, sets)
	return out, err
}

// fields writes the three fields: the seal on top, as each was made after the one below.
func (s *Sealer) fields(out *Seal, results string, above []field, bodyHash []byte, sets []set) ([]byte, error) {
	now := s.o.Now().Unix()
	own := set{aar: &field{name: nameAAR, raw: s.results(out.Instance, results)}}

	names := signedNames(above)
	ams := fmt.Appendf(nil, "ARC-Message-Signature: i=%d; a=%s; c=relaxed/relaxed;\r\n\td=%s; s=%s; t=%d;\r\n\t", out.Instance, s.algorithm, s.o.Domain, s.o.Selector, now)
	ams = appendNames(ams, names)
	ams = append(append(append(ams, ";\r\n\tbh="...), base64.StdEncoding.EncodeToString(bodyHash)...), ";\r\n\tb="...)
	sum := sha256.Sum256(appendSelf(appendSigned(nil, above, names, true), append(ams, "\r\n"...), true))
	ams, err := s.sign(ams, sum[:])
	if err != nil {
		return nil, err
	}
	own.ams = &field{name: nameAMS, raw: ams}

	as := fmt.Appendf(nil, "ARC-Seal: i=%d; a=%s; cv=%s;\r\n\td=%s; s=%s; t=%d;\r\n\tb=", out.Instance, s.algorithm, out.CV, s.o.Domain, s.o.Selector, now)
	own.as = &field{name: nameAS, raw: append(slices.Clone(as), "\r\n"...)}
	digests := sealDigests(append(slices.Clone(sets), own))
	if as, err = s.sign(as, digests[len(digests)-1]); err != nil {
		return nil, err
	}
	return slices.Concat(as, ams, own.aar.raw), nil
}

// sign appends the signature of a digest in base64, folded, and ends the field.
func (s *Sealer) sign(b, digest []byte) ([]byte, error) {
	hash := crypto.SHA256
	if s.algorithm == algorithmEd25519 {
		hash = 0 // the digest is the message (RFC 8463 section 3)
	}
	signature, err := s.o.Key.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(signature)
	const width = 72
	for ; len(text) > width; text = text[width:] {
		b = append(append(b, text[:width]...), "\r\n\t "...)
	}
	return append(append(b, text...), "\r\n"...), nil
}

// boundReader stops when its context ends.
type boundReader struct {
	ctx context.Context
	r   io.Reader
}

func (b *boundReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, errors.Join(errors.New("sealing was given up"), err)
	}
	return b.r.Read(p)
}
