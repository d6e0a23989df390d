package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

func checkMessage(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = checkCommand(append([]string{"message"}, args...), environ{
		stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, environ: func() []string { return nil },
	})
	return status, out.String(), errs.String()
}

// The names, and the message, of the test.
const checkedZone = `
a.example. TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.a.example. TXT "v=DMARC1; p=reject"
srs.example. TXT "v=spf1 ip4:192.0.2.200 -all"
_dmarc.srs.example. TXT "v=DMARC1; p=reject"
srs.example. MX 0 mx.srs.example.
mx.srs.example. A 192.0.2.200
`

const checkedMessage = "From: <x@a.example>\nTo: <info@alias.example>\nSubject: x\n\nbody\n"

func TestCheckMessage(t *testing.T) {
	server, err := peers.NewDNS(checkedZone)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Fail("_dmarc.away.example", true)
	dir := explainDir(t, explainMainCF+"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\nmail_owner = nobody\n"+
		"srs_domain = srs.example\nsrs_secrets_file = DIR/secrets\nsmtp_bind_address = 192.0.2.200\ndns_servers = "+server.Addr+"\n")
	if err := os.WriteFile(filepath.Join(dir, "secrets"), []byte(strings.Repeat("s", 40)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "message")
	if err := os.WriteFile(file, []byte(checkedMessage), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, ip, from, rcpt, message string
		want                          map[string]string // path: value
	}{
		{name: "passes", ip: "192.0.2.1", from: "x@a.example", want: map[string]string{
			"spf.result": "pass", "arc.cv": "none", "dmarc.result": "pass", "dmarc.disposition": "none", "dmarc.org_domain": "a.example", "action": "accept",
			"forwarded.spf.result": "pass", "forwarded.spf.domain": "srs.example", "forwarded.dmarc.result": "fail", "forwarded.dmarc.disposition": "reject",
		}},
		{name: "fails", ip: "192.0.2.2", from: "x@a.example", want: map[string]string{
			"spf.result": "fail", "dmarc.result": "fail", "dmarc.disposition": "reject", "action": "reject",
			"reply": "550 5.7.1 Unauthenticated mail from a.example is refused by the domain's DMARC policy: SPF of a.example fails, no SPF, DKIM or ARC passes for any domain",
		}},
		{name: "null sender", ip: "192.0.2.1", from: "", want: map[string]string{"spf.result": "none", "dmarc.result": "fail", "forwarded.sender": ""}},
		{name: "no author", ip: "192.0.2.1", from: "x@a.example", message: "Subject: x\n\n", want: map[string]string{"dmarc.result": "none", "dmarc.disposition": "none", "action": "reject"}},
		{name: "no answer", ip: "192.0.2.1", from: "x@a.example", message: "From: <x@away.example>\n\n", want: map[string]string{"dmarc.result": "temperror", "dmarc.disposition": "none", "action": "tag"}},
		{name: "of a domain of ours", ip: "192.0.2.1", from: "x@a.example", message: "From: <x@srs.example>\n\n", want: map[string]string{"action": "reject"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"-c", dir, "--ip", c.ip, "--helo", "h", "--mail-from", c.from, "--json"}
			stdin := c.message
			if stdin != "" {
				args = append(args, "-")
			} else {
				args = append(args, file)
			}
			status, out, errs := checkMessage(t, stdin, args...)
			if status != exitOK {
				t.Fatalf("exit status %d: %s", status, errs)
			}
			var doc map[string]any
			if err := json.Unmarshal([]byte(out), &doc); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for path, want := range c.want {
				if got := at(doc, path); got != want {
					t.Errorf("%s is %q, want %q\n%s", path, got, want, out)
				}
			}
			if c.from != "" && !strings.HasPrefix(at(doc, "forwarded.sender").(string), "SRS0=") {
				t.Errorf("sender %v", at(doc, "forwarded.sender"))
			}
		})
	}

	status, out, _ := checkMessage(t, "", "--ip=192.0.2.1", "--helo=h", "--mail-from=x@a.example", "-c", dir, file)
	for _, want := range []string{"author a.example\n", "spf pass (a.example; ", "dmarc pass, disposition none (a.example)\n", "action accept\n",
		"the reverse-path is rewritten (SRS)\n", "DMARC of a.example fails there, and its policy is reject: it is likely to be refused\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit status %d, no %q in\n%s", status, want, out)
		}
	}
	for _, wrong := range [][]string{{"--ip", "host", file}, {"--ip", "192.0.2.1", "--source", "x", file}, {"--ip", "192.0.2.1"}, {file}} {
		if status, _, errs := checkMessage(t, "", wrong...); status != exitUsage || errs == "" {
			t.Errorf("%q: exit status %d", wrong, status)
		}
	}
	if status, _, errs := checkMessage(t, "", "-c", filepath.Join(dir, "nowhere"), "--ip", "192.0.2.1", file); status != exitConfig || errs == "" {
		t.Errorf("no such directory: exit status %d", status)
	}
}

// at is a value in a document.
func at(doc map[string]any, path string) any {
	var v any = doc
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}
