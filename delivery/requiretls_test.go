package delivery

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// verifying is a policy that verifies hosts of dest.example.
type verifying struct{ choice mail.TLSChoice }

func (v verifying) TLS(context.Context, mail.TLSPeer) (mail.TLSChoice, error) { return v.choice, nil }

// A message that requires TLS goes over TLS that was verified to a server that knows the
// requirement, or fails; the same message without it goes wherever it can.
func TestRequireTLS(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	_, otherPool := selfSigned(t, "mx.dest.example")
	other, _ := selfSigned(t, "other.example")
	ok := []string{"PIPELINING", "REQUIRETLS"}
	const named, mx, ip = "smtp:[mx.dest.example]", "smtp:dest.example", "smtp:[192.0.2.1]"
	const relay, asked = "mx.dest.example[192.0.2.1]:25", "Sender requested REQUIRETLS, but "
	const last = "The last attempted server was mx.dest.example"
	for _, c := range []struct {
		name     string
		dest     string
		cert     *tls.Certificate
		keywords []string
		answers  map[string]string
		o        Options
		want     string
	}{
		{"named host, configured authority", named, cert, ok, nil, Options{TLSLevel: "may", RootCAs: pool}, "sent 2.0.0"},
		{"named host, encrypt", named, cert, ok, nil, Options{TLSLevel: "encrypt", RootCAs: pool}, "sent 2.0.0"},
		{"named host, lower case", named, cert, []string{"requiretls"}, nil, Options{TLSLevel: "may", RootCAs: pool}, "sent 2.0.0"},
		{"MX and a policy that verifies", mx, cert, ok, nil, Options{TLSPolicy: verifying{wants(pool, "mx.dest.example")}}, "sent 2.0.0"},
		{"policy that does not find its name", mx, other, ok, nil, Options{TLSPolicy: verifying{wants(pool, "mx.dest.example")}},
			"bounced 5.7.10 " + relay + " (" + asked + "no matching server certificate was found. " + last + "[192.0.2.1])"},
		{"MX without a policy", mx, cert, ok, nil, Options{TLSLevel: "may", RootCAs: pool},
			"bounced 5.7.10 none (" + asked + "my configured TLS security level 'may' disables certificate matching. " + last + ")"},
		{"an address for a host", ip, cert, ok, nil, Options{TLSLevel: "may", RootCAs: pool},
			"bounced 5.7.10 none (" + asked + "my configured TLS security level 'may' disables certificate matching. The last attempted server was 192.0.2.1)"},
		{"no TLS here", named, cert, ok, nil, Options{TLSLevel: "none", RootCAs: pool},
			"bounced 5.7.10 none (" + asked + "my configured TLS security level 'none' disables certificate matching. " + last + ")"},
		{"no TLS there", named, nil, ok, nil, Options{TLSLevel: "may", RootCAs: pool},
			"bounced 5.7.30 " + relay + " (" + asked + "TLS service was not offered by host mx.dest.example[192.0.2.1])"},
		{"TLS refused", named, cert, ok, map[string]string{"STARTTLS": "454 4.7.0 no"}, Options{TLSLevel: "may", RootCAs: pool},
			"bounced 5.7.10 " + relay + " (" + asked + "host mx.dest.example[192.0.2.1] refused to start TLS: 454 4.7.0 no)"},
		{"no REQUIRETLS there", named, cert, []string{"PIPELINING"}, nil, Options{TLSLevel: "may", RootCAs: pool},
			"bounced 5.7.30 " + relay + " (" + asked + "no server was found that supports REQUIRETLS. " + last + "[192.0.2.1])"},
		{"unknown authority", named, cert, ok, nil, Options{TLSLevel: "may", RootCAs: otherPool},
			"bounced 5.7.10 " + relay + " (" + asked + "no trusted server certificate was found. " + last + "[192.0.2.1])"},
		{"the system's authorities", named, cert, ok, nil, Options{TLSLevel: "may"},
			"bounced 5.7.10 " + relay + " (" + asked + "no trusted server certificate was found. " + last + "[192.0.2.1])"},
		{"broken handshake", named, cert, ok, map[string]string{"STARTTLS": "220 go| close"}, Options{TLSLevel: "may", RootCAs: pool},
			"deferred 4.7.5 " + relay + " (Cannot start TLS: handshake failure)"},
	} {
		for _, required := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				p := &peer{keywords: c.keywords, cert: c.cert, on: script(c.answers)}
				o := c.o
				o.DNSEnabled = true
				o.Resolver = fakeDNS{mx: map[string]string{"dest.example": "10 mx.dest.example"}, addrs: map[string]string{"mx.dest.example": "192.0.2.1"}}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, o)
				s.net.tcp = true
				a := letter("r@dest.example")
				want := c.want
				if required {
					a.Env.Flags |= mail.FlagRequireTLS
				}
				got := fates(s.send(c.dest, a).results[0])
				s.net.wait()
				m := p.got()
				if !required {
					if o.TLSPolicy == nil && !strings.HasPrefix(got, "sent") && o.TLSLevel != "encrypt" {
						t.Errorf("without the requirement: %s", got)
					}
					for _, m := range m {
						if strings.Contains(m.from, "REQUIRETLS") {
							t.Errorf("without the requirement: MAIL FROM:%s", m.from)
						}
					}
					return
				}
				if !strings.HasPrefix(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if sent := strings.HasPrefix(want, "sent"); sent != (len(m) == 1) || sent && (!m[0].tls || !strings.HasSuffix(m[0].from, " REQUIRETLS")) {
					t.Errorf("came: %+v", m)
				}
				if c.cert == nil || c.answers != nil {
					for _, cmd := range p.commands(1) {
						if strings.HasPrefix(cmd, "MAIL") {
							t.Errorf("%s in the clear", cmd)
						}
					}
				}
			})
		}
	}
}

