package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/mail"
)

// tableOf answers like a table in which keys are folded.
func tableOf(entries map[string]string, asked *[]string) func(context.Context, string) (string, bool, error) {
	return func(_ context.Context, key string) (string, bool, error) {
		if asked != nil {
			*asked = append(*asked, key)
		}
		if value := entries[strings.ToLower(key)]; value != "!" {
			return value, value != "", nil
		}
		return "", false, errors.New("the table is away")
	}
}

func newPolicies(t *testing.T, o Options) *Policies {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKeys(t *testing.T) {
	for hop, want := range map[string]string{
		"sub.Example.com":       "sub.Example.com .Example.com .com",
		"localhost":             "localhost",
		"bücher.example":        "bücher.example .example",
		"example.com:587":       "example.com:587",
		"[mx.example.com]":      "[mx.example.com]",
		"[mx.example.com]:587":  "[mx.example.com]:587",
		"192.0.2.1":             "192.0.2.1",
		"[ipv6:2001:db8::1]:25": "[ipv6:2001:db8::1]:25",
		"/run/lmtp.sock":        "/run/lmtp.sock",
		"run/lmtp.sock":         "run/lmtp.sock",
		"example.com.":          "example.com.",
	} {
		var asked []string
		p := newPolicies(t, Options{Lookup: tableOf(nil, &asked)})
		if _, err := p.TLS(t.Context(), mail.TLSPeer{NextHop: hop}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s: asked for %s, want %s", hop, got, want)
		}
	}
}

// published answers what it is told to, and counts.
type published struct {
	choice mail.TLSChoice
	err    error
	asked  int
}

func (p *published) TLS(context.Context, mail.TLSPeer) (mail.TLSChoice, error) {
	p.asked++
	return p.choice, p.err
}

func matched(*tls.ConnectionState) mail.TLSVerdict {
	return mail.TLSVerdict{Trusted: true, Matched: true}
}

// How a level, an entry, TLSA records and an MTA-STS policy go together.
func TestDecision(t *testing.T) {
	tlsa, policy := mail.TLSPublished{Type: "tlsa"}, mail.TLSPublished{Type: "sts"}
	temporary := func(text string) error {
		return &mail.TLSError{Status: mail.Status{Code: 451, Enhanced: mail.Code(4, 7, 5), Text: text}, Result: "dnssec-invalid"}
	}
	dane := func(level mail.TLSLevel, reason string) *published {
		c := mail.TLSChoice{Level: level, Reason: reason}
		if level == mail.TLSDANE || level == mail.TLSHalfDANE {
			c.Verify, c.Key, c.ServerName = matched, "dane key", "base.example"
		}
		if level != mail.TLSMay {
			c.Policies = []mail.TLSPublished{tlsa}
		}
		return &published{choice: c}
	}
	enforce := &published{choice: mail.TLSChoice{Level: mail.TLSSecure, Verify: matched, Key: "sts key", Policies: []mail.TLSPublished{policy}}}
	onTrial := &published{choice: mail.TLSChoice{Level: mail.TLSMay, Testing: true, Verify: matched, Key: "sts key", Policies: []mail.TLSPublished{policy}}}
	absent := &published{choice: mail.TLSChoice{Level: mail.TLSMay}}
	broken := &published{choice: mail.TLSChoice{Level: mail.TLSMay, Result: "sts-policy-fetch-error", Reason: "no answer", Policies: []mail.TLSPublished{policy}}}
	peer := mail.TLSPeer{NextHop: "example.com", Domain: "example.com", Host: "mx.example.com", Port: 25, ByMX: true}
	socket := mail.TLSPeer{NextHop: "/run/lmtp", Host: "localhost", LMTP: true}

	for _, tt := range []struct {
		name      string
		level     mail.TLSLevel
		entry     string
		dane, sts *published
		peer      *mail.TLSPeer
		want      string // level<asked verify testing policies result, or an error
		asked     [2]int // of dane and sts
	}{
		{name: "nothing", want: "none"},
		{name: "may", level: "may", want: "may"},
		{name: "none with everything", level: "none", dane: dane("dane", ""), sts: enforce, want: "none"},

		{name: "dane", level: "dane", dane: dane("dane", ""), sts: enforce, want: "dane verify tlsa", asked: [2]int{1, 0}},
		{name: "half-dane", level: "dane", dane: dane("half-dane", ""), sts: absent, want: "half-dane<dane verify tlsa", asked: [2]int{1, 1}},
		{name: "half-dane, enforce", level: "dane", dane: dane("half-dane", ""), sts: enforce, want: "secure verify tlsa sts", asked: [2]int{1, 1}},
		{name: "half-dane, testing", level: "dane", dane: dane("half-dane", ""), sts: onTrial, want: "half-dane<dane verify tlsa sts", asked: [2]int{1, 1}},
		{name: "unusable", level: "dane", dane: dane("encrypt", "TLSA records unusable"), sts: absent, want: "encrypt<dane tlsa", asked: [2]int{1, 1}},
		{name: "unusable, enforce", level: "dane", dane: dane("encrypt", "TLSA records unusable"), sts: enforce, want: "secure verify tlsa sts", asked: [2]int{1, 1}},
		{name: "no records", level: "dane", dane: dane("may", "no TLSA records found"), want: "may<dane", asked: [2]int{1, 0}},
		{name: "no records, enforce", level: "dane", dane: dane("may", ""), sts: enforce, want: "secure verify sts", asked: [2]int{1, 1}},
		{name: "no records, testing", level: "dane", dane: dane("may", ""), sts: onTrial, want: "may<dane verify testing sts", asked: [2]int{1, 1}},
		{name: "no records, no policy", level: "dane", dane: dane("may", ""), sts: absent, want: "may<dane", asked: [2]int{1, 1}},
		{name: "no records, policy not to be had", level: "dane", dane: dane("may", ""), sts: broken, want: "may<dane sts sts-policy-fetch-error no answer", asked: [2]int{1, 1}},
		{name: "lookup fails", level: "dane", dane: &published{err: temporary("TLSA lookup error for mx.example.com:25")}, sts: enforce,
			want: "4.7.5 TLSA lookup error for mx.example.com:25 (dnssec-invalid)", asked: [2]int{1, 0}},
		{name: "lookup fails otherwise", level: "dane", dane: &published{err: errors.New("socket: too many open files")},
			want: "4.7.5 TLSA lookup error for mx.example.com:25 (validation-failure)", asked: [2]int{1, 0}},
		{name: "without DNSSEC", level: "dane", want: "may<dane"},
		{name: "without DNSSEC, enforce", level: "dane", sts: enforce, want: "secure verify sts", asked: [2]int{0, 1}},
		{name: "socket", level: "dane", dane: dane("dane", ""), peer: &socket, want: "4.7.5 client TLS configuration problem ()"},

		{name: "dane-only", level: "dane-only", dane: dane("dane", ""), sts: enforce, want: "dane verify tlsa", asked: [2]int{1, 0}},
		{name: "dane-only, half", level: "dane-only", dane: dane("half-dane", ""), want: "4.7.5 non DNSSEC destination (dane-required)", asked: [2]int{1, 0}},
		{name: "dane-only, insecure", level: "dane-only", dane: dane("may", "non DNSSEC destination"), sts: enforce, want: "4.7.5 non DNSSEC destination (dane-required)", asked: [2]int{1, 0}},
		{name: "dane-only, no records", level: "dane-only", dane: dane("may", ""), want: "4.7.5 no TLSA records found (dane-required)", asked: [2]int{1, 0}},
		{name: "dane-only, unusable", level: "dane-only", dane: dane("encrypt", "TLSA records unusable"), want: "4.7.5 TLSA records unusable (dane-required)", asked: [2]int{1, 0}},
		{name: "dane-only without DNSSEC", level: "dane-only", want: "4.7.5 client TLS configuration problem ()"},

		{name: "may, enforce", level: "may", dane: dane("dane", ""), sts: enforce, want: "secure verify sts", asked: [2]int{0, 1}},
		{name: "encrypt, enforce", level: "encrypt", sts: enforce, want: "secure verify sts", asked: [2]int{0, 1}},
		{name: "encrypt, testing", level: "encrypt", sts: onTrial, want: "encrypt verify testing sts", asked: [2]int{0, 1}},
		{name: "encrypt, no policy", level: "encrypt", sts: absent, want: "encrypt", asked: [2]int{0, 1}},
		{name: "verify, testing", level: "verify", sts: onTrial, want: "verify verify"},
		{name: "socket, enforce", level: "may", sts: enforce, peer: &socket, want: "may"},
		{name: "named host, enforce", level: "may", sts: enforce, peer: &mail.TLSPeer{NextHop: "[mx.example.com]", Domain: "mx.example.com", Host: "mx.example.com", Port: 25}, want: "may"},
		{name: "policy fails", level: "may", sts: &published{err: temporary("no such policy")}, want: "4.7.5 no such policy (dnssec-invalid)", asked: [2]int{0, 1}},

		{name: "entry", level: "dane", entry: "may", dane: dane("dane", ""), sts: enforce, want: "may"},
		{name: "entry none", level: "secure", entry: "none x=y", want: "none"},
		{name: "entry encrypt", entry: "encrypt", sts: enforce, want: "encrypt"},
		{name: "entry dane", level: "may", entry: "dane", dane: dane("may", ""), sts: enforce, want: "may<dane", asked: [2]int{1, 0}},
		{name: "entry secure", entry: "secure", want: "secure verify"},
		{name: "entry fingerprint", entry: "fingerprint match=" + strings.Repeat("ab", 32), want: "fingerprint verify"},
		{name: "entry fingerprint without", entry: "fingerprint", want: "4.7.5 client TLS configuration problem ()"},
		{name: "entry broken", level: "may", entry: "secure match", want: "4.7.5 client TLS configuration problem ()"},
		{name: "entry with a bad name", level: "may", entry: "secure match=.", want: "4.7.5 client TLS configuration problem ()"},
		{name: "table away", level: "may", entry: "!", want: "4.7.5 client TLS configuration problem ()"},
		{name: "entry that tells of a policy", entry: "secure match=.example.com policy_type=sts policy_domain=example.com mx_host_pattern=*.example.com", want: "secure verify sts"},
		{name: "entry that tells of other hosts", entry: "secure match=.example.com policy_type=sts policy_domain=example.com mx_host_pattern=mx2.example.com mx_host_pattern=*.mx.example.com",
			want: "4.7.5 MX name 'mx.example.com' does not match STS MX pattern for 'example.com' (validation-failure)"},
		{name: "entry that tells of a failure", entry: "may policy_type=no-policy-found policy_failure=sts-policy-invalid", want: "may no-policy-found sts-policy-invalid external policy failure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var warned []string
			o := Options{Level: tt.level, SecureMatch: []string{"nexthop"}, VerifyMatch: []string{"hostname"}, Warn: func(text string) { warned = append(warned, text) }}
			if tt.entry != "" {
				o.Lookup = tableOf(map[string]string{"example.com": tt.entry}, nil)
			}
			counts := [2]*published{{}, {}}
			if tt.dane != nil {
				counts[0] = &published{choice: tt.dane.choice, err: tt.dane.err}
				o.DANE = counts[0]
			}
			if tt.sts != nil {
				counts[1] = &published{choice: tt.sts.choice, err: tt.sts.err}
				o.STS = counts[1]
			}
			p := newPolicies(t, o)
			from := peer
			if tt.peer != nil {
				from = *tt.peer
			}
			choice, err := p.TLS(t.Context(), from)
			if got := shown(choice, err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if asked := [2]int{counts[0].asked, counts[1].asked}; asked != tt.asked {
				t.Errorf("asked %v, want %v", asked, tt.asked)
			}
			if configuration := strings.Contains(tt.want, "configuration"); configuration && len(warned) == 0 {
				t.Error("nobody was warned")
			}
		})
	}
}

// shown is what matters of an answer.
func shown(c mail.TLSChoice, err error) string {
	if e, ok := errors.AsType[*mail.TLSError](err); ok {
		return fmt.Sprintf("%d.%d.%d %s (%s)", e.Status.Enhanced[0], e.Status.Enhanced[1], e.Status.Enhanced[2], e.Status.Text, e.Result)
	}
	if err != nil {
		return err.Error()
	}
	words := []string{string(c.Level)}
	if c.Asked != "" && c.Asked != c.Level {
		words[0] += "<" + string(c.Asked)
	}
	if c.Verify != nil {
		words = append(words, "verify")
	}
	if c.Testing {
		words = append(words, "testing")
	}
	for _, p := range c.Policies {
		words = append(words, p.Type)
	}
	if c.Result+c.Reason != "" {
		words = append(words, strings.TrimSpace(c.Result+" "+c.Reason))
	}
	return strings.Join(words, " ")
}

// A policy that could not be had, as a program has put it into the table, makes every
// certificate a wrong one.
func TestFailureToldByAnEntry(t *testing.T) {
	c := newChains(t)
	p := newPolicies(t, Options{Authorities: authoritiesOf(c.root), Now: time.Now,
		Lookup: tableOf(map[string]string{"example.com": "secure match=mx.example.com policy_type=sts policy_failure=sts-webpki-invalid"}, nil)})
	choice, err := p.TLS(t.Context(), mail.TLSPeer{NextHop: "example.com", Host: "mx.example.com", Port: 25})
	if err != nil {
		t.Fatal(err)
	}
	got := show(choice.Verify(c.shown(c.root, peers.Leaf{Names: []string{"mx.example.com"}})))
	if want := "false false  external policy failure (sts-webpki-invalid) (sts-webpki-invalid)"; got != want || choice.Key != "" {
		t.Errorf("got %s, key %q", got, choice.Key)
	}
}

// An MTA-STS policy in an entry wants a certificate for the host, unless that is turned off.
func TestPatternsOfAnEntry(t *testing.T) {
	c := newChains(t)
	entry := "secure match=.example.com policy_type=sts policy_domain=example.com mx_host_pattern=*.EXAMPLE.com"
	state := c.shown(c.root, peers.Leaf{Names: []string{"other.example.com"}})
	for ignore, want := range map[bool]bool{false: false, true: true} {
		p := newPolicies(t, Options{Authorities: authoritiesOf(c.root), Now: time.Now, IgnoreMXPatterns: ignore,
			Lookup: tableOf(map[string]string{"example.com": entry}, nil)})
		choice, err := p.TLS(t.Context(), mail.TLSPeer{NextHop: "example.com", Host: "mx.example.com", Port: 25})
		if err != nil {
			t.Fatal(err)
		}
		if got := choice.Verify(state).Matched; got != want {
			t.Errorf("ignored %v: matched %v", ignore, got)
		}
	}
	for host, want := range map[string]bool{"mx.example.com": true, "a.mx.example.com": false, "example.com": false, "": false, ".example.com": false, "MX2": true} {
		if got := matchesMX([]string{"*.example.com", "mx2", "*."}, host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// What an entry says of versions, ciphers and the server's name, and what the parameters do.
func TestSettings(t *testing.T) {
	suites := func(c Ciphers) ([]uint16, error) {
		if c.Grade == "bad" {
			return nil, errors.New("bad grade")
		}
		return []uint16{uint16(len(c.Grade)), uint16(len(c.Exclude))}, nil
	}
	versions := func(list string) ([2]uint16, error) {
		if list == "bad" {
			return [2]uint16{}, errors.New("bad list")
		}
		return [2]uint16{uint16(len(list)), 9}, nil
	}
	peer := mail.TLSPeer{NextHop: "example.com", Domain: "example.com", Host: "mx.example.net", Port: 25}
	for _, tt := range []struct {
		level mail.TLSLevel
		entry string
		want  string
	}{
		{"none", "", "[] [0 0] "},
		{"may", "", "[6 1] [0 0] "},
		{"encrypt", "", "[4 2] [0 0] "},
		{"may", "may ciphers=low", "[3 1] [0 0] "},
		{"may", "may exclude=", "[6 0] [0 0] "},
		{"may", "encrypt exclude=abcd protocols=TLSv1.3 servername=a.example", "[4 4] [7 9] a.example"},
		{"may", "encrypt servername=hostname", "[4 2] [0 0] mx.example.net"},
		{"may", "encrypt servername=nexthop", "[4 2] [0 0] example.com"},
		{"may", "encrypt protocols=bad", "4.7.5 client TLS configuration problem ()"},
		{"may", "encrypt ciphers=bad", "4.7.5 client TLS configuration problem ()"},
	} {
		o := Options{Level: tt.level, Suites: suites, Versions: versions, Optional: Ciphers{"medium", "a"}, Mandatory: Ciphers{"high", "ab"}}
		if tt.entry != "" {
			o.Lookup = tableOf(map[string]string{"example.com": tt.entry}, nil)
		}
		p := newPolicies(t, o)
		c, err := p.TLS(t.Context(), peer)
		got := fmt.Sprint(c.Ciphers, c.Versions, " ", c.ServerName)
		if err != nil {
			got = shown(c, err)
		}
		if got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.level, tt.entry, got, tt.want)
		}
		if wrong := p.Check(tt.entry); tt.entry != "" && (wrong != nil) != (err != nil) {
			t.Errorf("%s: Check says %v", tt.entry, wrong)
		}
	}
}

// Two choices have the same key when they verify the same and ask for the same.
func TestKey(t *testing.T) {
	c := newChains(t)
	dir := t.TempDir()
	for name, a := range map[string]*peers.Authority{"root": c.root, "stranger": c.stranger} {
		if err := os.WriteFile(dir+"/"+name, []byte(a.PEM()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(nextHop, entry string, a *Authorities) string {
		t.Helper()
		p := newPolicies(t, Options{Authorities: a, SecureMatch: []string{"nexthop", "dot-nexthop"}, VerifyMatch: []string{"hostname"}, ReadFile: os.ReadFile,
			Versions: func(list string) ([2]uint16, error) { return [2]uint16{uint16(len(list)), 0}, nil },
			Lookup:   tableOf(map[string]string{nextHop: strings.ReplaceAll(entry, "DIR", dir)}, nil)})
		choice, err := p.TLS(t.Context(), mail.TLSPeer{NextHop: nextHop, Domain: nextHop, Host: "mx.example.net", Port: 25})
		if err != nil {
			t.Fatal(err)
		}
		return choice.Key
	}
	root, both := authoritiesOf(c.root), authoritiesOf(c.root, c.stranger)
	sum := strings.Repeat("ab", 32)
	keys := []string{
		key("a.example", "secure", root),
		key("b.example", "secure", root),
		key("a.example", "secure", both),
		key("a.example", "verify", root),
		key("a.example", "secure match=mx.example.net:x.example", root),
		key("a.example", "secure tafile=DIR/root", root),
		key("a.example", "secure tafile=DIR/stranger", root),
		key("a.example", "secure servername=x.example", root),
		key("a.example", "secure protocols=TLSv1.3", root),
		key("a.example", "fingerprint match="+sum, root),
		key("a.example", "fingerprint match="+sum+"|"+strings.Repeat("cd", 32), root),
		key("a.example", "encrypt protocols=TLSv1.3", root),
	}
	for i, k := range keys {
		if k == "" || slices.Contains(keys[:i], k) {
			t.Errorf("key %d is %q, as another one", i, k)
		}
	}
	if keys[3] != key("b.example", "verify", authoritiesOf(c.root)) {
		t.Error("the same host, verified in the same way, has two keys")
	}
	if got := key("a.example", "encrypt", root); got != "" {
		t.Errorf("nothing is verified, nothing special asked for: %q", got)
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		o     Options
		wrong string
	}{
		{Options{Level: "always"}, `smtp_tls_security_level: invalid tls security level: "always"`},
		{Options{Level: "half-dane", Name: "lmtp"}, `lmtp_tls_security_level: invalid tls security level: "half-dane"`},
		{Options{Level: "fingerprint"}, "smtp_tls_fingerprint_cert_match: there are no fingerprints"},
		{Options{Fingerprints: []string{"zz"}}, "smtp_tls_fingerprint_cert_match: malformed fingerprint value: zz"},
		{Options{Suites: func(Ciphers) ([]uint16, error) { return nil, errors.New("none left") }}, "smtp_tls_ciphers, smtp_tls_exclude_ciphers: none left"},
		{Options{Level: "secure"}, "smtp_tls_secure_cert_match: it names nobody, and the security level is secure; "},
		{Options{Level: "secure", SecureMatch: []string{"."}}, "smtp_tls_secure_cert_match: it names nobody, and "},
		{Options{Level: "verify", Name: "lmtp"}, "lmtp_tls_verify_cert_match: it names nobody, and the security level is verify; "},
		{Options{Level: "dane", DANE: &published{}, Undigested: true}, "tls_dane_digests: there is no digest, and the security level is dane: "},
		{Options{Level: "dane-only", DANE: &published{}, Undigested: true}, "tls_dane_digests: there is no digest, and the security level is dane-only: "},
	} {
		if _, err := New(tt.o); err == nil || !strings.HasPrefix(err.Error(), tt.wrong) {
			t.Errorf("%+v: %v, want %s", tt.o, err, tt.wrong)
		}
	}
}

// Check finds in an entry what would keep mail from its next hop.
func TestCheck(t *testing.T) {
	p := newPolicies(t, Options{Level: "may", SecureMatch: []string{"nexthop"}, ReadFile: os.ReadFile})
	for entry, want := range map[string]string{
		"secure": "", "dane-only": "", "none": "", "fingerprint match=" + strings.Repeat("ab", 32): "",
		"secured":                    `invalid security level "secured"`,
		"secure tafile=/nonexistent": "error opening trust anchor file: open /nonexistent: no such file or directory",
		"secure match=.":             "could not configure peer name checks: the match attribute names nobody",
		"verify":                     "could not configure peer name checks: smtp_tls_verify_cert_match: it names nobody, and the security level is verify; write nexthop, dot-nexthop, hostname or a name",
		"verify match=mx.example":    "",
		"fingerprint":                "configured at fingerprint security level, but with no fingerprints to match",
		"fingerprint match=xx":       "malformed fingerprint value: xx",
		"fingerprint match=xx|" + strings.Repeat("ab", 32): "malformed fingerprint value: xx",
	} {
		err := p.Check(entry)
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: %s, want %s", entry, got, want)
		}
	}
}

// Of an entry that a rule completes with a part of the key, the level is known.
func TestCheckOpen(t *testing.T) {
	p := newPolicies(t, Options{})
	for beginning, want := range map[string]string{
		"": "", "sec": "", "secure": "", "secure match=": "", "secure {match = ": "", "none ": "",
		"secured match=": `invalid security level "secured"`,
		"secured,":       `invalid security level "secured"`,
	} {
		err := p.CheckOpen(beginning)
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: %s, want %s", beginning, got, want)
		}
	}
}
