package delivery

import (
	"context"
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// changing is a policy that changes after some questions.
type changing struct {
	asked   atomic.Int64
	after   int64
	choices [2]mail.TLSChoice
}

func (c *changing) TLS(_ context.Context, _ mail.TLSPeer) (mail.TLSChoice, error) {
	if c.asked.Add(1) > c.after {
		return c.choices[1], nil
	}
	return c.choices[0], nil
}

// A connection in use is looked at again every second: what changes meanwhile counts.
func TestPolicyChangesWhileAConnectionIsUsed(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	may := mail.TLSChoice{Level: mail.TLSMay}
	half := wants(pool, "mx.dest.example")
	half.Level, half.Key = mail.TLSHalfDANE, "half"
	requiring := letter("r@dest.example")
	requiring.Env.Flags |= mail.FlagRequireTLS
	for _, c := range []struct {
		name    string
		first   mail.TLSChoice
		then    mail.TLSChoice
		step    time.Duration // between looks at the clock
		letters []*mail.Attempt
		want    string
	}{
		{"stricter", may, wants(pool, "other.example"), time.Second, letters(2), "sent, deferred 4.7.5"},
		{"within the second", may, wants(pool, "other.example"), 0, letters(2), "sent, sent"},
		{"the same", may, may, time.Second, letters(2), "sent, sent"},
		{"other versions", may, mail.TLSChoice{Level: mail.TLSMay, Versions: [2]uint16{tls.VersionTLS13, tls.VersionTLS12}}, time.Second, letters(1), "sent"},
		{"REQUIRETLS behind an unsigned MX record", half, half, 0, []*mail.Attempt{letter("r@dest.example"), requiring}, "sent, bounced 5.7.10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: append([]string{"REQUIRETLS"}, allKeywords...), cert: cert}
			now := time.Unix(1_800_000_000, 0)
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
				TLSPolicy: &changing{after: 1, choices: [2]mail.TLSChoice{c.first, c.then}}, DNSEnabled: true, Resolver: mxZone(1),
				Now: func() time.Time { now = now.Add(c.step); return now }, MinimalBackoff: time.Hour,
			})
			s.net.tcp = true
			var got []string
			for _, r := range s.send("smtp:dest.example", c.letters...).results {
				state, _, _ := strings.Cut(fate(r[0]), " mx1")
				state, _, _ = strings.Cut(state, " none")
				got = append(got, strings.TrimSuffix(state, " 2.0.0"))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

// A server with another certificate still resumes sessions that were made with the old one:
// what it shows now is what counts.
func TestResumedCertificateIsNotTheLastWord(t *testing.T) {
	old, oldPool := selfSigned(t, "mx.dest.example")
	next, nextPool := selfSigned(t, "mx.dest.example")
	var current atomic.Pointer[tls.Certificate]
	current.Store(old)
	var resumed, full atomic.Int64
	p := &peer{keywords: allKeywords, cert: old, secured: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.DidResume {
				resumed.Add(1)
			} else {
				full.Add(1)
			}
			return nil
		},
	}}
	pool := oldPool
	choice := mail.TLSChoice{Level: mail.TLSSecure, Key: "the same", Verify: func(s *tls.ConnectionState) mail.TLSVerdict {
		return verifyName(pool, "mx.dest.example")(s)
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSPolicy: &policy{choice: choice}, MinimalBackoff: time.Hour, CacheTime: -1})
	s.net.tcp = true
	send := func(want string, wantResumed, wantFull int64) {
		t.Helper()
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
		s.net.wait() // the server is done as well
		if resumed.Load() != wantResumed || full.Load() != wantFull {
			t.Errorf("%d resumed, %d full handshakes; want %d and %d", resumed.Load(), full.Load(), wantResumed, wantFull)
		}
	}
	send("sent", 0, 1)
	send("sent", 1, 1)
	current.Store(next)
	pool = nextPool
	send("sent", 2, 2) // the resumed one does not fit, and is dropped
	send("sent", 3, 2)
	pool = oldPool
	send("deferred 4.7.5", 4, 3) // nor does the new one
}
