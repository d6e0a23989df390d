package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// ask checks a client against a zone and writes the result in one line:
// "pass a.example ip4:192.0.2.1". A problem comes behind a colon.
func ask(t *testing.T, z *dnstest.Zone, ip, helo, sender string) string {
	t.Helper()
	return line(Check(t.Context(), z.Resolver(), Request{IP: netip.MustParseAddr(ip), Helo: helo, Sender: mail.SplitAddress(sender), Receiver: "mx.receiver.example"}))
}

func line(r Result) string {
	s := string(r.Result) + " " + r.Domain
	if r.Mechanism != "" {
		s += " " + r.Mechanism
	}
	if r.Problem != "" {
		s += ": " + r.Problem
	}
	if r.Explanation != "" {
		s += " (" + r.Explanation + ")"
	}
	return s
}

func TestCheck(t *testing.T) {
	z := dnstest.New(t, `
a.example. TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:b.example -all exp=why.a.example"
b.example. TXT "v=spf1 a:mx.b.example/28 ?all"
mx.b.example. A 198.51.100.1
why.a.example. TXT "%{c} may not send for %{d} (%{l}, %{r}, %{t})"
helo.example. TXT "v=spf1 a -all"
helo.example. A 192.0.2.5
xn--bcher-kva.example. TXT "v=spf1 exists:%{o}.x.example -all"
xn--bcher-kva.example.x.example. A 127.0.0.2
redirect.example. TXT "v=spf1 redirect=a.example"
default.example. TXT "v=spf1 mx"
default.example. MX 0 .
bare.example. TXT "hello"
local.example. TXT "v=spf1 exists:%{l}.l.local.example include:%{l}.i.local.example ~all"
away.example. TXT "v=spf1 include:silent.example +all"
awaymx.example. TXT "v=spf1 mx +all"
awaymx.example. MX 10 silent.example.
awaya.example. TXT "v=spf1 a:silent.example +all"
awayptr.example. TXT "v=spf1 ptr -all"
awayexists.example. TXT "v=spf1 exists:silent.example ?all"
awayexp.example. TXT "v=spf1 -all exp=silent.example"
1.2.0.192.in-addr.arpa. PTR silent.example.
badinclude.example. TXT "v=spf1 include:a..example -all"
digits.example. TXT "v=spf1 exists:%{l0}.x.example -all"
two.example. TXT "v=spf1 -all"
two.example. TXT "v=spf1 +all"
long.example. TXT "v=spf1 -all exp=long.exp.example"
long.exp.example. TXT "%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}"
nored.example. TXT "v=spf1 redirect=bare.example"
twoexp.example. TXT "v=spf1 -all exp=two.example"
named.example. TXT "v=spf1 ptr -all exp=p.named.example"
other.named.example. TXT "v=spf1 ptr:ed.example -all exp=p.named.example"
p.named.example. TXT "you are %{p}"
3.2.0.192.in-addr.arpa. PTR other.example.
3.2.0.192.in-addr.arpa. PTR x.named.example.
3.2.0.192.in-addr.arpa. PTR named.example.
other.example. A 192.0.2.3
x.named.example. A 192.0.2.3
named.example. A 192.0.2.3
4.2.0.192.in-addr.arpa. PTR x.ed.example.
4.2.0.192.in-addr.arpa. PTR under.other.named.example.
x.ed.example. A 192.0.2.5
under.other.named.example. A 192.0.2.4
exact.example. TXT "v=spf1 ptr -all"
exact.example. A 192.0.2.6
6.2.0.192.in-addr.arpa. PTR exact.example.
self.example. TXT "v=spf1 -all exp=p.named.example"
self.example. A 192.0.2.7
y.self.example. A 192.0.2.7
y.self.example. A 192.0.2.8
z.example. A 192.0.2.8
7.2.0.192.in-addr.arpa. PTR y.self.example.
7.2.0.192.in-addr.arpa. PTR self.example.
8.2.0.192.in-addr.arpa. PTR z.example.
8.2.0.192.in-addr.arpa. PTR y.self.example.
ctl.example. TXT "v=spf1 -all exp=ctl.exp.example"
ctl.exp.example. TXT "<%{l}>"
`)
	z.Fail("silent.example", dnstest.Silent)
	z.Fail("broken.example", dnstest.ServFail)
	z.AddTXT("huge.example", "v=spf1 "+strings.Repeat("ip4:192.0.2.1 ", 600)+"-all")
	for _, c := range []struct{ ip, helo, sender, want string }{
		{"192.0.2.77", "x", "me@A.Example", "pass a.example ip4:192.0.2.0/24"},
		{"::ffff:192.0.2.77", "x", "me@a.example.", "pass a.example ip4:192.0.2.0/24"},
		{"2001:db8:1::1", "x", "me@a.example", "pass a.example ip6:2001:db8::/32"},
		{"198.51.100.14", "x", "me@a.example", "pass a.example include:b.example"},
		{"198.51.100.16", "x", "me@a.example", "fail a.example all (198.51.100.16 may not send for a.example (me, mx.receiver.example, 1700000000))"},
		{"198.51.100.16", "x", "me@redirect.example", "fail redirect.example all (198.51.100.16 may not send for a.example (me, mx.receiver.example, 1700000000))"},
		{"192.0.2.5", "helo.example", "", "pass helo.example a"},
		{"192.0.2.6", "HELO.example", "", "fail helo.example all"},
		{"192.0.2.6", "helo.example", "me@bücher.example", "pass xn--bcher-kva.example exists:%{o}.x.example"},
		{"192.0.2.6", "helo.example", "me@\xff\xfe.example", "none \xff\xfe.example: \"\\xff\\xfe.example\" is no domain that could have a record"},
		{"192.0.2.6", "x", "me@default.example", "neutral default.example default"},
		{"192.0.2.6", "x", "me@bare.example", "none bare.example: bare.example has no SPF record"},
		{"192.0.2.6", "x", "me@nowhere.example", "none nowhere.example: nowhere.example has no SPF record"},
		{"192.0.2.6", "192.0.2.6", "", "none 192.0.2.6: \"192.0.2.6\" is no domain that could have a record"},
		{"192.0.2.6", "", "", "none : \"\" is no domain that could have a record"},
		{"192.0.2.6", "x", "jörg@local.example", "softfail local.example all"},
		{"192.0.2.6", "x", "me@broken.example", "temperror broken.example: TXT of broken.example could not be asked: name server 192.0.2.53:53: answered SERVFAIL"},
		{"192.0.2.6", "x", "me@away.example", "temperror away.example: TXT of silent.example could not be asked: name server 192.0.2.53:53: nobody answers"},
		{"192.0.2.6", "x", "me@awaymx.example", "temperror awaymx.example: A of silent.example could not be asked: name server 192.0.2.53:53: nobody answers"},
		{"2001:db8::1", "x", "me@awaya.example", "temperror awaya.example: AAAA of silent.example could not be asked: name server 192.0.2.53:53: nobody answers"},
		{"192.0.2.1", "x", "me@awayptr.example", "fail awayptr.example all"},
		{"192.0.2.1", "x", "me@awayexists.example", "temperror awayexists.example: A of silent.example could not be asked: name server 192.0.2.53:53: nobody answers"},
		{"192.0.2.1", "x", "me@awayexp.example", "fail awayexp.example all"},
		{"192.0.2.1", "x", "me@badinclude.example", `permerror badinclude.example: include of "a..example", which is no name`},
		{"192.0.2.1", "x", "me@digits.example", `permerror digits.example: the record of digits.example is malformed: "exists:%{l0}.x.example": bad macro`},
		{"192.0.2.1", "x", "me@single", `none single: "single" is no domain that could have a record`},
		{"192.0.2.1", "x", "me@nored.example", `permerror nored.example: redirect of "bare.example", which has no SPF record`},
		{"192.0.2.1", "x", "me@twoexp.example", "fail twoexp.example all"},
		{"192.0.2.3", "x", "me@named.example", "pass named.example ptr"},
		{"192.0.2.3", "x", "me@other.named.example", "fail other.named.example all (you are other.example)"},
		{"192.0.2.4", "x", "me@other.named.example", "fail other.named.example all (you are under.other.named.example)"},
		{"192.0.2.4", "x", "me@named.example", "pass named.example ptr"},
		{"192.0.2.5", "x", "me@named.example", "fail named.example all (you are unknown)"},
		{"192.0.2.6", "x", "me@exact.example", "pass exact.example ptr"},
		{"192.0.2.7", "x", "me@self.example", "fail self.example all (you are self.example)"},
		{"192.0.2.8", "x", "me@self.example", "fail self.example all (you are y.self.example)"},
		{"192.0.2.1", "x", "me@two.example", "permerror two.example: two.example has 2 SPF records, where one may be"},
		{"192.0.2.1", "x", "me@huge.example", "permerror huge.example: the record of huge.example is malformed: it is longer than 8192 bytes"},
		{"192.0.2.1", "x", "a-long-local-part-of-a-sender-that-is-repeated-by-the-explanation@long.example", "fail long.example all"},
		{"192.0.2.1", "x", "a\r\nb\x1b@ctl.example", "fail ctl.example all (<a??b?>)"},
	} {
		got := line(Check(t.Context(), z.Resolver(), Request{
			IP: netip.MustParseAddr(c.ip), Helo: c.helo, Sender: mail.SplitAddress(c.sender), Receiver: "mx.receiver.example",
			Now: func() time.Time { return time.Unix(1700000000, 0) },
		}))
		if got != c.want {
			t.Errorf("%s %q from %q\n got %s\nwant %s", c.ip, c.helo, c.sender, got, c.want)
		}
	}
	if got := line(CheckHelo(t.Context(), z.Resolver(), Request{IP: netip.MustParseAddr("192.0.2.5"), Helo: "helo.example", Sender: mail.SplitAddress("me@a.example")})); got != "pass helo.example a" {
		t.Errorf("HELO: %s", got)
	}
	if got := line(Check(t.Context(), z.Resolver(), Request{Helo: "helo.example"})); got != "none helo.example: the client has no address" {
		t.Errorf("no address: %s", got)
	}
}

