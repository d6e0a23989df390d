package arc

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"slices"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Chain is what is known of the chain of a message.
type Chain struct {
	// CV is the status: AuthNone, AuthPass or AuthFail.
	CV mail.AuthResult
	// Instances is how many sets there are: of a chain that failed, the highest instance.
	Instances int
	// Sealers are the d= of the seals, from instance 1 on; nil where the structure is broken.
	Sealers []string
	// OldestPass is the lowest instance from which on all AMS hold: since then the message
	// was not changed. 0 where all do (RFC 8617 section 5.2, step 5), and where the chain
	// does not pass. AMS whose key no seal has are not looked at, and count as not holding.
	OldestPass int
	// Reason is why the chain failed, for the operator, and Failed the instance that it failed
	// at; 0: at none in particular. Temporary: the DNS could not say, and so nobody knows.
	Reason    string
	Failed    int
	Temporary bool
}

// VerifyOptions say how to verify.
type VerifyOptions struct {
	Resolver *dns.Resolver
	// MinBits is the shortest RSA key that counts; 0 is 1024 (RFC 8301).
	MinBits int
	// MaxHeader bounds the header, in bytes; 0 is 1 MiB. A longer one with ARC fields fails.
	MaxHeader int
	// Now is the clock for x=; nil is time.Now.
	Now func() time.Time
}

const maxHeader = 1 << 20

