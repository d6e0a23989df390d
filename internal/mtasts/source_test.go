package mtasts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

func policyText(mode string, maxAge time.Duration, mx ...string) string {
	return fmt.Sprintf("version: STSv1\nmode: %s\nmx: %s\nmax_age: %d\n", mode, strings.Join(mx, "\nmx: "), maxAge/time.Second)
}

func peer(domain, host string) mail.TLSPeer {
	return mail.TLSPeer{NextHop: domain, Domain: domain, Host: host, Port: 25, ByMX: true}
}

// state says in a word what a Source makes of a host.
func state(t *testing.T, s *Source, domain, host string) string {
	t.Helper()
	c, err := s.TLS(t.Context(), peer(domain, host))
	var refused *mail.TLSError
	switch {
	case errors.As(err, &refused):
		return "refused"
	case err != nil:
		return err.Error()
	case c.Level == mail.TLSSecure && c.Verify != nil:
		return "enforce"
	case c.Testing && c.Level == mail.TLSMay && c.Verify != nil:
		return "testing"
	case c.Level == mail.TLSMay && c.Verify == nil && len(c.Policies) == 0:
		return "none"
	case c.Level == mail.TLSMay && c.Verify == nil && len(c.Policies) == 1:
		return c.Policies[0].Result
	}
	t.Errorf("%s: a strange choice %+v", domain, c)
	return "strange"
}

func expect(t *testing.T, s *Source, domain, host, want string) {
	t.Helper()
	if got := state(t, s, domain, host); got != want {
		t.Errorf("%s at %s is %s, want %s", domain, host, got, want)
	}
}

// What a policy becomes, field by field.
func TestChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com", "*.example.net"))
		s := w.source(Options{})
		c, err := s.TLS(t.Context(), peer("Example.COM.", "MX1.example.net."))
		if err != nil || c.Level != mail.TLSSecure || c.Testing || c.Verify == nil || c.ServerName != "mx1.example.net" ||
			!strings.Contains(c.Key, "mx1.example.net") || c.Result != "" || len(c.Policies) != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		p := c.Policies[0]
		if p.Type != "sts" || p.Domain != "example.com" || p.Result != "" || strings.Join(p.Hosts, " ") != "mx.example.com *.example.net" ||
			strings.Join(p.Strings, "|") != "version: STSv1|mode: enforce|mx: mx.example.com|mx: *.example.net|max_age: 86400" {
			t.Errorf("%+v", p)
		}
		other, err := s.TLS(t.Context(), peer("example.com", "mx.example.com"))
		if err != nil || other.Key == c.Key {
			t.Errorf("keys %q and %q, %v: a connection to one host must not serve for another", other.Key, c.Key, err)
		}

		c, err = s.TLS(t.Context(), peer("example.com", "a.b.example.net"))
		var refused *mail.TLSError
		if !errors.As(err, &refused) || refused.Result != "validation-failure" || refused.Status.Enhanced != mail.Code(4, 7, 5) || !refused.Status.Temporary() ||
			refused.Status.Text != "host a.b.example.net is not named by the MTA-STS policy of example.com" || len(c.Policies) != 1 || !c.Level.Must() {
			t.Errorf("%+v, %v", c, err)
		}

		w.publish("testing.example", "1", policyText("testing", 24*time.Hour, "mx.example.com"))
		c, err = s.TLS(t.Context(), peer("testing.example", "mx.example.com"))
		if err != nil || c.Level != mail.TLSMay || !c.Testing || c.Verify == nil || c.Result != "" || c.ServerName != "mx.example.com" {
			t.Errorf("%+v, %v", c, err)
		}
		c, err = s.TLS(t.Context(), peer("testing.example", "mx.example.org"))
		if err != nil || c.Level != mail.TLSMay || !c.Testing || c.Verify == nil || c.Result != "validation-failure" || !strings.Contains(c.Reason, "mx.example.org") {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// Whom no policy is about: nobody is asked.
func TestNobodysPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.source(Options{})
		for _, p := range []mail.TLSPeer{
			{NextHop: "[mx.example.com]", Domain: "mx.example.com", Host: "mx.example.com"},
			{NextHop: "example.com", Domain: "example.com", Host: "mx.example.com", ByMX: true, LMTP: true},
			{NextHop: "192.0.2.1", Domain: "192.0.2.1", Host: "192.0.2.1", ByMX: true},
			{NextHop: "[2001:db8::1]", Domain: "2001:db8::1", Host: "2001:db8::1", ByMX: true},
			{NextHop: "[2001:db8::1]", Domain: "[2001:db8::1]", Host: "2001:db8::1", ByMX: true},
			{NextHop: "", Domain: "", Host: "x", ByMX: true},
			{NextHop: ".example.com", Domain: ".example.com", Host: "x", ByMX: true},
			{NextHop: "a..b", Domain: "a..b", Host: "x", ByMX: true},
			{NextHop: "a b", Domain: "a b", Host: "x", ByMX: true},
			{NextHop: "evil/path?", Domain: "evil/path?", Host: "x", ByMX: true},
			{NextHop: "long", Domain: strings.Repeat("a.", 123) + "example", Host: "x", ByMX: true}, // 253 bytes: none left for _mta-sts
		} {
			c, err := s.TLS(t.Context(), p)
			if err != nil || c.Level != mail.TLSMay || c.Verify != nil || c.Policies != nil {
				t.Errorf("%+v: %+v, %v", p, c, err)
			}
		}
		if txts, _ := w.counts(); txts != 0 {
			t.Errorf("DNS is asked: %q", w.asked)
		}
	})
}

