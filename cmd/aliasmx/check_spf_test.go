package main

import (
	"os"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

func checkSPF(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = checkCommand(append([]string{"spf"}, args...), environ{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, environ: func() []string { return nil },
	})
	return status, out.String(), errs.String()
}

func TestCheckSPF(t *testing.T) {
	server, err := peers.NewDNS(`
a.example. TXT "v=spf1 ip4:192.0.2.0/24 include:b.example -all exp=why.a.example"
b.example. TXT "v=spf1 mx:b.example ?all"
b.example. MX 10 mx.b.example.
mx.b.example. A 198.51.100.1
why.a.example. TXT "%{i} may not, says %{r} at %{t} <%{l}>"
helo.example. TXT "v=spf1 a -all"
helo.example. A 192.0.2.5
open.example. TXT "v=spf1 a"
open.example. A 192.0.2.5
`)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Fail("away.example", true)
	dir := explainDir(t, explainMainCF)
	for _, c := range []struct {
		ip, helo, from, json, text string
	}{
		{"198.51.100.1", "x", "me@A.example", `{"result":"pass","explanation":""}`, `may 198.51.100.1 send for a.example (the domain of MAIL FROM)?
record of a.example: v=spf1 ip4:192.0.2.0/24 include:b.example -all exp=why.a.example
  ip4:192.0.2.0/24: does not match
  record of b.example: v=spf1 mx:b.example ?all
    mx:b.example: matches: pass
  include:b.example: matches: pass
pass, by include:b.example
4 questions to the DNS
`},
		{"[2001:db8::1]", "x", `<"a b"@a.example>`, `{"result":"fail","explanation":"2.0.0.1.0.D.B.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1 may not, says mx.example.com at 1700000000 <a b>"}`, ""},
		{"192.0.2.5", "helo.example", "", `{"result":"pass","explanation":""}`, `may 192.0.2.5 send for helo.example (the name of HELO: the sender is null)?
record of helo.example: v=spf1 a -all
  a: matches: pass
pass, by a
2 questions to the DNS
`},
		{"192.0.2.6", "helo.example", "<>", `{"result":"fail","explanation":""}`, ""},
		{"192.0.2.6", "x", "@open.example", `{"result":"neutral","explanation":""}`, `may 192.0.2.6 send for open.example (the domain of MAIL FROM)?
record of open.example: v=spf1 a
  a: does not match
  nothing matches: neutral
neutral, since nothing matches
2 questions to the DNS
`},
		{"192.0.2.6", "x", "me@none.example", `{"result":"none","explanation":""}`, `may 192.0.2.6 send for none.example (the domain of MAIL FROM)?
none: none.example has no SPF record
1 question to the DNS
`},
		{"192.0.2.6", "x", "me@away.example", `{"result":"temperror","explanation":""}`, ""},
	} {
		args := []string{"-c", dir, "--resolver", server.Addr, "--ip", c.ip, "--helo", c.helo, "--mail-from", c.from, "--now", "1700000000"}
		status, out, errs := checkSPF(t, append(args, "--json")...)
		if status != exitOK || out != c.json+"\n" {
			t.Errorf("%s from %s: status %d, %s%s", c.ip, c.from, status, out, errs)
		}
		if c.text == "" {
			continue
		}
		if status, out, errs = checkSPF(t, args...); status != exitOK || out != c.text {
			t.Errorf("%s from %s: status %d\n%s%s", c.ip, c.from, status, out, errs)
		}
	}
	shown, err := os.ReadFile("../../docs/spf.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, out, _ := checkSPF(t, "-c", dir, "--resolver", server.Addr, "--ip", "198.51.100.1", "--helo", "mx.b.example", "--mail-from", "me@a.example"); !strings.Contains(string(shown), out) {
		t.Errorf("docs/spf.md shows something else than\n%s", out)
	}
	for want, args := range map[string][]string{
		`--ip "192.0.2" is no IP address`: {"-c", dir, "--ip", "192.0.2", "--helo", "x", "--mail-from", ""},
		"missing flags: --mail-from=ADDR": {"-c", dir, "--ip", "192.0.2.1", "--helo", "x"},
	} {
		if status, _, errs := checkSPF(t, args...); status != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %s", want, status, errs)
		}
	}
	if status, _, errs := checkSPF(t, "-c", dir+"/none", "--ip", "192.0.2.1", "--helo", "x", "--mail-from", ""); status != exitConfig {
		t.Errorf("no configuration: status %d, %s", status, errs)
	}
}
