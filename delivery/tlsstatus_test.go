package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// byDomain is a policy for each domain.
type byDomain map[string]mail.TLSChoice

func (b byDomain) TLS(_ context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	c, ok := b[peer.Domain]
	if !ok {
		return c, errors.New("no policy for " + peer.Domain)
	}
	return c, nil
}

// heard is a TLSReporter.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) Session(s mail.TLSSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	reason := ""
	if s.Reason != "" {
		reason = " because"
	}
	h.said = append(h.said, fmt.Sprintf("%s %s %s %s%s", s.Peer.Domain, s.Peer.Host, s.Remote, s.Result, reason))
}

// How a connection was secured is in the result, and reported once.
func TestTLSStatus(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	good, bad := wants(pool, "mx.dest.example"), wants(pool, "other.example")
	bad.Asked = mail.TLSDANE
	trial := bad
	trial.Level, trial.Asked, trial.Testing = mail.TLSMay, "", true
	half := good
	half.Level = mail.TLSHalfDANE
	broken := map[string]string{"STARTTLS": "220 go| close"}
	refused := map[string]string{"STARTTLS": "454 4.7.0 no"}
	const host = "dest.example mx.dest.example 192.0.2.1 "
	for _, c := range []struct {
		name   string
		choice mail.TLSChoice
		err    error
		offer  bool
		says   map[string]string
		flags  mail.Flags
		fate   string
		want   string
		report string
	}{
		{"none", mail.TLSChoice{Level: mail.TLSNone}, nil, true, nil, 0, "sent", "none", ""},
		{"may", mail.TLSChoice{Level: mail.TLSMay}, nil, true, nil, 0, "sent", "may", host},
		{"may, not offered", mail.TLSChoice{Level: mail.TLSMay}, nil, false, nil, 0, "sent", "may:none", host + "starttls-not-supported"},
		{"may, refused", mail.TLSChoice{Level: mail.TLSMay}, nil, true, refused, 0, "sent", "may:none", host + "starttls-not-supported because"},
		{"may, broken", mail.TLSChoice{Level: mail.TLSMay}, nil, true, broken, 0, "sent", "may:none", host + "validation-failure because"},
		{"no greeting", mail.TLSChoice{Level: mail.TLSMay}, nil, true, map[string]string{"connect": "421 4.3.2 no"}, 0, "deferred 4.3.2", "may?", ""},
		{"dane is may", mail.TLSChoice{Level: mail.TLSMay, Asked: mail.TLSDANE}, nil, true, nil, 0, "sent", "dane:may", host},
		{"encrypt, not offered", mail.TLSChoice{Level: mail.TLSEncrypt}, nil, false, nil, 0, "deferred 4.7.4", "!encrypt", host + "starttls-not-supported"},
		{"secure", good, nil, true, nil, 0, "sent", "secure", host},
		{"dane, another name", bad, nil, true, nil, 0, "deferred 4.7.5", "!dane", host + "validation-failure because"},
		{"testing", trial, nil, true, nil, 0, "sent", "may", host + "validation-failure because"},
		{"no policy", mail.TLSChoice{}, errors.New("no answer"), true, nil, 0, "deferred 4.7.5", "", ""},
		{"a policy that forbids", mail.TLSChoice{}, &mail.TLSError{Status: mail.Status{Enhanced: mail.Code(4, 7, 5), Text: "not this host"}, Result: "sts-policy-invalid"},
			true, nil, 0, "deferred 4.7.5 none (not this host)", "", host + "sts-policy-invalid because"},
		{"REQUIRETLS", good, nil, true, nil, mail.FlagRequireTLS, "bounced 5.7.30", "secure/!requiretls:none", host},
		{"REQUIRETLS, MX records that nobody signed", half, nil, true, nil, mail.FlagRequireTLS, "bounced 5.7.10 none", "", ""},
		{"REQUIRETLS, another name", bad, nil, true, nil, mail.FlagRequireTLS, "bounced 5.7.10", "!dane/!requiretls:nocertmatch", host + "validation-failure because"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: allKeywords, on: script(c.says)}
			if c.offer {
				p.cert = cert
			}
			h := &heard{}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
				TLSPolicy: &policy{choice: c.choice, err: c.err}, TLSReporter: h, LogTLSStatus: true, DNSEnabled: true,
				Resolver: fakeDNS{mx: map[string]string{"dest.example": "10 mx.dest.example"}, addrs: map[string]string{"mx.dest.example": "192.0.2.1"}},
			})
			s.net.tcp = true
			a := letter("r@dest.example")
			a.Env.Flags |= c.flags
			r := s.send("smtp:dest.example", a).results[0][0]
			if !strings.HasPrefix(fate(r), c.fate) {
				t.Error(fate(r))
			}
			if r.TLS != c.want {
				t.Errorf("status %q, want %q", r.TLS, c.want)
			}
			if got := strings.Join(h.said, "; "); got != c.report {
				t.Errorf("reported %q, want %q", got, c.report)
			}
		})
	}
}

