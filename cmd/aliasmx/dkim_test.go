package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// keyIn makes a key in a folder and returns its file.
func keyIn(t *testing.T, dir, domain, selector string) string {
	t.Helper()
	env := environ{stdout: new(strings.Builder), stderr: new(strings.Builder), getenv: func(string) string { return "" }}
	if status := dkimMain([]string{"genkey", "-d", domain, "-s", selector, "--ed25519", "-D", dir}, env); status != exitOK {
		t.Fatalf("status %d: %s", status, env.stderr)
	}
	return filepath.Join(dir, domain+"."+selector+".private")
}

// TestSigningKeys: who signs for which domain.
func TestSigningKeys(t *testing.T) {
	dir := t.TempDir()
	file, other := keyIn(t, dir, "a.example", "s1"), keyIn(t, dir, "a.example", "s2")
	v := checkedView(t, "dkim_keys = inline:{{a.example = s1 "+file+", S2 "+other+"}, {.wide.example = s1 "+file+"}, {grün.example = s1 "+file+"}}\n")
	k, err := v.signingKeys()
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{
		"a.example": "s1@a.example s2@a.example", "sub.a.example": "", "wide.example": "", "x.wide.example": "s1@wide.example",
		"x.y.wide.example": "s1@wide.example", "notwide.example": "", "xn--grn-ioa.example": "s1@xn--grn-ioa.example", "example": "", "": "",
	} {
		keys, err := k.of(t.Context(), domain)
		var got []string
		for _, key := range keys {
			got = append(got, key.Selector+"@"+key.Domain)
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", domain, got, err, want)
		}
	}
	for domain, want := range map[string]bool{
		"a.example": true, "sub.a.example": true, "wide.example": true, "x.y.wide.example": true, "xn--grn-ioa.example": true, "x.xn--grn-ioa.example": true,
		"notwide.example": false, "example": false, "": false,
	} {
		if got, err := k.signs(t.Context(), domain); got != want || err != nil {
			t.Errorf("keys of %s: %v, %v", domain, got, err)
		}
	}
	selectors, err := v.dkimSelectors()
	if err != nil || strings.Join(selectors["a.example"], " ") != "s1 S2" || len(selectors["wide.example"]) != 1 {
		t.Errorf("%v, %v", selectors, err)
	}
}

// TestSigningKeysAway: a table that cannot be asked signs nothing, and says so each time.
func TestSigningKeysAway(t *testing.T) {
	v := checkedView(t, "dkim_keys = socketmap:unix:"+t.TempDir()+"/none:keys\n")
	_, err := v.delivery.Signer.Sign(t.Context(), mail.Outgoing{
		Env: &mail.Envelope{Auth: mail.Authentic{Author: "a.example", Vouched: true}}, Body: memoryBody("From: x@a.example\r\n\r\n"),
	})
	if status := mail.StatusOf(err); status == nil || !status.Temporary() {
		t.Errorf("%v", err)
	}
}

// TestKeyFiles: a key that only root could read stays, one that is gone does not.
func TestKeyFiles(t *testing.T) {
	file := keyIn(t, t.TempDir(), "a.example", "s1")
	var k keyFiles
	first, err := k.open(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.open(file); err != nil || again == nil {
		t.Errorf("%v, %v", again, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.open(file); err == nil {
		t.Error("a key that everybody can read now is still used")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := k.open(file); err == nil {
		t.Errorf("a key that is gone is still used: %v", first)
	}
}

// TestNoKeysNoSigner: without dkim_keys nobody is asked.
func TestNoKeysNoSigner(t *testing.T) {
	v := checkedView(t, "")
	if err := v.signer(nil, slog.New(slog.DiscardHandler)); err != nil || v.delivery.Signer != nil || v.dkimWarnings() != nil {
		t.Errorf("%v, %v", v.delivery.Signer, err)
	}
}

// Signing of forwarded mail without a key does not start, and is warned of where it would never
// come to it.
func TestForwardedByNobody(t *testing.T) {
	dir := t.TempDir()
	key := keyIn(t, dir, "fwd.example", "s1")
	secrets := filepath.Join(dir, "secrets")
	if err := os.WriteFile(secrets, []byte("a secret of the tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srs := "srs_domain = fwd.example\nsrs_secrets_file = " + secrets + "\ndns_servers = 127.0.0.1:9\n"
	keys := "dkim_keys = inline:{{fwd.example = s1 " + key + "}, {.fwd.example = s1 " + key + "}, {other.example = s1 " + key + "}}\n"
	for _, c := range []struct{ set, refused, warned string }{
		{"", "dkim_sign_forwarded (main.cf, line ", ""},
		{srs, "dkim_sign_forwarded (main.cf, line ", ""},
		{srs + keys, "", ""},
		{srs + keys + "dkim_forwarded_domain = FWD.example\n", "", ""},
		{srs + keys + "dkim_forwarded_domain = other.example\n", "", "no sender is rewritten to other.example"},
		{srs + keys + "dkim_forwarded_domain = x.fwd.example\n", "", "no sender is rewritten to x.fwd.example"},
		{keys + "dkim_forwarded_domain = other.example\n", "", "no sender is rewritten to other.example"},
		{keys + "dkim_forwarded_domain = other.example\nsender_canonical_maps = inline:{a@b.example=c@other.example}\n", "", ""},
	} {
		folder := explainDir(t, "mydestination =\nsmtpd_relay_restrictions = reject_unauth_destination\nmailauth_enable = yes\ndkim_sign_forwarded = yes\n"+c.set)
		cfg, err := loadConfig(folder, environ{environ: func() []string { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		v, err := newView(cfg, slog.New(slog.NewTextHandler(&log, nil)), new(keyring))
		if err == nil {
			v.close()
		}
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.HasPrefix(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.set, err, c.refused)
		}
		if got := log.String(); strings.Contains(got, "is rewritten") != (c.warned != "") || !strings.Contains(got, c.warned) {
			t.Errorf("%s: warned %q, want %q", c.set, got, c.warned)
		}
	}
}

// TestDKIMCommandLine: what is refused before anything is made.
func TestDKIMCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "usage: aliasmx dkim",
		"x":                                    "usage: aliasmx dkim",
		"genkey -d a.example":                  "missing flags: --selector",
		"genkey -d a..example -s x":            "not a domain",
		"genkey -d a.example -s x/y":           "not a selector",
		"genkey -d a.example -s x -b 1024":     "2048 to 8192",
		"genkey -d a.example -s x -D /none/x":  "no such file",
		"genkey -d a.example -s x -D /tmp/a,b": "spaces or commas",
		"genkey -d a.example -s x --service ;": "words with colons",
		"testkey -s x":                         "missing flags: --domain",
		"testkey -d a.example -k x":            "-s",
	} {
		var out strings.Builder
		env := environ{stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
		if status := dkimMain(strings.Fields(args), env); status == exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%s: status %d, %s", args, status, out.String())
		}
	}
}
