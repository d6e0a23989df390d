package dane

import (
	"context"
	"strings"
	"testing"

	"github.com/miekg/dns"

	ourdns "aliasmx/internal/dns"
)

// zone answers as a validating resolver would. Each line is a record behind "s" (its zone is
// signed) or "i" (it is not), or "fail NAME TYPE" for a question that gets no answer.
type zone struct {
	t        *testing.T
	rrs      map[string][]dns.RR
	insecure map[string]bool
	fail     map[string]bool
	asked    []string
}

func newZone(t *testing.T, text string) *zone {
	z := &zone{t: t, rrs: map[string][]dns.RR{}, insecure: map[string]bool{}, fail: map[string]bool{}}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "":
		case "fail":
			z.fail[rest] = true
		case "s", "i":
			rr, err := dns.NewRR(rest)
			if err != nil || rr == nil {
				t.Fatalf("%s: %v", rest, err)
			}
			name := strings.TrimSuffix(rr.Header().Name, ".")
			z.rrs[name] = append(z.rrs[name], rr)
			if kind == "i" {
				z.insecure[name+" "+dns.TypeToString[rr.Header().Rrtype]] = true
			}
		default:
			t.Fatalf("line %q", line)
		}
	}
	return z
}

func (z *zone) Query(_ context.Context, name string, qtype uint16) (ourdns.Answer, error) {
	key := canonical(name)
	z.asked = append(z.asked, key+" "+dns.TypeToString[qtype])
	a := ourdns.Answer{Name: key, Secure: true}
	for {
		if z.fail[a.Name+" "+dns.TypeToString[qtype]] {
			return ourdns.Answer{}, &ourdns.Error{Name: name, Type: dns.TypeToString[qtype], Kind: ourdns.Temporary}
		}
		a.Secure = a.Secure && !z.insecure[a.Name+" CNAME"] && !z.insecure[a.Name+" "+dns.TypeToString[qtype]]
		var alias string
		for _, rr := range z.rrs[a.Name] {
			if rr.Header().Rrtype == qtype {
				a.RRs = append(a.RRs, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				alias = canonical(c.Target)
			}
		}
		switch {
		case len(a.RRs) > 0:
			return a, nil
		case alias == "":
			return a, &ourdns.Error{Name: name, Type: dns.TypeToString[qtype], Kind: ourdns.NoData}
		}
		a.Name = alias
	}
}
