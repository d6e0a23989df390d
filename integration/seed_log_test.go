package integration

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// TestSeedLog sends one message by the sendmail command to an alias whose target's
// MX has a dead IPv6 address and a self-signed certificate, and compares the whole
// log of it, line for line, with what Postfix would have written.
func TestSeedLog(t *testing.T) {
	sink := newSink(t)
	cert, err := peers.SelfSigned("mx.dest.example")
	if err != nil {
		t.Fatal(err)
	}
	sink.Behave(peers.Script{TLS: cert, EndOfData: "250 2.0.0 OK  1700000000 x-1.2 - gsmtp"})
	dns, err := peers.NewDNS(`
dest.example.     MX 10 mx.dest.example.
mx.dest.example.  A     127.0.0.1
mx.dest.example.  AAAA  2001:db8::1
`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	_, port, _ := net.SplitHostPort(sink.Addr)
	cf := base(nil)
	delete(cf, "smtp_dns_support_level")
	cf["dns_servers"] = dns.Addr
	cf["smtp_tcp_port"] = port
	cf["smtp_tls_loglevel"] = "1"
	cf["smtp_address_preference"] = "ipv6"
	r := newRelay(t, cf, nil)
	r.start()

	const letter = "From: submitter@alias.example\nTo: info@alias.example\nSubject: seed\nMessage-ID: <seed@alias.example>\n\nHello.\n"
	if out, code := r.runWith(letter, "sendmail", "-C", r.dir, "-f", "submitter@alias.example", "info@alias.example"); code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	r.waitLog(`: removed$`)
	uid := strconv.Itoa(os.Getuid())
	want := []string{
		`pickup\[\d+\]: ID: uid=` + uid + ` from=<submitter@alias\.example>`,
		`cleanup\[\d+\]: ID: message-id=<seed@alias\.example>`,
		`qmgr\[\d+\]: ID: from=<submitter@alias\.example>, size=\d+, nrcpt=1 \(queue active\)`,
		`smtp\[\d+\]: connect to mx\.dest\.example\[2001:db8::1\]:` + port + `: (Network is unreachable|No route to host|Connection timed out|Connection refused|Cannot assign requested address)`,
		`smtp\[\d+\]: Untrusted TLS connection established to mx\.dest\.example\[127\.0\.0\.1\]:` + port + `: TLSv1\.3 with cipher TLS_AES_128_GCM_SHA256 \(128/128 bits\).*`,
		`smtp\[\d+\]: ID: to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=mx\.dest\.example\[127\.0\.0\.1\]:` + port + `, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 OK  1700000000 x-1\.2 - gsmtp\)`,
		`qmgr\[\d+\]: ID: removed`,
	}
	var got []string
	id := ""
	for line := range strings.SplitSeq(strings.TrimSpace(r.log()), "\n") {
		if m := regexp.MustCompile(`postfix/pickup\[\d+\]: (\w{12}):`).FindStringSubmatch(line); m != nil {
			id = m[1]
		}
		if id != "" {
			got = append(got, strings.ReplaceAll(line, id, "ID"))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, line := range got {
		if !regexp.MustCompile(`^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/` + want[i] + `$`).MatchString(line) {
			t.Errorf("line %d\n got %s\nwant %s", i+1, line, want[i])
		}
	}
}
