package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// viaProvider is the main.cf that thousands have whose mail leaves through a provider
// (SASL_README), with provider as its address.
func viaProvider(t *testing.T, provider string, more map[string]string) *relay {
	t.Helper()
	cf := base(nil)
	_, port, _ := net.SplitHostPort(provider)
	cf["relayhost"] = "[127.0.0.1]:" + port
	cf["smtp_sasl_auth_enable"] = "yes"
	cf["smtp_sasl_password_maps"] = "hash:{dir}/sasl_passwd"
	cf["smtp_sasl_security_options"] = "noanonymous"
	cf["smtp_tls_security_level"] = "encrypt"
	for name, value := range more {
		cf[name] = value
	}
	return newRelay(t, cf, nil)
}

// passwords writes the table, as an operator does who is careful.
func (r *relay) passwords(text string) {
	r.t.Helper()
	r.write("sasl_passwd", text)
	file := filepath.Join(r.dir, "sasl_passwd")
	r.mustRun("postmap", "-c", r.dir, "hash:"+file)
	for _, name := range []string{file, file + ".db"} {
		if err := os.Chmod(name, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// noTrace fails if a secret is in anything that the relay shows.
func (r *relay) noTrace(secrets ...string) {
	r.t.Helper()
	queue, _ := r.run("mailq", "-c", r.dir)
	said := r.log() + queue + r.out.String()
	for line := range strings.SplitSeq(queue, "\n") {
		if id, _, ok := strings.Cut(line, " "); ok && len(id) == 12 {
			text, _ := r.run("postcat", "-c", r.dir, "-q", id)
			said += text
		}
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			r.t.Errorf("%q is to be seen in\n%s", secret, said)
		}
	}
}

// A relay host that wants a login, by STARTTLS and by TLS from the first byte; our own server
// is the provider.
func TestThroughAProvider(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	provider, submission, submissions := submissionRelay(t, sink, map[string]string{
		"smtpd_sender_login_maps": "", "smtpd_sender_restrictions": "",
	})
	master, err := os.ReadFile(filepath.Join(provider.dir, "master.cf"))
	if err != nil {
		t.Fatal(err)
	}
	provider.write("master.cf", strings.ReplaceAll(string(master), " -o smtpd_sender_restrictions=reject_sender_login_mismatch", ""))
	provider.start()
	for i, c := range []struct {
		server string
		more   map[string]string
	}{
		{submission, nil},
		{submissions, map[string]string{"smtp_tls_wrappermode": "yes"}},
		// The table can be read by root alone, who gives up his rights.
		{submission, map[string]string{"mail_owner": "nobody"}},
	} {
		r := viaProvider(t, c.server, c.more)
		_, port, _ := net.SplitHostPort(c.server)
		r.passwords("[127.0.0.1]:" + port + "  joe:joe's secret\n")
		if c.more["mail_owner"] != "" {
			for _, d := range []string{r.top, filepath.Join(r.top, "queue"), filepath.Join(r.top, "data")} {
				mustExec(t, "chown", "nobody", d)
			}
		}
		r.start()
		if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:` + port + `, .*status=sent \(250 2\.0\.0 Ok: (\d+ bytes )?queued as `)
		if !sink.Wait(i+1, limit) {
			t.Fatalf("nothing arrived behind the provider\n%s", provider.log())
		}
		mustMatch(t, "message", sink.Messages()[i].Data, `\(Authenticated sender: joe\)`)
		r.noTrace("joe's secret")
		r.stop()
	}
}

// A wrong password keeps the mail, is said to be wrong, and is not tried again; the right
// one is used without a restart.
func TestProviderRefusesThePassword(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	provider, submission, _ := submissionRelay(t, sink, map[string]string{"smtpd_sender_login_maps": ""})
	master, err := os.ReadFile(filepath.Join(provider.dir, "master.cf"))
	if err != nil {
		t.Fatal(err)
	}
	provider.write("master.cf", strings.ReplaceAll(string(master), " -o smtpd_sender_restrictions=reject_sender_login_mismatch", ""))
	provider.start()
	r := viaProvider(t, submission, map[string]string{"smtp_sasl_auth_cache_name": "proxy:btree:{top}/data/sasl_auth_cache"})
	r.passwords("127.0.0.1 joe:my guess\n")
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	r.waitLog(`dsn=4\.7\.8, status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: authentication failed: `)
	r.mustRun("postqueue", "-c", r.dir, "-f")
	r.waitLog(`dsn=4\.7\.8, status=deferred \(SASL \[CACHED\] authentication failed; server 127\.0\.0\.1 said: 535 5\.7\.8 Error: authentication failed: `)
	if n := strings.Count(provider.log(), "authentication failed"); n != 1 {
		t.Errorf("the password was tried %d times\n%s", n, provider.log())
	}
	r.noTrace("my guess", "am9lAG15IGd1ZXNz", "AGpvZQBteSBndWVzcw")
	time.Sleep(300 * time.Millisecond) // a table that is written in place rests first
	r.passwords("127.0.0.1 joe:joe's secret\n")
	end := time.Now().Add(limit)
	for ; !strings.Contains(r.log(), "status=sent"); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the new password is not used\n%s", r.log())
		}
		r.mustRun("postqueue", "-c", r.dir, "-f")
	}
	r.noTrace("my guess", "joe's secret")
	r.stop()
}

// Each sender has a password of its own, and no connection is used for another's mail.
func TestPasswordBySender(t *testing.T) {
	sink := newSink(t)
	provider, submission, _ := submissionRelay(t, sink, nil)
	provider.start()
	r := viaProvider(t, submission, map[string]string{"smtp_sender_dependent_authentication": "yes", "smtp_destination_concurrency_limit": "1"})
	r.passwords("joe@alias.example joe:joe's secret\n@alias.example jane@alias.example:jane's secret\n")
	r.start()
	const each = 4
	for i := range each {
		for _, sender := range []string{"joe", "jane"} {
			text := fmt.Sprintf("Subject: %d of %s\n\nx\n", i, sender)
			if out, code := r.runWith(text, "sendmail", "-C", r.dir, "-f", sender+"@alias.example", "far@elsewhere.example"); code != 0 {
				t.Fatalf("sendmail: exit status %d\n%s", code, out)
			}
		}
	}
	if !sink.Wait(2*each, limit) {
		t.Fatalf("%d messages arrived\n%s", sink.Count(), r.log())
	}
	for _, m := range sink.Messages() {
		user := map[string]string{"<joe@alias.example>": "joe", "<jane@alias.example>": "jane@alias.example"}[strings.Fields(m.From)[0]]
		if !strings.Contains(m.Data, "(Authenticated sender: "+user+")") {
			t.Errorf("%s was sent by another login\n%s", m.From, m.Data)
		}
	}
	r.noTrace("joe's secret", "jane's secret")
	r.stop()
}

// Every mechanism that we have, with Debian's Postfix as the relay host and Dovecot behind
// it; each through a service of master.cf with a -o of its own.
func TestMechanismsWithPostfixAndDovecot(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	file := d.dir + "/dovecot.conf"
	conf, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	conf = []byte(strings.NewReplacer("plain login cram-md5", "plain login cram-md5 scram-sha-1 scram-sha-256",
		// Guesses make a client wait, longer and longer.
		"service anvil {", "auth_failure_delay = 0\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }").Replace(string(conf)))
	if err := os.WriteFile(file, conf, 0o644); err != nil {
		t.Fatal(err)
	}
	d.start()
	provider := newPostfix(t, "smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = "+d.socket,
		"mynetworks = 127.0.0.9/32", "smtpd_relay_restrictions = permit_sasl_authenticated, reject", "smtpd_recipient_restrictions =",
		"virtual_mailbox_domains =", "relay_domains =", "default_transport = discard:ok")
	_, port, _ := net.SplitHostPort(provider.addr)

	r := viaProvider(t, provider.addr, map[string]string{
		"smtp_tls_security_level": "may", "transport_maps": "texthash:{dir}/transport", "virtual_alias_maps": "texthash:{dir}/virtual",
	})
	r.passwords("[127.0.0.1]:" + port + " dave:dave's secret\n")
	r.write("wrong", "127.0.0.1 dave:my guess\n")
	mechanisms := []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}
	services, transports, aliases := r.smtp+" inet n - n - - smtpd\n", "", ""
	for _, m := range mechanisms {
		for _, kind := range []string{"right", "wrong"} {
			name := kind + strings.ToLower(strings.ReplaceAll(m, "-", ""))
			options := " -o syslog_name=postfix/" + name + " -o smtp_sasl_mechanism_filter=" + strings.ToLower(m)
			if kind == "wrong" {
				options += " -o smtp_sasl_password_maps=texthash:" + r.dir + "/wrong"
			}
			services += name + " unix - - n - - smtp" + options + "\n"
			transports += name + ".example " + name + ":[127.0.0.1]:" + port + "\n"
			aliases += name + "@alias.example x@" + name + ".example\n"
		}
	}
	r.write("master.cf", services)
	r.write("transport", transports)
	r.write("virtual", aliases)
	r.start()
	for _, m := range mechanisms {
		name := strings.ToLower(strings.ReplaceAll(m, "-", ""))
		for _, kind := range []string{"right", "wrong"} {
			if out, code := swaks(t, r, "--to", kind+name+"@alias.example"); code != 0 {
				t.Fatalf("exit status %d\n%s", code, out)
			}
		}
		r.waitLog(`postfix/right` + name + `/smtp\[\d+\]: \w+: to=<x@right` + name + `\.example>, .* dsn=2\.0\.0, status=sent `)
		r.waitLog(`postfix/wrong` + name + `/smtp\[\d+\]: \w+: to=<x@wrong` + name + `\.example>, .* dsn=4\.7\.8, status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: authentication failed: `)
		mustMatch(t, "Postfix's log", provider.log(), `sasl_method=`+m+`, sasl_username=dave`)
	}
	r.noTrace("dave's secret", "my guess")
	r.stop()
}

// A server that wants to know who we are is shown our certificate.
func TestCertificateForServers(t *testing.T) {
	sink := newSink(t)
	server := newRelay(t, base(sink), nil)
	cf := base(sink)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, server, "own", "mx.alias.example")
	own, key := certificateFiles(t, server, "client", "client.example")
	cf["smtpd_tls_security_level"], cf["smtpd_tls_ask_ccert"], cf["smtpd_tls_loglevel"] = "encrypt", "yes", "1"
	cf["smtpd_tls_CAfile"] = own
	server.configure(cf)
	server.start()

	_, port, _ := net.SplitHostPort(server.smtp)
	for certificate, want := range map[string]string{"": "Anonymous", own: "Trusted"} {
		cf := base(nil)
		cf["relayhost"], cf["smtp_tls_security_level"] = "[127.0.0.1]:"+port, "encrypt"
		cf["smtp_tls_mandatory_protocols"], cf["smtp_tls_loglevel"] = "TLSv1.2", "1"
		if certificate != "" {
			cf["smtp_tls_cert_file"], cf["smtp_tls_key_file"] = certificate, key
		}
		cf["virtual_alias_maps"] = "inline:{in@alias.example=info@elsewhere.example}"
		r := newRelay(t, cf, nil)
		r.start()
		swaks(t, r, "--to", "in@alias.example")
		r.waitLog(`TLS connection established to 127\.0\.0\.1\[127\.0\.0\.1\]:` + port + `: TLSv1\.2 `)
		server.waitLog(want + ` TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.2 `)
		r.stop()
	}
}

// What cannot work stops the start; what gives a password away is warned of.
func TestProviderConfigurationThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"no table":            {map[string]string{"smtp_sasl_password_maps": ""}, `smtp_sasl_auth_enable \(.*\): there are no passwords; set smtp_sasl_password_maps`},
		"missing table":       {map[string]string{"smtp_sasl_password_maps": "hash:/nonexistent"}, `smtp_sasl_password_maps \(.*\): open database /nonexistent\.db: No such file`},
		"Dovecot":             {map[string]string{"smtp_sasl_type": "dovecot"}, `smtp_sasl_type \(.*\): unsupported SASL client implementation "dovecot"`},
		"unknown option":      {map[string]string{"smtp_sasl_security_options": "noplain"}, `smtp_sasl_security_options \(.*\): unknown word "noplain"`},
		"wrapper without TLS": {map[string]string{"smtp_tls_wrappermode": "yes", "smtp_tls_security_level": "may"}, `smtp_tls_wrappermode \(.*\): requires "smtp_tls_security_level = encrypt" \(or stronger\)`},
		"no version left":     {map[string]string{"smtp_tls_mandatory_protocols": "TLSv1"}, `smtp_tls_mandatory_protocols \(.*\): no version of TLS is left`},
		"fallback":            {map[string]string{"fallback_relay": "[x"}, `smtp_fallback_relay \(.*\): next hop "\[x": missing "\]"`},
		"certificate":         {map[string]string{"smtp_tls_chain_files": "/nonexistent"}, `smtp_tls_chain_files \(.*\): .*no such file`},
		"of a service":        {map[string]string{"master": "x unix - - n - - smtp -o smtp_sasl_type=x\n"}, `service x/unix \(.*master\.cf, line 2\): smtp_sasl_type \(.*\): unsupported`},
		"value in service":    {map[string]string{"master": "x unix - - n - - smtp -o smtp_helo_timeout=soon\n"}, `.*master\.cf, line 2: smtp_helo_timeout: `},
	} {
		t.Run(name, func(t *testing.T) {
			more := map[string]string{"smtp_sasl_password_maps": "inline:{x=y:z}"}
			for k, v := range c.set {
				more[k] = v
			}
			delete(more, "master")
			r := viaProvider(t, "127.0.0.1:587", more)
			r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+c.set["master"])
			out, code := r.run("start", "-c", r.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "error", out, `(?m)^aliasmx: fatal: `+c.want)
		})
	}
	r := viaProvider(t, "127.0.0.1:465", map[string]string{
		"smtp_sasl_password_maps": "inline:{x=y:z}", "smtp_tls_security_level": "may", "smtp_sasl_tls_security_options": "noplaintext",
	})
	out, code := r.run("check", "-c", r.dir)
	if code != 0 {
		t.Errorf("check: exit status %d\n%s", code, out)
	}
	mustMatch(t, "check", out, `warning: smtp_tls_security_level \(.*\): passwords may go out in the clear; set it to encrypt`)
	mustMatch(t, "check", out, `warning: relayhost \(.*\): port 465 wants TLS from the first byte: set smtp_tls_wrappermode = yes`)
	mustMatch(t, "check", out, `warning: smtp_sasl_tls_security_options \(.*\): noplaintext forbids PLAIN and LOGIN`)
}
