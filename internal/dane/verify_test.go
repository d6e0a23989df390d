package dane

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/mail"
)

var names = []string{"mx.dest.example", "dest.example", "real.example"}

// judge is what becomes of a server that shows chain, where records are published. Whose
// fault it is has a test of its own.
func judge(names []string, records []record, chain ...*peers.Cert) mail.TLSVerdict {
	v := verdict(names, records, chain...)
	v.Whose = ""
	return v
}

func verdict(names []string, records []record, chain ...*peers.Cert) mail.TLSVerdict {
	var certs []*x509.Certificate
	for _, c := range chain {
		certs = append(certs, c.Certificate)
	}
	for _, r := range records {
		if r.fault(defaultDigests()) != "" {
			return mail.TLSVerdict{Reason: "unusable: " + r.String()}
		}
	}
	v := newVerifier(records, names, defaultDigests(), func() time.Time { return noon })
	return v.verify(&tls.ConnectionState{PeerCertificates: certs})
}

var (
	matched    = mail.TLSVerdict{Trusted: true, Matched: true}
	noMatch    = mail.TLSVerdict{Reason: textNoMatch, Result: resultTrust}
	otherName  = mail.TLSVerdict{Trusted: true, Reason: textHostname, Result: resultMismatch}
	hasExpired = mail.TLSVerdict{Reason: textExpired, Result: resultExpired}
)

// Every kind of record, for what it is about and for something else of the same kind, alone,
// and while one is about to replace the other.
func TestEveryKindOfRecord(t *testing.T) {
	root := issue(t, nil, "root", nil)
	inter := issue(t, root, "inter", nil)
	leaf, next := issue(t, inter, "mx.dest.example", nil), issue(t, inter, "mx.dest.example", nil)
	otherRoot := issue(t, nil, "root", nil)
	for _, selector := range []uint8{0, 1} {
		for _, match := range []uint8{0, 1, 2} {
			name := func(usage uint8) string { return fmt.Sprintf("%d %d %d", usage, selector, match) }
			ee := func(c *peers.Cert) record { return about(c, usageEE, selector, match) }
			ta := func(c *peers.Cert) record { return about(c, usageTA, selector, match) }
			for _, c := range []struct {
				what    string
				records []record
				chain   []*peers.Cert
				want    mail.TLSVerdict
			}{
				{name(3), []record{ee(leaf)}, []*peers.Cert{leaf, inter}, matched},
				{name(3) + " without the chain", []record{ee(leaf)}, []*peers.Cert{leaf}, matched},
				{name(3) + " of another", []record{ee(next)}, []*peers.Cert{leaf, inter}, noMatch},
				{name(3) + " of the issuer", []record{ee(inter)}, []*peers.Cert{leaf, inter}, noMatch},
				{name(3) + " of the next one as well", []record{ee(next), ee(leaf)}, []*peers.Cert{leaf, inter}, matched},
				{name(3) + " of the next one as well, which is there", []record{ee(leaf), ee(next)}, []*peers.Cert{next, inter}, matched},
				{name(3) + " of the next one alone", []record{ee(next)}, []*peers.Cert{leaf, inter}, noMatch},

				{name(2), []record{ta(root)}, []*peers.Cert{leaf, inter, root}, matched},
				{name(2) + " of the intermediate", []record{ta(inter)}, []*peers.Cert{leaf, inter}, matched},
				{name(2) + " of another", []record{ta(otherRoot)}, []*peers.Cert{leaf, inter, root}, noMatch},
				{name(2) + " of another that is sent as well", []record{ta(otherRoot)}, []*peers.Cert{leaf, inter, otherRoot}, noMatch},
				{name(2) + " of the server itself", []record{ta(leaf)}, []*peers.Cert{leaf, inter}, noMatch},
				{name(2) + " of the server itself, sent twice", []record{ta(leaf)}, []*peers.Cert{leaf, leaf}, noMatch},
				{name(2) + " of the next root as well", []record{ta(otherRoot), ta(root)}, []*peers.Cert{leaf, inter, root}, matched},
				{name(2) + " beside that of another server", []record{ee(next), ta(root)}, []*peers.Cert{leaf, inter, root}, matched},
				{name(2) + " of another beside that of the server", []record{ta(otherRoot), ee(leaf)}, []*peers.Cert{leaf, inter, root}, matched},
			} {
				if got := judge(names, c.records, c.chain...); got != c.want {
					t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
				}
			}
			// An authority that is in the record itself need not be sent; the rest of the way
			// to it, and one that has only its digest there, must.
			absent := noMatch
			if match == matchFull {
				absent = matched
			}
			for what, got := range map[string]mail.TLSVerdict{
				"root":         judge(names, []record{ta(root)}, leaf, inter),
				"intermediate": judge(names, []record{ta(inter)}, leaf),
			} {
				if got != absent {
					t.Errorf("%s %s, not sent: %+v, want %+v", name(2), what, got, absent)
				}
			}
			if got := judge(names, []record{ta(root)}, leaf); got != noMatch {
				t.Errorf("%s, nothing between sent: %+v", name(2), got)
			}
		}
	}
}

