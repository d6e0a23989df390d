package dmarc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// zone reads lines "domain record" into the names of DMARC records; a line with a type in
// capitals is a record as in a master file, "FAIL name" a name that nobody answers for.
func zone(t testing.TB, lines string) *dnstest.Zone {
	z := dnstest.New(t, "")
	for line := range strings.SplitSeq(lines, "\n") {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case !ok:
		case name == "FAIL":
			z.Fail(text, dnstest.ServFail)
		case strings.HasPrefix(text, "v="), strings.HasPrefix(text, "other"):
			z.AddTXT("_dmarc."+name, text)
		default:
			z.Add(t, name+". "+text+"\n")
		}
	}
	return z
}

// ids reads "pass a.example, fail b.example".
func ids(s string) (list []Identity) {
	for part := range strings.SplitSeq(s, ",") {
		if result, domain, ok := strings.Cut(strings.TrimSpace(part), " "); ok {
			list = append(list, Identity{domain, mail.AuthResult(result)})
		}
	}
	return list
}

func TestCheck(t *testing.T) {
	const deep = "a.b.c.d.e.f.g.h.i.j.k.example.com"
	for _, c := range []struct{ name, zone, author, spf, dkim, want string }{
		{"nothing", "", "a.example", "pass a.example", "pass a.example", "none, for none, org a.example: no DMARC record"},
		{"dkim", "a.example v=DMARC1; p=reject", "a.example", "", "pass a.example", "pass, for none, policy reject of a.example, org a.example, by dkim"},
		{"spf", "a.example v=DMARC1; p=reject", "a.example", "pass a.example", "", "pass, for none, policy reject of a.example, org a.example, by spf"},
		{"both, written otherwise", "a.example v=DMARC1; p=reject", "A.Example.", "pass a.EXAMPLE", "pass A.example.", "pass, for none, policy reject of a.example, org a.example, by spf dkim"},
		{"neither", "a.example v=DMARC1; p=reject", "a.example", "fail a.example", "fail a.example, pass b.example", "fail, for reject, policy reject of a.example, org a.example"},
		{"results that are no pass", "a.example v=DMARC1; p=quarantine", "a.example", "softfail a.example", "neutral a.example, policy a.example, permerror a.example, none a.example", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"relaxed, below", "a.example v=DMARC1; p=reject", "a.example", "pass x.a.example", "", "pass, for none, policy reject of a.example, org a.example, by spf"},
		{"relaxed, above", "a.example v=DMARC1; p=reject", "x.a.example", "", "pass a.example", "pass, for none, policy reject of a.example, org a.example, by dkim"},
		{"relaxed, beside", "a.example v=DMARC1; p=reject", "x.a.example", "pass y.a.example", "", "pass, for none, policy reject of a.example, org a.example, by spf"},
		{"relaxed, another", "a.example v=DMARC1; p=reject", "x.a.example", "pass xa.example", "pass b.example", "fail, for reject, policy reject of a.example, org a.example"},
		{"strict", "a.example v=DMARC1; p=reject; aspf=s; adkim=s", "a.example", "pass x.a.example", "pass x.a.example", "fail, for reject, policy reject of a.example, org a.example"},
		{"strict of one", "a.example v=DMARC1; p=reject; aspf=s", "a.example", "pass x.a.example", "pass x.a.example", "pass, for none, policy reject of a.example, org a.example, by dkim"},
		{"U-labels", "xn--bcher-kva.example v=DMARC1; p=reject", "bücher.example", "pass xn--bcher-kva.example", "", "pass, for none, policy reject of xn--bcher-kva.example, org xn--bcher-kva.example, by spf"},

		{"sp", "a.example v=DMARC1; p=reject; sp=none\nx.a.example A 192.0.2.1", "x.a.example", "", "", "fail, for none, policy none of a.example, org a.example"},
		{"sp is not for the domain itself", "a.example v=DMARC1; p=reject; sp=none", "a.example", "", "", "fail, for reject, policy reject of a.example, org a.example"},
		{"np", "a.example v=DMARC1; p=none; sp=none; np=reject", "x.a.example", "", "", "fail, for reject, policy reject of a.example, org a.example"},
		{"np, and it exists", "a.example v=DMARC1; p=quarantine; np=reject\nx.a.example TXT x", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"np, and a name below exists", "a.example v=DMARC1; p=quarantine; np=reject\ny.x.a.example A 192.0.2.1", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"np, and other text at _dmarc", "a.example v=DMARC1; p=quarantine; np=reject\nx.a.example other", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"np, and an alias into nothing", "a.example v=DMARC1; p=quarantine; np=reject\nx.a.example CNAME nowhere.example.", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"no np, sp is for what does not exist", "a.example v=DMARC1; p=none; sp=quarantine", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"np of what passes", "a.example v=DMARC1; p=none; np=reject", "x.a.example", "", "pass a.example", "pass, for none, policy none of a.example, org a.example, by dkim"},
		{"t", "a.example v=DMARC1; p=reject; t=y", "a.example", "", "", "fail, for quarantine, policy reject of a.example, org a.example, testing"},
		{"t, quarantine", "a.example v=DMARC1; p=none; sp=quarantine; t=y", "x.a.example", "", "", "fail, for none, policy quarantine of a.example, org a.example, testing"},
		{"t, none", "a.example v=DMARC1; p=none; t=y", "a.example", "", "", "fail, for none, policy none of a.example, org a.example, testing"},
		{"pct is gone", "a.example v=DMARC1; p=reject; pct=0", "a.example", "", "", "fail, for reject, policy reject of a.example, org a.example"},

		{"two records are none", "a.example v=DMARC1; p=reject\na.example v=DMARC1; p=none", "a.example", "", "", "none, for none, org a.example: 2 DMARC records"},
		{"two records, and one above", "x.a.example v=DMARC1; p=reject\nx.a.example v=DMARC1; p=none\na.example v=DMARC1; p=none; sp=quarantine", "x.a.example", "", "", "fail, for quarantine, policy quarantine of a.example, org a.example"},
		{"one of two is no DMARC record", "a.example v=DMARC1; p=reject\na.example other", "a.example", "", "", "fail, for reject, policy reject of a.example, org a.example"},
		{"no policy", "a.example v=DMARC1; adkim=s", "a.example", "", "", "none, for none, org a.example: no valid policy"},
		{"no policy, and one above", "x.a.example v=DMARC1; p=no\na.example v=DMARC1; p=reject", "x.a.example", "", "", "none, for none, org a.example: no valid policy"},
		{"no policy, but reports", "a.example v=DMARC1; p=no; sp=reject; rua=mailto:x@a.example", "x.a.example", "", "", "fail, for none, policy none of a.example, org a.example"},

		{"own record, organizational domain above", "x.a.example v=DMARC1; p=quarantine; sp=none\na.example v=DMARC1; p=reject; sp=none; aspf=s", "x.a.example", "pass y.a.example", "", "pass, for none, policy quarantine of x.a.example, org a.example, by spf"},
		{"the highest of several", "x.a.example v=DMARC1; p=quarantine\na.example v=DMARC1; p=reject", "y.x.a.example", "", "", "fail, for reject, policy reject of a.example, org a.example"},
		{"psd=n", "b.a.example v=DMARC1; p=reject; psd=n\na.example v=DMARC1; p=none", "x.b.a.example", "pass a.example", "", "fail, for reject, policy reject of b.a.example, org b.a.example"},
		{"psd=n of the author", "b.a.example v=DMARC1; p=reject; psd=n\na.example v=DMARC1; p=none", "b.a.example", "pass a.example", "pass x.b.a.example", "pass, for none, policy reject of b.a.example, org b.a.example, by dkim"},
		{"psd=n of the other", "b.a.example v=DMARC1; p=reject; psd=n\na.example v=DMARC1; p=none", "a.example", "pass b.a.example", "", "fail, for none, policy none of a.example, org a.example"},
		{"psd=y", "bank.example v=DMARC1; p=reject; psd=y\ngiant.bank.example v=DMARC1; p=quarantine", "giant.bank.example", "pass mail.giant.bank.example", "pass mail.mega.bank.example", "pass, for none, policy quarantine of giant.bank.example, org giant.bank.example, by spf"},
		{"psd=y alone", "bank.example v=DMARC1; p=none; sp=quarantine; np=reject; psd=y\nmx.mega.bank.example A 192.0.2.1", "mega.bank.example", "pass giant.bank.example", "pass bank.example", "fail, for quarantine, policy quarantine of bank.example, org mega.bank.example"},
		{"psd=y, of what does not exist", "bank.example v=DMARC1; p=none; sp=quarantine; np=reject; psd=y", "x.mega.bank.example", "", "pass mega.bank.example", "pass, for none, policy quarantine of bank.example, org mega.bank.example, by dkim"},
		{"psd=y of the author", "bank.example v=DMARC1; p=reject; sp=none; psd=y", "bank.example", "", "pass x.bank.example", "fail, for reject, policy reject of bank.example, org bank.example"},
		{"psd=y at the top", "example v=DMARC1; p=reject; psd=y\na.example v=DMARC1; p=none", "x.a.example", "pass y.a.example", "", "pass, for none, policy none of a.example, org a.example, by spf"},
		{"a record at the top without psd", "example v=DMARC1; p=none", "a.example", "pass b.example", "", "pass, for none, policy none of example, org example, by spf"},

		{"deep", "example.com v=DMARC1; p=reject", deep, "pass example.com", "pass signing.example.com", "pass, for none, policy reject of example.com, org example.com, by spf dkim"},
		{"deep, in what is left out", "f.g.h.i.j.k.example.com v=DMARC1; p=reject", deep, "", "", "none, for none, org " + deep + ": no DMARC record"},
		{"deep, just below", "g.h.i.j.k.example.com v=DMARC1; p=reject; psd=y", deep, "", "pass f.g.h.i.j.k.example.com", "pass, for none, policy reject of g.h.i.j.k.example.com, org f.g.h.i.j.k.example.com, by dkim"},

		{"the record cannot be had", "FAIL _dmarc.a.example", "a.example", "pass a.example", "pass a.example", "temperror, for none: _dmarc.a.example"},
		{"the one above cannot be had", "FAIL _dmarc.a.example\nexample v=DMARC1; p=reject", "x.a.example", "pass x.a.example", "", "temperror, for none: _dmarc.a.example"},
		{"nor is it needed", "a.example v=DMARC1; p=reject\nFAIL _dmarc.example", "a.example", "pass a.example", "", "pass, for none, policy reject of a.example, by spf"},
		{"but for one that is not the same", "a.example v=DMARC1; p=reject\nFAIL _dmarc.example", "a.example", "pass x.a.example", "", "temperror, for none, policy reject of a.example: _dmarc.example"},
		{"nor for strangers", "a.example v=DMARC1; p=reject\nFAIL _dmarc.example", "a.example", "pass a.test", "", "fail, for reject, policy reject of a.example"},
		{"an identity's own walk", "a.example v=DMARC1; p=reject\nFAIL _dmarc.x.a.example", "a.example", "pass x.a.example", "", "temperror, for none, policy reject of a.example, org a.example: _dmarc.x.a.example"},
		{"one of several", "a.example v=DMARC1; p=reject\nFAIL _dmarc.x.a.example", "a.example", "pass x.a.example", "pass y.a.example", "pass, for none, policy reject of a.example, org a.example, by dkim"},
		{"whether the author exists", "a.example v=DMARC1; p=none; np=reject\nFAIL x.a.example", "x.a.example", "", "", "temperror, for none, policy none of a.example, org a.example: x.a.example"},
		{"SPF has no answer", "a.example v=DMARC1; p=reject", "a.example", "temperror a.example", "fail a.example", "temperror, for none, policy reject of a.example, org a.example: could not be authenticated"},
		{"DKIM has no answer, of a stranger", "a.example v=DMARC1; p=reject", "a.example", "", "temperror b.example", "fail, for reject, policy reject of a.example, org a.example"},
		{"DKIM has no answer, SPF has", "a.example v=DMARC1; p=reject", "a.example", "pass a.example", "temperror a.example", "pass, for none, policy reject of a.example, org a.example, by spf"},

		{"no author", "a.example v=DMARC1; p=reject", "", "pass a.example", "", "none, for none: no author domain"},
		{"an author that is none", "a.example v=DMARC1; p=reject", "a..example", "", "", "none, for none: no author domain"},
		{"identities that are none", "a.example v=DMARC1; p=reject", "a.example", "pass ", "pass , pass ..a.example, pass [192.0.2.1]", "fail, for reject, policy reject of a.example, org a.example"},
	} {
		z := zone(t, c.zone)
		spf := Identity{}
		if list := ids(c.spf); list != nil {
			spf = list[0]
		}
		res := Check(t.Context(), z.Resolver(), c.author, spf, ids(c.dkim))
		want, reason, _ := strings.Cut(c.want, ": ")
		if got := showResult(res); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
		if !strings.Contains(res.Reason, reason) || (res.Reason == "") != (res.Result == mail.AuthPass) {
			t.Errorf("%s: the reason is %q, want %q", c.name, res.Reason, reason)
		}
		asked := z.Asked()
		if most := 8 + 8 + min(len(ids(c.dkim)), maxIdentities)*8 + 1; len(asked) > most {
			t.Errorf("%s: %d questions, at most %d", c.name, len(asked), most)
		}
		if slices.Sort(asked); len(slices.Compact(slices.Clone(asked))) != len(asked) {
			t.Errorf("%s: asked twice: %v", c.name, asked)
		}
	}
}

func showResult(r Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, for %s", r.Result, r.Disposition)
	if r.Policy != "" {
		fmt.Fprintf(&b, ", policy %s of %s", r.Policy, r.RecordDomain)
	}
	if r.OrgDomain != "" {
		fmt.Fprintf(&b, ", org %s", r.OrgDomain)
	}
	if r.Testing {
		b.WriteString(", testing")
	}
	if r.SPFAligned || r.DKIMAligned {
		b.WriteString(", by")
	}
	if r.SPFAligned {
		b.WriteString(" spf")
	}
	if r.DKIMAligned {
		b.WriteString(" dkim")
	}
	return b.String()
}
