package mailauth

import (
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// Every combination of what SPF, DKIM, DMARC and ARC can find, with the default policy and
// with one that is strict. What is to come of each is said here a second time, without the
// code: in words of the rules.
func TestCombinations(t *testing.T) {
	strict := Policy{
		SPFFail: Reject, SPFTempError: Defer, DMARCReject: Reject, DMARCQuarantine: Hold, DMARCTempError: Defer,
		NoAuthor: Reject, Hosted: Reject, HostedTempError: Defer,
	}
	base := newWorld(t)
	plain := letter("<x@a.example>")
	base.sealed("b.example", plain) // makes the key
	for _, spf := range []string{"aligned", "other", "fail", "none", "temperror"} {
		for _, dkim := range []string{"none", "aligned", "other", "broken", "temperror"} {
			for _, policy := range []string{"", "none", "quarantine", "reject", "temperror"} {
				for _, arc := range []string{"none", "trusted", "untrusted", "broken"} {
					name := fmt.Sprintf("spf=%s dkim=%s p=%s arc=%s", spf, dkim, policy, arc)
					w := *base
					w.t = t
					w.zone = dnstest.New(t, names)
					for _, d := range []string{"a.example", "b.example"} {
						w.zone.AddTXT("s._domainkey."+d, base.keyRecord())
					}
					message := plain
					switch dkim {
					case "aligned", "temperror", "broken":
						message = w.signed("a.example", message)
					case "other":
						message = w.signed("b.example", message)
					}
					if arc != "none" {
						message = w.sealed("b.example", message)
					}
					if dkim == "broken" {
						message = strings.Replace(message, "From: <x@", "From: <y@", 1)
					}
					if dkim == "temperror" {
						w.zone.Fail("s._domainkey.a.example", dnstest.ServFail)
					}
					if arc == "broken" || dkim == "broken" && arc != "none" {
						message = strings.Replace(message, "Subject: s", "Subject: t", 1)
					}
					if arc == "trusted" {
						w.o.TrustedSealers = []string{"B.example"}
					}
					w.dmarc("a.example", policy)
					if policy == "temperror" {
						w.zone.Fail("_dmarc.a.example", dnstest.ServFail)
					}
					r := request("192.0.2.1", "h", "x@a.example")
					switch spf {
					case "other":
						r = request("192.0.2.2", "h", "x@b.example")
					case "fail":
						r = request("192.0.2.9", "h", "x@b.example")
					case "none":
						r = request("192.0.2.9", "h", "x@nothing.example")
					case "temperror":
						w.zone.Fail("a.example", dnstest.ServFail)
					}
					want := expectation{spf: spf, dkim: dkim, policy: policy}
					want.arc = arc
					if arc != "none" && dkim == "broken" {
						want.arc = "broken"
					}
					for _, p := range []Policy{DefaultPolicy(), strict} {
						w.o.Policy = p
						v := w.verdict(r, message)
						if got, want := outcome(v), want.action(p == strict); got != want {
							t.Errorf("%s, strict=%v: %s, want %s\n%s", name, p == strict, got, want, v.Reason)
						}
						if v.Auth.Vouched && !want.aligned() {
							t.Errorf("%s: vouched for", name)
						}
						if policy != "temperror" && spf != "temperror" && v.Auth.Vouched != want.aligned() {
							t.Errorf("%s: vouched %v", name, v.Auth.Vouched)
						}
						if !want.aligned() && v.Auth.DMARC == mail.AuthPass {
							t.Errorf("%s: DMARC passes", name)
						}
						if v.Auth.Author != "a.example" {
							t.Errorf("%s: author %q", name, v.Auth.Author)
						}
					}
				}
			}
		}
	}
}

type expectation struct{ spf, dkim, policy, arc string }

func (e expectation) aligned() bool { return e.spf == "aligned" || e.dkim == "aligned" }

func (e expectation) action(strict bool) string {
	const refused = "550 5.7.1"
	later := "451 4.7.1"
	dmarc := "accept"
	switch {
	case e.policy == "temperror":
		if strict && !e.aligned() || strict {
			dmarc = later
		}
	case e.policy == "" || e.policy == "none" || e.aligned():
	case e.spf == "temperror" || e.dkim == "temperror": // may pass once it can be asked
		if strict {
			dmarc = later
		}
	case e.policy == "quarantine":
		if strict {
			dmarc = "hold"
		}
	default:
		evidence := e.spf == "fail" || e.spf == "none" && (e.dkim == "none" || e.dkim == "broken") && (e.arc == "none" || e.arc == "broken")
		switch {
		case evidence && e.arc != "trusted":
			dmarc = refused
		case strict:
			dmarc = "hold"
		}
	}
	if !strict || dmarc == refused {
		return dmarc
	}
	switch {
	case e.spf == "fail":
		return "550 5.7.23"
	case e.spf == "temperror" && dmarc != later:
		return "451 4.7.24"
	}
	return dmarc
}
