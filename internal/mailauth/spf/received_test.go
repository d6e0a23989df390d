package spf

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestReceivedSPF(t *testing.T) {
	for _, c := range []struct {
		name     string
		res      Result
		q        Request
		receiver string
		want     string
	}{
		{
			"pass", Result{Result: mail.AuthPass, Domain: "example.com", Mechanism: "ip4:192.0.2.0/24"},
			Request{IP: netip.MustParseAddr("192.0.2.1"), Helo: "foo.example.com", Sender: mail.Address{Local: "myname", Domain: "Example.com"}}, "mybox.example.org",
			"Received-SPF: pass (mybox.example.org: domain example.com designates 192.0.2.1\n\tas permitted sender) client-ip=192.0.2.1; envelope-from=\"myname@Example.com\";\n" +
				"\thelo=foo.example.com; identity=mailfrom; mechanism=\"ip4:192.0.2.0/24\";\n\treceiver=mybox.example.org\n",
		},
		{
			"null sender over IPv6", Result{Result: mail.AuthTempError, Domain: "mx.example.com", Problem: `TXT of mx.example.com could not be asked: "x"`},
			Request{IP: netip.MustParseAddr("2001:db8::1"), Helo: "mx.example.com"}, "",
			"Received-SPF: temperror (domain mx.example.com could not be asked about\n\t2001:db8::1) client-ip=\"2001:db8::1\"; envelope-from=\"<>\";\n" +
				"\thelo=mx.example.com; identity=helo;\n\tproblem=\"TXT of mx.example.com could not be asked: \\\"x\\\"\"\n",
		},
		{
			"HELO asked about, though there is a sender", Result{Result: mail.AuthNone, Domain: "[192.0.2.1]", Problem: "no domain"},
			Request{IP: netip.MustParseAddr("::ffff:192.0.2.1"), Helo: "[192.0.2.1]", Sender: mail.Address{Local: "jö", Domain: "b.example"}}, "mx",
			"Received-SPF: none (mx: domain [192.0.2.1] says nothing of 192.0.2.1)\n\tclient-ip=192.0.2.1; envelope-from=\"jö@b.example\"; helo=\"[192.0.2.1]\";\n" +
				"\tidentity=helo; problem=\"no domain\"; receiver=mx\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.ReplaceAll(string(ReceivedSPF(c.res, c.q, c.receiver)), "\r\n", "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The grammar of RFC 7208 section 9.1 and RFC 5322 section 3.2, but for folding.
var (
	receivedSPF = regexp.MustCompile(`^Received-SPF: (pass|fail|softfail|neutral|none|temperror|permerror) \((?:[^()\\\x00-\x1f]|\\.)*\)((?: [a-z-]+=(?:[^ ";\\]+|"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*");?)+)$`)
	keyValue    = regexp.MustCompile(` ([a-z-]+)=([^ ";\\]+|"(?:[^"\\]|\\.)*")(;?)`)
)

// FuzzReceivedSPF: whatever strangers write, it is one field of lines that may be sent, and
// what was meant is read out of it.
func FuzzReceivedSPF(f *testing.F) {
	f.Add("pass", "helo.example", "a b", "a.example", "ip4:192.0.2.1", "", "mx.example")
	f.Add("fail", "x\r\nSubject: y", `"quoted"\`, "ö.example", "a:(x)", "why; not=\"this\"", "(mx)")
	f.Add("none", "[::1]", "", "", "", strings.Repeat("long ", 100), "")
	f.Fuzz(func(t *testing.T, result, helo, local, domain, mechanism, problem, receiver string) {
		if !regexp.MustCompile(`^(pass|fail|softfail|neutral|none|temperror|permerror)$`).MatchString(result) {
			return
		}
		q := Request{IP: netip.MustParseAddr("2001:db8::1"), Helo: helo, Sender: mail.Address{Local: local, Domain: domain}}
		res := Result{Result: mail.AuthResult(result), Domain: domain, Mechanism: mechanism, Problem: problem}
		text, ok := strings.CutSuffix(string(ReceivedSPF(res, q, receiver)), "\r\n")
		lines := strings.Split(text, "\r\n")
		for i, line := range lines {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n") || i > 0 && !strings.HasPrefix(line, "\t") {
				t.Fatalf("line %q", line)
			}
		}
		flat := strings.ReplaceAll(text, "\r\n\t", " ")
		m := receivedSPF.FindStringSubmatch(flat)
		if !ok || m == nil {
			t.Fatalf("not a field: %q", flat)
		}
		values, end := map[string]string{}, ";"
		for _, kv := range keyValue.FindAllStringSubmatch(m[2], -1) {
			if end != ";" {
				t.Fatalf("no semicolon before %s in %q", kv[1], flat)
			}
			end = kv[3]
			v := kv[2]
			if strings.HasPrefix(v, `"`) {
				v = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(v[1 : len(v)-1])
			} else if !isDotAtom(v) {
				t.Fatalf("%s=%s is not quoted", kv[1], v)
			}
			values[kv[1]] = v
		}
		if m[1] != result || values["client-ip"] != "2001:db8::1" || values["helo"] != bounded(helo) || values["problem"] != bounded(problem) ||
			values["mechanism"] != bounded(mechanism) || values["receiver"] != bounded(receiver) || values["envelope-from"] != senderText(q.Sender) {
			t.Fatalf("%q reads as %v", flat, values)
		}
	})
}
