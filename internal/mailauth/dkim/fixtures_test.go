package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// now is the time of all tests.
var now = time.Unix(1_800_000_000, 0)

// Keys take a while to make: each once.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func edKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func record(t testing.TB, key crypto.Signer) string {
	t.Helper()
	text, err := Record(key.Public(), "")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// twoKeys are those of a domain, and a zone that has them.
func twoKeys(t testing.TB, domain string) ([]Key, *dnstest.Zone) {
	keys := []Key{{domain, "rsa", rsaKey()}, {domain, "ed", edKey()}}
	return keys, zoneOf(t, keys...)
}

func zoneOf(t testing.TB, keys ...Key) *dnstest.Zone {
	z := dnstest.New(t, "")
	for _, k := range keys {
		z.AddTXT(k.Selector+"._domainkey."+k.Domain, record(t, k.Private))
	}
	return z
}

// forge makes a message with a signature whose tags are as given, "" taking one away, and
// whose hashes and signature are right for them.
func forge(t testing.TB, k Key, tags map[string]string, header, text string) string {
	t.Helper()
	all := map[string]string{"v": "1", "a": k.algorithm(), "c": "relaxed/relaxed", "d": k.Domain, "s": k.Selector, "h": "from:to:subject"}
	for name, value := range tags {
		all[name] = value
	}
	h, b, _ := strings.Cut(all["c"], "/")
	hf, _ := formOf(h)
	bf, _ := formOf(b)
	if _, has := tags["bh"]; !has {
		limit := int64(-1)
		if l := all["l"]; l != "" {
			fmt.Sscan(l, &limit)
		}
		var hashes bodyHashes
		sum := hashes.of(bf, limit)
		if err := hashes.read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		all["bh"] = base64.StdEncoding.EncodeToString(sum.sum())
	}
	field := "DKIM-Signature:"
	for _, name := range []string{"v", "a", "c", "d", "i", "s", "t", "x", "q", "l", "h", "z", "bh", "extra"} {
		if value := all[name]; value != "" {
			field += " " + name + "=" + value + ";\r\n"
		}
	}
	field += " b="
	fields, err := readHeader(crlfReader(strings.NewReader(header)))
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	makeIndex(fields).pick(strings.Split(noSpace(all["h"]), ":"), -1, func(i int) {
		data = hf.appendField(data, fields[i].raw)
	})
	data = append(data, bytes.TrimSuffix(hf.appendField(nil, []byte(field)), []byte("\r\n"))...)
	sum := sha256.Sum256(data)
	sig, err := k.sign(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return field + base64.StdEncoding.EncodeToString(sig) + "\r\n" + header + "\r\n" + text
}

const (
	plainHeader = "From: Joe <joe@a.example>\r\nTo: sue@b.example\r\nSubject: hello\r\n"
	plainBody   = "Hi.\r\n\r\nHow are you?\r\n"
)

func verify(t testing.TB, z *dnstest.Zone, message string) []Signature {
	t.Helper()
	sigs, err := Verify(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: z.Resolver(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return sigs
}

// content is a mail.Body in memory, which counts how often it is read.
type content struct {
	text string
	mu   sync.Mutex // guards read
	read int
}

func (c *content) Size() int64 { return int64(len(c.text)) }

func (c *content) Open() (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
	return io.NopCloser(strings.NewReader(c.text)), nil
}

func results(sigs []Signature) (list []mail.AuthResult) {
	for _, s := range sigs {
		list = append(list, s.Result)
	}
	return list
}