// Verify finds the status of a message's chain. The message is read once, and not to its end
// where that decides nothing. The only error is one of reading; ctx bounds the questions to
// the DNS.
func Verify(ctx context.Context, message io.Reader, o VerifyOptions) (Chain, error) {
	if o.MinBits == 0 {
		o.MinBits = 1024
	}
	if o.MaxHeader == 0 {
		o.MaxHeader = maxHeader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := bufio.NewReaderSize(message, bufferFor(message))
	fields, err := readHeader(r, o.MaxHeader)
	n, _ := highest(fields)
	switch has := slices.ContainsFunc(fields, func(f field) bool { return isARC(f.name) }); {
	case err == errHeaderSize && has:
		return failed(n, &broken{reason: err.Error()}), nil
	case err != nil && err != errHeaderSize:
		return Chain{}, err
	case !has:
		return Chain{CV: mail.AuthNone}, nil
	}
	sets, err := chainOf(fields)
	if err != nil {
		return failed(n, err), nil
	}
	bodies, err := readBody(r, sets)
	if err != nil {
		return Chain{}, err
	}
	v := &verifier{
		sets: sets, fields: fields, bodies: bodies, now: o.Now().Unix(),
		keys: keys{resolver: o.Resolver, minBits: o.MinBits, known: map[string]key{}},
	}
	chain := Chain{CV: mail.AuthPass, Instances: n}
	if err := v.chain(ctx); err != nil {
		chain = failed(n, err)
	} else {
		chain.OldestPass = v.oldestPass(ctx)
	}
	for _, s := range sets {
		chain.Sealers = append(chain.Sealers, s.sealing.domain)
	}
	return chain, nil
}

func failed(n int, err error) Chain {
	c := Chain{CV: mail.AuthFail, Instances: n, Reason: err.Error(), Temporary: errors.Is(err, errTrouble)}
	if b, ok := errors.AsType[*broken](err); ok {
		c.Failed = b.instance
	}
	return c
}

// bodies are the hashes of the body in its two forms, where an AMS asks for them.
type bodies struct{ simple, relaxed *bodyHash }

func readBody(r io.Reader, sets []set) (*bodies, error) {
	b := &bodies{}
	var to []io.Writer
	for _, s := range sets {
		for _, f := range s.signature.forms {
			if place := b.of(f.relaxedBody); *place == nil {
				*place = newBodyHash(f.relaxedBody)
				to = append(to, *place)
			}
		}
	}
	if _, err := io.Copy(io.MultiWriter(to...), r); err != nil {
		return nil, err
	}
	for _, h := range []*bodyHash{b.simple, b.relaxed} {
		if h != nil {
			h.end()
		}
	}
	return b, nil
}

func (b *bodies) of(relaxed bool) **bodyHash {
	if relaxed {
		return &b.relaxed
	}
	return &b.simple
}

// holds tells whether a signature is of this body. An l= that leaves out a part of it lets
// anybody append to the message: it counts only where it is all of it.
func (b *bodies) holds(s *signature, relaxed bool) error {
	body := *b.of(relaxed)
	if s.length >= 0 && s.length != body.length {
		return errors.New("l= is not the length of the body")
	}
	if !bytes.Equal(body.sum, s.bodyHash) {
		return errors.New("the body was changed")
	}
	return nil
}

// verifier looks at the signatures of a chain of sound structure.
type verifier struct {
	sets   []set
	fields []field
	bodies *bodies
	keys   keys
	now    int64
}

// chain is steps 4 and 6 of RFC 8617 section 5.2. Errors name the instance.
func (v *verifier) chain(ctx context.Context) error {
	n := len(v.sets)
	if err := v.message(ctx, &v.sets[n-1]); err != nil {
		return &chainError{n, "ARC-Message-Signature", err}
	}
	v.keys.fetch(ctx, v.sets)
	digests := sealDigests(v.sets)
	for i := n; i > 0; i-- {
		s := v.sets[i-1].sealing
		public, err := v.keys.of(ctx, s)
		if err == nil {
			err = check(public, digests[i-1], s.b)
		}
		if err != nil {
			return &chainError{i, "ARC-Seal", err}
		}
	}
	return nil
}

// message verifies the AMS of a set.
func (v *verifier) message(ctx context.Context, at *set) error {
	s := at.signature
	if s.expires >= 0 && s.expires < v.now {
		return errors.New("it has expired")
	}
	var err error
	for _, f := range s.forms {
		if err = v.inForm(ctx, at, f); err == nil || errors.Is(err, errTrouble) {
			break
		}
	}
	return err
}

func (v *verifier) inForm(ctx context.Context, at *set, f form) error {
	s := at.signature
	if err := v.bodies.holds(s, f.relaxedBody); err != nil {
		return err
	}
	public, err := v.keys.of(ctx, s)
	if err != nil {
		return err
	}
	input := appendSigned(nil, v.fields, s.signed, f.relaxedHeader)
	digest := sha256.Sum256(appendSelf(input, at.ams.raw, f.relaxedHeader))
	return check(public, digest[:], s.b)
}

// oldestPass is step 5, after all: only for a chain that passes, and with the keys that
// are known by then.
func (v *verifier) oldestPass(ctx context.Context) int {
	for i := len(v.sets) - 1; i > 0; i-- {
		s := &v.sets[i-1]
		if _, known := v.keys.known[keyName(s.signature)]; !known || v.message(ctx, s) != nil {
			return i + 1
		}
	}
	return 0
}

// appendSelf appends a signature field as it goes into its own hash: without b=, without its
// last CRLF.
func appendSelf(b, raw []byte, relaxed bool) []byte {
	empty := withoutSignature(nil, raw)
	if relaxed {
		b = appendRelaxed(b, empty)
	} else {
		b = append(b, empty...)
	}
	return bytes.TrimSuffix(b, []byte("\r\n"))
}

// sealDigests are the hashes that the seals of a chain sign: of each, all sets up to its own
// (RFC 8617 section 5.1.1). What is below is hashed once.
func sealDigests(sets []set) [][]byte {
	below := sha256.New()
	var digests [][]byte
	for i := range sets {
		s := &sets[i]
		below.Write(s.aar.relaxed())
		below.Write(s.ams.relaxed())
		own, _ := below.(hash.Cloner).Clone() // SHA-256 can always be cloned
		own.Write(appendSelf(nil, s.as.raw, true))
		digests = append(digests, own.Sum(nil))
		below.Write(s.as.relaxed())
	}
	return digests
}

// chainError is a signature of a chain that does not hold.
type chainError struct {
	instance int
	field    string
	err      error
}

func (e *chainError) Error() string {
	return (&broken{e.instance, e.field + ": " + e.err.Error()}).Error()
}

func (e *chainError) Unwrap() []error { return []error{&broken{e.instance, e.field}, e.err} }
