package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// VerifyOptions are what Verify is told.
type VerifyOptions struct {
	Resolver *dns.Resolver
	// Max is how many signatures are looked at, from the top; 10 where it is 0. Each costs a
	// question to the DNS of somebody else's choice.
	Max int
	// MinBits is the least length of an RSA key; 1024, below which none may be taken, where it
	// is 0.
	MinBits int
	Now     func() time.Time // nil: time.Now
}

const (
	defaultMax = 10
	leastBits  = 1024 // RFC 8301 section 3.2
)

// Verify verifies the signatures of a message, in the order in which they stand there. The
// message has CRLF line ends, or, as a file, LF throughout. It is read once, and not to its
// end where nothing needs that. The error is one of reading it.
//
// How long it takes is for ctx to say: a key that has not come by then is a temperror.
func Verify(ctx context.Context, message io.Reader, o VerifyOptions) ([]Signature, error) {
	if o.Max <= 0 {
		o.Max = defaultMax
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MinBits = max(o.MinBits, leastBits)
	r := crlfReader(message)
	fields, err := readHeader(r)
	if errors.Is(err, errLongHeader) {
		// Nobody's signature, but a result: whoever asks must not take it for unsigned mail.
		return []Signature{{Result: mail.AuthPermError, Reason: err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	v := &verifier{fields: fields, index: makeIndex(fields), minBits: o.MinBits}
	now := o.Now()
	for _, i := range v.index[fieldName] {
		if len(v.sigs) == o.Max {
			break
		}
		s := &signature{at: i}
		if s.parse(fields[i], now); s.Result == "" {
			s.found = v.hashes.of(s.body, s.length)
		}
		v.sigs = append(v.sigs, s)
	}
	var keys sync.WaitGroup
	for _, s := range v.sigs {
		if s.Result == "" {
			keys.Go(func() { s.fetch(ctx, o.Resolver) })
		}
	}
	err = v.hashes.read(r)
	keys.Wait()
	if err != nil {
		return nil, err
	}
	return v.results(), nil
}

// verifier is one message.
type verifier struct {
	fields  []field
	index   index
	sigs    []*signature
	hashes  bodyHashes
	minBits int
}

// fetch gets the key of a signature.
func (s *signature) fetch(ctx context.Context, r *dns.Resolver) {
	kind, _, _ := strings.Cut(s.Algorithm, "-")
	k, err := findKey(ctx, r, s.Domain, s.Selector, kind)
	if s.key = k; err != nil {
		s.refuse(err.result, "%s", err.reason)
	}
}

func (v *verifier) results() []Signature {
	list := make([]Signature, len(v.sigs))
	for i, s := range v.sigs {
		v.judge(s)
		list[i] = s.Signature
	}
	return list
}

// judge decides a signature whose key and body hash are there.
func (v *verifier) judge(s *signature) {
	if s.Result != "" {
		return
	}
	if s.key.fits(s, v.minBits); s.Result != "" {
		return
	}
	found := s.found
	switch {
	case found.total < s.length:
		s.refuse(mail.AuthPermError, "l= is more than there is of the body")
	case !bytes.Equal(found.sum(), s.hash):
		s.refuse(mail.AuthFail, "the body hash did not verify")
	case !s.key.verifies(v.headerHash(s), s.sig):
		s.refuse(mail.AuthFail, "the signature did not verify")
	case s.length >= 0 && found.total > s.length:
		s.refuse(mail.AuthPolicy, "l= leaves a part of the body unsigned")
	default:
		s.Result = mail.AuthPass
	}
}

// headerHash is the hash that was signed (RFC 6376 section 3.7).
func (v *verifier) headerHash(s *signature) []byte {
	h := sha256.New()
	var buf []byte
	v.index.pick(s.Signed, s.at, func(i int) {
		buf = s.header.appendField(buf[:0], v.fields[i].raw)
		h.Write(buf)
	})
	buf = s.header.appendField(buf[:0], withoutSignature(v.fields[s.at].raw))
	h.Write(bytes.TrimSuffix(buf, []byte("\r\n")))
	return h.Sum(nil)
}

// bodyHash is the hash of a canonical body, or of its first bytes.
type bodyHash struct {
	form  form
	limit int64 // -1: all of it
	total int64 // that came
	hash  hash.Hash
}

func (b *bodyHash) write(p []byte) {
	if b.limit >= 0 {
		if room := b.limit - b.total; room < int64(len(p)) {
			b.hash.Write(p[:max(room, 0)])
			b.total += int64(len(p))
			return
		}
	}
	b.hash.Write(p)
	b.total += int64(len(p))
}

func (b *bodyHash) sum() []byte { return b.hash.Sum(nil) }

// bodyHashes are those that the signatures of a message need, each once.
type bodyHashes struct{ list []*bodyHash }

func (b *bodyHashes) of(f form, limit int64) *bodyHash {
	for _, h := range b.list {
		if h.form == f && h.limit == limit {
			return h
		}
	}
	h := &bodyHash{form: f, limit: limit, hash: sha256.New()}
	b.list = append(b.list, h)
	return h
}

// read takes a body through all hashes.
func (b *bodyHashes) read(r io.Reader) error {
	var ways []io.Writer
	var bodies []*body
	for f := range numForms {
		var into []*bodyHash
		for _, h := range b.list {
			if h.form == f {
				into = append(into, h)
			}
		}
		if len(into) > 0 {
			w := &body{form: f, out: func(p []byte) {
				for _, h := range into {
					h.write(p)
				}
			}}
			ways, bodies = append(ways, w), append(bodies, w)
		}
	}
	if len(ways) == 0 {
		return nil
	}
	if _, err := io.Copy(io.MultiWriter(ways...), r); err != nil {
		return err
	}
	for _, w := range bodies {
		w.Close()
	}
	return nil
}
