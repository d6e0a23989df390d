package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"aliasmx/integration/peers"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/spf"
)

// pyspfScript answers a line of JSON for each: what pyspf finds, and what it says of it.
const pyspfScript = `
import sys, json, warnings
warnings.simplefilter("ignore")
import dns.resolver, spf
r = dns.resolver.Resolver(configure=False)
r.nameservers, r.port, r.cache = [sys.argv[1]], int(sys.argv[2]), dns.resolver.LRUCache(100000)
dns.resolver.default_resolver = r
for line in sys.stdin:
    q = json.loads(line)
    print(json.dumps(spf.check2(i=q["ip"], s=q["from"], h=q["helo"], receiver="mx.receiver.example")), flush=True)
`

// spfDifferences are the cases in which pyspf finds something else, and why we do not. Each
// occurs in what is tried.
var spfDifferences = []struct{ theirs, ours, why string }{
	{`^permerror SPF Permanent Error: Void lookup limit`, `^(pass|fail|softfail|neutral|temperror) .*; .*(ptr|mx|%\{p\})`,
		"RFC 7208 section 4.6.4 counts terms that find nothing; pyspf counts questions, those for hosts of mx and ptr and for the first record included"},
	{`^temperror `, `^(pass|fail|softfail|neutral|permerror) .*; .*(ptr|mx|%\{p\})`,
		"RFC 7208 section 5.5 passes over DNS trouble with ptr, and section 4.6.2 ends with the first match; pyspf asks for all names, and expands macros of terms that are not reached"},
	{`^permerror SPF Permanent Error: Too many DNS lookups`, `^(pass|fail|softfail|neutral|temperror) .* redirect=`,
		"RFC 7208 section 4.6.4 counts terms that are evaluated; pyspf counts a redirect that is not followed"},
	{`^permerror SPF Permanent Error: invalid-macro-char : %%`, `.`,
		"RFC 7208 section 7.1 has %% anywhere, also at the end of a modifier's value"},
	{`(?i)^fail [^ ]+ is not of [^ ]+ postmaster [^ ]+ .* %40`, `(?i)^fail [^ ]+ is not of [^ ]+ postmaster [^ ]+ .* postmaster%40`,
		"RFC 7208 section 4.3 puts postmaster in the place of a local part that is missing, in %{s} as in %{l}"},
	{`^permerror SPF Permanent Error: [^ ]+= MUST appear at most once`, `.`,
		"RFC 7208 section 6 has that for redirect and exp alone"},
	{`^permerror SPF Permanent Error: include has trivial recursion`, `.`,
		"RFC 7208 section 4.6.4 has a limit for that, where the term is reached"},
}

// The same domains, clients and senders for us and for pyspf, through the same name server:
// both find the same, explanations included.
func TestSPFAsPyspf(t *testing.T) {
	if out, err := exec.Command("/usr/bin/python3", "-c", "import spf, dns").CombinedOutput(); err != nil {
		t.Fatalf("python3-spf and python3-dnspython are needed: %v\n%s", err, out)
	}
	const domains, checks = 300, 3000
	w := spfWorld{rand.New(rand.NewPCG(7208, 1))}
	server, err := peers.NewDNS(w.zone(domains))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Fail("away.example", true)

	requests := make([]spfRequest, checks)
	var stdin bytes.Buffer
	for i := range requests {
		requests[i] = w.request(domains)
		line, err := json.Marshal(requests[i])
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(line, '\n'))
	}
	host, port, _ := net.SplitHostPort(server.Addr)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", pyspfScript, host, port)
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = &stdin, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pyspf: %v\n%s", err, stderr.String())
	}
	theirs := json.NewDecoder(bytes.NewReader(out))
	names := dns.New(dns.Options{Servers: []string{server.Addr}})
	found, used := map[mail.AuthResult]int{}, map[string]int{}
	for i, q := range requests {
		var answer [2]string
		if err := theirs.Decode(&answer); err != nil {
			t.Fatalf("check %d: %v\n%s", i, err, stderr.String())
		}
		res, trail := spf.Explain(t.Context(), names, q.ours())
		found[res.Result]++
		ours := fmt.Sprintf("%s %s: %s", res.Result, res.Explanation, res.Problem)
		if answer[1] == "SPF fail - not authorized" {
			answer[1] = ""
		}
		if string(res.Result) == answer[0] && (res.Result != mail.AuthFail || strings.EqualFold(res.Explanation, answer[1])) {
			continue
		}
		way := ""
		for _, step := range trail.Steps {
			way += "; " + step.Text
		}
		if why := spfDifference(answer[0]+" "+answer[1], ours+way); why != "" {
			used[why]++
			continue
		}
		t.Errorf("%+v\n ours: %s\npyspf: %s %s\n%s", q, ours, answer[0], answer[1], way)
	}
	for _, r := range []mail.AuthResult{mail.AuthPass, mail.AuthFail, mail.AuthSoftFail, mail.AuthNeutral, mail.AuthNone, mail.AuthPermError, mail.AuthTempError} {
		if found[r] < checks/200 {
			t.Errorf("%s was found %d times only", r, found[r])
		}
	}
	differ := 0
	for _, d := range spfDifferences {
		if differ += used[d.why]; used[d.why] == 0 {
			t.Errorf("nothing differs by this any more: %s", d.why)
		}
	}
	t.Logf("%d checks: %v; %d differ: %v", checks, found, differ, used)
}

