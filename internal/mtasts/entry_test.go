package mtasts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The number of domains is bounded. Those without a policy make room first, and then those
// that have had no mail for longest.
func TestMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.source(Options{MaxDomains: 10})
		for i := range 5 {
			domain := fmt.Sprintf("d%d.example", i)
			w.publish(domain, "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
			expect(t, s, domain, "mx.example.com", "enforce")
			time.Sleep(time.Second)
		}
		for i := range 1000 {
			expect(t, s, fmt.Sprintf("made-up-%d.example", i), "mx.example.com", "none")
		}
		w.set(func() { w.txt = map[string][]string{} })
		for i := range 5 {
			expect(t, s, fmt.Sprintf("d%d.example", i), "evil.example.org", "refused")
			time.Sleep(time.Second)
		}
		for i := range 10 {
			domain := fmt.Sprintf("e%d.example", i)
			w.publish(domain, "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
			expect(t, s, domain, "mx.example.com", "enforce")
			expect(t, s, "d4.example", "evil.example.org", "refused")
			time.Sleep(time.Second)
		}
		w.set(func() { w.txt = nil })
		expect(t, s, "d0.example", "evil.example.org", "none")
		expect(t, s, "d4.example", "evil.example.org", "refused")
		if len(s.entries) != 10 {
			t.Errorf("%d domains", len(s.entries))
		}
	})
}

// The bytes of all policies are bounded, and what is counted is what is there: over random
// changes of policies large and small.
func TestBytesAreBounded(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	now := time.Now()
	s := New(Options{MaxDomains: 3000, Now: func() time.Time { return now }})
	small, err := ParsePolicy([]byte(policyText("enforce", time.Hour, "mx.example.com")))
	large := Policy{Version: "STSv1", Mode: ModeEnforce, MaxAge: time.Hour, MX: slices.Repeat([]string{strings.Repeat("a.", 100) + "example"}, 300)}
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for range 10_000 {
		domain := fmt.Sprintf("d%d.example", r.IntN(4000))
		e := s.entry(domain, now)
		p := []Policy{small, large, {}}[r.IntN(3)]
		if e.id = ""; p.Mode != "" {
			e.id, e.fetched = "1", now
		}
		e.used = now
		s.hold(e, domain, p)
		most = max(most, s.bytes)
		now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
	}
	sum := 0
	for _, e := range s.entries {
		for _, mx := range e.policy.MX {
			sum += len(mx) + 16
		}
	}
	if sum != s.bytes || most > maxBytes || most < maxBytes/2 || len(s.entries) > 3000 {
		t.Errorf("seed %d: %d bytes are counted, %d are there, %d at most, in %d domains", seed, s.bytes, sum, most, len(s.entries))
	}
}
