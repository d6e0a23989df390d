package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"

	"github.com/miekg/dns"
)

// Next hops with DANE, each a domain of its own: what is in its zone, how that is signed and
// what its server shows.

// daneCase is one of them. In zones {port} is the port of its server, {leaf 1 1} the data of
// a TLSA record with selector and matching type 1 about a certificate: the server's own,
// that of inter or root, or of a stranger.
type daneCase struct {
	name   string
	zone   string // the domain's own; lines are separated by " / "; "mx" is {mx}
	server string // "": good
	set    []string
	fault  peers.Fault // of the zone; its Names and Types are at
	at     peers.Zone
	plain  bool   // the zone is not signed
	prov   string // the zone {prov}, not below the domain
	provAt peers.Zone
	hop    string // "": the domain

	// ours is what we log, of what Postfix does, where that is not the same on purpose.
	ours func(postfix []string) []string
	port string
}

const daneMX = "@ MX 10 mx / mx A 127.0.0.1 / "

func tlsaCase(name, server string, records ...string) *daneCase {
	c := &daneCase{name: name, server: server, zone: daneMX}
	for _, r := range records {
		c.zone += "_{port}._tcp.mx TLSA " + r + " / "
	}
	return c
}

func daneCases() []*daneCase {
	right := "3 1 1 {leaf 1 1}"
	cases := []*daneCase{
		tlsaCase("no records", "good"),
		tlsaCase("none, no TLS offered", "clear"),
		tlsaCase("EE key", "good", right),
		tlsaCase("EE key, SHA-512", "good", "3 1 2 {leaf 1 2}"),
		tlsaCase("EE key, whole", "good", "3 1 0 {leaf 1 0}"),
		tlsaCase("EE certificate", "good", "3 0 1 {leaf 0 1}"),
		tlsaCase("EE certificate, whole", "good", "3 0 0 {leaf 0 0}"),
		tlsaCase("EE, no TLS offered", "clear", right),
		tlsaCase("EE wrong", "good", "3 1 1 {stranger 1 1}"),
		tlsaCase("EE before it is rolled", "good", right, "3 1 1 {stranger 1 1}"),
		tlsaCase("EE rolled, certificate is not", "good", "3 1 1 {stranger 1 1}"),
		tlsaCase("EE expired", "expired", right),
		tlsaCase("EE of another name", "other", right),
		tlsaCase("EE beside unusable", "good", "0 0 1 {root 0 1}", right, "3 1 9 abcd"),
		tlsaCase("EE wrong beside unusable", "good", "1 0 1 {leaf 0 1}", "3 1 1 {stranger 1 1}"),
		tlsaCase("EE, better digest wrong", "good", right, "3 1 2 {stranger 1 2}"),
		tlsaCase("TA key", "good", "2 1 1 {root 1 1}"),
		tlsaCase("TA certificate", "good", "2 0 1 {root 0 1}"),
		tlsaCase("TA certificate, whole", "good", "2 0 0 {root 0 0}"),
		tlsaCase("TA intermediate", "good", "2 0 1 {inter 0 1}"),
		tlsaCase("TA wrong", "good", "2 0 1 {stranger 0 1}"),
		tlsaCase("TA before it is rolled", "good", "2 0 1 {stranger 0 1}", "2 0 1 {root 0 1}"),
		tlsaCase("TA not sent", "rootless", "2 0 1 {root 0 1}"),
		tlsaCase("TA not sent, whole certificate", "rootless", "2 0 0 {root 0 0}"),
		tlsaCase("TA not sent, whole key", "rootless", "2 1 0 {root 1 0}"),
		tlsaCase("TA with an expired server", "expired", "2 0 1 {root 0 1}"),
		tlsaCase("TA with another name", "other", "2 0 1 {root 0 1}"),
		tlsaCase("TA with the name of the domain", "domain", "2 0 1 {root 0 1}"),
		tlsaCase("TA with another name, EE right", "other", "2 0 1 {root 0 1}", right),
		tlsaCase("unusable usage", "good", "0 0 1 {root 0 1}", "1 0 1 {leaf 0 1}"),
		tlsaCase("unusable digest", "good", "3 1 9 abcd"),
		tlsaCase("unusable length", "good", "3 1 1 abcd"),
		tlsaCase("unusable certificate", "good", "3 0 0 abcd"),
		tlsaCase("unusable, no TLS offered", "clear", "3 1 9 abcd"),
		tlsaCase("self-signed", "self", right),
		tlsaCase("handshake that fails", "broken", right),
	}
	with := func(c *daneCase, change func(*daneCase)) {
		change(c)
		cases = append(cases, c)
	}
	for _, c := range cases {
		if strings.HasPrefix(c.name, "unusable") {
			c.ours = unusableAsOurs
		}
	}
	with(tlsaCase("dane-only, EE", "good", right), func(c *daneCase) { c.set = []string{"smtp_tls_security_level = dane-only"} })
	with(tlsaCase("dane-only, none", "good"), func(c *daneCase) { c.set = []string{"smtp_tls_security_level = dane-only"} })
	with(tlsaCase("dane-only, unusable", "good", "0 0 1 {root 0 1}"), func(c *daneCase) { c.ours, c.set = unusableAsOurs, []string{"smtp_tls_security_level = dane-only"} })
	with(tlsaCase("dane-only, not signed", "good", right), func(c *daneCase) { c.plain, c.set = true, []string{"smtp_tls_security_level = dane-only"} })
	with(tlsaCase("digests", "good", right, "3 1 2 {stranger 1 2}"), func(c *daneCase) { c.set = []string{"tls_dane_digests = sha256 sha512"} })
	with(tlsaCase("not signed", "good", "3 1 1 {stranger 1 1}"), func(c *daneCase) { c.plain = true })
	with(tlsaCase("signed, unknown above", "good", "3 1 1 {stranger 1 1}"), func(c *daneCase) { c.fault = peers.Island })
	with(tlsaCase("bogus records", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.Bogus, []string{"TLSA"} })
	with(tlsaCase("bogus addresses", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.Bogus, []string{"A"} })
	with(tlsaCase("bogus MX", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.Bogus, []string{"MX"} })
	with(tlsaCase("records that have expired", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.Expired, []string{"TLSA"} })
	with(tlsaCase("records without signatures", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.Unsigned, []string{"TLSA"} })
	with(tlsaCase("records denied without proof", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.StripTypes, []string{"TLSA"} })
	with(tlsaCase("server that fails at records", "good", right), func(c *daneCase) { c.fault, c.at.Types = peers.ServFail, []string{"TLSA"} })
	with(tlsaCase("server that fails at records, not signed", "good", right), func(c *daneCase) {
		c.plain, c.fault, c.at.Types = true, peers.ServFail, []string{"TLSA"}
	})

	host := func(name, zone, prov string, change func(*daneCase)) {
		c := &daneCase{name: name, server: "good", zone: zone, prov: prov}
		if change != nil {
			change(c)
		}
		cases = append(cases, c)
	}
	const there, rr = "mx A 127.0.0.1 / ", "_{port}._tcp.mx TLSA "
	plain := func(c *daneCase) { c.plain = true }
	host("host elsewhere", "@ MX 10 mx.{prov}.", there+rr+right, nil)
	host("host elsewhere, MX not signed", "@ MX 10 mx.{prov}.", there+rr+right, plain)
	host("host elsewhere, MX not signed, wrong", "@ MX 10 mx.{prov}.", there+rr+"3 1 1 {stranger 1 1}", plain)
	host("host elsewhere, MX not signed, TA with its name", "@ MX 10 mx.{prov}.", there+rr+"2 0 1 {root 0 1}", func(c *daneCase) { c.plain, c.server = true, "prov" })
	host("host elsewhere, MX not signed, encrypt", "@ MX 10 mx.{prov}.", there+rr+"3 1 1 {stranger 1 1}", func(c *daneCase) {
		c.plain, c.set = true, []string{"smtp_tls_dane_insecure_mx_policy = encrypt"}
	})
	host("host elsewhere, MX not signed, may", "@ MX 10 mx.{prov}.", there+rr+"3 1 1 {stranger 1 1}", func(c *daneCase) {
		c.plain, c.set = true, []string{"smtp_tls_dane_insecure_mx_policy = may"}
	})
	host("host elsewhere, MX not signed, dane-only", "@ MX 10 mx.{prov}.", there+rr+right, func(c *daneCase) {
		c.plain, c.set = true, []string{"smtp_tls_security_level = dane-only"}
	})
	host("host elsewhere, not signed", "@ MX 10 mx.{prov}.", there+rr+"3 1 1 {stranger 1 1}", func(c *daneCase) { c.provAt.Signed = true })
	host("host elsewhere, not signed, forced", "@ MX 10 mx.{prov}.", there+rr+"3 1 1 {stranger 1 1}", func(c *daneCase) {
		c.provAt.Signed, c.set = true, []string{"smtp_tls_force_insecure_host_tlsa_lookup = yes"}
	})
	host("host elsewhere, bogus records", "@ MX 10 mx.{prov}.", there+rr+right, func(c *daneCase) { c.provAt = peers.Zone{Fault: peers.Bogus, Types: []string{"TLSA"}} })
	host("alias, records at its end", "@ MX 10 mx / mx CNAME mx.{prov}.", there+rr+right, nil)
	host("alias, records at its beginning", "@ MX 10 mx / mx CNAME mx.{prov}. / "+rr+right, there, nil)
	host("alias, both", "@ MX 10 mx / mx CNAME mx.{prov}. / "+rr+right, there+rr+"3 1 1 {stranger 1 1}", nil)
	host("alias out of a signed zone", "@ MX 10 mx / mx CNAME mx.{prov}. / "+rr+right, there+rr+"3 1 1 {stranger 1 1}", func(c *daneCase) { c.provAt.Signed = true })
	host("alias in a zone that is not signed", "@ MX 10 mx / mx CNAME mx.{prov}. / "+rr+"3 1 1 {stranger 1 1}", there+rr+"3 1 1 {stranger 1 1}", plain)
	host("name told to the server", daneMX+rr+right, "", func(c *daneCase) { c.server = "sni" })
	host("name told to the server behind an alias", "@ MX 10 mx / mx CNAME mx.{prov}.", there+rr+right, func(c *daneCase) { c.server = "sni prov" })
	host("name told to the server before an alias", "@ MX 10 mx / mx CNAME mx.{prov}. / "+rr+right, there, func(c *daneCase) { c.server = "sni" })
	host("records that are an alias", daneMX+"_{port}._tcp.mx CNAME tlsa.{prov}.", "tlsa TLSA "+right, nil)
	host("records that are an alias, not signed there", daneMX+"_{port}._tcp.mx CNAME tlsa.{prov}.", "tlsa TLSA 3 1 1 {stranger 1 1}", func(c *daneCase) { c.provAt.Signed = true })
	host("no MX", "@ A 127.0.0.1 / _{port}._tcp TLSA "+right, "", nil)
	host("no MX, wrong", "@ A 127.0.0.1 / _{port}._tcp TLSA 3 1 1 {stranger 1 1}", "", nil)
	host("no MX, not signed", "@ A 127.0.0.1 / _{port}._tcp TLSA 3 1 1 {stranger 1 1}", "", plain)
	host("host by name", daneMX+rr+right, "", func(c *daneCase) { c.hop = "[mx.{domain}]:{port}" })
	host("host by name, wrong", daneMX+rr+"3 1 1 {stranger 1 1}", "", func(c *daneCase) { c.hop = "[mx.{domain}]:{port}" })
	host("host by name, TA with the domain's name", daneMX+rr+"2 0 1 {root 0 1}", "", func(c *daneCase) { c.server, c.hop = "domain", "[mx.{domain}]:{port}" })
	host("two hosts, the first one wrong", "@ MX 10 mx / @ MX 20 mx2 / mx A 127.0.0.1 / mx2 A 127.0.0.2 / "+rr+"3 1 1 {stranger 1 1} / _{port}._tcp.mx2 TLSA "+right, "", nil)
	host("two hosts, the first one bogus", "@ MX 10 mx / @ MX 20 mx2 / mx A 127.0.0.1 / mx2 A 127.0.0.2 / "+rr+right+" / _{port}._tcp.mx2 TLSA "+right, "", func(c *daneCase) {
		c.fault, c.at = peers.Bogus, peers.Zone{Types: []string{"TLSA"}, Names: []string{"_{port}._tcp.mx"}}
	})
	return cases
}

