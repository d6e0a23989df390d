package dkim

import (
	"bufio"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"
)

// What a signature of ours looks like: relaxed/relaxed, and every field of h= as often as it
// is there; one time more where another must not be added later.

// Fields are the names of header fields to sign.
type Fields struct {
	Sign     []string // each one that there is
	Oversign []string // beside these, one that is not there: adding one breaks the signature
}

// maxSame is how many fields of one name are signed, from the bottom. Mail has one of each.
const maxSame = 20

// names is h= for a header.
func (f Fields) names(x index) []string {
	var names []string
	seen := make(map[string]bool)
	add := func(list []string, more int) {
		for _, name := range list {
			key := lower(name)
			if seen[key] {
				continue
			}
			seen[key] = true
			for range min(len(x[key]), maxSame) + more {
				names = append(names, name)
			}
		}
	}
	// From is signed whatever the lists say (RFC 6376 section 5.4), and never to be added.
	add([]string{"From"}, 1)
	add(f.Oversign, 1)
	add(f.Sign, 0)
	return names
}

// Make makes the fields of the signatures of a message, one for each key, all over the same
// bytes. A lifetime of 0 is no x=.
func Make(message io.Reader, keys []Key, f Fields, now time.Time, lifetime time.Duration) ([]byte, error) {
	r := bufio.NewReaderSize(message, 16<<10)
	header, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	var hashes bodyHashes
	body := hashes.of(relaxed, -1)
	if err := hashes.read(r); err != nil {
		return nil, err
	}
	x := makeIndex(header)
	names := f.names(x)
	var buf []byte
	var out []byte
	for _, k := range keys {
		field := compose(k, names, body.sum(), now, lifetime)
		h := sha256.New()
		x.pick(names, -1, func(i int) {
			buf = relaxed.appendField(buf[:0], header[i].raw)
			h.Write(buf)
		})
		buf = relaxed.appendField(buf[:0], field)
		h.Write(buf[:len(buf)-2])
		sig, err := k.sign(h.Sum(nil))
		if err != nil {
			return nil, fmt.Errorf("sign with %s._domainkey.%s: %w", k.Selector, k.Domain, err)
		}
		out = append(out, field...)
		out = appendFolded(out, base64.StdEncoding.EncodeToString(sig))
		out = append(out, "\r\n"...)
	}
	return out, nil
}

// algorithm is a= for a key.
func (k Key) algorithm() string {
	if _, is := k.Private.Public().(ed25519.PublicKey); is {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

func (k Key) sign(hash []byte) ([]byte, error) {
	if k.algorithm() == "ed25519-sha256" {
		return k.Private.Sign(nil, hash, crypto.Hash(0)) // over the hash itself (RFC 8463 section 3)
	}
	return k.Private.Sign(rand.Reader, hash, crypto.SHA256)
}

// compose writes a signature as far as the value of b=, which is last.
func compose(k Key, names []string, bodyHash []byte, now time.Time, lifetime time.Duration) []byte {
	b := fmt.Appendf(nil, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s; s=%s;\r\n\tt=%d;", k.algorithm(), k.Domain, k.Selector, now.Unix())
	if lifetime > 0 {
		b = fmt.Appendf(b, " x=%d;", now.Add(lifetime).Unix())
	}
	b = append(b, "\r\n\th="...)
	column := len("\th=")
	for i, name := range names {
		if i > 0 {
			b = append(b, ':')
			if column++; column+len(name) > lineLength {
				b, column = append(b, "\r\n\t"...), 1
			}
		}
		b = append(b, name...)
		column += len(name)
	}
	b = append(b, ";\r\n\tbh="...)
	b = append(b, base64.StdEncoding.EncodeToString(bodyHash)...)
	return append(b, ";\r\n\tb="...)
}

// lineLength is where lines of a signature are folded (RFC 5322 section 2.1.1: 78).
const lineLength = 76

func appendFolded(b []byte, text string) []byte {
	room := lineLength - len("\tb=")
	for len(text) > room {
		b = append(append(b, text[:room]...), "\r\n\t"...)
		text, room = text[room:], lineLength-1
	}
	return append(b, text...)
}

// asSent is a message with stray CRs and LFs as it will leave: such a message goes by DATA,
// which has neither (wire.DotWriter): a CR becomes a space, an LF a line end, and the last
// line gets its own.
type asSent struct {
	r    *bufio.Reader
	last byte
	owed string // is to come next
	over bool
}

func newAsSent(r io.Reader) *asSent { return &asSent{r: bufio.NewReader(r), last: '\n'} }

func (a *asSent) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if a.owed != "" {
			p[n], a.owed = a.owed[0], a.owed[1:]
			a.last = p[n]
			n++
			continue
		}
		if a.over {
			return n, io.EOF
		}
		c, err := a.r.ReadByte()
		switch {
		case err == io.EOF:
			a.over = true
			if a.last != '\n' {
				a.owed = "\r\n"
			}
		case err != nil:
			return n, err
		case c == '\n':
			a.owed = "\r\n"
		case c == '\r':
			if next, _ := a.r.Peek(1); len(next) == 0 || next[0] != '\n' {
				a.owed = " "
			}
		default:
			p[n], a.last = c, c
			n++
		}
	}
	return n, nil
}

// oneLine unfolds a value.
func oneLine(value []byte) string {
	return strings.TrimSpace(strings.ReplaceAll(string(value), "\r\n", ""))
}

// CheckFieldName tells whether a word can be the name of a header field to sign. Those that
// others on the way add or change are none.
func CheckFieldName(name string) error {
	odd := func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' || c == ';' }
	if name == "" || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%q is no name of a header field", name)
	}
	switch lower(name) {
	case fieldName, "received", "return-path": // RFC 6376 section 5.4
		return fmt.Errorf("%s must not be signed: it changes on the way", name)
	}
	return nil
}
