package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mtasts"
)

// policyRelay is a relay that serves the policies of its domains, and a client of it that
// trusts its certificate.
type policyRelay struct {
	*relay
	addr string
	cf   map[string]string
	pool *x509.CertPool
}

func newPolicyRelay(t *testing.T) *policyRelay {
	t.Helper()
	p := &policyRelay{cf: base(newSink(t)), addr: freeAddr(t)}
	p.relay = newRelay(t, p.cf, nil)
	p.cf["smtpd_tls_cert_file"], p.cf["smtpd_tls_key_file"] = certificateFiles(t, p.relay, "own", "mx.alias.example", "mta-sts.alias.example")
	p.cf["mta_sts_listen"] = p.addr
	p.configure(p.cf)
	pem, err := os.ReadFile(p.cf["smtpd_tls_cert_file"])
	if err != nil {
		t.Fatal(err)
	}
	p.pool = x509.NewCertPool()
	p.pool.AppendCertsFromPEM(pem)
	return p
}

// fetch asks as senders do, who look at the name of the certificate.
func (p *policyRelay) fetch(method, host, path string, header http.Header) (*http.Response, string, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: p.pool, ServerName: "mta-sts.alias.example"},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+host+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (p *policyRelay) mustFetch(method, host, path string, status int) string {
	p.t.Helper()
	resp, body, err := p.fetch(method, host, path, nil)
	if err != nil {
		p.t.Fatalf("%s %s%s: %v\n%s", method, host, path, err, p.log())
	}
	if resp.StatusCode != status {
		p.t.Errorf("%s %s%s: %s, want %d", method, host, path, resp.Status, status)
	}
	return body
}

const policyPath = "/.well-known/mta-sts.txt"

// The policy of an alias domain is served over HTTPS and nothing else is; a reload changes
// it, and where it is served.
func TestPolicyHosting(t *testing.T) {
	p := newPolicyRelay(t)
	p.start()
	resp, body, err := p.fetch("GET", "mta-sts.alias.example", policyPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "version: STSv1\r\nmode: testing\r\nmx: mx.alias.example\r\nmax_age: 604800\r\n"
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain" || body != want {
		t.Errorf("%s %q, %q", resp.Status, resp.Header.Get("Content-Type"), body)
	}
	if policy, err := mtasts.ParsePolicy([]byte(body)); err != nil || !policy.Matches("mx.alias.example") {
		t.Errorf("%+v, %v", policy, err)
	}
	p.waitLog(`postfix/mta-sts\[\d+\]: policy of alias\.example to \[127\.0\.0\.1\]: mode=testing, id=[0-9a-f]{20}$`)
	if body := p.mustFetch("HEAD", "MTA-STS.Alias.Example:443", policyPath, 200); body != "" {
		t.Errorf("HEAD: %q", body)
	}
	p.mustFetch("GET", "mta-sts.other.example", policyPath, 404)
	p.waitLog(`postfix/mta-sts\[\d+\]: no policy of other\.example for \[127\.0\.0\.1\]`)
	p.mustFetch("GET", "alias.example", policyPath, 404)
	p.mustFetch("GET", "mta-sts.alias.example", "/", 404)
	p.mustFetch("POST", "mta-sts.alias.example", policyPath, 404)

	p.cf["mta_sts_mode"], p.cf["mta_sts_max_age"], p.cf["mta_sts_domains"] = "enforce", "2w", "$virtual_alias_domains, other.example"
	p.configure(p.cf)
	p.mustRun("reload", "-c", p.dir)
	if body := p.mustFetch("GET", "mta-sts.other.example", policyPath, 200); !strings.Contains(body, "mode: enforce\r\n") || !strings.Contains(body, "max_age: 1209600\r\n") {
		t.Errorf("after a reload: %q", body)
	}
	old := p.addr
	p.addr = freeAddr(t)
	p.cf["mta_sts_listen"] = p.addr
	p.configure(p.cf)
	p.mustRun("reload", "-c", p.dir)
	p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
	if c, err := net.DialTimeout("tcp", old, limit); err == nil {
		c.Close()
		t.Errorf("%s is still listened on", old)
	}
	delete(p.cf, "mta_sts_listen")
	p.configure(p.cf)
	p.mustRun("reload", "-c", p.dir)
	if _, _, err := p.fetch("GET", "mta-sts.alias.example", policyPath, nil); err == nil {
		t.Error("it is still served, though nobody asks for it")
	}
	p.cf["mta_sts_listen"] = p.addr
	p.configure(p.cf)
	p.mustRun("reload", "-c", p.dir)
	p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
	p.stop()
}

// Domains may be listed in a table, as where virtual_alias_maps says which there are.
func TestPolicyHostingByTable(t *testing.T) {
	p := newPolicyRelay(t)
	delete(p.cf, "virtual_alias_domains") // its default is $virtual_alias_maps
	p.write("virtual", "alias.example anything\n"+virtualTable)
	p.configure(p.cf)
	p.mustRun("postmap", "-c", p.dir, "hash:"+filepath.Join(p.dir, "virtual"))
	p.start()
	p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
	p.mustFetch("GET", "mta-sts.dest.example", policyPath, 404)
	p.stop()
}

