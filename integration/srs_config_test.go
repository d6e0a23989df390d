package integration

import (
	"os"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// What does not start, each in one line that says where, why and what to do.
func TestSRSConfigurationThatCannotWork(t *testing.T) {
	t.Parallel()
	zone, err := peers.NewDNS("_dmarc.corp.example. TXT \"v=DMARC1; p=reject\"\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zone.Close)
	r := newSRSRelay(t, srsBase(nil))
	for _, c := range []struct {
		name    string
		change  func(cf map[string]string)
		message string
	}{
		{"no file named", func(cf map[string]string) { delete(cf, "srs_secrets_file") }, `srs_secrets_file \(default\): srs_domain is set, and there is no file of secrets; write`},
		{"no file", func(cf map[string]string) { cf["srs_secrets_file"] = "/nonexistent/secrets" }, `srs_secrets_file \(main\.cf, line \d+\): open /nonexistent/secrets: no such file or directory; write`},
		{"readable by all", func(map[string]string) { os.Chmod(r.secretFile(), 0o644) }, `srs_secrets_file \(main\.cf, line \d+\): .*everybody on this machine may read or change it \(mode 0644\); chmod`},
		{"empty", func(map[string]string) { r.secrets("", "# nothing") }, `srs_secrets_file \(main\.cf, line \d+\): .*there is no secret in it; write`},
		{"short", func(map[string]string) { r.secrets("fifteen bytes..", srsSecret) }, `srs_secrets_file \(main\.cf, line \d+\): .*the first secret, which signs, has 15 bytes.*put one of 16 or more on top`},
		{"a directory", func(cf map[string]string) { cf["srs_secrets_file"] = "{dir}" }, `srs_secrets_file .*not a regular file`},
		{"separator", func(cf map[string]string) { cf["srs_separator"] = "#" }, `main\.cf, line \d+: srs_separator`},
		{"minimum above the length", func(cf map[string]string) { cf["srs_hash_minimum"] = "8" }, `srs_hash_minimum \(main\.cf, line \d+\): it is above srs_hash_length`},
		{"no domain", func(cf map[string]string) { cf["srs_domain"] = "not a domain" }, `srs_domain \(main\.cf, line \d+\): .*"not a domain" is no domain`},
		{"hosted", func(cf map[string]string) { cf["srs_domain"] = "alias.example" }, `srs_domain \(main\.cf, line \d+\): alias\.example is itself a domain of virtual_alias_domains: .*; use a domain of an organisation of its own`},
		{"within one", func(cf map[string]string) { cf["srs_domain"] = "srs.alias.example" }, `srs\.alias\.example lies within alias\.example of virtual_alias_domains`},
		{"above one", func(cf map[string]string) { cf["relay_domains"] = "mx.srs.example" }, `mx\.srs\.example of relay_domains lies within srs\.example`},
		{"of one organisation", func(cf map[string]string) {
			cf["srs_domain"], cf["relay_domains"], cf["dns_servers"] = "srs.corp.example", "mail.corp.example", zone.Addr
		}, `srs\.corp\.example and mail\.corp\.example of relay_domains are of one organisation, corp\.example`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cf := srsBase(nil)
			r.secrets()
			c.change(cf)
			r.configure(cf)
			for _, verb := range []string{"check", "start"} {
				out, code := r.run(verb, "-c", r.dir)
				if code != 78 {
					t.Errorf("%s: exit status %d, want 78\n%s", verb, code, out)
				}
				mustMatch(t, verb, out, `fatal: .*`+c.message)
				if strings.Count(out, "\n") != 1+strings.Count(out, "warning: mail_owner") {
					t.Errorf("%s: more than one line:\n%s", verb, out)
				}
			}
		})
	}
}

// srs_domain_allow_aligned starts with a warning, each time; a domain of ours in a table of
// its own has its other addresses in the alias table.
func TestSRSAlignedByWish(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := srsBase(sink)
	cf["srs_domain"], cf["srs_domain_allow_aligned"] = "alias.example", "yes"
	r := newSRSRelay(t, cf)
	out, code := r.run("check", "-c", r.dir)
	if code != 0 || strings.Count(out, "warning: srs_domain (main.cf, line ") != 1 {
		t.Errorf("check: exit status %d\n%s", code, out)
	}
	for range 2 {
		r.start()
		r.waitLog(`warning: srs_domain \(main\.cf, line \d+\): alias\.example is itself a domain of virtual_alias_domains: forged mail from there leaves with an SPF pass that counts for it \(srs_domain_allow_aligned = yes\)`)
		r.stop()
	}
	if n := strings.Count(r.log(), "is itself a domain"); n != 2 {
		t.Errorf("%d warnings of 2 starts\n%s", n, r.log())
	}
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatal(out)
	}
	from, _ := took(t, sink, 1, r)
	mustMatch(t, "reverse-path", from, `^<SRS0=....=..=client\.example=sender@alias\.example>$`)
	if out, code := swaks(t, r, "--from", "<>", "--to", strings.Trim(from, "<>")); code != 0 {
		t.Fatal(out)
	}
	if _, to := took(t, sink, 2, r); to != "<sender@client.example>" {
		t.Errorf("to %s", to)
	}
}

// When the DNS does not say, the daemon starts and says so.
func TestSRSWithoutDNS(t *testing.T) {
	t.Parallel()
	cf := srsBase(newSink(t))
	cf["srs_domain"], cf["virtual_alias_domains"] = "srs.alias.example", "alias.example.net, mail.alias.example"
	cf["dns_servers"] = freeAddr(t) // nobody is there
	r := newSRSRelay(t, cf)
	r.start()
	r.waitLog(`warning: srs_domain \(main\.cf, line \d+\): whether it is of one organisation with mail\.alias\.example of virtual_alias_domains the DNS does not say: .*both below alias\.example`)
}

// check tells what is missing around srs_domain.
func TestSRSCheckWarns(t *testing.T) {
	t.Parallel()
	cf := srsBase(nil)
	r := newSRSRelay(t, cf)
	if out := r.mustRun("check", "-c", r.dir); strings.Contains(out, "postmaster@srs.example") || strings.Contains(out, "srs_enable") {
		t.Errorf("check warns of nothing:\n%s", out)
	}
	cf["srs_enable"], cf["myorigin"] = "no", "alias.example"
	r.configure(cf)
	out := r.mustRun("check", "-c", r.dir)
	mustMatch(t, "check", out, `warning: srs_domain \(main\.cf, line \d+\): postmaster@srs\.example leads nowhere; add it to virtual_alias_maps`)
	mustMatch(t, "check", out, `warning: srs_enable \(main\.cf, line \d+\): senders are not rewritten`)
	delete(cf, "srs_domain")
	r.configure(cf)
	if out := r.mustRun("check", "-c", r.dir); strings.Contains(out, "srs_domain") {
		t.Errorf("check speaks of srs_domain, which is not set:\n%s", out)
	}
	mustMatch(t, "check -v", r.mustRun("check", "-v", "-c", r.dir), `(?m)^srs_domain is empty: forwarded mail keeps its sender`)
}

// check dns looks at srs_domain with the domains that are forwarded.
func TestSRSCheckDNS(t *testing.T) {
	t.Parallel()
	zone, err := peers.NewDNS("srs.example. MX 10 mx.alias.example.\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zone.Close)
	r := newSRSRelay(t, srsBase(nil))
	out, _ := r.run("check", "dns", "-c", r.dir, "--resolver", zone.Addr, "--ip", "192.0.2.1")
	mustMatch(t, "check dns", out, `(?m)^srs\.example\n(  .*\n)*  SPF +missing  \S`)
}
