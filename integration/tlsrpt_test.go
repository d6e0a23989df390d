package integration

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/cachefile"
)

// tlsrptRelay is a relay that reports on TLS. What it has counted so far stands in its
// file: of yesterday what is due now, of today what an operator may look at.
func tlsrptRelay(t *testing.T, sink *peers.Sink, set map[string]string) (r *relay, cf map[string]string, day string) {
	t.Helper()
	names, err := peers.NewDNS("_smtp._tls.dest.example. TXT \"v=TLSRPTv1; rua=mailto:reports@\" \"dest.example\"\n" +
		"_smtp._tls.today.example. TXT \"v=TLSRPTv1;rua=mailto:x@today.example\"\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(names.Close)
	cf = base(sink)
	cf["dns_servers"], cf["smtp_dns_support_level"], cf["smtp_tlsrpt_enable"] = names.Addr, "enabled", "yes"
	cf["tlsrpt_contact_info"], cf["tlsrpt_organization_name"] = "tls@alias.example", "Alias Example"
	for k, v := range set {
		cf[k] = v
	}
	r = newRelay(t, cf, nil)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	line := func(day time.Time, domain string, due time.Time) string {
		return fmt.Sprintf(`{"day":%d,"domain":%q,"sessions":{"ok":5,"failed":2},"wish":1,"policies":[{"type":"sts","domain":%[2]q,"strings":["version: STSv1"],"hosts":["mx.%[3]s"],"ok":5,`+
			`"failed":[{"result":"certificate-expired","local":"192.0.2.1","remote":"192.0.2.2","host":"mx.%[3]s","n":2}]}],"due":%[4]d}`+"\n", day.Unix(), domain, domain, due.Unix())
	}
	lines := line(today.Add(-24*time.Hour), "dest.example", today) + line(today, "today.example", today.Add(26*time.Hour))
	r.data("tlsrpt", cachefile.Encode("tlsrpt 1", today, 2, []byte(lines)))
	return r, cf, today.Format(time.DateOnly)
}

// data writes a file into data_directory.
func (r *relay) data(name string, content []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.top, "data", name), content, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// A report of yesterday arrives as a letter, once, over a restart and a kill; what was
// counted today can be looked at, survives a kill, and goes on over reloads.
func TestTLSReportByMail(t *testing.T) {
	sink := newSink(t)
	r, cf, day := tlsrptRelay(t, sink, nil)
	r.start()
	if !sink.Wait(1, limit) {
		t.Fatalf("no report arrives\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<tls@alias.example>") || len(m.Rcpts) != 1 || !strings.HasPrefix(m.Rcpts[0], "<reports@dest.example>") {
		t.Errorf("from %q to %q", m.From, m.Rcpts)
	}
	for _, want := range []string{
		`(?m)^TLS-Report-Domain: dest\.example\r$`, `(?m)^TLS-Report-Submitter: alias\.example\r$`, `(?m)^TLS-Required: No\r$`,
		`Subject: Report Domain: dest\.example\r\n\tSubmitter: alias\.example\r\n\tReport-ID: <\d{8}\.dest\.example@mx\.alias\.example>\r\n`,
		`^Received: by mx\.alias\.example \(Postfix\)\r\n\tid \w{12}; `,
	} {
		mustMatch(t, "letter", m.Data, want)
	}
	var doc struct {
		Organization string `json:"organization-name"`
		ID           string `json:"report-id"`
		Policies     []struct {
			Summary map[string]int `json:"summary"`
		} `json:"policies"`
	}
	if err := json.Unmarshal(reportIn(t, m.Data), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Organization != "Alias Example" || doc.Policies[0].Summary["total-successful-session-count"] != 5 || doc.Policies[0].Summary["total-failure-session-count"] != 2 {
		t.Errorf("report %+v", doc)
	}
	id := strings.ReplaceAll(doc.ID, ".", `\.`)
	r.waitLog(`postfix/smtp\[\d+\]: TLSRPT: report ` + id + `: sent to mailto:reports@dest\.example \(queued as \w{12}\)`)
	r.waitLog(`postfix/smtp\[\d+\]: \w{12}: to=<reports@dest\.example>, .*status=sent`)
	r.waitEmpty()

	table := "day         domain         reports  policy  good  failed  because of\n" +
		day + "  today.example  yes      sts     5     2       certificate-expired 2\n"
	show := func() {
		t.Helper()
		for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
			out := r.mustRun("tlsrpt", "-c", r.dir)
			if out == table {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("got\n%swant\n%s", out, table)
			}
		}
	}
	show()
	mustMatch(t, "counts", r.mustRun("tlsrpt", "-c", r.dir, "--json"), `^\{"day":"`+day+`","domain":"today\.example","reports":"yes","policy-type":"sts","policy-domain":"today\.example",`+
		`"total-successful-session-count":5,"total-failure-session-count":2,"failures":\{"certificate-expired":2\},"due":"[^"]+Z"\}\n$`)
	mustMatch(t, "report", r.mustRun("tlsrpt", "-c", r.dir, "Today.Example"), `(?s)^\{\n  "organization-name": "Alias Example",\n.*"start-datetime": "`+day+`T00:00:00Z",\n.*"failed-session-count": 2\n`)
	out, code := r.run("tlsrpt", "-c", r.dir, "nobody.example")
	if code != 1 || out != "aliasmx: fatal: tlsrpt: no session with this domain is waiting to be reported\n" {
		t.Errorf("of nobody: exit status %d, %q", code, out)
	}

	// The file knows that the report is gone.
	sent := filepath.Join(r.top, "data", "tlsrpt")
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if b, _ := os.ReadFile(sent); !bytes.Contains(b, []byte("dest.example")) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the file still has the report that was sent")
		}
	}
	r.kill()
	r.start()
	show()

	cf["smtp_tlsrpt_enable"] = "no"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	out, code = r.run("tlsrpt", "-c", r.dir)
	if code != 1 || out != "aliasmx: fatal: tlsrpt: nothing is counted: smtp_tlsrpt_enable is no\n" {
		t.Errorf("turned off: exit status %d, %q", code, out)
	}
	cf["smtp_tlsrpt_enable"], cf["tlsrpt_organization_name"] = "yes", "Another"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	show()
	cf["tlsrpt_organization_name"] = "A third"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	show()
	mustMatch(t, "report", r.mustRun("tlsrpt", "-c", r.dir, "today.example"), `"organization-name": "A third"`)
	r.stop()
	if n := sink.Count(); n != 1 {
		t.Errorf("%d letters, want the one report", n)
	}
	out, code = r.run("tlsrpt", "-c", r.dir)
	if code != 69 || !strings.Contains(out, "the mail system is not running") {
		t.Errorf("stopped: exit status %d, %q", code, out)
	}
}

