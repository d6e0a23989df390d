package integration

import (
	"crypto/tls"
	"net"
	"net/smtp"
	"testing"

	"aliasmx/integration/peers"
)

// Domains with MX records: an entry holds for domains below it, verify wants a certificate
// for the host and secure one for the domain, whatever the host is called. Without an entry
// the default takes what it gets.
func TestTLSPolicyByDomain(t *testing.T) {
	root, err := peers.NewAuthority("Root")
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(names ...string) *tls.Config {
		t.Helper()
		cfg, err := root.Server(peers.Leaf{Names: names})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	_, port, _ := net.SplitHostPort(freeAddr(t))
	for host, cfg := range map[string]*tls.Config{
		"127.0.0.2": certificate("mx.hosts.example"),
		"127.0.0.3": certificate("sub.mail.example", "other.example"),
	} {
		s, err := peers.NewSink(net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		s.Behave(peers.Script{TLS: cfg})
	}
	dns, err := peers.NewDNS(`
mx.hosts.example. A 127.0.0.2
mx.domains.example. A 127.0.0.3
mx.tlds.example. A 127.0.0.2
sub.mail.example. MX 10 mx.domains.example.
up.mail.example. MX 10 mx.hosts.example.
mail.example. MX 10 mx.hosts.example.
a.verified.example. MX 10 mx.hosts.example.
b.verified.example. MX 10 mx.tlds.example.
free.example. MX 10 mx.tlds.example.
`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	cf := base(nil)
	delete(cf, "smtp_tls_security_level")
	cf["dns_servers"], cf["smtp_dns_support_level"], cf["smtp_tcp_port"], cf["mynetworks"] = dns.Addr, "enabled", port, "127.0.0.0/8"
	cf["smtp_tls_policy_maps"], cf["smtp_tls_CAfile"], cf["smtp_tls_loglevel"] = "texthash:{dir}/policy", "{dir}/root.pem", "1"
	r := newRelay(t, cf, nil)
	r.write("policy", ".mail.example secure\n.verified.example verify\n")
	r.write("root.pem", root.PEM())
	r.start()

	relays := map[string]string{
		"sub.mail.example":   `mx\.domains\.example\[127\.0\.0\.3\]`,
		"up.mail.example":    `mx\.hosts\.example\[127\.0\.0\.2\]`,
		"mail.example":       `mx\.hosts\.example\[127\.0\.0\.2\]`,
		"a.verified.example": `mx\.hosts\.example\[127\.0\.0\.2\]`,
		"b.verified.example": `mx\.tlds\.example\[127\.0\.0\.2\]`,
		"free.example":       `mx\.tlds\.example\[127\.0\.0\.2\]`,
	}
	for domain, want := range map[string][2]string{
		"sub.mail.example":   {"Verified", `dsn=2\.0\.0, status=sent `},
		"up.mail.example":    {"Untrusted", `dsn=4\.7\.5, status=deferred \(Server certificate not verified\)`},
		"mail.example":       {"Trusted", `dsn=2\.0\.0, status=sent `},
		"a.verified.example": {"Verified", `dsn=2\.0\.0, status=sent `},
		"b.verified.example": {"Untrusted", `dsn=4\.7\.5, status=deferred \(Server certificate not verified\)`},
		"free.example":       {"Trusted", `dsn=2\.0\.0, status=sent `},
	} {
		if err := smtp.SendMail(r.smtp, nil, "s@client.example", []string{"x@" + domain}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
		relay := relays[domain] + `:` + port
		r.waitLog(`to=<x@` + domain + `>, relay=` + relay + `, .*` + want[1])
		r.waitLog(want[0] + ` TLS connection established to ` + relay + `: TLSv1\.3 `)
	}
	r.stop()
}