func spfDifference(theirs, ours string) string {
	for _, d := range spfDifferences {
		if regexp.MustCompile(d.theirs).MatchString(theirs) && regexp.MustCompile(d.ours).MatchString(ours) {
			return d.why
		}
	}
	return ""
}

type spfRequest struct {
	IP   string `json:"ip"`
	Helo string `json:"helo"`
	From string `json:"from"`
}

func (q spfRequest) ours() spf.Request {
	return spf.Request{IP: netip.MustParseAddr(q.IP), Helo: q.Helo, Sender: mail.SplitAddress(q.From), Receiver: "mx.receiver.example"}
}

// spfWorld makes records and senders by chance.
type spfWorld struct{ *rand.Rand }

func (w spfWorld) one(list ...string) string { return list[w.IntN(len(list))] }

func (w spfWorld) domain(n int) string { return fmt.Sprintf("d%d.example", w.IntN(n)) }

func (w spfWorld) v4() string { return fmt.Sprintf("192.0.2.%d", w.IntN(12)) }

func (w spfWorld) v6() string { return fmt.Sprintf("2001:db8::%x", w.IntN(12)) }

func (w spfWorld) host() string {
	if w.IntN(12) == 0 {
		return w.one("nothing.example", "away.example")
	}
	return w.one("h0.example", "h1.example", "h2.example", "h3.example", "h4.example", "H5.example")
}

func (w spfWorld) request(n int) spfRequest {
	q := spfRequest{IP: w.one(w.v4(), w.v4(), w.v4(), w.v6(), w.v6(), "::ffff:"+w.v4()), Helo: w.one(w.domain(n), w.domain(n), w.host(), "mx", "[192.0.2.1]", "we ird.example")}
	if w.IntN(8) > 0 {
		domain := w.domain(n)
		switch w.IntN(40) {
		case 0:
			domain = w.one("nothing.example", "away.example", "single", "[192.0.2.1]")
		case 1:
			domain = strings.ToUpper(domain)
		}
		q.From = w.one("me", "me", "a.b-c", "x+y=z", "", "Two Words") + "@" + domain
	}
	return q
}

// zone has the domains, and what their records lead to.
func (w spfWorld) zone(domains int) string {
	var b strings.Builder
	for i := range 6 {
		fmt.Fprintf(&b, "h%d.example. A %s\nh%d.example. AAAA %s\n", i, w.v4(), i, w.v6())
	}
	b.WriteString("why.example. TXT \"%{c} is not of %{d}: %{l} %{o} %{h} %{S}%%%_%-\"\nbadwhy.example. TXT \"100 % wrong\"\n")
	for i := range 12 {
		if i%4 != 3 {
			fmt.Fprintf(&b, "%d.2.0.192.in-addr.arpa. PTR h%d.example.\n", i, w.IntN(7))
		}
		if i%3 == 0 {
			fmt.Fprintf(&b, "%d.2.0.192.in-addr.by.example. A 127.0.0.2\n%d.2.0.192.in-addr.arpa. PTR %s.\n", i, i, w.host())
		}
		name := fmt.Sprintf("%x", i) + strings.Repeat(".0", 23) + ".8.b.d.0.1.0.0.2.ip6"
		fmt.Fprintf(&b, "%s.arpa. PTR h%d.example.\n%s.by.example. A 127.0.0.2\n", name, w.IntN(7), name)
	}
	b.WriteString("me.user.example. A 127.0.0.2\nc.b.a.user.example. A 127.0.0.2\nx+y=z.user.example. A 127.0.0.2\n")
	for i := range domains {
		name := fmt.Sprintf("d%d.example.", i)
		fmt.Fprintf(&b, "%s TXT \"something else\"\n", name)
		if w.IntN(20) > 0 {
			fmt.Fprintf(&b, "%s TXT \"%s\"\n", name, w.record(i, domains))
		}
		if w.IntN(25) == 0 {
			fmt.Fprintf(&b, "%s TXT \"v=spf1 -all\"\n", name)
		}
		if w.IntN(2) == 0 {
			fmt.Fprintf(&b, "%s A %s\n%s AAAA %s\n", name, w.v4(), name, w.v6())
		}
		for j := range w.IntN(4) {
			fmt.Fprintf(&b, "%s MX %d %s.\n", name, j*10, w.host())
		}
		if w.IntN(15) == 0 {
			for j := range 8 {
				fmt.Fprintf(&b, "%s MX %d h%d.example.\n", name, 50+j, j%6)
			}
		}
	}
	return b.String()
}