// What counts under an authority and not for the server's own certificate.
func TestNamesAndDates(t *testing.T) {
	root := issue(t, nil, "root", nil)
	late := issue(t, nil, "late", expired)
	lateInter := issue(t, root, "lateinter", expired)
	inter := issue(t, root, "inter", nil)
	noCA := issue(t, root, "noca", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
	server := func(change func(*x509.Certificate)) *peers.Cert { return issue(t, root, "mx.dest.example", change) }
	called := func(names ...string) *peers.Cert {
		return issue(t, root, "cn.example", func(c *x509.Certificate) { c.DNSNames = names })
	}
	client := server(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	for _, c := range []struct {
		name  string
		names []string
		chain []*peers.Cert
		at    int // whose record is published under DANE-TA
		want  mail.TLSVerdict
	}{
		{"expired", names, []*peers.Cert{server(expired), root}, 1, hasExpired},
		{"not yet", names, []*peers.Cert{server(tooYoung), root}, 1, mail.TLSVerdict{Reason: textTooYoung, Result: resultOther}},
		{"expired authority", names, []*peers.Cert{issue(t, late, "mx.dest.example", nil), late}, 1, hasExpired},
		{"expired authority that another has signed", names, []*peers.Cert{issue(t, lateInter, "mx.dest.example", nil), lateInter, root}, 1, matched},
		{"expired server under it", names, []*peers.Cert{issue(t, lateInter, "mx.dest.example", expired), lateInter, root}, 1, hasExpired},
		{"expired intermediate", names, []*peers.Cert{issue(t, lateInter, "mx.dest.example", nil), lateInter, root}, 2, hasExpired},
		{"for clients", names, []*peers.Cert{client, root}, 1, mail.TLSVerdict{Reason: textPurpose, Result: resultOther}},
		{"signed by what is no authority", names, []*peers.Cert{issue(t, noCA, "mx.dest.example", nil), noCA, root}, 2, noMatch},
		{"under an authority beside the way", names, []*peers.Cert{issue(t, inter, "mx.dest.example", nil), inter, late}, 2, noMatch},

		{"of the host", names, []*peers.Cert{called("mx.dest.example"), root}, 1, matched},
		{"of the next hop", names, []*peers.Cert{called("dest.example"), root}, 1, matched},
		{"of where the next hop's alias led", names, []*peers.Cert{called("x.example", "real.example"), root}, 1, matched},
		{"of another", names, []*peers.Cert{called("mx.other.example"), root}, 1, otherName},
		{"of any host", names, []*peers.Cert{called("*.dest.example"), root}, 1, matched},
		{"of any host two below", []string{"a.b.dest.example"}, []*peers.Cert{called("*.dest.example"), root}, 1, otherName},
		{"of some hosts", names, []*peers.Cert{called("m*.dest.example"), root}, 1, otherName},
		{"common name alone", []string{"cn.example"}, []*peers.Cert{called(), root}, 1, matched},
		{"common name beside others", []string{"cn.example"}, []*peers.Cert{called("mx.other.example"), root}, 1, otherName},
	} {
		for _, match := range []uint8{0, 1, 2} {
			for _, selector := range []uint8{0, 1} {
				r := about(c.chain[c.at], usageTA, selector, match)
				if got := judge(c.names, []record{r}, c.chain...); got != c.want {
					t.Errorf("%s, %d %d %d: %+v, want %+v", c.name, r.usage, r.selector, r.match, got, c.want)
				}
				ee := about(c.chain[0], usageEE, selector, match)
				if got := judge(c.names, []record{ee}, c.chain...); got != matched {
					t.Errorf("%s, %d %d %d: %+v", c.name, ee.usage, ee.selector, ee.match, got)
				}
			}
		}
	}
	if got := judge(names, []record{about(root, usageEE, 1, 1)}); got != noMatch {
		t.Errorf("no certificate: %+v", got)
	}
}

// A server that sends much costs little: what is behind the tenth certificate is not read.
func TestLongChain(t *testing.T) {
	root := issue(t, nil, "root", nil)
	leaf := issue(t, root, "mx.dest.example", nil)
	others := slices.Repeat([]*peers.Cert{issue(t, nil, "other", nil)}, maxChain-2)
	r := []record{about(root, usageTA, 1, 1)}
	if got := judge(names, r, append(append([]*peers.Cert{leaf}, others...), root)...); got != matched {
		t.Errorf("within: %+v", got)
	}
	if got := judge(names, r, append(append([]*peers.Cert{leaf}, others...), others[0], root)...); got != noMatch {
		t.Errorf("beyond: %+v", got)
	}
}

// So does a domain that publishes much.
func TestManyKeys(t *testing.T) {
	root := issue(t, nil, "root", nil)
	leaf := issue(t, root, "mx.dest.example", nil)
	var records []record
	for range maxSignatures - 1 {
		records = append(records, about(issue(t, nil, "other", nil), usageTA, 1, 0))
	}
	right := about(root, usageTA, 1, 0)
	if got := judge(names, append(records, right), leaf); got != matched {
		t.Errorf("within: %+v", got)
	}
	if got := judge(names, append(append(records, records[0]), right), leaf); got != noMatch {
		t.Errorf("beyond: %+v", got)
	}
}

// The log says whether the server's certificate is at fault or one above it.
func TestWhose(t *testing.T) {
	root := issue(t, nil, "root", nil)
	inter, lateInter := issue(t, root, "inter", nil), issue(t, root, "lateinter", expired)
	leaf, self := issue(t, inter, "mx.dest.example", nil), issue(t, nil, "mx.dest.example", nil)
	other := issue(t, nil, "other", nil)
	ta := func(c *peers.Cert) []record { return []record{about(c, usageTA, 0, 1)} }
	for _, c := range []struct {
		name    string
		records []record
		chain   []*peers.Cert
		whose   string
	}{
		{"EE", []record{about(other, usageEE, 1, 1)}, []*peers.Cert{leaf, inter}, "server"},
		{"TA", ta(other), []*peers.Cert{leaf, inter, root}, "CA"},
		{"TA, server alone", ta(other), []*peers.Cert{leaf}, "server"},
		{"TA, no way to it", ta(other), []*peers.Cert{leaf, inter, other}, "CA"},
		{"TA, signed by itself", ta(other), []*peers.Cert{self, self}, "server"},
		{"expired", ta(root), []*peers.Cert{issue(t, root, "mx.dest.example", expired), root}, "server"},
		{"expired intermediate", ta(root), []*peers.Cert{issue(t, lateInter, "mx.dest.example", nil), lateInter, root}, "CA"},
		{"other name", ta(root), []*peers.Cert{issue(t, root, "mx.other.example", nil), root}, "server"},
		{"none", ta(root), nil, "server"},
	} {
		if got := verdict(names, c.records, c.chain...); got.Whose != c.whose || got.Matched {
			t.Errorf("%s: %+v, want %s", c.name, got, c.whose)
		}
	}
}
