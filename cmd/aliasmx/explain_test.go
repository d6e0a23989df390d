package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func explainDir(t *testing.T, mainCF string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.cf":   mainCF,
		"master.cf": "smtp inet n - n - - smtpd\n",
		"virtual":   "# aliases\ninfo@virt.example  joe@dest.example, ann@dest.example\na@virt.example b@virt.example\nb@virt.example a@virt.example\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const explainMainCF = `myhostname = mx.example.com
mydestination =
relayhost = [relay.example.net]
virtual_alias_domains = virt.example
virtual_alias_maps = texthash:DIR/virtual
`

func explain(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = explainCommand(args, environ{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, environ: func() []string { return nil },
	})
	return status, out.String(), errs.String()
}

func TestExplainCommand(t *testing.T) {
	dir := explainDir(t, explainMainCF)
	for name, c := range map[string]struct {
		args   []string
		status int
		want   []string // each somewhere in the output
	}{
		"accepted": {[]string{"-c", dir, "info@virt.example"}, 0, []string{
			"virtual alias, by virtual_alias_domains", dir + "/virtual, line 2", "joe@dest.example", "next hop [relay.example.net]", "accepted: 2 targets"}},
		"brackets":        {[]string{"-c", dir, "<info@virt.example>"}, 0, []string{"accepted"}},
		"address first":   {[]string{"info@virt.example", "-c", dir}, 0, []string{"accepted"}},
		"common flags":    {[]string{"-c", dir, "--resolver", "127.0.0.1:53", "--now", "1", "info@virt.example"}, 0, []string{"accepted"}},
		"unknown":         {[]string{"-c", dir, "nobody@virt.example"}, 1, []string{"rejected: 550 5.1.1", "User unknown in virtual alias table"}},
		"loop":            {[]string{"-c", dir, "a@virt.example"}, 75, []string{"deferred: 451 4.6.0", "Alias expansion error"}},
		"not ours":        {[]string{"-c", dir, "x@other.example"}, 1, []string{"rejected: 554 5.7.1 Relay access denied"}},
		"not an address":  {[]string{"-c", dir, "a@b, c@d"}, 1, []string{"rejected: 501 5.1.3"}},
		"no address":      {[]string{"-c", dir}, exitUsage, nil},
		"no such option":  {[]string{"-c", dir, "--nonsense", "a@b"}, exitUsage, nil},
		"no such config":  {[]string{"-c", dir + "/missing", "a@b"}, exitConfig, nil},
		"two addresses":   {[]string{"-c", dir, "a@b", "c@d"}, exitUsage, nil},
		"quoted and long": {[]string{"-c", dir, `"odd user"@virt.example`}, 1, []string{`"odd user"@virt.example`}},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := explain(t, c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d\n%s%s", status, c.status, stdout, stderr)
			}
			for _, w := range c.want {
				if !strings.Contains(stdout, w) {
					t.Errorf("no %q in\n%s", w, stdout)
				}
			}
			if c.want == nil && stderr == "" {
				t.Error("failed without a word")
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	dir := explainDir(t, explainMainCF)
	for addr, want := range map[string]string{"info@virt.example": "accept", "no@virt.example": "reject", "a@virt.example": "defer"} {
		_, stdout, stderr := explain(t, "-c", dir, "--json", addr)
		var doc struct {
			Address, Verdict string
			Steps            []string
			Targets          []struct {
				Address, Transport string
				NextHop            string `json:"next_hop"`
			}
			Refusal *struct {
				Code           int
				Enhanced, Text string
			}
		}
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Fatalf("%s: %v in %q, %s", addr, err, stdout, stderr)
		}
		if doc.Address != addr || doc.Verdict != want || len(doc.Steps) == 0 || (doc.Refusal == nil) != (want == "accept") {
			t.Errorf("%s: %s", addr, stdout)
		}
		if want == "accept" && (len(doc.Targets) != 2 || doc.Targets[0].Address != "joe@dest.example" || doc.Targets[0].NextHop != "[relay.example.net]") {
			t.Errorf("%s: targets %+v", addr, doc.Targets)
		}
	}
}

// A table that is missing stops explain as it stops the daemon.
func TestExplainBrokenConfiguration(t *testing.T) {
	dir := explainDir(t, strings.Replace(explainMainCF, "/virtual", "/missing", 1))
	status, stdout, stderr := explain(t, "-c", dir, "info@virt.example")
	if status != exitConfig || stdout != "" || !strings.Contains(stderr, "missing") {
		t.Errorf("exit status %d, %q, %q", status, stdout, stderr)
	}
}