// A mistake at the end of a record counts before anything in it does: nobody is asked.
func TestSyntaxBeforeQuestions(t *testing.T) {
	for _, bad := range []string{
		"moo", "-all.", "all/8", "ip4:192.0.2", "ip4:192.0.2.1/33", "ip4:192.0.2.1/032", "ip4:192.0.2.1/", "ip6:192.0.2.1", "ip6:2001:db8::/129", "ip6:fe80::1%eth0",
		"ip4:2001:db8::1", "a:", "a/33", "a//129", "a/24/64", "a:museum", "a:192.0.2.1", "a:b.example:25", "mx:b.-example", "ptr/0", "ptr:", "include", "include:b.example/24",
		"exists", "redirect=", "redirect=b", "exp=", "exp=%{c}.b.example", "redirect=b.example redirect=c.example", "exp=b.example exp=b.example", "redirect:b.example",
		"exists:%{x}.b.example", "exists:%{ir.b.example", "exists:%b.example", "exists:b.example%", "x=%{y}", "=x", "1x=y", "-x=y", "a:b\tc.example", "a:bü.example", "\x00",
	} {
		z := dnstest.New(t, "")
		z.AddRR(spfRecord(t, "a.example", "v=spf1 a:b.example "+bad))
		if got := ask(t, z, "192.0.2.1", "x", "me@a.example"); !strings.HasPrefix(got, "permerror a.example: the record of a.example is malformed: ") {
			t.Errorf("%q: %s", bad, got)
		}
		if asked := z.Asked(); len(asked) != 1 {
			t.Errorf("%q: asked %v", bad, asked)
		}
	}
	for _, good := range []string{
		"", " ", "x=", "all=1", "x.y-z_1=%{c}%%%-%_/", "a:%{d}", "a:%{d}/24//64", "a:b%%.%-", "mx/0//0", "a:.example", "exists:%{l127r.-+,/_=}.example", "include:b.example.",
		"exists:%{H}", "exists:%{l99999999999999999999}", "redirect=%{d}", "ip6:::ffff:192.0.2.1/96", "IP4:192.0.2.1 A MX PTR EXISTS:X.EXAMPLE ~ALL", "a:b.c1 a:b.1c a:b.xn--c a:b.1-1",
	} {
		if _, err := Parse("v=spf1 " + good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// The limits of RFC 7208 section 4.6.4, each met and passed.
func TestLimits(t *testing.T) {
	z := dnstest.New(t, "h.example. A 192.0.2.200\nh.example. MX 10 h.example.\n")
	record := func(name, terms string) { z.AddTXT(name, "v=spf1 "+terms) }
	record("ten.example", strings.Repeat("a:h.example ", 10)+"~all")
	record("eleven.example", strings.Repeat("a:h.example ", 11)+"~all")
	record("eleventh.example", strings.Repeat("a:h.example ", 10)+"redirect=ten.example")
	record("nested.example", "include:five.example include:five.example")
	record("five.example", "a:h.example mx:h.example a:h.example exists:h.example")
	record("nine.example", strings.Repeat("a:h.example ", 8)+"-include:none.example")
	record("loop.example", "include:loop.example -all")
	record("redirects.example", "redirect=redirects.example")
	record("void2.example", "a:n1.example mx:n2.example ~all")
	record("void3.example", "a:n1.example mx:n2.example exists:n3.example ~all")
	record("voidptr.example", "a:n1.example mx:n2.example ptr ~all")
	record("voidmx.example", "mx:emptymx.example ~all") // one term, whose three hosts have nothing
	record("voidmx3.example", "mx:emptymx.example a:n1.example a:n2.example ~all")
	record("macro9.example", strings.Repeat("a:h.example ", 8)+"exists:%{p}.x.example ~all")
	record("macroptr.example", "ptr:other.example "+strings.Repeat("a:h.example ", 8)+"exists:%{p}.x.example ~all")
	record("macro10.example", strings.Repeat("a:h.example ", 9)+"exists:%{p}.x.example ~all")
	record("mx10.example", "mx:mx10.example ~all")
	record("mx11.example", "mx:mx11.example ~all")
	record("ptr.example", "ptr:named.example -all")
	for i := range 11 {
		if i < 10 {
			z.Add(t, fmt.Sprintf("mx10.example. MX %d m%d.example.\n", i, i))
		}
		if i < 3 {
			z.Add(t, fmt.Sprintf("emptymx.example. MX %d e%d.example.\n", i, i))
		}
		z.Add(t, fmt.Sprintf("mx11.example. MX %d m%d.example.\nm%d.example. A 192.0.2.%d\n", i, i, i, 100+i))
		// The eleventh name is the only one that holds.
		z.Add(t, fmt.Sprintf("1.2.0.192.in-addr.arpa. PTR p%d.named.example.\np%d.named.example. A 192.0.2.%d\n", i, i, map[bool]int{true: 1, false: 2}[i == 10]))
		z.Add(t, fmt.Sprintf("2.2.0.192.in-addr.arpa. PTR q%d.named.example.\nq%d.named.example. A 192.0.2.%d\n", i, i, map[bool]int{true: 2, false: 1}[i == 9]))
	}
	const terms, void = ": more than 10 lookups (RFC 7208 section 4.6.4)", ": more than 2 lookups that find nothing (RFC 7208 section 4.6.4)"
	for _, c := range []struct{ ip, domain, want string }{
		{"192.0.2.9", "ten.example", "softfail ten.example all"},
		{"192.0.2.9", "eleven.example", "permerror eleven.example" + terms},
		{"192.0.2.9", "eleventh.example", "permerror eleventh.example" + terms},
		{"192.0.2.9", "nested.example", "pass nested.example include:five.example"}, // exists holds for everybody
		{"192.0.2.9", "nine.example", "permerror nine.example: include of \"none.example\", which has no SPF record"},
		{"192.0.2.9", "loop.example", "permerror loop.example" + terms},
		{"192.0.2.9", "redirects.example", "permerror redirects.example" + terms},
		{"192.0.2.9", "void2.example", "softfail void2.example all"},
		{"192.0.2.9", "void3.example", "permerror void3.example" + void},
		{"192.0.2.9", "voidptr.example", "permerror voidptr.example" + void},
		{"192.0.2.9", "voidmx.example", "softfail voidmx.example all"},
		{"192.0.2.9", "voidmx3.example", "permerror voidmx3.example" + void},
		{"192.0.2.9", "macro9.example", "softfail macro9.example all"},
		{"192.0.2.2", "macroptr.example", "softfail macroptr.example all"},
		{"192.0.2.9", "macro10.example", "permerror macro10.example" + terms},
		{"192.0.2.109", "mx10.example", "pass mx10.example mx:mx10.example"},
		{"192.0.2.100", "mx11.example", "permerror mx11.example: mx11.example has more than 10 mail exchangers (RFC 7208 section 4.6.4)"},
		{"192.0.2.1", "ptr.example", "fail ptr.example all"},
		{"192.0.2.2", "ptr.example", "pass ptr.example ptr:named.example"},
	} {
		if got := ask(t, z, c.ip, "x", "me@"+c.domain); got != c.want {
			t.Errorf("%s: %s, want %s", c.domain, got, c.want)
		}
	}
}

// The most that a record can make us ask: ten mx of ten hosts, and the names of the client in
// the explanation.
func TestMaxQuestions(t *testing.T) {
	z := dnstest.New(t, "")
	for i := range 10 {
		for j := range 10 {
			z.Add(t, fmt.Sprintf("m%d.example. MX %d h%d-%d.example.\nh%d-%d.example. A 192.0.2.2\n", i, j, i, j, i, j))
		}
		z.Add(t, fmt.Sprintf("1.2.0.192.in-addr.arpa. PTR n%d.example.\n", i))
	}
	z.AddTXT("a.example", "v=spf1 mx:m0.example mx:m1.example mx:m2.example mx:m3.example mx:m4.example mx:m5.example mx:m6.example mx:m7.example mx:m8.example mx:m9.example -all exp=%{p}.example")
	z.AddTXT("unknown.example", "not you, %{p}")
	res, trail := Explain(t.Context(), z.Resolver(), Request{IP: netip.MustParseAddr("192.0.2.1"), Sender: mail.SplitAddress("me@a.example")})
	if asked := len(z.Asked()); line(res) != "fail a.example all (not you, unknown)" || asked != MaxQuestions || trail.Questions != MaxQuestions {
		t.Errorf("%s: %d questions, %d asked, want %d", line(res), trail.Questions, asked, MaxQuestions)
	}
}

// Macros are expanded as in the examples of RFC 7208 section 7.4.
func TestMacros(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::cb01")
	for _, c := range []struct {
		ip           netip.Addr
		macros, want string
	}{
		{v4, "%{s}", "strong-bad@email.example.com"}, {v4, "%{o}", "email.example.com"}, {v4, "%{d}", "email.example.com"},
		{v4, "%{d4}", "email.example.com"}, {v4, "%{d3}", "email.example.com"}, {v4, "%{d2}", "example.com"}, {v4, "%{d1}", "com"},
		{v4, "%{dr}", "com.example.email"}, {v4, "%{d2r}", "example.email"}, {v4, "%{l}", "strong-bad"}, {v4, "%{l-}", "strong.bad"},
		{v4, "%{lr}", "strong-bad"}, {v4, "%{lr-}", "bad.strong"}, {v4, "%{l1r-}", "strong"},
		{v4, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"}, {v4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{v4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{v4, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{v4, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{v6, "%{ir}.%{v}._spf.%{d2}", "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"},
		{v4, "%{h}.%{p}.example", "helo.example.unknown.example"}, {v4, "%{S}.%%%_%-.example", "strong-bad%40email.example.com.% %20.example"},
	} {
		d, err := parseDomain(c.macros)
		if err != nil {
			t.Fatalf("%s: %v", c.macros, err)
		}
		k := newCheck(Request{IP: c.ip, Helo: "helo.example", Sender: mail.SplitAddress("strong-bad@email.example.com")})
		k.ctx, k.names, k.ptr.c = t.Context(), dnstest.New(t, "").Resolver(), k
		if got, _ := k.target(d, "email.example.com"); got != c.want {
			t.Errorf("%s: %s, want %s", c.macros, got, c.want)
		}
	}
}

// A name that is too long loses labels on its left, however long it was; one that has no
// dot where it would have to be cut is none.
func TestLongNames(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{strings.Repeat("%{o}.", 60) + "example", 249}, {strings.Repeat("%{l}.", 1000) + "example", 252}, {strings.Repeat("x", 5000) + ".example", 7},
		{"12%{d}." + strings.Repeat("x.", 117) + "example", 253}, {"123%{d}." + strings.Repeat("x.", 117) + "example", 249},
		{strings.Repeat("%{l}", 100) + "%{l}", 0}, {"a." + strings.Repeat("y", 64) + ".example", 0},
	} {
		d, err := parseDomain(c.text)
		if err != nil {
			t.Fatal(err)
		}
		k := newCheck(Request{IP: netip.MustParseAddr("192.0.2.1"), Sender: mail.SplitAddress("abcdef@bc.example")})
		name, ok := k.target(d, "a.example")
		if ok != (c.want > 0) || ok && len(name) != c.want {
			t.Errorf("%.20s...: %d characters, %t; want %d", c.text, len(name), ok, c.want)
		}
	}
}

// The caller's time is kept, and 20 seconds are the most: temperror.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []time.Duration{3 * time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), most)
			defer cancel()
			began := time.Now()
			got := line(Check(ctx, slowResolver(), Request{IP: netip.MustParseAddr("192.0.2.1"), Sender: mail.SplitAddress("me@a.example")}))
			if took := time.Since(began); took != min(most, 20*time.Second) || !strings.HasPrefix(got, "temperror a.example: TXT of a.example could not be asked") {
				t.Errorf("%s after %s", got, took)
			}
		}
	})
}