// Clients that are slow or ask too much keep nobody from getting an answer.
func TestPolicyHostingWithBadClients(t *testing.T) {
	p := newPolicyRelay(t)
	p.start()
	for range 5 { // each would have its 10 seconds
		conn, err := net.DialTimeout("tcp", p.addr, limit)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "\x16\x03\x01")
	}
	p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
	resp, _, err := p.fetch("GET", "mta-sts.alias.example", policyPath, http.Header{"X-Big": {strings.Repeat("x", 100_000)}})
	if err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a big header: %s", resp.Status)
	}
	// Who speaks HTTP without TLS hears that, and nothing of a policy.
	plain, err := net.DialTimeout("tcp", p.addr, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(limit))
	fmt.Fprintf(plain, "GET %s HTTP/1.1\r\nHost: mta-sts.alias.example\r\n\r\n", policyPath)
	if answer, _ := io.ReadAll(bufio.NewReader(plain)); !strings.HasPrefix(string(answer), "HTTP/1.0 400") || strings.Contains(string(answer), "STSv1") {
		t.Errorf("without TLS: %q", answer)
	}
	p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
	p.stop()
}

// check says what senders would not take, and a configuration that cannot work stops the start.
func TestPolicyHostingConfiguration(t *testing.T) {
	p := newPolicyRelay(t)
	out := p.mustRun("check", "-c", p.dir)
	mustMatch(t, "check", out, `(?m)^serves MTA-STS policies on `+strings.ReplaceAll(p.addr, ".", `\.`)+` \(mta_sts_listen\)$`)
	if strings.Contains(out, "does not cover") {
		t.Errorf("check:\n%s", out)
	}
	p.cf["virtual_alias_domains"], p.cf["mta_sts_mode"], p.cf["mta_sts_max_age"] = "alias.example, Other.example", "enforce", "1h"
	p.configure(p.cf)
	out = p.mustRun("check", "-c", p.dir)
	mustMatch(t, "check", out, `(?m)^aliasmx: warning: mta_sts_chain_files \(.*\): the certificate does not cover mta-sts\.other\.example, it is for mx\.alias\.example, mta-sts\.alias\.example: senders will not take the policy$`)
	mustMatch(t, "check", out, `(?m)^aliasmx: warning: mta_sts_max_age \(main\.cf, line \d+\): senders forget the policy within a day`)
	if n := strings.Count(out, "does not cover"); n != 1 {
		t.Errorf("%d hosts are not covered:\n%s", n, out)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct{ parameter, value, want string }{
		"no address":     {"mta_sts_listen", "443", `mta_sts_listen \(main\.cf, line \d+\): "443" is no address to listen on; write \[IP\]:port`},
		"a host name":    {"mta_sts_listen", "localhost:443", `mta_sts_listen .* is no address`},
		"port taken":     {"mta_sts_listen", taken.Addr().String(), `mta_sts_listen .*: cannot listen on .*address already in use`},
		"no host":        {"mta_sts_mx", "mx", `mta_sts_mx \(main\.cf, line \d+\): "mx" is neither`},
		"no certificate": {"smtpd_tls_cert_file", "", `mta_sts_listen .*: there is no certificate to serve policies with; set mta_sts_chain_files`},
		"missing file":   {"mta_sts_chain_files", "/nonexistent.pem", `mta_sts_chain_files .*no such file`},
		"mode":           {"mta_sts_mode", "on", `mta_sts_mode.*write one of: none, testing, enforce`},
		"too long":       {"mta_sts_max_age", "60w", `mta_sts_max_age.*out of range`},
		"missing table":  {"mta_sts_domains", "hash:/nonexistent", `mta_sts_domains .*no such file`},
	} {
		t.Run(name, func(t *testing.T) {
			cf := map[string]string{}
			for k, v := range p.cf {
				cf[k] = v
			}
			if cf[c.parameter] = c.value; c.parameter == "smtpd_tls_cert_file" {
				delete(cf, "smtpd_tls_key_file")
			}
			p.configure(cf)
			out, code := p.run("start", "-c", p.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "error", out, `(?mi)^aliasmx: fatal: .*`+c.want)
		})
	}
}

// A key that only root can read is read before root is given up, and serves policies and
// mail after that, over reloads; so does the table of names.
func TestPolicyHostingWithoutRoot(t *testing.T) {
	p := newPolicyRelay(t)
	if os.Geteuid() != 0 {
		t.Fatal("giving up root takes root")
	}
	p.write("sni", "mx.other.example /nonexistent.pem\n")
	p.cf["tls_server_sni_maps"] = "hash:" + filepath.Join(p.dir, "sni")
	p.mustRun("postmap", "-c", p.dir, p.cf["tls_server_sni_maps"])
	p.cf["mail_owner"], p.cf["smtpd_tls_security_level"], p.cf["smtpd_tls_wrappermode"] = "nobody", "may", "yes"
	p.configure(p.cf)
	os.Chmod(p.top, 0o777) // for the log
	if err := os.Chmod(p.cf["smtpd_tls_key_file"], 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	for range 2 {
		p.mustFetch("GET", "mta-sts.alias.example", policyPath, 200)
		conn, err := tls.Dial("tcp", p.smtp, &tls.Config{RootCAs: p.pool, ServerName: "mx.alias.example"})
		if err != nil {
			t.Fatalf("mail: %v\n%s", err, p.log())
		}
		conn.Close()
		p.mustRun("reload", "-c", p.dir)
	}
	p.stop()
}
