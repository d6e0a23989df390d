package integration

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// tlsServers are next hops, each with another certificate, and what a client may know of
// them: files of authorities, fingerprints.
type tlsServers struct {
	configs map[string]*tls.Config // nil: no STARTTLS
	words   []string               // {word} and what it stands for
}

func newTLSServers(t *testing.T) *tlsServers {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := peers.NewAuthority("Root")
	must(err)
	stranger, err := peers.NewAuthority("Stranger")
	must(err)
	between, err := root.Intermediate("Between", peers.Leaf{})
	must(err)
	stale, err := root.Intermediate("Stale", peers.Leaf{To: -time.Hour})
	must(err)
	below, err := between.Intermediate("Below", peers.Leaf{})
	must(err)
	var nobody *peers.Authority
	local := []string{"localhost"}
	s := &tlsServers{configs: map[string]*tls.Config{"plain": nil}}
	for name, c := range map[string]struct {
		by     *peers.Authority
		leaf   peers.Leaf
		behind []*peers.Authority
	}{
		"right":           {root, peers.Leaf{CN: "any", Names: local}, nil},
		"expired":         {root, peers.Leaf{Names: local, To: -time.Hour}, nil},
		"future":          {root, peers.Leaf{Names: local, From: time.Hour}, nil},
		"wrong":           {root, peers.Leaf{CN: "localhost", Names: []string{"other.example"}}, nil},
		"expired-wrong":   {root, peers.Leaf{Names: []string{"other.example"}, To: -time.Hour}, nil},
		"self":            {nobody, peers.Leaf{CN: "localhost", Names: local}, nil},
		"self-expired":    {nobody, peers.Leaf{CN: "localhost", Names: local, To: -time.Hour}, nil},
		"self-wrong":      {nobody, peers.Leaf{CN: "x", Names: []string{"other.example"}}, nil},
		"chain":           {between, peers.Leaf{Names: local}, []*peers.Authority{between}},
		"chain-root":      {between, peers.Leaf{Names: local}, []*peers.Authority{between, root}},
		"chain-short":     {between, peers.Leaf{Names: local}, nil},
		"chain-long":      {below, peers.Leaf{Names: local}, []*peers.Authority{below, between}},
		"chain-stale":     {stale, peers.Leaf{Names: local}, []*peers.Authority{stale}},
		"stranger":        {stranger, peers.Leaf{Names: local}, nil},
		"stranger-root":   {stranger, peers.Leaf{Names: local}, []*peers.Authority{stranger}},
		"stranger-stale":  {stranger, peers.Leaf{Names: local, To: -time.Hour}, nil},
		"root-stale":      {stranger, peers.Leaf{Names: local, To: -time.Hour}, []*peers.Authority{stranger}},
		"cn":              {root, peers.Leaf{CN: "localhost"}, nil},
		"cn-wrong":        {root, peers.Leaf{CN: "other.example"}, nil},
		"cn-address":      {root, peers.Leaf{CN: "localhost", Addr: net.IP{127, 0, 0, 1}}, nil},
		"address":         {root, peers.Leaf{CN: "x", Addr: net.IP{127, 0, 0, 1}}, nil},
		"wildcard":        {root, peers.Leaf{Names: []string{"*.mx.example"}}, nil},
		"wildcard-part":   {root, peers.Leaf{Names: []string{"a*.mx.example"}}, nil},
		"wildcard-top":    {root, peers.Leaf{Names: []string{"*.example"}}, nil},
		"wildcard-middle": {root, peers.Leaf{Names: []string{"a.*.example"}}, nil},
		"wildcard-cn":     {root, peers.Leaf{CN: "*.mx.example"}, nil},
		"sub":             {root, peers.Leaf{Names: []string{"a.b.mx.example"}}, nil},
		"upper":           {root, peers.Leaf{Names: []string{"LOCALHOST"}}, nil},
		"client":          {root, peers.Leaf{Names: local, Client: true}, nil},
	} {
		s.configs[name], err = c.by.Server(c.leaf, c.behind...)
		must(err)
	}
	dir := t.TempDir() // Postfix's smtp(8) reads these files as another user
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	file := func(word, text string) {
		path := filepath.Join(dir, word+".pem")
		must(os.WriteFile(path, []byte(text), 0o644))
		s.words = append(s.words, "{"+word+"}", path)
	}
	leaf := func(name string) *x509.Certificate { return s.configs[name].Certificates[0].Leaf }
	publicKey := func(c *x509.Certificate) string { return peers.PEM("PUBLIC KEY", c.RawSubjectPublicKeyInfo) }
	file("ca", root.PEM())
	file("all", root.PEM()+stranger.PEM())
	file("between", between.PEM())
	file("ca-between", between.PEM()+root.PEM())
	file("stranger", stranger.PEM())
	file("ca-key", publicKey(root.Cert))
	file("between-key", publicKey(between.Cert))
	file("self", peers.PEM("CERTIFICATE", leaf("self").Raw))
	file("self-expired", peers.PEM("CERTIFICATE", leaf("self-expired").Raw))
	file("wrong", peers.PEM("CERTIFICATE", leaf("wrong").Raw))
	file("empty", "")
	for name, cfg := range s.configs {
		if cfg == nil {
			continue
		}
		cert := sha256.Sum256(leaf(name).Raw)
		key := sha256.Sum256(leaf(name).RawSubjectPublicKeyInfo)
		old := sha1.Sum(leaf(name).Raw)
		s.words = append(s.words, "{cert "+name+"}", colons(cert[:]), "{key "+name+"}", colons(key[:]),
			"{sha1 "+name+"}", colons(old[:]), "{hex "+name+"}", hex.EncodeToString(cert[:]))
	}
	return s
}

func colons(digest []byte) string {
	parts := make([]string, len(digest))
	for i, b := range digest {
		parts[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(parts, ":")
}
