package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/postconf"
)

func TestNeverMatches(t *testing.T) {
	for _, c := range []struct{ key, smtp, lmtp string }{
		{"dest.example", "", ""},
		{"[mx.dest.example]:587", "", ""},
		{"dest.example:submission", "", ""},
		{".dest.example", "", ""},
		{".example", "", ""},
		{".1", "", ""},
		{".münchen.example", "", ""},
		{"münchen.example", "", ""},
		{"relay", "", ""},
		{"192.0.2.1", "", ""},
		{"[ipv6:2001:db8::1]", "", ""},
		{"/run/lmtp", `next hop "/run/lmtp": "/run/lmtp" cannot be the name of a host or domain`, ""},
		{"unix:/run/lmtp", `next hop "unix:/run/lmtp": bad port "/run/lmtp"`, "next hops are looked up without unix:; write /run/lmtp"},
		{"inet:a.example", `next hop "inet:a.example": bad port "a.example"`, "next hops are looked up without inet:; write a.example"},
		{"DEST.example", "next hops are looked up in lower case; write dest.example", "next hops are looked up in lower case; write dest.example"},
		{"dest.example.", "a next hop has no dot at its end, unless it is written so; write dest.example", "a next hop has no dot at its end, unless it is written so; write dest.example"},
		{"[c.example", `next hop "[c.example": missing "]"`, `next hop "[c.example": missing "]"`},
		{"[f.example]:99999", `next hop "[f.example]:99999": bad port "99999"`, `next hop "[f.example]:99999": bad port "99999"`},
		{"h@i.example", `next hop "h@i.example": "h@i.example" cannot be the name of a host or domain`, `next hop "h@i.example": "h@i.example" cannot be the name of a host or domain`},
		{"a.example,b.example", "several next hops are looked up one by one", "several next hops are looked up one by one"},
		{"..example", `no domain can be below "..example"`, `no domain can be below "..example"`},
		{".dest.example:25", `next hop ".dest.example:25": ".dest.example" cannot be the name of a host or domain`, `next hop ".dest.example:25": ".dest.example" cannot be the name of a host or domain`},
	} {
		for parameter, want := range map[string]string{"smtp_tls_policy_maps": c.smtp, "lmtp_tls_policy_maps": c.lmtp} {
			table := &tlsTable{parameter: parameter, cfg: &postconf.Config{}}
			if got := table.neverMatches(c.key); got != want {
				t.Errorf("%s, %s: got %q, want %q", parameter, c.key, got, want)
			}
		}
	}
}

// Keys that no next hop is looked up by, and what rules say, are told with their lines.
func TestCheckTLSPolicies(t *testing.T) {
	dir := checkDir(t, "postmaster@virt.example joe@dest.example\n")
	for name, text := range map[string]string{
		"policy": "good.example encrypt\nDEST.example. encrypt\n[c.example encrypt\n[f.example]:99999 may\nh@i.example encrypted\n",
		"rules":  "/^good/ encrypt\n/^a(.*)$/ secured match=$1\n/^b(.*)$/ secure match=$1\n/^c/ secure colour=blue\nif /x/\n/^d/ may match=x\nendif\n",
		"nets":   "192.0.2.0/24 encrypt\n198.51.100.0/24 always\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	appendFile(t, filepath.Join(dir, "main.cf"), strings.ReplaceAll("smtp_tls_policy_maps = texthash:DIR/policy, regexp:DIR/rules, pcre:DIR/rules, cidr:DIR/nets, static:ever\n", "DIR", dir))
	status, stdout, stderr := check(t, "-c", dir)
	want := []string{
		"DIR/policy, line 2: dest.example.: TLS policy: never matches: a next hop has no dot at its end, unless it is written so; write dest.example\n",
		`DIR/policy, line 3: [c.example: TLS policy: never matches: next hop "[c.example": missing "]"` + "\n",
		`DIR/policy, line 4: [f.example]:99999: TLS policy: never matches: next hop "[f.example]:99999": bad port "99999"` + "\n",
		`DIR/policy, line 5: h@i.example: TLS policy: invalid security level "encrypted"` + "\n",
		`DIR/policy, line 5: h@i.example: TLS policy: never matches: next hop "h@i.example": "h@i.example" cannot be the name of a host or domain` + "\n",
		`DIR/rules, line 2: TLS policy: invalid security level "secured"` + "\n",
		`DIR/rules, line 4: TLS policy: invalid attribute name: "colour"` + "\n",
		`DIR/rules, line 6: TLS policy: attribute "match" invalid at security level "may"` + "\n",
		`DIR/nets, line 2: TLS policy: invalid security level "always"` + "\n",
		`smtp_tls_policy_maps (main.cf, line 8): TLS policy: invalid security level "ever"` + "\n",
	}
	for _, w := range want {
		if n := strings.Count(stderr, "warning: "+strings.ReplaceAll(w, "DIR", dir)); n != 1 {
			t.Errorf("%d times %q", n, w)
		}
	}
	if n := strings.Count(stderr, "TLS policy: "); n != len(want) || status != exitOK {
		t.Errorf("status %d, %d findings\n%s%s", status, n, stdout, stderr)
	}
}
