package dane

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// maxRecords is how many records of one host count; Postfix reads no more of any kind.
const maxRecords = 100

// The fields of a TLSA record that SMTP knows (RFC 7672 section 3.1, RFC 7218).
const (
	usageTA = 2 // DANE-TA: an authority that the server's certificate leads to
	usageEE = 3 // DANE-EE: the server's own certificate

	selectorCert = 0
	selectorKey  = 1

	matchFull    = 0   // the data is the thing itself
	matchPrivate = 255 // of no meaning between strangers
)

// record is a TLSA record that was decoded.
type record struct {
	usage, selector, match uint8
	data                   []byte
}

// String is the record as a zone file has it.
func (r record) String() string {
	return fmt.Sprintf("%d %d %d %X", r.usage, r.selector, r.match, r.data)
}

// brief is the record for the log: of much data the beginning and the end, as Postfix has it.
func (r record) brief() string {
	const head, tail = 32, 32
	if len(r.data) == 0 {
		return fmt.Sprintf("%d %d %d ...", r.usage, r.selector, r.match)
	}
	if len(r.data) <= head+tail {
		return r.String()
	}
	return fmt.Sprintf("%d %d %d %X...%X", r.usage, r.selector, r.match, r.data[:head], r.data[len(r.data)-tail:])
}

// decode brings a record into the form that is compared. What is not hexadecimal has no data.
func decode(t *dns.TLSA) record {
	data, err := hex.DecodeString(t.Certificate)
	if err != nil {
		data = nil
	}
	return record{usage: t.Usage, selector: t.Selector, match: t.MatchingType, data: data}
}

// fault says in Postfix's words why a record is not usable, to go behind its owner; "": it is. One whose data
// could be a certificate or a key is usable, whether or not we know its algorithms: it may
// match nothing, but nobody takes it for "there is no such record".
func (r record) fault(digests []Digest) string {
	switch {
	case r.usage != usageTA && r.usage != usageEE:
		return " unsupported TLSA certificate usage"
	case r.match == matchPrivate:
		return " reserved private-use matching type"
	case len(r.data) == 0:
		return ": truncated TLSA RR length == 3"
	case r.selector != selectorCert && r.selector != selectorKey:
		return ": unusable TLSA RR"
	case r.match == matchFull:
		if !wellFormed(r.selector, r.data) {
			return ": unusable TLSA RR"
		}
		return ""
	}
	i := rank(digests, r.match)
	if i < 0 || digests[i].Hash.Size() != len(r.data) {
		return ": unusable TLSA RR"
	}
	return ""
}

// wellFormed tells whether data has the outline of a certificate or of a public key.
func wellFormed(selector uint8, data []byte) bool {
	var cert struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var rest []byte
	var err error
	if selector == selectorCert {
		rest, err = asn1.Unmarshal(data, &cert)
	} else {
		rest, err = asn1.Unmarshal(data, &key)
	}
	return err == nil && len(rest) == 0
}

// matches tells whether a certificate is the one that the record is about, or has its key.
func (r record) matches(c *x509.Certificate, digests []Digest) bool {
	of := c.Raw
	if r.selector == selectorKey {
		of = c.RawSubjectPublicKeyInfo
	}
	if r.match == matchFull {
		return bytes.Equal(r.data, of)
	}
	i := rank(digests, r.match)
	return i >= 0 && bytes.Equal(r.data, digests[i].sum(of))
}

// usable decodes records and keeps those that are usable, each once. The others are
// warned about.
func (d *DANE) usable(owner string, rrs []*dns.TLSA) []record {
	var records []record
	for _, rr := range rrs {
		r := decode(rr)
		if fault := r.fault(d.o.Digests); fault != "" {
			d.told.once(owner + fault + ": " + r.brief())
			continue
		}
		if !slices.ContainsFunc(records, r.same) {
			records = append(records, r)
		}
	}
	return records
}

func (r record) same(o record) bool {
	return r.usage == o.usage && r.selector == o.selector && r.match == o.match && bytes.Equal(r.data, o.data)
}

// texts are records as reports tell them (RFC 8460 section 4.4).
func texts(rrs []*dns.TLSA) []string {
	lines := make([]string, len(rrs))
	for i, rr := range rrs {
		lines[i] = decode(rr).String()
	}
	return lines
}
