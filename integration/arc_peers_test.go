package integration

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aliasmx/integration/peers"
)

// arcPeer is another implementation, in a process of its own.
type arcPeer struct {
	name string
	t    testing.TB
	mu   sync.Mutex // one question at a time
	in   io.Writer
	out  *bufio.Reader
}

// arcAnswer is what a peer says.
type arcAnswer struct {
	CV, Message, Error string
}

func newARCPeer(t testing.TB, name, program string, args ...string) *arcPeer {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v; integration/test installs what the tests need", program, err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &arcPeer{name: name, t: t, in: in, out: bufio.NewReader(out)}
}

// ask asks op of a message; the message of the answer is decoded.
func (p *arcPeer) ask(op, message string, more map[string]string) arcAnswer {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	q := map[string]string{"op": op, "message": base64.StdEncoding.EncodeToString([]byte(message))}
	for k, v := range more {
		q[k] = v
	}
	line, err := json.Marshal(q)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("%s: %v; integration/test installs what the tests need", p.name, err)
	}
	text, err := p.out.ReadBytes('\n')
	var a arcAnswer
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	raw, bad := base64.StdEncoding.DecodeString(a.Message)
	if err != nil || bad != nil {
		p.t.Fatalf("%s: %v, %v\n%s", p.name, err, bad, text)
	}
	a.Message = string(raw)
	return a
}

// arcWorld has keys in files and in the DNS, and the peers.
type arcWorld struct {
	t      testing.TB
	dir    string
	dns    *peers.DNS
	python *arcPeer
	perl   *arcPeer
	keys   map[string]string // file by domain
}

// arcDomains seal in the tests, with selector sel; the last one with Ed25519.
var arcDomains = []string{"ours.example", "python.example", "perl.example", "author.example", "ed.example"}

func newARCWorld(t testing.TB) *arcWorld {
	t.Helper()
	w := &arcWorld{t: t, dir: t.TempDir(), keys: map[string]string{}}
	zone, records := "", map[string]string{}
	for _, domain := range arcDomains {
		var key crypto.Signer
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
		if domain == "ed.example" {
			_, key, err = ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
		}
		w.keys[domain] = filepath.Join(w.dir, domain+".pem")
		writePrivateKey(t, w.keys[domain], key, 0o600)
		text := publicRecord(t, key)
		records["sel._domainkey."+domain] = text
		zone += "sel._domainkey." + domain + ". TXT"
		for ; text != ""; text = text[min(len(text), 250):] {
			zone += fmt.Sprintf(" %q", text[:min(len(text), 250)])
		}
		zone += "\n"
	}
	var err error
	if w.dns, err = peers.NewDNS(zone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dns.Close)
	file := filepath.Join(w.dir, "zone.json")
	text, err := json.Marshal(records)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(w.dns.Addr)
	w.python = newARCPeer(t, "dkimpy", "/usr/bin/python3", "testdata/arc/peer.py", file)
	w.perl = newARCPeer(t, "Mail::DKIM", "perl", "testdata/arc/peer.pl", port)
	return w
}

// writePrivateKey writes a key as PEM: RSA in the old form, which all can read.
func writePrivateKey(t testing.TB, file string, key crypto.Signer, mode os.FileMode) {
	t.Helper()
	var b bytes.Buffer
	if k, ok := key.(*rsa.PrivateKey); ok {
		pem.Encode(&b, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	} else {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	if err := os.WriteFile(file, b.Bytes(), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func publicRecord(t testing.TB, key crypto.Signer) string {
	t.Helper()
	if k, ok := key.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// seal adds a set by us ("ours.example", or "ed.example"), dkimpy or Mail::DKIM. The others
// take their results from a field of the message, which is put there.
func (w *arcWorld) seal(domain, message string, n int) string {
	w.t.Helper()
	arc, chain := "none", "none"
	if n > 1 {
		arc, chain = "pass", "pass"
	}
	results := "arc=" + arc + "; spf=pass smtp.mailfrom=author.example; dmarc=pass header.from=author.example"
	id := fmt.Sprintf("mx%d.%s", n, domain) // dkimpy takes the results of all fields that have its name
	peer := map[string]*arcPeer{"python.example": w.python, "perl.example": w.perl}[domain]
	if peer == nil {
		file := filepath.Join(w.t.TempDir(), "message")
		if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
			w.t.Fatal(err)
		}
		out, code := runProgram(w.t, "", binary, "seal", "--key", w.keys[domain], "--domain", domain, "--selector", "sel",
			"--results", results, "--authserv-id", id, "--resolver", w.dns.Addr, file)
		if code != 0 || !strings.HasPrefix(out, "ARC-Seal: ") || !strings.HasSuffix(out, message) {
			w.t.Fatalf("aliasmx seal: exit status %d\n%s", code, out)
		}
		return out
	}
	if n == 1 {
		results = strings.TrimPrefix(results, "arc=none; ") // dkimpy takes its absence for none
	}
	a := peer.ask("sign", "Authentication-Results: "+id+"; "+results+"\r\n"+message, map[string]string{
		"domain": domain, "selector": "sel", "key": w.keys[domain], "authserv": id, "chain": chain,
	})
	if a.Message == "" {
		w.t.Fatalf("%s does not seal: %s\n%s", peer.name, a.Error, message)
	}
	return a.Message
}
