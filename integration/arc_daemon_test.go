package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// newSealingRelay is a relay that seals as ours.example.
func newSealingRelay(t testing.TB, w *arcWorld, sink *peers.Sink) (*relay, map[string]string) {
	t.Helper()
	cf := base(sink)
	cf["mailauth_enable"], cf["dns_servers"] = "yes", w.dns.Addr
	cf["arc_sign_domain"], cf["arc_sign_selector"], cf["arc_key_file"] = "ours.example", "sel", w.keys["ours.example"]
	cf["relay_domains"] = "dest.example"
	cf["local_header_rewrite_clients"] = "" // nothing is added to what they send
	return newRelay(t, cf, nil), cf
}

// arrives sends a letter and returns it as it came to the next hop, the n-th there.
func (r *relay) arrives(sink *peers.Sink, n int, to, letter string) string {
	r.t.Helper()
	if err := smtp.SendMail(r.smtp, nil, "ann@author.example", []string{to}, []byte(letter)); err != nil {
		r.t.Fatalf("%v\n%s", err, r.log())
	}
	if !sink.Wait(n, limit) {
		r.t.Fatalf("nothing arrives\n%s", r.log())
	}
	return sink.Messages()[n-1].Data
}

// TestARCThroughUs: forwarded mail arrives with a chain that holds for everybody, and with
// the author's signature as it was; what no alias has forwarded, and reports, have none.
func TestARCThroughUs(t *testing.T) {
	w, sink := newARCWorld(t), newSink(t)
	r, cf := newSealingRelay(t, w, sink)
	r.start()

	signed := map[string]string{}
	n := 0
	for shape, letter := range arcShapes {
		a := w.python.ask("dkim-sign", letter, map[string]string{"domain": "author.example", "selector": "sel", "key": w.keys["author.example"]})
		if a.Message == "" {
			t.Fatalf("%s: %s", shape, a.Error)
		}
		signed[shape] = a.Message
		n++
		got := r.arrives(sink, n, "info@alias.example", a.Message)
		if !strings.HasPrefix(got, "ARC-Seal: i=1; a=rsa-sha256; cv=none;\r\n\td=ours.example; s=sel;") || !strings.HasSuffix(got, a.Message) {
			t.Errorf("%s: arrives as\n%s", shape, got)
		}
		w.everybody(shape, got, "pass")
		for _, peer := range []*arcPeer{w.python, w.perl} {
			// Mail::DKIM counts the signature of the list, which is none.
			if d := peer.ask("dkim", got, nil); d.CV != "pass" && !(shape == "list" && peer == w.perl) {
				t.Errorf("%s: the author's signature, by %s: %+v\n%s", shape, peer.name, d, got)
			}
		}
	}
	r.waitLog(`postfix/smtp\[\d+\]: \w+: ARC-Seal field added \(i=1, cv=none, s=sel, d=ours\.example\)`)

	n++
	if got := r.arrives(sink, n, "direct@dest.example", signed["plain"]); strings.Contains(got, "ARC-") {
		t.Errorf("not forwarded by an alias, and sealed:\n%s", got)
	}

	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 no such user"}})
	n++
	if got := r.arrives(sink, n, "info@alias.example", signed["plain"]); !strings.Contains(got, "multipart/report") || strings.Contains(got, "ARC-") {
		t.Errorf("the report:\n%s", got)
	}
	sink.Behave(peers.Script{})

	// A reload takes the sealing away.
	delete(cf, "arc_sign_domain")
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	n++
	if got := r.arrives(sink, n, "info@alias.example", signed["plain"]); strings.Contains(got, "ARC-") || !strings.HasSuffix(got, signed["plain"]) {
		t.Errorf("off, and sealed:\n%s", got)
	}
	r.stop()
}

// TestARCConfigurations: sealing that cannot work stops the start, and says what to do.
func TestARCConfigurations(t *testing.T) {
	w, sink := newARCWorld(t), newSink(t)
	r, good := newSealingRelay(t, w, sink)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pem, err := os.ReadFile(w.keys["ours.example"])
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	writePrivateKey(t, filepath.Join(dir, "short"), short, 0o600)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writePrivateKey(t, filepath.Join(dir, "ec"), ec, 0o600)

	for name, c := range map[string]struct{ parameter, value, says string }{
		"good":           {"arc_sign_domain", "ours.example", ""},
		"Ed25519":        {"arc_key_file", w.keys["ed.example"], ""},
		"off":            {"arc_sign_domain", "", ""},
		"nobody looks":   {"mailauth_enable", "no", "arc_sign_domain (main.cf, line N): a seal says what we have found out of a message, and nothing is found out; set mailauth_enable = yes"},
		"no selector":    {"arc_sign_selector", "", "set arc_sign_selector"},
		"no key":         {"arc_key_file", "", "set arc_key_file"},
		"missing":        {"arc_key_file", filepath.Join(dir, "nowhere"), "arc_key_file (main.cf, line N): open " + filepath.Join(dir, "nowhere") + ": no such file or directory"},
		"world readable": {"arc_key_file", file("world", string(pem), 0o604), ": everybody on this machine may read or change it (mode 0604); chmod g-w,o= "},
		"no PEM":         {"arc_key_file", file("text", "secret", 0o600), "there is no private key in PEM in it"},
		"damaged":        {"arc_key_file", file("damaged", "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n", 0o600), "the private key is damaged"},
		"encrypted":      {"arc_key_file", file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n", 0o600), "the private key is encrypted"},
		"short":          {"arc_key_file", filepath.Join(dir, "short"), "an RSA key of 1024 bits is too short to sign with; make one of 2048"},
		"EC":             {"arc_key_file", filepath.Join(dir, "ec"), "keys to sign with are RSA or Ed25519"},
		"a directory":    {"arc_key_file", dir, "is not a regular file"},
		"domain":         {"arc_sign_domain", "ours example", "the domain \"ours example\" is no name"},
	} {
		cf := map[string]string{}
		for k, v := range good {
			cf[k] = v
		}
		cf[c.parameter] = c.value
		r.configure(cf)
		out, code := r.run("check", "-c", r.dir)
		says := strings.Split(c.says, "N")
		switch {
		case c.says == "" && code != 0, c.says != "" && code != 78:
			t.Errorf("%s: exit status %d\n%s", name, code, out)
		case !strings.Contains(out, says[0]) || !strings.Contains(out, says[len(says)-1]) || strings.Contains(out, "c2VjcmV0"):
			t.Errorf("%s: says\n%s", name, out)
		}
	}
}
