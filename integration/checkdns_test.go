package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"aliasmx/integration/peers"
)

// dnsFinding is a line of check dns --json.
type dnsFinding struct {
	Domain, What, Level, Text, Policy string
	Publish                           []struct{ Name, Type, Data string }
}

// checkedRelay is a relay whose domain alias.example is judged by a DNS server of ours. Its
// public address is one of loopback with port 443, where it serves its policies.
type checkedRelay struct {
	*relay
	dns  *peers.DNS
	addr string
}

func newCheckedRelay(t *testing.T, zone string) *checkedRelay {
	t.Helper()
	server, err := peers.NewDNS(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	c := &checkedRelay{dns: server, addr: freePolicyHost(t)}
	cf := base(nil)
	c.relay = newRelay(t, cf, nil)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, c.relay, "own", "mx.alias.example", "mta-sts.alias.example")
	cf["smtpd_tls_security_level"] = "may"
	cf["mta_sts_listen"], cf["mta_sts_mode"] = "["+c.addr+"]:443", "enforce"
	delete(cf, "smtp_dns_support_level")
	c.configure(cf)
	return c
}

// freePolicyHost is an address of loopback whose port 443 is free: senders ask at no other.
func freePolicyHost(t *testing.T) string {
	t.Helper()
	for i := range 200 {
		host := fmt.Sprintf("127.44.%d.%d", os.Getpid()%250+1, i+1)
		if l, err := net.Listen("tcp", host+":443"); err == nil {
			l.Close()
			return host
		}
	}
	t.Fatal("port 443 cannot be listened on: run the tests as root, or lower net.ipv4.ip_unprivileged_port_start")
	return ""
}

// check runs check dns; the authorities that all trust are our own certificate.
func (c *checkedRelay) check(args ...string) (string, int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	args = append([]string{"check", "dns", "-c", c.dir, "--resolver", c.dns.Addr, "--ip", c.addr}, args...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(c.dir, "own.crt"), "SSL_CERT_DIR=/nonexistent")
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (c *checkedRelay) checkJSON(args ...string) (list []dnsFinding, code int) {
	c.t.Helper()
	out, code := c.check(append(args, "--json")...)
	for line := range strings.Lines(out) {
		var f dnsFinding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			c.t.Fatalf("%v: %s", err, line)
		}
		list = append(list, f)
	}
	return list, code
}

// What is printed for a domain that has nothing can be pasted into its zone, and then
// nothing is missing any more: the record fits the policy that is served, the MX is ours,
// what we send passes.
func TestCheckDNSFromNothingToGood(t *testing.T) {
	c := newCheckedRelay(t, "")
	c.start()
	defer c.stop()
	out, code := c.check()
	if code != 1 {
		t.Errorf("exit status %d\n%s", code, out)
	}
	for _, what := range []string{"MX", "SPF", "DMARC", "MTA-STS", "TLSRPT"} {
		mustMatch(t, "table", out, `(?m)^alias\.example\n(  .*\n)*  `+what+` +missing  \S`)
	}
	for _, what := range []string{"HELO", "SPF", "PTR"} {
		mustMatch(t, "table", out, `(?m)^mx\.alias\.example\n(  .*\n)*  `+what+` +missing  \S`)
	}
	mustMatch(t, "policy", out, `(?m)^; https://mta-sts\.alias\.example/\.well-known/mta-sts\.txt has to say:\n;   version: STSv1\n;   mode: enforce\n;   mx: mx\.alias\.example\n;   max_age: 604800$`)

	var zone strings.Builder
	for _, block := range regexp.MustCompile(`(?m)^publish these:\n\n((?:.+\n)+)`).FindAllStringSubmatch(out, -1) {
		zone.WriteString(block[1])
	}
	if err := c.dns.Set(zone.String()); err != nil {
		t.Fatalf("%v\n%s", err, zone.String())
	}
	list, code := c.checkJSON()
	if code != 0 {
		t.Errorf("exit status %d", code)
	}
	seen := map[string]string{}
	for _, f := range list {
		if f.Level != "ok" && f.Level != "note" || len(f.Publish) > 0 && f.Level == "ok" {
			t.Errorf("%+v", f)
		}
		if seen[f.Domain+" "+f.What] == "" {
			seen[f.Domain+" "+f.What] = f.Level
		}
	}
	for _, good := range []string{"alias.example MX", "alias.example SPF", "alias.example DMARC", "alias.example MTA-STS", "alias.example TLSRPT",
		"mx.alias.example HELO", "mx.alias.example SPF", "mx.alias.example PTR"} {
		if seen[good] != "ok" {
			t.Errorf("%s: %q\n%+v", good, seen[good], list)
		}
	}
	if seen["alias.example DKIM"] != "note" || seen["mx.alias.example TLSA"] != "note" {
		t.Errorf("%+v", seen)
	}

	// With another policy the record that is there is no longer right.
	c.mustRun("postconf", "-c", c.dir, "-e", "mta_sts_mx=mx.alias.example, *.backup.example")
	c.mustRun("reload", "-c", c.dir)
	list, code = c.checkJSON("alias.example")
	found := false
	for _, f := range list {
		if f.What == "MTA-STS" {
			found = f.Level == "wrong" && strings.Contains(f.Text, "id of another policy") && len(f.Publish) == 1 && f.Publish[0].Name == "_mta-sts.alias.example."
		}
	}
	if code != 1 || !found {
		t.Errorf("exit status %d: %+v", code, list)
	}
}