// Another host of the same next hop may be able to; one that is down leaves hope.
func TestRequireTLSAtTheNextHost(t *testing.T) {
	cert, pool := selfSigned(t, "a.dest.example")
	for _, c := range []struct {
		name  string
		peers map[string]any
		want  string
	}{
		{"the second can", map[string]any{"192.0.2.1:25": &peer{}, "192.0.2.2:25": &peer{cert: cert, keywords: []string{"REQUIRETLS"}}}, "sent 2.0.0 a.dest.example[192.0.2.2]:25"},
		{"the second cannot either", map[string]any{"192.0.2.1:25": &peer{}, "192.0.2.2:25": &peer{cert: cert}}, "bounced 5.7.30 a.dest.example[192.0.2.2]:25"},
		{"the second is down", map[string]any{"192.0.2.1:25": &peer{}}, "deferred 4.4.1 none"},
	} {
		s := newSetup(t, c.peers, Options{TLSLevel: "may", RootCAs: pool, DNSEnabled: true,
			Resolver: fakeDNS{addrs: map[string]string{"a.dest.example": "192.0.2.1 192.0.2.2"}}})
		s.net.tcp = true
		a := letter("r@dest.example")
		a.Env.Flags |= mail.FlagRequireTLS
		if got := fates(s.send("smtp:[a.dest.example]", a).results[0]); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// A connection that was not verified does not serve a message that wants it, and one that
// was serves all.
func TestRequireTLSAndReuse(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	p := &peer{cert: cert, keywords: []string{"PIPELINING", "REQUIRETLS"}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "may", RootCAs: pool, DNSEnabled: true,
		Resolver: fakeDNS{addrs: map[string]string{"mx.dest.example": "192.0.2.1"}}})
	s.net.tcp = true
	all := letters(4)
	all[1].Env.Flags |= mail.FlagRequireTLS
	all[3].Env.Flags |= mail.FlagRequireTLS
	src := s.send("smtp:[mx.dest.example]", all...)
	want := []int{1, 1, 2, 3} // conn_use
	for i, r := range src.results {
		if r[0].State != mail.Delivered || r[0].ConnUse != want[i] {
			t.Errorf("message %d: conn_use %d, %s", i, r[0].ConnUse, fate(r[0]))
		}
	}
	if p.count() != 2 {
		t.Errorf("%d connections", p.count())
	}
}

// Whatever way a session came about: without proof of who the server is, there is a reason
// not to send.
func TestRequireTLSIsAskedForEachMessage(t *testing.T) {
	a := letter("r@dest.example")
	a.Env.Flags |= mail.FlagRequireTLS
	for _, s := range []session{{}, {overTLS: true}, {overTLS: true, extensions: extRequireTLS}, {extensions: extRequireTLS, verified: true}, {overTLS: true, verified: true}} {
		if s.needsTLS(a) == nil {
			t.Errorf("TLS %v, verified %v, offers %b: sent", s.overTLS, s.verified, s.extensions)
		}
	}
	if f := (&session{overTLS: true, verified: true, extensions: extRequireTLS}).needsTLS(a); f != nil {
		t.Error(f.reason)
	}
}

// A report is not lost for the requirement (RFC 8689 section 5), nor is what stays on this
// machine.
func TestRequireTLSOfReports(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	for _, keywords := range [][]string{{"REQUIRETLS"}, {}} {
		p := &peer{cert: cert, keywords: keywords}
		plain := &peer{}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p, "192.0.2.2:25": plain, "/run/lmtp": &peer{lmtp: true}}, Options{TLSLevel: "may"})
		s.net.tcp = true
		report := letter("r@dest.example")
		report.Env.Sender, report.Env.Flags = mail.Address{}, mail.FlagRequireTLS
		for _, dest := range []string{"smtp:[192.0.2.1]", "smtp:[192.0.2.2]"} {
			if got := fates(s.send(dest, report).results[0]); !strings.HasPrefix(got, "sent") {
				t.Errorf("%s: %s", dest, got)
			}
		}
		if from := p.got()[0].from; strings.Contains(from, "REQUIRETLS") != (len(keywords) > 0) {
			t.Errorf("MAIL FROM:%s", from)
		}
		if from := plain.got()[0].from; strings.Contains(from, "REQUIRETLS") {
			t.Errorf("in the clear: MAIL FROM:%s", from)
		}
		a := letter("r@dest.example")
		a.Env.Flags = mail.FlagRequireTLS
		if got := fates(s.send("lmtp:unix:/run/lmtp", a).results[0]); !strings.HasPrefix(got, "sent") {
			t.Errorf("over a Unix socket: %s", got)
		}
	}
}
