package dmarc

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// A model of RFC 9989 that looks at all records there are instead of walking, with records
// as (domain, policies, psd). It has nothing in common with the code but what the text says.
type modelRecord struct {
	p, sp, np string
	psd       byte
	strict, t bool
}

type model struct {
	records map[string]modelRecord
	exists  map[string]bool
	broken  map[string]bool
}

// names are those that are asked for, from the longest to the shortest.
func modelNames(domain string) (names []string) {
	l := strings.Split(domain, ".")
	for i := range l {
		if i == 0 || len(l)-i <= 7 {
			names = append(names, strings.Join(l[i:], "."))
		}
	}
	return names
}

// org is the organizational domain, and the public suffix domain above it; ok is false where
// an answer is missing.
func (m *model) org(domain string) (org, psd string, ok bool) {
	org = domain
	names := modelNames(domain)
	for i, n := range names {
		r, has := m.records[n]
		switch {
		case m.broken[n]:
			return "", "", false
		case has && r.psd == 'n':
			return n, "", true
		case has && r.psd == 'y' && i > 0:
			l := strings.Split(domain, ".")
			return strings.Join(l[len(l)-1-len(strings.Split(n, ".")):], "."), n, true
		case has && r.psd == 'y':
			return n, "", true
		case has:
			org = n
		}
	}
	return org, "", true
}

// check returns the result and what is asked for.
func (m *model) check(author string, spf Identity, dkim []Identity) (result, disposition string) {
	at := author
	r, has := m.records[author]
	if m.broken[author] {
		return "temperror", None
	}
	if !has {
		org, psd, ok := m.org(author)
		if !ok {
			return "temperror", None
		}
		if r, has = m.records[org]; has {
			at = org
		} else if r, has = m.records[psd]; has {
			at = psd
		}
	}
	if !has {
		return "none", None
	}
	trouble := false
	for _, id := range append([]Identity{spf}, dkim...) {
		if id.Result != mail.AuthPass {
			continue
		}
		if id.Domain == author {
			return "pass", None
		}
		if r.strict {
			continue
		}
		a, _, ok := m.org(author)
		b, _, ok2 := m.org(id.Domain)
		if ok && ok2 && a == b {
			return "pass", None
		}
		// An answer that is missing matters where the other could still have been aligned.
		within := func(name, org string) bool { return name == org || strings.HasSuffix(name, "."+org) }
		switch top := author[strings.LastIndexByte(author, '.'):]; {
		case ok && ok2, !strings.HasSuffix(id.Domain, top), ok && !within(id.Domain, a), ok2 && !within(author, b):
		default:
			trouble = true
		}
	}
	if trouble {
		return "temperror", None
	}
	policy := r.p
	if at != author {
		if r.sp != "" {
			policy = r.sp
		}
		if r.np != "" && !m.exists[author] {
			policy = r.np
		}
	}
	if r.t && policy == Reject {
		return "fail", Quarantine
	} else if r.t {
		return "fail", None
	}
	return "fail", policy
}

// Check is as the model, for domains, records and faults as chance has them.
func TestCheckAsModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	seen := map[string]int{}
	for round := range 3000 {
		m := model{map[string]modelRecord{}, map[string]bool{}, map[string]bool{}}
		z := dnstest.New(t, "")
		name := func() string {
			n := pick("x.example", "y.example", "x.test")
			for range rnd.IntN(rnd.IntN(9) + 1) {
				n = pick("a", "b") + "." + n
			}
			return n
		}
		put := func(n string) {
			if _, has := m.records[n]; has {
				return
			}
			r := modelRecord{p: pick(None, Quarantine, Reject), sp: pick("", "", None, Reject), np: pick("", "", Quarantine, Reject), psd: pick("u", "u", "u", "n", "y")[0], strict: rnd.IntN(5) == 0, t: rnd.IntN(4) == 0}
			m.records[n] = r
			text := "v=DMARC1; p=" + r.p
			for _, f := range [][2]string{{"sp", r.sp}, {"np", r.np}, {"psd", string(rune(r.psd))}} {
				if f[1] != "" {
					text += "; " + f[0] + "=" + f[1]
				}
			}
			if r.strict {
				text += "; adkim=s; aspf=s"
			}
			if r.t {
				text += "; t=y"
			}
			z.AddTXT("_dmarc."+n, text)
			for l := n; l != ""; l = parent(l) {
				m.exists[l] = true
			}
		}
		author, spf := name(), Identity{name(), mail.AuthResult(pick("pass", "pass", "fail"))}
		var dkim []Identity
		for range rnd.IntN(4) {
			dkim = append(dkim, Identity{name(), mail.AuthResult(pick("pass", "pass", "fail"))})
		}
		for range rnd.IntN(5) {
			n := modelNames(pick(author, spf.Domain))
			put(n[rnd.IntN(len(n))])
		}
		if rnd.IntN(4) == 0 {
			n := modelNames(pick(author, spf.Domain))
			broken := n[rnd.IntN(len(n))]
			m.broken[broken] = true
			z.Fail("_dmarc."+broken, dnstest.ServFail)
		}
		if rnd.IntN(2) == 0 {
			z.AddTXT(author, "x")
			for l := author; l != ""; l = parent(l) {
				m.exists[l] = true
			}
		}
		wantResult, wantDisposition := m.check(author, spf, dkim)
		res := Check(t.Context(), z.Resolver(), author, spf, dkim)
		if string(res.Result) != wantResult || res.Disposition != wantDisposition {
			t.Fatalf("seed %d, round %d: %s, spf %v, dkim %v, records %+v, broken %v, exists %v:\n%+v\nwant %s, %s",
				seed, round, author, spf, dkim, m.records, m.broken, m.exists, res, wantResult, wantDisposition)
		}
		if (res.SPFAligned || res.DKIMAligned) != (res.Result == mail.AuthPass) {
			t.Fatalf("seed %d: %+v", seed, res)
		}
		seen[fmt.Sprint(wantResult, wantDisposition)]++
	}
	for _, outcome := range []string{"nonenone", "passnone", "failnone", "failquarantine", "failreject", "temperrornone"} {
		if seen[outcome] < 20 {
			t.Errorf("%s only %d times", outcome, seen[outcome])
		}
	}
}