// reportIn is the JSON in a letter.
func reportIn(t *testing.T, letter string) []byte {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("Content-Type %s %v: %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	part, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What deliveries meet is counted: TLS that is as it should be, a certificate of somebody
// else, a host without TLS; and of a domain that wants no reports only that. It is all there
// after a restart.
func TestTLSReportCountsDeliveries(t *testing.T) {
	root, err := peers.NewAuthority("Root")
	if err != nil {
		t.Fatal(err)
	}
	secured, err := root.Server(peers.Leaf{Names: []string{"mx.good.example"}})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freeAddr(t))
	for host, script := range map[string]peers.Script{"127.0.0.2": {TLS: secured}, "127.0.0.3": {}} {
		s, err := peers.NewSink(net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		s.Behave(script)
	}
	names, err := peers.NewDNS(`
mx.good.example. A 127.0.0.2
mx.other.example. A 127.0.0.2
mx.plain.example. A 127.0.0.3
good.example. MX 10 mx.good.example.
other.example. MX 10 mx.other.example.
plain.example. MX 10 mx.plain.example.
none.example. MX 10 mx.good.example.
_smtp._tls.good.example. TXT "v=TLSRPTv1;rua=mailto:r@good.example"
_smtp._tls.other.example. TXT "v=TLSRPTv1;rua=mailto:r@other.example"
_smtp._tls.plain.example. TXT "v=TLSRPTv1;rua=https://plain.example/"
`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(names.Close)
	cf := base(nil)
	cf["dns_servers"], cf["smtp_dns_support_level"], cf["smtp_tcp_port"], cf["mynetworks"] = names.Addr, "enabled", port, "127.0.0.0/8"
	cf["smtp_tls_policy_maps"], cf["smtp_tls_CAfile"], cf["smtp_tlsrpt_enable"] = "texthash:{dir}/policy", "{dir}/root.pem", "yes"
	r := newRelay(t, cf, nil)
	r.write("policy", "good.example verify\nother.example verify\n")
	r.write("root.pem", root.PEM())
	r.start()
	for domain, fate := range map[string]string{
		"good.example": "sent", "other.example": `deferred \(Server certificate not verified\)`, "plain.example": "sent", "none.example": "sent",
	} {
		if err := smtp.SendMail(r.smtp, nil, "s@client.example", []string{"x@" + domain}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
		r.waitLog(`to=<x@` + domain + `>, .*status=` + fate)
	}
	r.waitLog(`postfix/smtp\[\d+\]: TLSRPT: status=success, domain=good\.example, receiving_mx=mx\.good\.example\[127\.0\.0\.2\]`)
	r.waitLog(`postfix/smtp\[\d+\]: TLSRPT: status=failure, domain=other\.example, receiving_mx=mx\.other\.example\[127\.0\.0\.2\], failure_type=certificate_host_mismatch`)
	r.waitLog(`postfix/smtp\[\d+\]: TLSRPT: status=failure, domain=plain\.example, receiving_mx=mx\.plain\.example\[127\.0\.0\.3\], failure_type=starttls_not_supported`)

	const want = `(?s)^day +domain +reports +policy +good +failed +because of\n` +
		`\S+ +good\.example +yes +no-policy-found +1 +0 +-\n` +
		`\S+ +none\.example +no +- +1 +0 +-\n` +
		`\S+ +other\.example +yes +no-policy-found +0 +1 +certificate-host-mismatch 1\n` +
		`\S+ +plain\.example +yes +no-policy-found +0 +1 +starttls-not-supported 1\n$`
	shows := func() (out string) {
		t.Helper()
		matches := regexp.MustCompile(want)
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if out = r.mustRun("tlsrpt", "-c", r.dir); matches.MatchString(out) {
				return out
			}
		}
		t.Fatalf("counts\n%s", out)
		return ""
	}
	before := shows()
	mustMatch(t, "report", r.mustRun("tlsrpt", "-c", r.dir, "other.example"), `(?s)"policy-type": "no-policy-found",\n\s+"policy-domain": "other\.example"\n.*`+
		`"result-type": "certificate-host-mismatch",\n\s+"sending-mta-ip": "127\.0\.0\.1",\n\s+"receiving-mx-hostname": "mx\.other\.example",\n`+
		`\s+"receiving-mx-helo": "[^"]+",\n\s+"receiving-ip": "127\.0\.0\.2",\n\s+"failed-session-count": 1`)
	r.stop()
	r.start()
	if after := shows(); after != before {
		t.Errorf("after a restart\n%sbefore it\n%s", after, before)
	}
	r.stop()
}

// A damaged file is a warning and costs its counts.
func TestTLSReportsFromADamagedFile(t *testing.T) {
	sink := newSink(t)
	r, _, _ := tlsrptRelay(t, sink, nil)
	r.data("tlsrpt", []byte("aliasmx tlsrpt 1 0\nxyz\nend 1 00000000\n"))
	r.start()
	r.waitLog(`postfix/smtp\[\d+\]: warning: TLSRPT: .*/data/tlsrpt: not as it was written; the sessions counted in it are not reported`)
	if out := r.mustRun("tlsrpt", "-c", r.dir); out != "No sessions yet.\n" {
		t.Errorf("counts %q", out)
	}
	r.stop()
}

// What cannot work stops the start.
func TestTLSReportsThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"no address":        {map[string]string{"tlsrpt_contact_info": "postmaster"}, `tlsrpt_contact_info \(.*main\.cf, line \d+\): "postmaster": no address; write name@domain`},
		"two addresses":     {map[string]string{"tlsrpt_from": "a@x.example, b@x.example"}, `tlsrpt_from \(.*\): "a@x\.example, b@x\.example": "a@x\.example, b" is no plain local part`},
		"only known here":   {map[string]string{"tlsrpt_contact_info": "postmaster@localhost"}, `tlsrpt_contact_info \(.*\): "postmaster@localhost": nobody elsewhere can write to localhost; name an address that is yours`},
		"without DNS":       {map[string]string{"smtp_dns_support_level": "disabled"}, `smtp_tlsrpt_enable \(.*\): requires DNS`},
		"a service's":       {map[string]string{"smtp_tlsrpt_enable": "no", "tlsrpt_contact_info": "x"}, `tlsrpt_contact_info`},
		"neither yes or no": {map[string]string{"smtp_tlsrpt_enable": "perhaps"}, `smtp_tlsrpt_enable`},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := tlsrptRelay(t, nil, c.set)
			if name == "a service's" {
				r.write("master.cf", r.smtp+" inet n - n - - smtpd\nslow unix - - n - - smtp -o smtp_tlsrpt_enable=yes\n")
			}
			out, code := r.run("start", "-c", r.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "error", out, `(?m)^aliasmx: fatal: .*`+c.want)
		})
	}
}
