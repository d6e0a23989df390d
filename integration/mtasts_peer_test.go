package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The same zone and the same policy hosts for us and for postfix-mta-sts-resolver: who sees
// which policy, and who sees none. Where we differ it is said why.
func TestMTASTSAsPostfixMTASTSResolver(t *testing.T) {
	w := newSTSWorld(t)
	const body = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"
	const valid, nothing, fails = "VALID", "NONE", "FETCH_ERROR"
	status := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			rw.Header().Set("Location", "https://mta-sts.good.example/.well-known/mta-sts.txt")
			rw.WriteHeader(code)
			io.WriteString(rw, body)
		}
	}
	typed := func(kind string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			io.WriteString(rw, body)
		}
	}
	cases := []struct {
		name   string
		txt    string // in place of a good one
		page   http.HandlerFunc
		theirs string
		ours   string // where it is not the same
		why    string
	}{
		{"good", "", stsPage(body), valid, "", ""},
		{"crlf", "", stsPage(strings.ReplaceAll(body, "\n", "\r\n")), valid, "", ""},
		{"testing", "", stsPage(strings.Replace(body, "enforce", "testing", 1)), valid, "", ""},
		{"none", "", stsPage("version: STSv1\nmode: none\nmax_age: 60\n"), valid, "", ""},
		{"spaces", "", stsPage("version:STSv1  \nmode:\tenforce\nmx:   *.example.com \nmax_age:60\n"), valid, "", ""},
		{"unknown", "", stsPage(body + "more: of it\n"), valid, "", ""},
		{"blank", "", stsPage(body + "\n\n"), valid, "", ""},
		{"parts", `"v=STSv1; " "id=1"`, stsPage(body), valid, "", ""},
		{"fields", `"v=STSv1; a=b; id=1; c=d"`, stsPage(body), valid, "", ""},
		{"charset", "", typed("text/plain; charset=utf-8"), valid, "", ""},
		{"norecord", "-", stsPage(body), nothing, "", ""},
		{"other", `"v=spf1 -all"`, stsPage(body), nothing, "", ""},
		{"two", "\"v=STSv1; id=1\"\n_mta-sts.two.example. TXT \"v=STSv1; id=2\"", stsPage(body), nothing, fails, "a domain that has tried is told so in reports; the mail goes alike"},
		{"noid", `"v=STSv1; x=y"`, stsPage(body), nothing, fails, "as above"},
		{"version", `"v=STSv2; id=1"`, stsPage(body), nothing, "", ""},
		{"badid", `"v=STSv1; id=a-b"`, stsPage(body), valid, fails, "RFC 8461 section 3.1: a record that is syntactically invalid is none"},
		{"301", "", status(301), fails, "", ""},
		{"302", "", status(302), fails, "", ""},
		{"307", "", status(307), fails, "", ""},
		{"404", "", status(404), fails, "", ""},
		{"500", "", status(500), fails, "", ""},
		{"html", "", typed("text/html"), fails, "", ""},
		{"large", "", stsPage(body + "x: " + strings.Repeat("x", 64<<10)), fails, "", ""},
		{"empty", "", stsPage(""), fails, "", ""},
		{"bom", "", stsPage("\ufeff" + body), fails, "", ""},
		{"nomx", "", stsPage("version: STSv1\nmode: enforce\nmax_age: 60\n"), fails, "", ""},
		{"nomode", "", stsPage("version: STSv1\nmx: a.example\nmax_age: 60\n"), fails, "", ""},
		{"badmode", "", stsPage(strings.Replace(body, "enforce", "Enforce", 1)), fails, "", ""},
		{"age", "", stsPage(strings.Replace(body, "604800", "-1", 1)), fails, "", ""},
		{"noage", "", stsPage("version: STSv1\nmode: enforce\nmx: a.example\n"), fails, "", ""},
		{"longage", "", stsPage(strings.Replace(body, "604800", "99999999", 1)), fails, valid, "a max_age above the most is taken for the most: the policy is clear otherwise"},
		{"badmx", "", stsPage(strings.Replace(body, "mx.example.com", "a.*.example", 1)), valid, fails, "RFC 8461 section 3.2: the star is the leftmost label; theirs defers all mail"},
		{"twice", "", stsPage(body + "mode: none\n"), valid, "", ""}, // which mode is compared below
		{"selfsigned", "", stsPage(body), fails, "", ""},
		{"wrongname", "", stsPage(body), fails, "", ""},
		{"expired", "", stsPage(body), fails, "", ""},
		{"nohost", "", stsPage(body), fails, "", ""},
	}
	var zone strings.Builder
	var domains []string
	for _, c := range cases {
		domain := c.name + ".example"
		domains = append(domains, domain)
		records := w.announce(domain, "1")
		switch {
		case c.txt == "-":
			records = records[strings.IndexByte(records, '\n')+1:]
		case c.txt != "":
			records = strings.Replace(records, `"v=STSv1; id=1"`, c.txt, 1)
		}
		if c.name == "nohost" {
			records = records[:strings.IndexByte(records, '\n')+1]
		}
		zone.WriteString(records + domain + ". MX 0 mx.example.com.\n")
		w.page(domain, c.page)
	}
	w.show("mta-sts.selfsigned.example", newSTSAuthority(t, "another authority").cert(t, time.Hour, "mta-sts.selfsigned.example"))
	w.show("mta-sts.wrongname.example", w.ca.cert(t, time.Hour, "www.wrongname.example"))
	w.show("mta-sts.expired.example", w.ca.cert(t, -time.Hour, "mta-sts.expired.example"))
	if err := w.dns.Set(zone.String()); err != nil {
		t.Fatal(err)
	}

	theirs := w.queryAll(t, domains)
	r := w.relay(t, "info@alias.example x@good.example\n")
	for _, c := range cases {
		domain := c.name + ".example"
		if theirs[domain].result != c.theirs {
			t.Errorf("%s: postfix-mta-sts-resolver says %+v, not %s", c.name, theirs[domain], c.theirs)
		}
		out, code := r.run("check", "sts", "-c", r.dir, "--json", domain)
		var ours struct {
			ID, Result, Reason string
			Policy             []string
		}
		if err := json.Unmarshal([]byte(out), &ours); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		got := map[bool]string{true: nothing, false: valid}[ours.Policy == nil]
		if ours.Result != "" {
			got = fails
		}
		want := c.theirs
		if c.ours != "" {
			want = c.ours
		}
		if got != want || (got == fails) != (code == 1) && c.name != "spaces" {
			t.Errorf("%s: %s (exit status %d), want %s (%s): %s", c.name, got, code, want, c.why, out)
		}
		if got == valid && theirs[domain].result == valid && c.name != "twice" {
			policy := strings.Join(ours.Policy, "\n")
			for _, field := range []string{"mode: " + theirs[domain].mode, "max_age: " + theirs[domain].maxAge} {
				if !strings.Contains(policy, field) {
					t.Errorf("%s: %s is not in\n%s", c.name, field, policy)
				}
			}
		}
		if c.name == "none" && strings.Contains(out, `"hosts"`) {
			t.Errorf("none: a policy that is withdrawn is about hosts: %s", out)
		}
		if c.name == "twice" && (theirs[domain].mode != "none" || !strings.Contains(out, "mode: enforce")) {
			// RFC 8461 section 3.2: of fields that are there twice all but the first are ignored.
			t.Errorf("twice: %+v, ours %s", theirs[domain], out)
		}
	}
	w.daemon(t)
}

