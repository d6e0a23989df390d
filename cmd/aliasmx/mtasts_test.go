package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
)

// writePEM writes a file with one certificate.
func writePEM(t *testing.T, dir string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who is asked for MTA-STS policies: each transport for which a level leaves room.
func TestSTSSource(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, setting string
		lmtp, want    bool
	}{
		{"default", "", false, true},
		{"may", "smtp_tls_security_level = may\n", false, true},
		{"encrypt", "smtp_tls_security_level = encrypt\n", false, true},
		{"none", "smtp_tls_security_level = none\n", false, false},
		{"secure", "smtp_tls_security_level = secure\nsmtp_tls_CAfile = " + writePEM(t, dir) + "\n", false, false},
		{"off", "smtp_tls_mta_sts = no\n", false, false},
		{"LMTP", "lmtp_tls_security_level = may\n", true, false},
	} {
		m := newMachine(t, relayRestrictions+c.setting)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		v := &view{cfg: cfg, keys: new(keyring)}
		source, err := v.stsSource(&sender{tables: &tables{cfg: cfg}, lmtp: c.lmtp, log: slog.New(slog.DiscardHandler)}, &delivery.Options{Resolver: dns.New(dns.Options{})})
		if err != nil || (source != nil) != c.want || (v.stsFetcher != nil) != c.want {
			t.Errorf("%s: %v, %v", c.name, source, err)
		}
	}
}

func TestSTSFetcher(t *testing.T) {
	dir := t.TempDir()
	authority := writePEM(t, dir)
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ setting, fails string }{
		{"", ""},
		{"smtp_tls_mta_sts_CAfile = " + authority + "\n", ""},
		{"smtp_tls_mta_sts_CAfile = " + dir + "/none.pem\n", "no such file"},
		{"smtp_tls_mta_sts_CAfile = " + empty + "\n", "has no certificate in PEM"},
		{"smtp_tls_mta_sts_cache =\n", ""},
		{"smtp_tls_mta_sts_cache = here\n", "no file that can be written"},
		{"smtp_tls_mta_sts_cache = memcache:/x\n", "no file that can be written"},
	} {
		m := newMachine(t, relayRestrictions+c.setting)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		f, err := newSTSFetcher(cfg, nil, slog.New(slog.DiscardHandler))
		if (err != nil) != (c.fails != "") || err != nil && (!strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), "main.cf, line")) {
			t.Errorf("%q: %v", c.setting, err)
		}
		if err == nil && (f.Roots != nil) != strings.Contains(c.setting, "CAfile") {
			t.Errorf("%q: roots %v", c.setting, f.Roots)
		}
	}
	for protocols, want := range map[string]dns.Family{"all": dns.Any, "ipv4, ipv6": dns.Any, "ipv4": dns.IPv4, "ipv6": dns.IPv6} {
		m := newMachine(t, relayRestrictions+"inet_protocols = "+protocols+"\n")
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		if got := dnsFamily(cfg); got != want {
			t.Errorf("%s: %v", protocols, got)
		}
	}
}

// data_directory is made for the policies, and where that cannot be the daemon starts
// without it: they can be fetched again.
func TestPoliciesNeedNoDirectory(t *testing.T) {
	top := t.TempDir()
	blocked := "/proc/self" // nobody makes directories there
	for _, c := range []struct {
		dir, setting string
		made         bool
		fails        bool
	}{
		{filepath.Join(top, "a"), "", true, false},
		{filepath.Join(top, "b"), "smtp_tls_mta_sts = no\n", false, false},
		{filepath.Join(top, "c"), "smtp_tls_security_level = none\n", false, false},
		{filepath.Join(top, "d"), "smtp_tls_mta_sts_cache = /elsewhere/x\n", false, false},
		{filepath.Join(blocked, "e"), "", false, false},
		{filepath.Join(blocked, "f"), "smtpd_recipient_restrictions = reject_unverified_recipient\n", false, true},
	} {
		m := newMachine(t, relayRestrictions+"data_directory = "+c.dir+"\n"+c.setting)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		err = prepareData(cfg, account{uid: os.Geteuid(), gid: os.Getegid()})
		_, missing := os.Stat(c.dir)
		if (err != nil) != c.fails || (missing == nil) != c.made {
			t.Errorf("%s %q: %v, made: %t", c.dir, c.setting, err, missing == nil)
		}
	}
}

// A reload that turns policies off leaves nobody to ask, and one that turns them on again
// asks as before.
func TestSTSKeeper(t *testing.T) {
	var k stsKeeper
	m := newMachine(t, relayRestrictions+"smtp_tls_mta_sts_cache =\n")
	cfg, err := loadConfig(m.dir, m.env(""))
	if err != nil {
		t.Fatal(err)
	}
	f, err := newSTSFetcher(cfg, dns.New(dns.Options{}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := k.get()
	for _, v := range []*view{{cfg: cfg}, {cfg: cfg, stsFetcher: f}, {cfg: cfg}, {cfg: cfg, stsFetcher: f}} {
		k.use(v, slog.New(slog.DiscardHandler))
	}
	if k.get() != first {
		t.Error("another source: what is known is lost")
	}
	k.close()
	k.close()
}

func TestCheckSTSArguments(t *testing.T) {
	m := newMachine(t, relayRestrictions)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"sts", "-c", m.dir}, exitUsage, ""},
		{[]string{"-c", m.dir, "sts", "192.0.2.1"}, exitFailure, "domain 192.0.2.1\nno policy: this is no domain that could have a policy\n"},
		{[]string{"sts", "-c", m.dir, "--resolver", "127.0.0.1:1", "example.com"}, exitTempFail, "domain example.com\nno policy: "},
		{[]string{"sts", "--json", "-c", m.dir, "a..b"}, exitFailure, `{"domain":"a..b","reason":"this is no domain`},
	} {
		status, stdout, stderr := check(t, c.args...)
		if status != c.status || !strings.HasPrefix(stdout, c.want) {
			t.Errorf("%q: status %d\n%s%s", c.args, status, stdout, stderr)
		}
	}
}