// unusableAsOurs: we say that no record is usable whatever the reason, and before we connect;
// we do not tell of a certificate that nobody asks for why it would not have been trusted.
func unusableAsOurs(postfix []string) []string {
	ours := slices.DeleteFunc(slices.Clone(postfix), func(l string) bool {
		return strings.Contains(l, "untrusted issuer") || strings.HasPrefix(l, "warning: _PORT.") && strings.Contains(l, ": all ")
	})
	n := 0
	for n < len(ours) && strings.HasPrefix(ours[n], "warning: _PORT.") {
		n++
	}
	if n == 0 { // no TLS was offered
		ours, n = slices.Insert(ours, 0, "warning: _PORT._tcp.mx.case.example: unusable TLSA RR: 3 1 9 DATA"), 1
	}
	ours = slices.Insert(ours, n, "warning: _PORT._tcp.mx.case.example: all TLSA records unusable")
	slices.Sort(ours[:n+1])
	return ours
}

// daneWorld is the servers and the names of the cases.
type daneWorld struct {
	cases []*daneCase
	lab   *peers.Lab
	hops  []string
}

func newDANEWorld(t *testing.T, cases []*daneCase) *daneWorld {
	t.Helper()
	w := &daneWorld{cases: cases}
	issue := func(by *peers.Cert, name string, change func(*x509.Certificate)) *peers.Cert {
		c, err := peers.Issue(by, name, change)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root, stranger := issue(nil, "root", nil), issue(nil, "stranger", nil)
	inter := issue(root, "inter", nil)
	var zones []peers.Zone
	for i, c := range cases {
		domain, prov := fmt.Sprintf("case%d.example", i), fmt.Sprintf("case%d.prov.example", i)
		leaf := issue(inter, "mx."+domain, nil)
		chain := []*peers.Cert{leaf, inter, root}
		switch c.server {
		case "rootless":
			chain = chain[:2]
		case "expired":
			chain[0] = issue(inter, "mx."+domain, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		case "other":
			chain[0] = issue(inter, "mx.other.example", nil)
		case "domain":
			chain[0] = issue(inter, domain, nil)
		case "prov":
			chain[0] = issue(inter, "mx."+prov, nil)
		case "self":
			chain = []*peers.Cert{issue(nil, "mx."+domain, nil)}
		}
		sink := newDANESink(t)
		cfg := peers.ShowChain(chain...)
		switch c.server {
		case "clear":
			cfg = nil
		case "sni", "sni prov": // has another one for whoever asks for nobody
			asked := map[string]string{"sni": "mx." + domain, "sni prov": "mx." + prov}[c.server]
			right, other := cfg, peers.ShowChain(issue(stranger, "mx."+domain, nil))
			cfg = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if h.ServerName == asked {
					return right, nil
				}
				return other, nil
			}}
		case "broken":
			cfg = &tls.Config{Certificates: cfg.Certificates, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}, MaxVersion: tls.VersionTLS12}
		}
		sink.Behave(peers.Script{TLS: cfg})
		_, c.port, _ = net.SplitHostPort(sink.Addr)
		words := []string{"{port}", c.port, "{domain}", domain, "{prov}", prov, " / ", "\n"}
		for name, cert := range map[string]*peers.Cert{"leaf": chain[0], "inter": inter, "root": root, "stranger": stranger} {
			for kind := range 6 {
				data, err := dns.CertificateToDANE(uint8(kind/3), uint8(kind%3), cert.Certificate)
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, fmt.Sprintf("{%s %d %d}", name, kind/3, kind%3), data)
			}
		}
		fill := strings.NewReplacer(words...)
		z := c.at
		z.Name, z.Text, z.Signed, z.Fault = domain, fill.Replace(c.zone)+"\n", !c.plain, c.fault
		for i := range z.Names {
			z.Names[i] = fill.Replace(z.Names[i])
		}
		zones = append(zones, z)
		if c.prov != "" {
			z := c.provAt
			z.Name, z.Text, z.Signed = prov, fill.Replace(c.prov)+"\n", !c.provAt.Signed
			zones = append(zones, z)
		}
		if c.hop == "" {
			c.hop = "{domain}:{port}"
		}
		w.hops = append(w.hops, fill.Replace(c.hop))
	}
	w.lab = newLab(t, zones...)
	return w
}

