package main

import (
	"strings"
	"testing"
)

// explain --all: the class of a domain, each entry, and what becomes of the others.
func TestExplainAll(t *testing.T) {
	dir := explainDir(t, explainMainCF+"relay_domains = relay.example\n")
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string // stdout, DIR for the directory
	}{
		{"virtual alias domain", []string{"virt.example"}, 0, `class of virt.example: virtual alias, by virtual_alias_domains
a@virt.example: deferred: 451 4.6.0 Recipient address rejected: Alias expansion error  (DIR/virtual, line 3)
b@virt.example: deferred: 451 4.6.0 Recipient address rejected: Alias expansion error  (DIR/virtual, line 4)
info@virt.example -> joe@dest.example, ann@dest.example  (DIR/virtual, line 2)
3 entries; any other address is refused
`},
		{"with @ and case", []string{"@VIRT.example"}, 0, "class of VIRT.example: virtual alias, by virtual_alias_domains\n*3 entries; any other address is refused\n"},
		{"relay domain", []string{"relay.example"}, 0, "class of relay.example: relay, by relay_domains\n0 entries; any other address is accepted: no table says who is there\n"},
		{"not ours", []string{"other.example"}, 1,
			"class of other.example: default, it is in none of our lists: only clients that may relay can send to it\n0 entries; any other address is relayed for clients that may\n"},
		{"JSON", []string{"--json", "virt.example"}, 0, `{"domain":"virt.example","class":"virtual alias","lists":["virtual_alias_domains"],"accepts_any":false}
{"key":"a@virt.example","where":"DIR/virtual, line 3","verdict":"defer","targets":[],"refusal":{"code":451,"enhanced":"4.6.0","text":"Recipient address rejected: Alias expansion error"}}
*{"key":"info@virt.example","where":"DIR/virtual, line 2","verdict":"accept","targets":[{"address":"joe@dest.example","transport":"smtp","next_hop":"[relay.example.net]"},{"address":"ann@dest.example","transport":"smtp","next_hop":"[relay.example.net]"}]}
`},
		{"an address", []string{"info@virt.example"}, exitUsage, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := explain(t, append([]string{"-c", dir, "--all"}, tt.args...)...)
			begin, end, _ := strings.Cut(strings.ReplaceAll(tt.want, "DIR", dir), "*")
			if status != tt.status || !strings.HasPrefix(stdout, begin) || !strings.HasSuffix(stdout, end) || begin == "" && stdout != "" {
				t.Errorf("exit status %d, got\n%s%s\nwant %d\n%s", status, stdout, stderr, tt.status, tt.want)
			}
		})
	}
}

// A mirrored domain and a catch-all are told as such.
func TestExplainAllCatchAll(t *testing.T) {
	const cf = `myhostname = mx.example.com
mydestination =
virtual_alias_domains = a.example b.example
virtual_alias_maps = inline:{ { @a.example = @b.example }, { @b.example = joe@dest.example } }, regexp:{ { /^x@a/ y@dest.example } }
`
	dir := explainDir(t, cf)
	for domain, want := range map[string]string{
		"a.example": "@a.example -> @b.example, the same user there  (inline:",
		"b.example": "@b.example -> joe@dest.example  (inline:",
	} {
		status, stdout, stderr := explain(t, "-c", dir, "--all", domain)
		if status != 0 || !strings.Contains(stdout, want) || !strings.Contains(stdout, "1 entry; any other address is taken by @"+domain+"\n") ||
			!strings.Contains(stdout, "cannot be listed") {
			t.Errorf("%s: exit status %d\n%s%s", domain, status, stdout, stderr)
		}
	}
}

// A list that cannot be asked defers, as it would defer mail.
func TestExplainAllFailing(t *testing.T) {
	dir := explainDir(t, strings.Replace(explainMainCF, "virtual_alias_domains = ", "virtual_alias_domains = fail:x ", 1))
	if status, stdout, stderr := explain(t, "-c", dir, "--all", "virt.example"); status != exitTempFail || stdout != "" || stderr == "" {
		t.Errorf("exit status %d, %q, %q", status, stdout, stderr)
	}
}
