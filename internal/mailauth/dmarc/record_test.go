package dmarc

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// show is a record as the tests below write it: what is not its default.
func show(r Record) string {
	var b strings.Builder
	for _, f := range []struct{ name, value string }{
		{"p", r.P}, {"sp", r.SP}, {"np", r.NP}, {"psd", strings.Trim(string(rune(r.PSD)), "u")}, {"fo", strings.TrimPrefix(r.FailureOptions, "0")},
		{"rua", strings.Join(r.AggregateTo, ",")}, {"ruf", strings.Join(r.FailuresTo, ",")},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "%s=%s ", f.name, f.value)
		}
	}
	if r.StrictDKIM {
		b.WriteString("adkim=s ")
	}
	if r.StrictSPF {
		b.WriteString("aspf=s ")
	}
	if r.Testing {
		b.WriteString("t=y ")
	}
	for _, t := range r.Ignored {
		fmt.Fprintf(&b, "!%s(%d) ", t.Name, t.Why)
	}
	return strings.TrimSpace(b.String())
}

func TestParseRecord(t *testing.T) {
	for _, c := range []struct{ in, want, usable string }{
		{"v=DMARC1; p=none", "p=none", "p=none"},
		{"v=DMARC1;p=reject;", "p=reject", "p=reject"},
		{" v = DMARC1 ; p = Reject ; sp=QUARANTINE; np=none", "p=reject sp=quarantine np=none", "p=reject sp=quarantine np=none"},
		{"V=DMARC1; P=reject", "p=reject", "p=reject"},
		{"v=DMARC1; p=reject; adkim=S; aspf=s; t=y; psd=Y; fo=1:d:s", "p=reject psd=y fo=1:d:s adkim=s aspf=s t=y", "p=reject psd=y fo=1:d:s adkim=s aspf=s t=y"},
		{"v=DMARC1; rua=mailto:X@a.example!10m, https://b.example/r ,ftp:,mailto:nobody; ruf=mailto:y@c.example; p=none",
			"p=none rua=mailto:X@a.example!10m,https://b.example/r ruf=mailto:y@c.example", ""},
		{"v=DMARC1; p=reject; pct=0; rf=afrf; ri=3600; x-y=z; ;", "p=reject !pct(3) !rf(3) !ri(3) !x-y(4)", "p=reject !pct(3) !rf(3) !ri(3) !x-y(4)"},

		{"v=DMARC1", "", "none"},
		{"v=DMARC1; sp=reject", "sp=reject", "none"},
		{"v=DMARC1; p=block", "!p(1)", "none"},
		{"v=DMARC1; p=block; rua=mailto:x@a.example", "rua=mailto:x@a.example !p(1)", "p=none rua=mailto:x@a.example !p(1)"},
		{"v=DMARC1; rua=mailto:x@a.example", "rua=mailto:x@a.example", "p=none rua=mailto:x@a.example"},
		{"v=DMARC1; rua=nowhere", "!rua(1)", "none"},
		{"v=DMARC1; p=reject; sp=x", "p=reject !sp(1)", "none"},
		{"v=DMARC1; p=reject; np=x; rua=mailto:x@a.example", "p=reject rua=mailto:x@a.example !np(1)", "p=none rua=mailto:x@a.example !np(1)"},
		{"v=DMARC1; p=reject; sp=reject; sp=none; rua=mailto:x@a.example", "p=reject rua=mailto:x@a.example !sp(2) !sp(2)", "p=none rua=mailto:x@a.example !sp(2) !sp(2)"},
		{"v=DMARC1; p=reject; p=none", "!p(2) !p(2)", "none"},
		{"v=DMARC1; p=reject; adkim=strict; aspf=; t=yes; psd=x; fo=2; p2; =x", "p=reject !p2(0) !(0) !adkim(1) !aspf(1) !t(1) !psd(1) !fo(1)", "p=reject !p2(0) !(0) !adkim(1) !aspf(1) !t(1) !psd(1) !fo(1)"},
		{"v=DMARC1; p=none; fo=0:1", "p=none !fo(1)", ""}, {"v=DMARC1; p=none; fo=d:d", "p=none !fo(1)", ""}, {"v=DMARC1; p=none; fo=s:1", "p=none fo=s:1", ""},
		{"v=DMARC1; p=reject\x00", "!p(1)", "none"},

		{"v=DMARC2; p=none", "no", ""}, {"v=dmarc1; p=none", "no", ""}, {"v=DMARC1x; p=none", "no", ""}, {"v=DMARC1 p=none", "no", ""},
		{"p=none; v=DMARC1", "no", ""}, {"; v=DMARC1", "no", ""}, {"", "no", ""}, {"v=spf1 -all", "no", ""}, {"v=DMA RC1; p=none", "no", ""}, {"v", "no", ""},
	} {
		r, ok := ParseRecord(c.in)
		got := show(r)
		if !ok {
			got = "no"
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
		if c.usable == "" {
			continue
		}
		u, ok := r.Usable()
		if got = show(u); !ok {
			got = "none"
		}
		if got != c.usable {
			t.Errorf("%q is usable as %s, want %s", c.in, got, c.usable)
		}
	}
}

func TestParseRecordIsBounded(t *testing.T) {
	r, ok := ParseRecord("v=DMARC1; p=none" + strings.Repeat("; x", 10000) + "; rua=" + strings.Repeat("mailto:x@a.example,", 1000))
	if !ok || len(r.Ignored) > 20 || len(r.AggregateTo) > 50 {
		t.Errorf("%v, %d ignored, %d addresses", ok, len(r.Ignored), len(r.AggregateTo))
	}
}

// A record says what it says, whatever unknown tags and spaces stand between its parts, and
// nothing outside of the words there are comes out of it.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=r; psd=u; t=n; fo=0:d; rua=mailto:a@b.example!1k,https://x/", "v=DMARC1;p;=;;p=none;p=none", "v=DMARC1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, ok := ParseRecord(in)
		if !ok {
			if strings.HasPrefix(in, "v=DMARC1;") || in == "v=DMARC1" {
				t.Fatalf("%q is no record", in)
			}
			return
		}
		for _, p := range []string{r.P, r.SP, r.NP} {
			if p != "" && p != None && p != Quarantine && p != Reject {
				t.Fatalf("%q: a policy %q", in, p)
			}
		}
		if u, ok := r.Usable(); ok && u.P == "" || r.PSD != 'y' && r.PSD != 'n' && r.PSD != 'u' {
			t.Fatalf("%q: %+v", in, u)
		}
		again, _ := ParseRecord(strings.ReplaceAll(in, ";", " ;\t; "))
		if r.Ignored, again.Ignored = nil, nil; !reflect.DeepEqual(r, again) && !strings.ContainsAny(in, "\r\n") {
			t.Fatalf("%q: %+v, with spaces %+v", in, r, again)
		}
	})
}