// newDANESink is a next hop at a port of both 127.0.0.1 and 127.0.0.2.
func newDANESink(t *testing.T) *peers.Sink {
	s, err := peers.NewSink("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// services are the ones of master.cf that lead to the cases, and the transport table to them.
func (w *daneWorld) services() (master, transport string) {
	for i, c := range w.cases {
		if len(c.set) == 0 {
			transport += fmt.Sprintf("case%d.example smtp:%s\n", i, w.hops[i])
			continue
		}
		master += fmt.Sprintf("case%d unix - - n - - smtp\n", i)
		for _, set := range c.set {
			master += " -o { " + set + " }\n"
		}
		transport += fmt.Sprintf("case%d.example case%d:%s\n", i, i, w.hops[i])
	}
	return master, transport
}

// said sorts the lines of smtp(8) by case, and leaves of them what is compared.
func (w *daneWorld) said(log string) [][]string {
	said := make([][]string, len(w.cases))
	for line := range strings.Lines(log) {
		m := daneLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n := daneNumber.FindStringSubmatch(m[1])
		if n == nil {
			continue
		}
		var i int
		fmt.Sscan(n[1], &i)
		text := strings.ReplaceAll(m[1], w.cases[i].port, "PORT")
		for _, rule := range daneRules {
			text = rule.of.ReplaceAllString(text, rule.to)
		}
		said[i] = append(said[i], text)
	}
	for i, lines := range said {
		// Records come in any order, and Postfix asks twice for those that it does not get.
		n := 0
		for n < len(lines) && strings.HasPrefix(lines[n], "warning: _PORT.") {
			n++
		}
		slices.Sort(lines[:n])
		said[i] = slices.Compact(lines)
	}
	return said
}

var (
	daneLine   = regexp.MustCompile(`/smtp\[\d+\]: (.*)`)
	daneNumber = regexp.MustCompile(`\bcase(\d+)\b`)
)

var daneRules = []struct {
	of *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`^[0-9A-Za-z]{8,}: `), ""},
	{regexp.MustCompile(`delay=.*, dsn=`), "dsn="},
	{regexp.MustCompile(`(TLS connection established to [^ ]*): .*`), "$1"},
	{regexp.MustCompile(`(SSL_connect error to [^ ]*): .*`), "$1"},
	{regexp.MustCompile(`\bcase\d+\b`), "case"},
	{regexp.MustCompile(`queued as \w+`), "queued"},
	{regexp.MustCompile(`([0-9] [0-9] [0-9]) [0-9A-F.]+$`), "$1 DATA"},
	// Postfix says it of the connection, and what follows from it.
	{regexp.MustCompile(`mx[a-z.0-9]*\[127.0.0.1\]:PORT: ((?:all|unusable) TLSA)`), "_PORT._tcp.mx.case.example: $1"},
	{regexp.MustCompile(`(all TLSA records unusable), fallback to unauthenticated TLS`), "$1"},
}

// loadDANELog is what was recorded, by name of the case.
func loadDANELog(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(daneFile)
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "== "); ok {
			name = n
		} else if l, ok := strings.CutPrefix(line, "| "); ok {
			logs[name] = append(logs[name], l)
		}
	}
	return logs
}
