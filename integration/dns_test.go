package integration

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

var recordDNS = flag.Bool("record-dns", false, "rewrite testdata/dns.txt with what the installed Postfix does; needs root, for a mount namespace with a resolv.conf of its own")

// What becomes of mail for domains of each kind. Postfix asks the servers of
// /etc/resolv.conf on port 53 and no others: what it does was recorded, on the same
// laboratory.
const dnsRecording = "testdata/dns.txt"

// mailZones are the domains of mailDomains; hosts that exist listen on 127.0.0.2.
func mailZones() []peers.Zone {
	const text = "@ MX 10 mx\nmx A 127.0.0.2\n"
	secure := text + `
implicit A 127.0.0.2
nodata TXT "no address"
null MX 0 .
nullandmore MX 0 .
nullandmore MX 10 mx
cname CNAME secure.example.
cnamegone CNAME gone
circle1 CNAME circle2
circle2 CNAME circle1
mxgone MX 10 gone
mxnodata MX 10 nodata
mxhalf MX 10 gone
mxhalf MX 20 mx
mxservfail MX 10 mx.servfail.example.
mxgoneservfail MX 10 gone
mxgoneservfail MX 20 mx.servfail.example.
mxservfailgone MX 10 mx.servfail.example.
mxservfailgone MX 20 gone
mxmalformed MX 10 no\032name
mxmalformedandmore MX 10 no\032name
mxmalformedandmore MX 20 mx
aliasmalformed CNAME bad\032name
bad\032name MX 10 mx
aliasmalformedgone CNAME worse\032name
mxcname MX 10 alias
alias CNAME mx
mxaddress MX 10 127.0.0.2.
mxbogus MX 10 mx.bogus.example.
quiet MX 10 mx
mxquiet MX 10 hushed
hushed A 127.0.0.2
refuses MX 10 mx
mxrefuses MX 10 turned
turned A 127.0.0.2
filtered MX 10 dropped
mxfiltered MX 10 hidden
hidden A 127.0.0.2
deep0 CNAME deep1
`
	for i := range 9 {
		secure += fmt.Sprintf("deep%d CNAME deep%d\n", i+1, i+2)
	}
	secure = strings.Replace(secure, "deep0 CNAME deep1\ndeep1", "deep1", 1) + "deep10 MX 10 mx\n"
	for i := range 60 {
		secure += fmt.Sprintf("big MX 20 a-long-name-of-a-host-that-does-not-exist-%d\n", i)
	}
	secure += "big MX 10 mx\n"
	return []peers.Zone{
		{Name: "secure.example", Text: secure, Signed: true},
		{Name: "insecure.example", Text: text},
		{Name: "bogus.example", Text: text, Signed: true, Fault: peers.Bogus},
		{Name: "expired.example", Text: text, Signed: true, Fault: peers.Expired},
		{Name: "part.example", Text: text, Signed: true, Fault: peers.Bogus, Names: []string{"mx"}},
		{Name: "servfail.example", Text: text, Fault: peers.ServFail},
		{Name: "refused.example", Text: text, Fault: peers.Refused},
		{Name: "cut.example", Text: text, Fault: peers.Truncated},
	}
}

var mailDomains = []string{
	"secure.example", "implicit.secure.example", "gone.secure.example", "gone.insecure.example", "nodata.secure.example",
	"null.secure.example", "nullandmore.secure.example", "cname.secure.example", "cnamegone.secure.example",
	"circle1.secure.example", "deep1.secure.example", "big.secure.example", "mxgone.secure.example", "mxnodata.secure.example",
	"mxhalf.secure.example", "mxservfail.secure.example", "mxgoneservfail.secure.example", "mxservfailgone.secure.example",
	"mxmalformed.secure.example", "mxmalformedandmore.secure.example", "aliasmalformed.secure.example", "aliasmalformedgone.secure.example", "mxcname.secure.example", "mxaddress.secure.example",
	"mxbogus.secure.example", "quiet.secure.example", "mxquiet.secure.example", "refuses.secure.example",
	"mxrefuses.secure.example", "filtered.secure.example", "mxfiltered.secure.example", "insecure.example", "bogus.example", "expired.example", "part.example",
	"servfail.example", "refused.example", "cut.example", "nowhere",
}

// replyFilter is smtp_dns_reply_filter, for both.
func replyFilter(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "filter")
	text := `/^filtered\.secure\.example\. [0-9]+ IN MX 10 dropped\.secure\.example\.$/ ignore
/^hidden\.secure\.example\. [0-9]+ IN A 127\.0\.0\.2$/ IGNORE
`
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Dir(name), 0o755)
	os.Chmod(filepath.Dir(filepath.Dir(name)), 0o755)
	return "regexp:" + name
}

// differingDomains are those where we do something else on purpose: docs/dns.md.
var differingDomains = map[string]string{
	"mxservfailgone.secure.example": "4.4.3 deferred Host or domain name not found. Name service error for name=mx.servfail.example type=AAAA: Host not found, try again",
	"aliasmalformed.secure.example": "4.4.3 deferred Name service error for name=aliasmalformed.secure.example type=MX: Malformed or unexpected name server reply",
}