// A message that asks for no policy goes where the policy cannot be kept.
func TestTLSRequiredNo(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	for _, c := range []struct {
		name   string
		err    error
		flags  mail.Flags
		obeyed bool
		want   string
		report int
	}{
		{"no field", nil, 0, true, "deferred 4.7.5", 1},
		{"field", nil, mail.FlagTLSOptional, true, "sent", 0},
		{"switched off", nil, mail.FlagTLSOptional, false, "deferred 4.7.5", 1},
		{"a policy that cannot be had", errors.New("no answer"), mail.FlagTLSOptional, true, "sent", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: allKeywords, cert: cert}
			h := &heard{}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
				TLSPolicy: &policy{choice: wants(pool, "other.example"), err: c.err}, TLSReporter: h, TLSRequired: c.obeyed, MinimalBackoff: time.Hour,
			})
			s.net.tcp = true
			a := letter("r@dest.example")
			a.Env.Flags |= c.flags
			if got := fates(s.send("smtp:[192.0.2.1]", a).results[0]); !strings.HasPrefix(got, c.want) {
				t.Error(got)
			}
			if len(h.said) != c.report {
				t.Errorf("reported %q", h.said)
			}
		})
	}
}

// What one message may do no other does after it on the same connection: go unverified, or
// in the clear.
func TestLenientConnectionIsNotShared(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	lenient := letter("r@dest.example")
	lenient.Env.Flags |= mail.FlagTLSOptional
	old := letter("r@dest.example")
	old.Active = old.Env.Arrived.Add(2 * time.Hour)
	broken := func(conn int, cmd string) string {
		if cmd == "STARTTLS" && conn == 1 {
			return "220 go| close"
		}
		return ""
	}
	for _, c := range []struct {
		name    string
		choice  mail.TLSChoice
		on      func(int, string) string
		letters []*mail.Attempt
		want    string // whether each came, and over TLS
	}{
		{"no policy", wants(pool, "other.example"), nil, []*mail.Attempt{lenient, letter("r@dest.example"), lenient}, "tls, deferred, tls"},
		{"plain after a failure", mail.TLSChoice{Level: mail.TLSMay}, broken, []*mail.Attempt{old, letter("r@dest.example")}, "plain, tls"},
		{"plain after a failure, both old", mail.TLSChoice{Level: mail.TLSMay}, broken, []*mail.Attempt{old, old}, "plain, plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: allKeywords, cert: cert, on: c.on}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
				TLSPolicy: &policy{choice: c.choice}, TLSRequired: true, MinimalBackoff: time.Hour, CacheFor: func(string) bool { return true },
			})
			s.net.tcp = true
			var got []string
			for _, r := range s.send("smtp:[192.0.2.1]", c.letters...).results {
				if r[0].State != mail.Delivered {
					got = append(got, "deferred")
					continue
				}
				if came := p.got()[len(filter(got)):]; came[0].tls {
					got = append(got, "tls")
				} else {
					got = append(got, "plain")
				}
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

// filter leaves out what did not come.
func filter(fates []string) (came []string) {
	for _, f := range fates {
		if f != "deferred" {
			came = append(came, f)
		}
	}
	return came
}