// The way to a result is told in the order it was gone.
func TestExplain(t *testing.T) {
	z := dnstest.New(t, `
a.example. TXT "v=spf1 include:%{d2}.b.example -ip4:192.0.2.2 redirect=c.example"
a.example.b.example. TXT "v=spf1 a -all"
c.example. TXT "v=spf1 mx ~all"
`)
	r := z.Resolver()
	for range 2 { // questions are counted the same when the cache has the answers
		res, trail := Explain(t.Context(), r, Request{IP: netip.MustParseAddr("192.0.2.1"), Sender: mail.SplitAddress("me@a.example")})
		var got []string
		for _, s := range trail.Steps {
			got = append(got, strings.Repeat(" ", s.Depth)+s.Text)
		}
		want := []string{
			"record of a.example: v=spf1 include:%{d2}.b.example -ip4:192.0.2.2 redirect=c.example",
			" include:%{d2}.b.example asks for a.example.b.example",
			" record of a.example.b.example: v=spf1 a -all",
			"  a: does not match",
			"  all: matches: fail",
			" include:%{d2}.b.example: does not match",
			" ip4:192.0.2.2: does not match",
			" redirect: c.example",
			" record of c.example: v=spf1 mx ~all",
			"  mx: does not match",
			"  all: matches: softfail",
		}
		if !slices.Equal(got, want) || trail.Questions != 5 || trail.Local || line(res) != "softfail a.example all" {
			t.Errorf("%s, %d questions\n%s", line(res), trail.Questions, strings.Join(got, "\n"))
		}
	}
	z.AddTXT("local.example", "v=spf1 exists:%{s}.x.example ~all")
	if _, trail := Explain(t.Context(), r, Request{IP: netip.MustParseAddr("192.0.2.1"), Sender: mail.SplitAddress("me@local.example")}); !trail.Local {
		t.Error("nothing depends on the local part")
	}
}