// stsTheirs is what mta-sts-query prints.
type stsTheirs struct{ result, mode, maxAge string }

// inside is a shell with a mount namespace of its own, in which /etc/resolv.conf names our
// server, and OpenSSL trusts our authority.
func (w *stsWorld) inside(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+w.ip+"\noptions timeout:5 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", "mount --bind "+conf+" /etc/resolv.conf\n"+script)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+w.caFile)
	return cmd
}

func (w *stsWorld) queryAll(t *testing.T, domains []string) map[string]stsTheirs {
	t.Helper()
	out, err := w.inside(t, "for d in "+strings.Join(domains, " ")+"; do echo \"== $d\"; mta-sts-query -v fatal $d; done").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	list := map[string]stsTheirs{}
	field := func(text, name string) string {
		if m := regexp.MustCompile(`'` + name + `': '?([^',}]*)`).FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	for part := range strings.SplitSeq(string(out), "== ") {
		domain, text, _ := strings.Cut(part, "\n")
		if m := regexp.MustCompile(`<STSFetchResult\.(\w+):`).FindStringSubmatch(text); m != nil {
			list[domain] = stsTheirs{m[1], field(text, "mode"), field(text, "max_age")}
		} else if domain != "" {
			t.Errorf("mta-sts-query %s: %s", domain, text)
		}
	}
	return list
}

// daemon asks mta-sts-daemon, as Postfix would by smtp_tls_policy_maps.
func (w *stsWorld) daemon(t *testing.T) {
	t.Helper()
	addr := freeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	conf := filepath.Join(t.TempDir(), "daemon.yml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "host: %s\nport: %s\nreuse_port: true\ncache: {type: internal, options: {cache_size: 100}}\ndefault_zone: {strict_testing: false, timeout: 4}\n", host, port), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := w.inside(t, "exec mta-sts-daemon -v fatal -c "+conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	waitListens(t, addr)
	for domain, want := range map[string]string{
		"good.example": "OK secure match=mx.example.com servername=hostname", "testing.example": "NOTFOUND ", "none.example": "NOTFOUND ",
		"404.example": "NOTFOUND ", "norecord.example": "NOTFOUND ",
	} {
		out, code := runProgram(t, "", binary, "postmap", "-q", domain, "socketmap:inet:"+addr+":postfix")
		if want, found := strings.CutPrefix(want, "OK "); found != (code == 0) || found && strings.TrimSpace(out) != want {
			t.Errorf("mta-sts-daemon: %s: %q, exit status %d, want %q", domain, out, code, want)
		}
	}
}