// mailResolver is the laboratory's resolver with a server in front that does not answer
// for some names and refuses others.
func mailResolver(t testing.TB, addr string) string {
	t.Helper()
	lab := newLab(t, mailZones()...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(lab.Said())
		}
	})
	secure := func(fault peers.Fault, names ...string) peers.Zone {
		return peers.Zone{Name: "secure.example", Fault: fault, Names: names}
	}
	quiet, err := peers.NewFront(lab.Resolver, secure(peers.Silent, "quiet", "hushed"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(quiet.Close)
	refuses, err := peers.NewFrontAt(addr, quiet.Addr, secure(peers.Refused, "refuses", "turned"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(refuses.Close)
	return refuses.Addr
}

// sinkAt takes mail on the address of the laboratory's hosts.
func sinkAt(t testing.TB) (port string) {
	t.Helper()
	s, err := peers.NewSink("127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	_, port, _ = net.SplitHostPort(s.Addr)
	return port
}

// outcomes waits for one line about each domain: what came of its mail.
func outcomes(t testing.TB, log func() string) []string {
	t.Helper()
	line := regexp.MustCompile(`to=<x@([^>]+)>.*, dsn=([\d.]+), status=(\w+) \((.*)\)`)
	var got map[string]string
	for end := time.Now().Add(2 * time.Minute); len(got) < len(mailDomains); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d domains have an outcome; the log:\n%s", len(got), len(mailDomains), log())
		}
		got = map[string]string{}
		for _, m := range line.FindAllStringSubmatch(log(), -1) {
			text := m[4]
			if m[3] == "sent" {
				text = ""
			}
			got[m[1]] = strings.TrimSpace(m[2] + " " + m[3] + " " + text)
		}
	}
	var list []string
	for _, d := range mailDomains {
		list = append(list, d+": "+got[d])
	}
	return list
}

func rcpts() (list []string) {
	for _, d := range mailDomains {
		list = append(list, "x@"+d)
	}
	return list
}

// postfixOutcomes asks Debian's Postfix, with a resolv.conf that only it sees.
func postfixOutcomes(t *testing.T) []string {
	const addr = "127.0.0.153"
	mailResolver(t, addr+":53")
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+addr+"\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := newPostfix(t, "smtp_dns_support_level = enabled", "smtp_host_lookup = dns", "smtp_tcp_port = "+sinkAt(t),
		"virtual_mailbox_domains =", "inet_protocols = all", "smtp_dns_reply_filter = "+replyFilter(t), "smtp_tls_security_level = none", "default_destination_concurrency_limit = 20")
	mustExec(t, "/usr/sbin/postfix", "-c", p.dir, "stop")
	mustExec(t, "unshare", "-m", "sh", "-c", `mount --bind "$1" /etc/resolv.conf && exec /usr/sbin/postfix -c "$2" start`, "sh", conf, p.dir)
	waitListening(t, []string{p.addr}, p.log)
	args := append([]string{"-C", p.dir, "-f", "", "-i", "--"}, rcpts()...)
	if out, code := runProgram(t, "Subject: x\n\nx\n", "/usr/sbin/sendmail", args...); code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	return outcomes(t, p.log)
}

// TestMailByDNS sends mail to a domain of each kind: what is final for Postfix is final
// for us, and what may change is tried again, in the same words.
func TestMailByDNS(t *testing.T) {
	if *recordDNS {
		text := "# What Postfix does with mail for the domains of dns_test.go; -record-dns rewrites it.\n" + strings.Join(postfixOutcomes(t), "\n") + "\n"
		if err := os.WriteFile(dnsRecording, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Parallel()
	recording, err := os.ReadFile(dnsRecording)
	if err != nil {
		t.Fatal(err)
	}
	cf := base(nil)
	cf["dns_servers"] = mailResolver(t, "127.0.0.1:0")
	cf["smtp_dns_support_level"] = "enabled"
	cf["smtp_host_lookup"] = "dns"
	cf["smtp_tcp_port"] = sinkAt(t)
	cf["inet_protocols"] = "all"
	cf["smtp_tls_security_level"] = "none"
	cf["smtp_dns_reply_filter"] = replyFilter(t)
	r := newRelay(t, cf, nil)
	r.start()
	args := append([]string{"sendmail", "-C", r.dir, "-f", "", "-i", "--"}, rcpts()...)
	if out, code := r.runWith("Subject: x\n\nx\n", args...); code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	want := strings.Split(strings.TrimSpace(string(recording)), "\n")[1:]
	if len(want) != len(mailDomains) {
		t.Fatalf("%s is about %d domains, want %d", dnsRecording, len(want), len(mailDomains))
	}
	got := outcomes(t, r.log)
	for i, line := range got {
		expect := want[i]
		if ours, ok := differingDomains[mailDomains[i]]; ok {
			if ours = mailDomains[i] + ": " + ours; ours == expect {
				t.Errorf("%s is what Postfix does: there is no difference", ours)
			}
			expect = ours
		}
		if line != expect {
			t.Errorf("got  %s\nwant %s", line, expect)
		}
	}
	r.waitLog(`postfix/smtp\[\d+\]: ignoring DNS RR: filtered\.secure\.example\. \d+ IN MX 10 dropped\.secure\.example\.$`)
}