func (w spfWorld) record(i, domains int) string {
	if w.IntN(20) == 0 { // at the limit, or above
		return "v=spf1" + strings.Repeat(" a:h0.example", 9+w.IntN(3)) + " ~all redirect=" + w.domain(domains)
	}
	terms := []string{w.one("v=spf1", "v=spf1", "v=spf1", "V=SPF1", "v=spf1 ")}
	for range w.IntN(6) {
		terms = append(terms, w.term(i, domains))
	}
	if w.IntN(4) > 0 {
		terms = append(terms, w.one("-all", "-all", "~all", "?all", "-ALL"))
	}
	if w.IntN(4) == 0 {
		terms = append(terms, w.one("exp=why.example", "exp=why.example", "exp=badwhy.example", "exp=nothing.example", "exp=%{d}", "exp=away.example"))
	}
	if w.IntN(6) == 0 {
		terms = append(terms, "redirect="+w.domain(domains))
	}
	if w.IntN(12) == 0 {
		w.Shuffle(len(terms)-1, func(a, b int) { terms[a+1], terms[b+1] = terms[b+1], terms[a+1] })
	}
	return strings.Join(terms, " ")
}

func (w spfWorld) term(i, domains int) string {
	bits4, bits6 := fmt.Sprintf("/%d", 26+w.IntN(8)), fmt.Sprintf("//%d", 122+w.IntN(7))
	after := func() string { return fmt.Sprintf("d%d.example", min(i+1+w.IntN(20), domains-1)) }
	switch w.IntN(60) {
	case 0:
		return w.one("moo", "a:b", "ip4:192.0.2", "ip4:192.0.2.1/33", "ip6:192.0.2.1", "all:x", "exists", "include:", "mx/200", "a:%{x}.example", "a:%d.example", "ptr/24", "a:h1.example,",
			"ip4:192.0.2.1/032", "=x", "redirect:d1.example", "a:192.0.2.1", "a:h1.example/", "ip6:2001:db8::1//64")
	case 1, 17, 18, 19:
		return w.one("x=y", "x=%{d}", "moo.cow-1_2=a%%b", "x=%%", "x=y x=z")
	case 2, 20, 21:
		return "include:" + w.one(w.domain(domains), fmt.Sprintf("d%d.example", i)) // in a circle, perhaps
	case 3, 4, 5, 6, 7, 8, 9:
		return w.one("", "", "", "?", "-", "~") + "include:" + after()
	case 10, 11, 12, 13:
		return w.one("exists:%{ir}.%{v}.by.example", "exists:%{l}.user.example", "-exists:%{lr-}.user.example", "exists:%{l1r+}.%{d2}", "~exists:%{p}", "a:%{h}", "exists:%{o}", "exists:%{H}.%{D2r}.example")
	case 14, 15, 16:
		return w.one("", "-", "?") + w.one("ptr", "ptr:example", "ptr:h1.example", "ptr:%{d2}")
	}
	return w.one("", "", "", "+", "-", "~", "?") + w.one(
		"ip4:"+w.v4(), "ip4:"+w.v4()+bits4[:3], "ip6:"+w.v6(), "ip6:"+w.v6()+bits6[1:], "IP4:"+w.v4(),
		"a", "a:"+w.host(), "a:"+w.domain(domains)+bits6, "a:"+w.host()+bits4[:3]+bits6, "mx", "mx:"+w.domain(domains), "mx"+bits6, "MX:"+w.domain(domains)+bits4[:2]+"8")
}
