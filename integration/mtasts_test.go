package integration

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

const stsEnforce = "version: STSv1\r\nmode: enforce\r\nmx: mx.DOMAIN\r\nmax_age: 604800\r\n"

// Mail to domains with MTA-STS policies, from the alias to the next hop or to the reason
// why not. Then somebody takes record, policy host and MX record of a domain away from it,
// and the relay, started anew, still knows better than to follow.
func TestMTASTS(t *testing.T) {
	w := newSTSWorld(t)
	host, plain := newSTSHosts(t, w)
	other := newSTSAuthority(t, "another authority")
	cases := []struct {
		name, policy string
		mx           []string // hosts; nil: mx.NAME.example
		show         func(domain string)
		log          string // patterns of lines, with | between them
	}{
		{"enforce", stsEnforce, nil, nil,
			`Verified TLS connection established to mx\.enforce\.example\[|to=<x@enforce\.example>.* status=sent`},
		{"wildcard", strings.Replace(stsEnforce, "mx.DOMAIN", "*.DOMAIN", 1), nil, nil, `to=<x@wildcard\.example>.* status=sent`},
		{"name", stsEnforce, nil, func(domain string) { w.show("mx."+domain, w.ca.cert(t, time.Hour, "www."+domain)) },
			`to=<x@name\.example>, .*dsn=4\.7\.5, status=deferred \(Server certificate not verified\)`},
		{"expired", stsEnforce, nil, func(domain string) { w.show("mx."+domain, w.ca.cert(t, -time.Hour, "mx."+domain)) },
			`to=<x@expired\.example>, .*dsn=4\.7\.5, status=deferred \(Server certificate not `},
		{"authority", stsEnforce, nil, func(domain string) { w.show("mx."+domain, other.cert(t, time.Hour, "mx."+domain)) },
			`to=<x@authority\.example>, .*dsn=4\.7\.5, status=deferred \(Server certificate not `},
		{"host", stsEnforce, []string{"evil.enforce.example"}, nil,
			`to=<x@host\.example>, .*dsn=4\.7\.5, status=deferred \(MX name 'evil\.enforce\.example' does not match STS MX pattern for 'host\.example'\)`},
		{"second", stsEnforce, []string{"evil.enforce.example", "mx.second.example"}, nil,
			`to=<x@second\.example>, .*relay=mx\.second\.example\[.* status=sent`},
		{"plain", strings.Replace(stsEnforce, "mx.DOMAIN", "plain.DOMAIN", 1), []string{"plain.plain.example"}, nil,
			`to=<x@plain\.example>, .*dsn=4\.7\.4, status=deferred \(TLS is required, but was not offered by host plain\.plain\.example\[`},
		{"testing", strings.Replace(stsEnforce, "enforce", "testing", 1), nil, func(domain string) { w.show("mx."+domain, other.cert(t, time.Hour, "www."+domain)) },
			`Untrusted TLS connection established to mx\.testing\.example\[|to=<x@testing\.example>.* status=sent`},
		{"strange", strings.Replace(stsEnforce, "enforce", "testing", 1), []string{"evil.enforce.example"}, nil, `Trusted TLS connection established to evil\.enforce\.example\[|to=<x@strange\.example>.* status=sent`},
		{"clear", strings.Replace(strings.Replace(stsEnforce, "enforce", "testing", 1), "mx.DOMAIN", "plain.DOMAIN", 1), []string{"plain.clear.example"}, nil,
			`to=<x@clear\.example>.* status=sent`},
		{"none", "version: STSv1\nmode: none\nmax_age: 60\n", nil, func(domain string) { w.show("mx."+domain, other.cert(t, time.Hour, "www."+domain)) },
			`to=<x@none\.example>.* status=sent`},
		{"broken", "version: STSv1\nmode: enforce\n", nil, func(domain string) { w.show("mx."+domain, other.cert(t, time.Hour, "www."+domain)) },
			`to=<x@broken\.example>.* status=sent`},
		{"forged", stsEnforce, nil, func(domain string) {
			w.show("mta-sts."+domain, other.cert(t, time.Hour, "mta-sts."+domain))
			w.show("mx."+domain, other.cert(t, time.Hour, "www."+domain))
		}, `to=<x@forged\.example>.* status=sent|MTA-STS policy of forged\.example cannot be had, and mail goes as if there were none: .*unknown authority`},
	}
	var virtual, zone strings.Builder
	virtual.WriteString("again@alias.example again@enforce.example\nlater@alias.example later@enforce.example\n" +
		"dane-yes@alias.example dane-yes@enforce.example\nencrypt-yes@alias.example encrypt-yes@enforce.example\n" +
		"encrypt-no@alias.example encrypt-no@enforce.example\nnone-yes@alias.example none-yes@enforce.example\n")
	for _, c := range cases {
		domain := c.name + ".example"
		fmt.Fprintf(&virtual, "%s@alias.example x@%s\n", c.name, domain)
		zone.WriteString(w.announce(domain, "1"))
		for i, mx := range append(c.mx, "mx."+domain)[:max(len(c.mx), 1)] {
			fmt.Fprintf(&zone, "%s. MX %d %s.\n", domain, i, mx)
		}
		fmt.Fprintf(&zone, "mx.%[1]s. A %[2]s\nplain.%[1]s. A %[3]s\nevil.%[1]s. A %[2]s\n", domain, host, plain)
		w.page(domain, stsPage(strings.ReplaceAll(c.policy, "DOMAIN", domain)))
		if c.show != nil {
			c.show(domain)
		}
	}
	if err := w.dns.Set(zone.String()); err != nil {
		t.Fatal(err)
	}
	r := w.relay(t, virtual.String())
	r.start()
	for _, c := range cases {
		stsSend(t, r, c.name)
	}
	for _, c := range cases {
		for pattern := range strings.SplitSeq(c.log, "|") {
			r.waitLog(pattern)
		}
	}
	if n := w.fetched("enforce.example"); n != 1 {
		t.Errorf("%d fetches", n)
	}
	stsSend(t, r, "again")
	r.waitLog(`to=<again@enforce\.example>.* status=sent`)
	if n := w.fetched("enforce.example"); n != 1 {
		t.Errorf("%d fetches for two messages", n)
	}
	r.stop()

	w.server.Close()
	if err := w.dns.Set(fmt.Sprintf("enforce.example. MX 0 evil.host.example.\nevil.host.example. A %s\n", host)); err != nil {
		t.Fatal(err)
	}
	r.start()
	stsSend(t, r, "later")
	r.waitLog(`to=<later@enforce\.example>, .*dsn=4\.7\.5, status=deferred \(MX name 'evil\.host\.example' does not match STS MX pattern for 'enforce\.example'\)`)
	r.stop()

	// The levels that leave room for a policy, and what turns it off.
	for _, c := range []struct{ level, use, log string }{
		{"dane", "yes", `status=deferred \(MX name 'evil\.host\.example'`},
		{"encrypt", "yes", `status=deferred \(MX name 'evil\.host\.example'`},
		{"encrypt", "no", `status=sent`},
		{"none", "yes", `status=sent`},
	} {
		cf := w.config()
		cf["smtp_tls_security_level"], cf["smtp_tls_mta_sts"] = c.level, c.use
		r.configure(cf)
		r.start()
		stsSend(t, r, c.level+"-"+c.use)
		r.waitLog(`to=<` + c.level + `-` + c.use + `@enforce\.example>.*` + c.log)
		r.stop()
	}
}

