package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// signingRelay is a relay whose keys were made by our own command; the zone of the signers
// has them.
func signingRelay(t *testing.T, s *signers, cf map[string]string) *relay {
	t.Helper()
	cf["dkim_keys"] = "texthash:{dir}/dkim_keys"
	r := newRelay(t, cf, nil)
	table, zone := "", ""
	for _, args := range [][]string{{"-s", "r1"}, {"-s", "e1", "--ed25519"}} {
		out := r.mustRun(append([]string{"dkim", "genkey", "-d", "Alias.Example", "-D", r.dir}, args...)...)
		record, line, found := strings.Cut(out, "\n\n# for the table of dkim_keys\n")
		if !found {
			t.Fatalf("genkey printed:\n%s", out)
		}
		zone += strings.TrimPrefix(record, "; for the zone of alias.example\n") + "\n"
		if table == "" {
			table = strings.TrimSpace(line)
		} else {
			table += ", " + strings.TrimPrefix(strings.TrimSpace(line), "alias.example\t")
		}
	}
	if err := s.names.Set(zone); err != nil {
		t.Fatalf("the zone that genkey printed: %v\n%s", err, zone)
	}
	r.write("dkim_keys", table+"\n")
	return r
}

// mustVerify asks all three about a letter with two signatures of ours, RSA first.
func (s *signers) mustVerify(what, letter string) {
	s.t.Helper()
	o := s.verify(map[string]string{"x": letter})["x"]
	if !slices.Equal(o.ours, []string{"pass", "pass"}) || !slices.Equal(o.python, o.ours) || !slices.Equal(o.perl, []string{"pass", "unknown"}) {
		s.t.Errorf("%s: %+v\n%s", what, o, letter)
	}
	top := letter[:strings.Index(letter, "Received: ")]
	mustMatch(s.t, what, top, `^DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n\td=alias\.example; s=r1;\r\n`)
	mustMatch(s.t, what, top, `\r\nDKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n\td=alias\.example; s=e1;\r\n`)
}

