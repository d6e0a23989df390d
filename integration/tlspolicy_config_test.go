package integration

import (
	"strings"
	"testing"
)

// Policies that cannot be kept stop the start; entries that cannot be kept are found by
// check, with file and line, before mail waits for them.
func TestTLSPolicyConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"missing table":     {map[string]string{"smtp_tls_policy_maps": "hash:/nonexistent"}, `smtp_tls_policy_maps \(.*main\.cf, line \d+\): open database /nonexistent\.db`},
		"older tables":      {map[string]string{"smtp_tls_per_site": "hash:/x"}, `.*smtp_tls_per_site = hash:/x is not supported, .*; write the table anew for smtp_tls_policy_maps`},
		"dane-only":         {map[string]string{"smtp_tls_security_level": "dane-only", "smtp_dns_support_level": "disabled"}, `smtp_tls_security_level \(.*\): dane-only needs a DNS to ask`},
		"unknown level":     {map[string]string{"smtp_tls_security_level": "always"}, `.*smtp_tls_security_level: "always" is not known`},
		"no fingerprints":   {map[string]string{"smtp_tls_security_level": "fingerprint"}, `smtp_tls_fingerprint_cert_match: there are no fingerprints, and the security level is fingerprint \(.*main\.cf, line \d+\)`},
		"bad fingerprint":   {map[string]string{"lmtp_tls_fingerprint_cert_match": "xyz"}, `lmtp_tls_fingerprint_cert_match: malformed fingerprint value: xyz \(`},
		"no authorities":    {map[string]string{"smtp_tls_CAfile": "/nonexistent"}, `smtp_tls_CAfile \(.*\): open /nonexistent`},
		"no anchors":        {map[string]string{"smtp_tls_trust_anchor_file": "/dev/null"}, `smtp_tls_trust_anchor_file \(.*\): /dev/null: no trust anchor in it`},
		"no ciphers":        {map[string]string{"smtp_tls_exclude_ciphers": "AES128", "smtp_tls_mandatory_exclude_ciphers": "AES256, CHACHA20"}, `smtp_tls_mandatory_exclude_ciphers \(.*\): no cipher of TLS 1\.2 is left; set smtp_tls_mandatory_protocols`},
		"unknown cipher":    {map[string]string{"lmtp_tls_exclude_ciphers": "WEAK"}, `lmtp_tls_exclude_ciphers \(.*\): unknown cipher "WEAK"`},
		"no encryption":     {map[string]string{"smtp_tls_mandatory_ciphers": "null"}, `smtp_tls_mandatory_ciphers \(.*\): nothing is spoken that does not encrypt`},
		"table of services": {map[string]string{"master": "x unix - - n - - smtp -o smtp_tls_policy_maps=hash:/nonexistent\n"}, `service x/unix \(.*master\.cf, line 2\): smtp_tls_policy_maps \(.*\): open database`},
	} {
		t.Run(name, func(t *testing.T) {
			cf := base(nil)
			for k, v := range c.set {
				cf[k] = v
			}
			delete(cf, "master")
			r := newRelay(t, cf, nil)
			r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+c.set["master"])
			out, code := r.run("start", "-c", r.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "error", out, `(?m)^aliasmx: fatal: `+c.want)
		})
	}

	cf := base(nil)
	cf["smtp_tls_security_level"], cf["smtp_tls_policy_maps"] = "secure", "texthash:{dir}/policy, inline:{ {inner.example=never} }"
	r := newRelay(t, cf, nil)
	r.write("policy", "good.example secure match=.good.example\n[bad.example]:587 encrypt\n  colour=blue\nworse.example secure tafile=/nonexistent\n")
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\nother unix - - n - - smtp -o smtp_helo_name=x\n")
	out, code := r.run("check", "-c", r.dir)
	if code != 0 {
		t.Errorf("check: exit status %d\n%s", code, out)
	}
	mustMatch(t, "check", out, `warning: /\S*/policy, line 2: \[bad\.example\]:587: TLS policy: invalid attribute name: "colour"\n`)
	mustMatch(t, "check", out, `warning: /\S*/policy, line 4: worse\.example: TLS policy: error opening trust anchor file: open /nonexistent: no such file or directory\n`)
	mustMatch(t, "check", out, `warning: smtp_tls_policy_maps \(.*\): inner\.example: TLS policy: invalid security level "never"\n`)
	mustMatch(t, "check", out, `warning: smtp_tls_security_level \(.*main\.cf, line \d+\): secure verifies certificates, and nobody is trusted; set smtp_tls_CAfile = `)
	if n := strings.Count(out, "TLS policy: "); n != 3 {
		t.Errorf("%d findings\n%s", n, out)
	}
	out, code = r.run("check", "-c", r.dir, "--json")
	if code != 0 {
		t.Errorf("check --json: exit status %d\n%s", code, out)
	}
	mustMatch(t, "check --json", out, `(?m)^\{"severity":"warning","kind":"tls policy","where":"/\S*/policy, line 2","key":"\[bad\.example\]:587","text":"TLS policy: invalid attribute name: \\"colour\\""\}$`)
}