// A domain in Unicode has the policy of its A-labels; one with an underscore has its own.
func TestDomainForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, domain := range []string{"xn--bcher-kva.example", "a_b.example"} {
			w.publish(domain, "1", policyText("enforce", 24*time.Hour, "mx.example"))
		}
		s := w.source(Options{})
		expect(t, s, "Bücher.example", "mx.example", "enforce")
		expect(t, s, "XN--Bcher-kva.example.", "mx.example", "enforce")
		expect(t, s, "a_b.example", "mx.example", "enforce")
		if _, gets := w.counts(); gets != 2 {
			t.Errorf("%d fetches", gets)
		}
	})
}

// A policy that has been seen holds for its max_age, whatever becomes of what is published.
func TestPolicyHolds(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(*world)
		then string // when it has expired
	}{
		{"DNS fails", func(w *world) { w.txtIs["_mta-sts.example.com"] = &dns.Error{Name: "x", Type: "TXT"} }, "none"},
		{"the record is gone", func(w *world) { delete(w.txt, "_mta-sts.example.com") }, "none"},
		{"the record is another", func(w *world) { w.txt["_mta-sts.example.com"] = []string{"v=spf1 -all"} }, "none"},
		{"the record is broken", func(w *world) { w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=a b"} }, "sts-policy-invalid"},
		{"two records", func(w *world) { w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=1", "v=STSv1; id=1"} }, "sts-policy-invalid"},
		{"another id without a policy", func(w *world) {
			w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=2"}
			w.page = http.NotFound
		}, "sts-policy-fetch-error"},
		{"another id with a broken policy", func(w *world) {
			w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=2"}
			w.page = text("mode: none\n")
		}, "sts-policy-invalid"},
		{"another id with another's certificate", func(w *world) {
			w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=2"}
			w.cert = w.ca.cert(w.t, "www.example.com")
		}, "sts-webpki-invalid"},
		{"the policy host is gone", func(w *world) { delete(w.addrs, "mta-sts.example.com") }, "sts-policy-fetch-error"},
		{"the page is gone", func(w *world) { w.page = http.NotFound }, "sts-policy-fetch-error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("example.com", "1", policyText("enforce", 7*24*time.Hour, "mx.example.com"))
				s := w.source(Options{})
				expect(t, s, "example.com", "mx.example.com", "enforce")
				w.set(func() { c.lose(w) })
				for range 7*24 - 1 {
					time.Sleep(time.Hour)
					expect(t, s, "example.com", "mx.example.com", "enforce")
					expect(t, s, "example.com", "evil.example.org", "refused")
				}
				time.Sleep(time.Hour)
				expect(t, s, "example.com", "evil.example.org", c.then)
				if n := strings.Count(w.log.String(), "cannot be refreshed"); n < 6 || n > 7 {
					t.Errorf("%d warnings in seven days:\n%s", n, w.log.String())
				}
			})
		})
	}
}

// A new id brings a new policy, within minutes.
func TestIDChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("testing", 7*24*time.Hour, "mx.example.com"))
		s := w.source(Options{})
		expect(t, s, "example.com", "mx.example.com", "testing")
		// Another file under the same id is none of our business.
		w.publish("example.com", "1", policyText("enforce", 7*24*time.Hour, "mx.example.com"))
		for range 10 {
			time.Sleep(lookAgain)
			expect(t, s, "example.com", "mx.example.com", "testing")
			synctest.Wait()
		}
		if txts, gets := w.counts(); gets != 1 || txts < 5 || txts > 11 {
			t.Errorf("%d questions, %d fetches", txts, gets)
		}
		w.publish("example.com", "2", policyText("enforce", 7*24*time.Hour, "mx.example.com"))
		time.Sleep(lookAgain)
		expect(t, s, "example.com", "mx.example.com", "testing") // nobody waits where a policy is known
		synctest.Wait()
		expect(t, s, "example.com", "mx.example.com", "enforce")
		// Hosts that move together with the policy: who is not named waits for the new one.
		w.publish("example.com", "3", policyText("enforce", 7*24*time.Hour, "mx.example.net"))
		time.Sleep(lookAgain)
		expect(t, s, "example.com", "mx.example.net", "enforce")
		expect(t, s, "example.com", "mx.example.com", "refused")
		// And the end of it.
		w.publish("example.com", "4", "version: STSv1\nmode: none\nmax_age: 86400\n")
		time.Sleep(lookAgain)
		expect(t, s, "example.com", "mx.example.com", "none")
		expect(t, s, "example.com", "mx.example.net", "none")
	})
}