// A report to a sender is signed by the domain above the host's name; the letter that it is
// about, whose author nobody vouches for, is not, whatever its From field says.
func TestDKIMSignsReports(t *testing.T) {
	s := newSigners(t)
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 nobody here"}})
	r := signingRelay(t, s, base(sink))
	r.start()
	const letter = "From: boss@alias.example\r\nSubject: x\r\nMessage-ID: <1@x.example>\r\nDate: Mon, 30 Nov 2026 00:00:00 +0000\r\n\r\nHi.\r\n"
	submitRaw(t, r.smtp, "DATA", letter, "info@alias.example")
	if !sink.Wait(1, limit) {
		t.Fatalf("no report arrives\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<>") || !strings.Contains(m.Data, "<MAILER-DAEMON@mx.alias.example>") {
		t.Fatalf("not a report: %s\n%s", m, m.Data)
	}
	s.mustVerify("report", m.Data)
	id := regexp.MustCompile(`sender non-delivery notification: (\w{12})`).FindStringSubmatch(r.waitLog("sender non-delivery notification"))[1]
	r.waitLog(`postfix/smtp\[\d+\]: ` + id + `: DKIM-Signature field added \(s=r1, d=alias\.example\)$`)
	r.waitLog(`postfix/smtp\[\d+\]: ` + id + `: DKIM-Signature field added \(s=e1, d=alias\.example\)$`)
	if n := strings.Count(r.log(), "DKIM-Signature field added"); n != 2 {
		t.Errorf("%d signatures were made", n)
	}

	sink.Behave(peers.Script{})
	submitRaw(t, r.smtp, "DATA", letter, "info@alias.example", "team@alias.example")
	if !sink.Wait(2, limit) {
		t.Fatalf("the letter does not arrive\n%s", r.log())
	}
	if m := sink.Messages()[1]; strings.Contains(m.Data, "DKIM-Signature") {
		t.Errorf("a stranger's letter was signed:\n%s", m.Data)
	}

	// The keys are read again at a reload, and a bad one leaves the old ones in force.
	keys, err := os.ReadFile(filepath.Join(r.dir, "dkim_keys"))
	if err != nil {
		t.Fatal(err)
	}
	r.write("dkim_keys", "alias.example r1 /nonexistent\n")
	if out, code := r.run("reload", "-c", r.dir); code == 0 || !strings.Contains(out+r.log(), "/nonexistent") {
		t.Errorf("reload: status %d\n%s\n%s", code, out, r.log())
	}
	// Nor does the table that is read again as it changes.
	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 nobody here"}})
	n := 2
	report := func() string {
		t.Helper()
		submitRaw(t, r.smtp, "DATA", letter, "info@alias.example")
		if n++; !sink.Wait(n, limit) {
			t.Fatalf("no report arrives\n%s", r.log())
		}
		return sink.Messages()[n-1].Data
	}
	kept := regexp.MustCompile(`warning: dkim_keys: alias\.example: open /nonexistent: no such file or directory; the keys that it had before stay in use\n`)
	for end := time.Now().Add(limit); !kept.MatchString(r.log()); {
		s.mustVerify("report after a reload that was refused", report())
		if time.Now().After(end) {
			t.Fatalf("the table is not read again\n%s", r.log())
		}
	}
	s.mustVerify("report by a table that has changed", report())
	if len(kept.FindAllString(r.log(), -1)) != 1 {
		t.Errorf("more than one warning\n%s", r.log())
	}
	first, _, _ := strings.Cut(string(keys), ",")
	r.write("dkim_keys", first+"\n")
	r.mustRun("reload", "-c", r.dir)
	if o := s.verify(map[string]string{"x": report()})["x"]; !slices.Equal(o.ours, []string{"pass"}) {
		t.Errorf("after a reload: %+v", o)
	}
	r.waitEmpty()
}

// TLS reports by mail must be signed by the domain that they come from (RFC 8460 section 3).
func TestDKIMSignsTLSReports(t *testing.T) {
	s := newSigners(t)
	sink := newSink(t)
	plain, cf, _ := tlsrptRelay(t, sink, nil)
	r := signingRelay(t, s, cf)
	counted, err := os.ReadFile(filepath.Join(plain.top, "data", "tlsrpt"))
	if err != nil {
		t.Fatal(err)
	}
	r.data("tlsrpt", counted)
	r.start()
	if !sink.Wait(1, limit) {
		t.Fatalf("no report arrives\n%s", r.log())
	}
	letter := sink.Messages()[0].Data
	s.mustVerify("TLS report", letter)
	for _, name := range []string{"TLS-Report-Domain", "TLS-Report-Submitter", "TLS-Required"} {
		if h := strings.Join(strings.Fields(letter[:strings.Index(letter, "Received: ")]), ""); !strings.Contains(h, ":"+name) {
			t.Errorf("%s is not signed:\n%s", name, letter)
		}
	}
}

// What cannot work does not start, and what is suspicious is said.
func TestDKIMConfiguration(t *testing.T) {
	s := newSigners(t)
	r := signingRelay(t, s, base(newSink(t)))
	table, err := os.ReadFile(filepath.Join(r.dir, "dkim_keys"))
	if err != nil {
		t.Fatal(err)
	}
	if out, code := r.run("check", "-c", r.dir); code != 0 || strings.Contains(out, "dkim") {
		t.Errorf("status %d\n%s", code, out)
	}
	out, code := r.run("dkim", "testkey", "-c", r.dir, "-d", "alias.example", "--resolver", s.names.Addr)
	if want := "r1._domainkey.alias.example: ok\ne1._domainkey.alias.example: ok\n"; code != 0 || out != want {
		t.Errorf("testkey: status %d\n%s", code, out)
	}
	key := filepath.Join(r.dir, "alias.example.r1.private")
	other := filepath.Join(r.dir, "alias.example.r2.private")
	r.mustRun("dkim", "genkey", "-d", "alias.example", "-s", "r2", "-D", r.dir)
	if out, code := r.run("dkim", "genkey", "-d", "alias.example", "-s", "r2", "-D", r.dir); code != 1 || !strings.Contains(out, "exists") {
		t.Errorf("a second genkey: status %d\n%s", code, out)
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-s", "r1", "-k", other}, 1, "r1._domainkey.alias.example: another key is published\n"},
		{[]string{"-s", "r2", "-k", other}, 1, "r2._domainkey.alias.example: there is no key at r2._domainkey.alias.example\n"},
		{[]string{"-s", "r2"}, 78, "there is no such key of alias.example"},
		{[]string{"-k", other}, 64, "-s"},
	} {
		out, code := r.run(append([]string{"dkim", "testkey", "-c", r.dir, "-d", "alias.example", "--resolver", s.names.Addr}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%q: status %d\n%s", c.args, code, out)
		}
	}
	s.names.Fail("r1._domainkey.alias.example", true)
	if out, code := r.run("dkim", "testkey", "-c", r.dir, "-d", "alias.example", "-s", "r1", "--resolver", s.names.Addr); code != 75 {
		t.Errorf("a name server in trouble: status %d\n%s", code, out)
	}
	for _, c := range []struct{ name, table, set, want string }{
		{"no file", "alias.example r1 /nonexistent\n", "", `dkim_keys \(main\.cf, line \d+\): \S+dkim_keys, line 1: alias\.example: open /nonexistent: no such file`},
		{"no selector", "alias.example " + key + "\n", "", `a key is written SELECTOR FILE`},
		{"relative", "alias.example r1 key\n", "", `key: not an absolute file name`},
		{"not a key", "alias.example r1 " + r.dir + "/virtual\n", "", `virtual: everybody on this machine may read or change it`},
		{"not a domain", "alias..example r1 " + key + "\n", "", `is no domain`},
		{"received", string(table), "dkim_sign_headers = Received\n", `dkim_sign_headers \(main\.cf, line \d+\): Received must not be signed`},
		{"forwarded by nobody", string(table), "dkim_sign_forwarded = yes\ndkim_forwarded_domain =\n", `no domain that could sign`},
		{"forwarded without a key", string(table), "dkim_sign_forwarded = yes\ndkim_forwarded_domain = srs.example\n", `dkim_keys has no key of srs\.example`},
	} {
		r.write("dkim_keys", c.table)
		main, err := os.ReadFile(filepath.Join(r.dir, "main.cf"))
		if err != nil {
			t.Fatal(err)
		}
		r.write("main.cf", string(main)+c.set)
		out, code := r.run("check", "-c", r.dir)
		if code != 78 {
			t.Errorf("%s: status %d", c.name, code)
		}
		mustMatch(t, c.name, out, c.want)
		r.write("main.cf", string(main))
	}
	r.write("dkim_keys", string(table))
	main, err := os.ReadFile(filepath.Join(r.dir, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	r.write("main.cf", string(main)+"smtp_generic_maps = inline:{a=b@c.example}\nsmtp_header_checks = regexp:{{/^X/ IGNORE}}\nsmtp_line_length_limit = 998\n")
	out, code = r.run("check", "-c", r.dir)
	if code != 0 {
		t.Errorf("status %d", code)
	}
	for _, parameter := range []string{"smtp_generic_maps", "smtp_header_checks", "smtp_line_length_limit"} {
		mustMatch(t, parameter, out, `warning: `+parameter+` \(main\.cf, line \d+\): .*signed by dkim_keys`)
	}
}
