package dnscheck

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"
)

// maxTLSA is how many records of one host are looked at.
const maxTLSA = 50

// tlsa judges the records by which senders verify the certificate of one of our hosts
// (DANE, RFC 7672). Where they do not match, mail from those senders does not come.
func (c *Checker) tlsa(ctx context.Context, r *report) {
	name := "_25._tcp." + r.domain
	shown, err := c.o.Shown(ctx, r.domain)
	if err != nil {
		r.say(TLSA, Wrong, "the certificate of "+r.domain+" cannot be read: "+err.Error())
		return
	}
	host, hostErr := c.o.Resolver.Query(ctx, r.domain, miekg.TypeA)
	a, err := c.o.Resolver.Query(ctx, name, miekg.TypeTLSA)
	if r.unasked(TLSA, name, err) || r.unasked(TLSA, r.domain, hostErr) {
		return
	}
	secure := host.Secure && a.Secure
	publish := c.tlsaRecords(name, shown)
	var records []*miekg.TLSA
	for _, rr := range a.RRs[:min(len(a.RRs), maxTLSA)] {
		if t, ok := rr.(*miekg.TLSA); ok {
			records = append(records, t)
		}
	}
	switch {
	case len(shown) == 0 && len(records) == 0:
		r.say(TLSA, Note, "no TLS is offered (smtpd_tls_security_level, smtpd_tls_chain_files), and no record asks for it")
		return
	case len(shown) == 0:
		r.say(TLSA, Wrong, "there are records, but no TLS is offered: senders with DANE do not deliver; take the records out, or set smtpd_tls_security_level and smtpd_tls_chain_files")
		return
	case len(records) == 0 && !secure:
		r.say(TLSA, Note, "no record. It would count only in a signed zone: "+unsigned)
		return
	case len(records) == 0:
		r.say(TLSA, Missing, "no record, though the zone is signed: senders cannot verify the certificate", publish...)
		return
	}
	c.judgeTLSA(r, records, shown, secure, publish)
}

const unsigned = "this one is not, or the name server does not say that it has verified it (DNSSEC)"

func (c *Checker) judgeTLSA(r *report, records []*miekg.TLSA, shown []*tls.Certificate, secure bool, publish []Record) {
	usable := slices.DeleteFunc(slices.Clone(records), func(t *miekg.TLSA) bool { return tlsaFault(t) != "" })
	for _, t := range records {
		if fault := tlsaFault(t); fault != "" {
			r.say(TLSA, Wrong, fmt.Sprintf("%d %d %d %s: %s", t.Usage, t.Selector, t.MatchingType, short(t.Certificate), fault), publish...)
		}
	}
	if len(usable) == 0 {
		return
	}
	used := make(map[*miekg.TLSA]bool)
	all := true
	for _, cert := range shown {
		matched := false
		for _, t := range usable {
			if tlsaMatches(t, cert) {
				matched, used[t] = true, true
			}
		}
		if !matched {
			all = false
			r.say(TLSA, Wrong, fmt.Sprintf("no record matches the certificate that is shown (%s): senders with DANE do not deliver", keyKind(cert.Leaf)), publish...)
		}
	}
	if !all {
		return
	}
	if !secure {
		r.say(TLSA, Note, fmt.Sprintf("%d records match, but senders only look at a signed zone: %s", len(used), unsigned))
		return
	}
	text := fmt.Sprintf("%d of %d records match the certificates that are shown", len(used), len(usable))
	if spare := len(usable) - len(used); spare > 0 {
		text += fmt.Sprintf("; %d for keys that are to follow, or were left behind", spare)
	}
	r.say(TLSA, OK, text)
	for _, p := range publish {
		if !slices.ContainsFunc(usable, func(t *miekg.TLSA) bool {
			return strings.EqualFold(p.Data, fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.MatchingType, t.Certificate))
		}) && slices.ContainsFunc(c.o.NextKeys, func(k []byte) bool { return p.Data == spkiRecord(k) }) {
			r.say(TLSA, Missing, "the record of the key that is to follow is not there: it has to be, for twice its TTL, before that key is used", p)
		}
	}
}

// tlsaFault says why senders cannot use a record (RFC 7672 section 3.1), "" if they can.
func tlsaFault(t *miekg.TLSA) string {
	want := map[uint8]int{1: sha256.Size, 2: sha512.Size}[t.MatchingType]
	data, err := hex.DecodeString(t.Certificate)
	switch {
	case t.Usage < 2:
		return "usages 0 and 1 are not for mail: write 3 1 1"
	case t.Usage > 3, t.Selector > 1, t.MatchingType > 2:
		return "unknown usage, selector or matching type: write 3 1 1"
	case err != nil || len(data) == 0 || want > 0 && len(data) != want:
		return "the digest has not the length of its kind"
	}
	return ""
}

// tlsaMatches compares a usable record with a chain: usage 3 with the certificate itself,
// usage 2 with those above it.
func tlsaMatches(t *miekg.TLSA, chain *tls.Certificate) bool {
	list := [][]byte{chain.Certificate[0]}
	if t.Usage == 2 {
		list = chain.Certificate
	}
	return slices.ContainsFunc(list, func(der []byte) bool {
		cert, err := x509.ParseCertificate(der)
		return err == nil && t.Verify(cert) == nil
	})
}

// tlsaRecords are "3 1 1" for each key that is shown, and for those to follow: they stay
// right when a certificate is renewed with the same key.
func (c *Checker) tlsaRecords(name string, shown []*tls.Certificate) (list []Record) {
	keys := make([][]byte, 0, len(shown)+len(c.o.NextKeys))
	for _, cert := range shown {
		keys = append(keys, cert.Leaf.RawSubjectPublicKeyInfo)
	}
	for _, k := range append(keys, c.o.NextKeys...) {
		if r := (Record{Name: miekg.Fqdn(name), Type: "TLSA", Data: spkiRecord(k)}); !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list
}

func spkiRecord(spki []byte) string {
	sum := sha256.Sum256(spki)
	return "3 1 1 " + hex.EncodeToString(sum[:])
}

func keyKind(c *x509.Certificate) string { return c.PublicKeyAlgorithm.String() }