// Each mistake is found, and has its own line.
func TestCheckDNSOfABrokenDomain(t *testing.T) {
	c := newCheckedRelay(t, `
alias.example. MX 10 in.alias.example.
alias.example. MX 20 mx.other.example.
in.alias.example. CNAME mx.alias.example.
mx.alias.example. A 192.0.2.200
mx.other.example. A 192.0.2.201
alias.example. TXT "v=spf1 ipv4:192.0.2.1 -all"
s1._domainkey.alias.example. TXT "v=DKIM1; p="
_dmarc.alias.example. TXT "v=DMARC1; p=block"
_mta-sts.alias.example. TXT "v=STSv1; id=no-id"
_smtp._tls.alias.example. TXT "v=TLSRPTv1; rua=postmaster"
mx.alias.example. TXT "v=spf1 -all"
_25._tcp.mx.alias.example. TLSA 3 1 1 `+strings.Repeat("00", 32)+"\n")
	reverse, _ := dns.ReverseAddr(c.addr)
	want := map[string]string{
		"alias.example MX":        "which is not mx.alias.example and has no address of ours",
		"alias.example SPF":       "there is no such mechanism",
		"alias.example DKIM":      "the key is revoked",
		"alias.example DMARC":     `p="block"`,
		"alias.example MTA-STS":   "32 letters and digits",
		"alias.example TLSRPT":    "neither a mailto: nor an https: address",
		"mx.alias.example HELO":   "does not have our address " + c.addr,
		"mx.alias.example SPF":    "does not pass (fail)",
		"mx.alias.example PTR":    c.addr + " has no name",
		"mx.alias.example TLSA":   "no record matches the certificate that is shown",
		reverse + " not a domain": "",
	}
	delete(want, reverse+" not a domain")
	list, code := c.checkJSON("--selector", "s1", "alias.example")
	if code != 1 {
		t.Errorf("exit status %d", code)
	}
	for key, text := range want {
		good := false
		for _, f := range list {
			good = good || f.Domain+" "+f.What == key && (f.Level == "wrong" || f.Level == "missing") && strings.Contains(f.Text, text)
		}
		if !good {
			t.Errorf("%s: nothing says %q\n%+v", key, text, list)
		}
	}
	out, code := c.check("--selector", "s1")
	if code != 1 || strings.Count(out, "\npublish these:\n") != 2 || !strings.Contains(out, "_25._tcp.mx.alias.example. 3600 IN TLSA 3 1 1 ") {
		t.Errorf("exit status %d\n%s", code, out)
	}
}

// A server that is away says nothing about a domain, least of all that something is missing.
func TestCheckDNSWithoutAnswers(t *testing.T) {
	c := newCheckedRelay(t, "")
	reverse, err := dns.ReverseAddr(c.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alias.example", "_dmarc.alias.example", "_mta-sts.alias.example", "_smtp._tls.alias.example",
		"mx.alias.example", "_25._tcp.mx.alias.example", reverse} {
		c.dns.Fail(name, true)
	}
	list, code := c.checkJSON()
	if code != 75 {
		t.Errorf("exit status %d", code)
	}
	unknown := 0
	for _, f := range list {
		switch f.Level {
		case "unknown":
			unknown++
		case "note": // DKIM
		default:
			t.Errorf("%+v", f)
		}
	}
	if unknown != 9 {
		t.Errorf("%d could not be asked\n%+v", unknown, list)
	}
}

func TestCheckDNSArguments(t *testing.T) {
	c := newCheckedRelay(t, "")
	for _, args := range [][]string{{"--ip", "mx.alias.example"}, {"--next-key", "/nonexistent"}, {"--next-key", filepath.Join(c.dir, "main.cf")}, {"--unknown"}} {
		if out, code := c.check(args...); code != 64 || out != "" {
			t.Errorf("%v: exit status %d, %s", args, code, out)
		}
	}
	list, _ := c.checkJSON("no domain", "--next-key", filepath.Join(c.dir, "own.key"))
	if len(list) == 0 || list[0].Level != "wrong" || list[0].Text != "this is no name of a domain" {
		t.Errorf("%+v", list)
	}
}
