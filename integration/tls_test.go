package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// certificateFiles writes a certificate for names, and its key, as a certificate authority
// hands them out.
func certificateFiles(t testing.TB, r *relay, base string, names ...string) (cert, key string) {
	t.Helper()
	cfg, err := peers.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(cfg.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	r.write(base+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cfg.Certificates[0].Certificate[0]})))
	r.write(base+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return r.dir + "/" + base + ".crt", r.dir + "/" + base + ".key"
}

// STARTTLS on the usual port, TLS from the first byte on another.
func TestReceiveOverTLS(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	r := newRelay(t, cf, nil)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.alias.example")
	cf["smtpd_tls_security_level"], cf["smtpd_tls_loglevel"], cf["smtpd_tls_received_header"] = "may", "1", "yes"
	r.configure(cf)
	wrapped := freeAddr(t)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+wrapped+" inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n")
	r.start()

	out, code := swaks(t, r, "--to", "info@alias.example", "--tls")
	if code != 0 {
		t.Fatalf("STARTTLS: exit status %d\n%s", code, out)
	}
	out, code = runProgram(t, "", "swaks", "--server", wrapped, "--from", "s@client.example", "--helo", "client.example", "--to", "info@alias.example", "--tls-on-connect")
	if code != 0 {
		t.Fatalf("TLS on connect: exit status %d\n%s", code, out)
	}
	if !sink.Wait(2, limit) {
		t.Fatalf("%d messages arrived\n%s", sink.Count(), r.log())
	}
	for _, m := range sink.Messages() {
		mustMatch(t, "message", m.Data, `^Received: from client\.example \(unknown \[127\.0\.0\.1\]\)\r\n`+
			`\t\(using TLSv1\.3 with cipher TLS_\w+ \(\d+/\d+ bits\)\r\n\t key-exchange \S+\)\r\n\t\(No client certificate requested\)\r\n`+
			`\tby mx\.alias\.example \(Postfix\) with ESMTPS id \w{12}\r\n`)
	}
	r.waitLog(`postfix/smtpd\[\d+\]: Anonymous TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.3 with cipher `)
	r.waitLog(`postfix/smtpd\[\d+\]: disconnect from unknown\[127\.0\.0\.1\] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7`)
	r.stop()
}

// A domain with a certificate of its own shows it to who asks for its name.
func TestServerNameIndication(t *testing.T) {
	cf := base(newSink(t))
	r := newRelay(t, cf, nil)
	own, key := certificateFiles(t, r, "own", "mx.alias.example")
	other, otherKey := certificateFiles(t, r, "other", "mx.other.example")
	chain := ""
	for _, file := range []string{otherKey, other} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		chain += string(b)
	}
	r.write("chain.pem", chain)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"], cf["smtpd_tls_security_level"] = own, key, "may"
	cf["tls_server_sni_maps"] = "inline:{mx.other.example={dir}/chain.pem}"
	cf["smtpd_tls_wrappermode"] = "yes"
	r.configure(cf)
	r.start()
	for name, want := range map[string]string{"mx.other.example": "mx.other.example", "mx.alias.example": "mx.alias.example", "elsewhere.example": "mx.alias.example"} {
		conn, err := tls.Dial("tcp", r.smtp, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%s is shown the certificate of %s", name, got)
		}
		conn.Close()
	}
	r.stop()
}

// What cannot work stops the start, with the parameter and the reason.
func TestTLSConfigurationThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"insisted on without certificate": {map[string]string{"smtpd_tls_security_level": "encrypt"}, `smtpd_tls_security_level \(.*\): TLS is insisted on, but there is no certificate; set smtpd_tls_chain_files`},
		"missing file":                    {map[string]string{"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": "/nonexistent.pem"}, `smtpd_tls_chain_files \(.*\): .*no such file`},
		"not PEM":                         {map[string]string{"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": "{dir}/virtual"}, `smtpd_tls_chain_files \(.*\): .*no private key`},
		"no version left":                 {map[string]string{"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": "{dir}/virtual", "smtpd_tls_protocols": "<=TLSv1.1"}, `smtpd_tls_protocols \(.*\): no version of TLS is left`},
	} {
		t.Run(name, func(t *testing.T) {
			cf := base(nil)
			for k, v := range c.set {
				cf[k] = v
			}
			r := newRelay(t, cf, nil)
			out, code := r.run("start", "-c", r.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "error", out, `(?m)^aliasmx: fatal: `+c.want)
			if n := strings.Count(out, "fatal:"); n != 1 {
				t.Errorf("%d fatal lines:\n%s", n, out)
			}
		})
	}
}
