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
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/integration/peers"
	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/dkim"
)

// signers are dkimpy and Mail::DKIM with the keys of a.example, and the name server that
// has them. Both are other people's work: what they sign must be good to us and to each
// other.
type signers struct {
	t       *testing.T
	dir     string
	names   *peers.DNS
	rsa, ed string // files
	n       int
}

func newSigners(t *testing.T) *signers {
	t.Helper()
	s := &signers{t: t, dir: t.TempDir()}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	seed := bytes.Repeat([]byte{9}, ed25519.SeedSize)
	s.rsa = s.file("rsa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	s.ed = s.file("ed.key", []byte(base64.StdEncoding.EncodeToString(seed)))
	zone := txtRecord(t, "rsa._domainkey.a.example", key.Public()) + txtRecord(t, "ed._domainkey.a.example", ed25519.NewKeyFromSeed(seed).Public())
	if s.names, err = peers.NewDNS(zone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.names.Close)
	return s
}

// txtRecord is a key record as a line of a zone.
func txtRecord(t *testing.T, name string, public crypto.PublicKey) string {
	t.Helper()
	text, err := dkim.Record(public, "")
	if err != nil {
		t.Fatal(err)
	}
	line := name + ". TXT"
	for len(text) > 0 {
		n := min(len(text), 250)
		line, text = line+fmt.Sprintf(" %q", text[:n]), text[n:]
	}
	return line + "\n"
}

func (s *signers) file(name string, text []byte) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

func (s *signers) read(file string) string {
	s.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *signers) script(program string, args ...string) string {
	s.t.Helper()
	args[0] = filepath.Join("testdata", "dkim", args[0])
	out, status := runProgram(s.t, "", program, args...)
	if status != 0 {
		s.t.Fatalf("%s: exit status %d; integration/test installs what it needs\n%s", args[0], status, out)
	}
	return out
}

// sign gives messages the signatures of both, all over the message as it was.
func (s *signers) sign(messages map[string]string) map[string]string {
	s.t.Helper()
	dir := s.folder(messages, ".msg")
	s.script("/usr/bin/python3", "sign.py", dir, s.rsa, s.ed)
	s.script("perl", "sign.pl", dir, s.rsa)
	signed := make(map[string]string, len(messages))
	for name, message := range messages {
		signed[name] = s.read(filepath.Join(dir, name+".py")) + s.read(filepath.Join(dir, name+".pl")) + message
	}
	return signed
}

// folder writes messages into files of a new folder.
func (s *signers) folder(messages map[string]string, ext string) string {
	s.t.Helper()
	s.n++
	dir := filepath.Join(s.dir, fmt.Sprint(s.n))
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for name, message := range messages {
		if err := os.WriteFile(filepath.Join(dir, name+ext), []byte(message), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

// opinion is what each found of the signatures of a message: pass, not, unknown; "unread" is
// a message that a verifier does not take.
type opinion struct{ ours, python, perl []string }

// verify asks all three.
func (s *signers) verify(messages map[string]string) map[string]*opinion {
	s.t.Helper()
	dir := s.folder(messages, ".eml")
	_, port, _ := net.SplitHostPort(s.names.Addr)
	python := results(s.script("/usr/bin/python3", "verify.py", dir, port))
	perl := results(s.script("perl", "verify.pl", dir, port))
	resolver := dns.New(dns.Options{Servers: []string{s.names.Addr}})
	all := make(map[string]*opinion, len(messages))
	for name, message := range messages {
		sigs, err := dkim.Verify(s.t.Context(), strings.NewReader(message), dkim.VerifyOptions{Resolver: resolver, Max: 100})
		if err != nil {
			s.t.Fatal(err)
		}
		o := &opinion{python: python[name+".eml"], perl: perl[name+".eml"]}
		for _, sig := range sigs {
			word := "not"
			if sig.Result == "pass" {
				word = "pass"
			}
			o.ours = append(o.ours, word)
		}
		all[name] = o
	}
	return all
}

func results(out string) map[string][]string {
	all := make(map[string][]string)
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		all[words[0]] = words[1:]
	}
	return all
}

// hop is a next hop that keeps each byte: by DATA or, where it offers CHUNKING, by BDAT.
type hop struct {
	addr    string
	arrived chan hopMessage
}

type hopMessage struct {
	to, data, by string
}

func newHop(t *testing.T, keywords ...string) *hop {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	h := &hop{addr: ln.Addr().String(), arrived: make(chan hopMessage, 64)}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go h.serve(c, keywords)
		}
	}()
	return h
}

func (h *hop) serve(c net.Conn, keywords []string) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	say := func(text string) { fmt.Fprintf(c, "%s\r\n", text) }
	say("220 hop.example ESMTP")
	m := hopMessage{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimRight(line, "\r\n")); {
		case strings.HasPrefix(verb, "EHLO"):
			for _, k := range keywords {
				say("250-" + k)
			}
			say("250 SIZE")
		case strings.HasPrefix(verb, "RCPT"):
			m.to = strings.Trim(strings.Fields(line[len("RCPT TO:"):])[0], "<>")
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			m.by, m.data = "DATA", b.String()
			say("250 taken")
			h.arrived <- m
			m = hopMessage{}
		case strings.HasPrefix(verb, "BDAT"):
			size, last := 0, ""
			fmt.Sscan(verb[4:], &size, &last)
			chunk := make([]byte, size)
			for n := 0; n < size; {
				k, err := r.Read(chunk[n:])
				if err != nil {
					return
				}
				n += k
			}
			m.by, m.data = "BDAT", m.data+string(chunk)
			say("250 taken")
			if last != "" {
				h.arrived <- m
				m = hopMessage{}
			}
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}