// announce are the records of a policy.
func (w *stsWorld) announce(domain, id string) string {
	return fmt.Sprintf("_mta-sts.%[1]s. TXT \"v=STSv1; id=%[2]s\"\nmta-sts.%[1]s. A %[3]s\n", domain, id, w.ip)
}

// newSTSHosts are two mail exchangers at one port of two addresses: one that shows the
// certificate for the name it is asked for, and one without TLS.
func newSTSHosts(t *testing.T, w *stsWorld) (host, plain string) {
	t.Helper()
	prefix := w.ip[:strings.LastIndexByte(w.ip, '.')+1]
	host, plain = prefix+"254", prefix+"253"
	first, err := peers.NewSink(host + ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Stop)
	first.Behave(peers.Script{TLS: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := h.ServerName
		if name == "" {
			name = "unnamed.example"
		}
		return w.cert(t, name), nil
	}}})
	_, w.port, _ = net.SplitHostPort(first.Addr)
	second, err := peers.NewSink(plain + ":" + w.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Stop)
	return host, plain
}

// relay is one that finds all of this.
func (w *stsWorld) relay(t *testing.T, virtual string) *relay {
	return newRelay(t, w.config(), map[string]string{"virtual": virtual})
}

func (w *stsWorld) config() map[string]string {
	cf := base(nil)
	cf["smtp_dns_support_level"], cf["dns_servers"] = "enabled", w.dns.Addr
	cf["inet_protocols"] = "ipv4"
	cf["smtp_tcp_port"] = w.port
	cf["smtp_tls_mta_sts_CAfile"] = w.caFile
	cf["smtp_tls_loglevel"] = "1"
	return cf
}

func stsSend(t *testing.T, r *relay, local string) {
	t.Helper()
	err := smtp.SendMail(r.smtp, nil, "s@client.example", []string{local + "@alias.example"}, []byte("Subject: "+local+"\r\n\r\nhello\r\n"))
	if err != nil {
		t.Fatalf("%s: %v\n%s", local, err, r.log())
	}
}