// Without a policy a domain is asked about every five minutes at most, and a fetch that has
// failed is not repeated sooner (RFC 8461 section 3.3).
func TestFailuresRest(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*world)
		want string
		gets int
	}{
		{"no record", func(w *world) { delete(w.txt, "_mta-sts.example.com") }, "none", 0},
		{"DNS fails", func(w *world) { w.txtIs["_mta-sts.example.com"] = &dns.Error{Name: "x", Type: "TXT"} }, "none", 0},
		{"two records", func(w *world) { w.txt["_mta-sts.example.com"] = []string{"v=STSv1; id=1", "v=STSv1; id=1"} }, "sts-policy-invalid", 0},
		{"no page", func(w *world) { w.page = http.NotFound }, "sts-policy-fetch-error", 1},
		{"no policy", func(w *world) { w.page = text("") }, "sts-policy-invalid", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
				w.set(func() { c.set(w) })
				s := w.source(Options{})
				for range 5 { // from 0 to 4:56
					expect(t, s, "example.com", "mx.example.com", c.want)
					time.Sleep(74 * time.Second)
				}
				if txts, gets := w.counts(); txts != 2 && txts != 1 || gets > 2 || gets != txts*c.gets {
					t.Errorf("%d questions, %d fetches", txts, gets)
				}
				w.set(func() { w.txtIs = nil })
				w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
				time.Sleep(lookAgain)
				expect(t, s, "example.com", "mx.example.com", "enforce")
			})
		})
	}
}

// Many deliveries to one domain ask once.
func TestSharedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
		w.slow = time.Second
		s := w.source(Options{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { expect(t, s, "example.com", "mx.example.com", "enforce") })
		}
		all.Wait()
		if txts, gets := w.counts(); txts != 1 || gets != 1 {
			t.Errorf("%d questions, %d fetches", txts, gets)
		}
	})
}

// A delivery waits for so long and no longer; what comes later is for the next one.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", "")
		w.page = func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(40 * time.Second)
			text(policyText("enforce", 24*time.Hour, "mx.example.com"))(rw, r)
		}
		s := w.source(Options{})
		began := time.Now()
		expect(t, s, "example.com", "mx.example.com", "sts-policy-fetch-error")
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("waits for %v", took)
		}
		time.Sleep(30 * time.Second)
		expect(t, s, "example.com", "mx.example.com", "enforce")
		if txts, gets := w.counts(); txts != 1 || gets != 1 {
			t.Errorf("%d questions, %d fetches", txts, gets)
		}

		// Where DNS has no answer there is nothing to be reported.
		w.set(func() { w.slow = 30 * time.Second })
		expect(t, s, "slow.example", "mx.example.com", "none")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.TLS(ctx, peer("other.example", "mx.example.com")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with less time: %v", err)
		}
	})
}

// A policy of no age holds for the deliveries that wait for it.
func TestNoAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 0, "mx.example.com"))
		s := w.source(Options{})
		for range 3 {
			expect(t, s, "example.com", "mx.example.com", "enforce")
			expect(t, s, "example.com", "evil.example.org", "refused")
		}
		w.set(func() { w.page = http.NotFound })
		expect(t, s, "example.com", "mx.example.com", "sts-policy-fetch-error")
	})
}

// Whoever has been closed, or asks nobody, does not let mail through in place of a policy
// that it knows.
func TestClosedAndOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
		s := w.source(Options{})
		expect(t, s, "example.com", "evil.example.org", "refused")
		s.Update(nil)
		expect(t, s, "example.com", "evil.example.org", "none")
		s.Update(w.fetcher())
		expect(t, s, "example.com", "evil.example.org", "refused")
		w.set(func() { w.slow = 10 * time.Second })
		var waiting sync.WaitGroup
		waiting.Go(func() { expect(t, s, "other.example", "mx.example.com", ErrClosed.Error()) })
		synctest.Wait()
		s.Close()
		waiting.Wait()
		expect(t, s, "example.com", "evil.example.org", "refused")
		expect(t, s, "third.example", "mx.example.com", ErrClosed.Error())
	})
}
