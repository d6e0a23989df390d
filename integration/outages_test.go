package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Hosts that die, are slow, and come back, on stages of their own (netns_test.go). Each
// recipient is a delivery of its own here.

// crowd is n recipients of a domain.
func crowd(n int, domain string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("r%d@%s", i, domain)
	}
	return all
}

// outageRelay is an aliasmx that tries again soon.
func outageRelay(s *stage, more map[string]string) *relay {
	cf := map[string]string{
		"smtp_destination_recipient_limit": "1", "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s",
	}
	for name, value := range more {
		cf[name] = value
	}
	r := s.relay(cf, nil)
	r.start()
	return r
}

// tries is how often a host could not be connected to.
func tries(r *relay, host string) int {
	return len(regexp.MustCompile(`(?m): connect to `+regexp.QuoteMeta(host)+`\[`).FindAllString(r.log(), -1))
}

// A host that is dead costs a few connections and not one for each letter: by IPv6, where
// packets are lost, where the port is closed, where there is no way.
func TestDeadHostIsRemembered(t *testing.T) {
	t.Parallel()
	zone := "good.test. A 192.0.2.20\n"
	deaths := map[string]string{
		"six.test":         "AAAA 2001:db8::80\nd.six.test. A 192.0.2.20", // the address of the same host that works
		"lost.test":        "A 192.0.2.80",
		"refused.test":     "A 192.0.2.70",
		"unreachable.test": "A 192.0.2.90",
	}
	for domain, address := range deaths {
		zone += fmt.Sprintf("%s. MX 10 d.%s.\n%s. MX 20 good.test.\nd.%s. %s\n", domain, domain, domain, domain, address)
	}
	s := newStage(t, zone)
	s.host("192.0.2.70/24")
	good := s.mailHost("192.0.2.20/24")
	r := outageRelay(s, map[string]string{"smtp_connection_reuse_count_limit": "1"}) // a connection for each letter
	const letters = 50
	for domain := range deaths {
		r.submit("<>", crowd(letters, domain)...)
	}
	if !good.Wait(letters*len(deaths), limit) {
		t.Fatalf("%d letters arrived\n%s", good.Count(), r.log())
	}
	for domain := range deaths {
		// Those connections that had begun when the first failed.
		if n := tries(r, "d."+domain); n == 0 || n > 20 {
			t.Errorf("%s: tried %d times for %d letters", domain, n, letters)
		}
	}
	if strings.Contains(r.log(), "status=deferred") {
		t.Errorf("mail waits while a host works\n%s", r.log())
	}
	r.stop()
}

// The best host goes, mail takes the next; it comes back, and mail comes back to it.
func TestBestHostGoesAndComesBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, "dest.test. MX 10 mx1.test.\ndest.test. MX 20 mx2.test.\nmx1.test. A 192.0.2.20\nmx1.test. AAAA 2001:db8::20\nmx2.test. A 192.0.2.21\n")
	host, next := s.host("192.0.2.20/24", "2001:db8::20/64"), s.host("192.0.2.21/24")
	first, second := s.sink(host, peers.Script{}), s.sink(next, peers.Script{})
	r := outageRelay(s, nil)
	r.submit("<>", "a@dest.test")
	if !first.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	s.must(host.IP("link set eth0 down"))
	r.submit("<>", crowd(5, "dest.test")...)
	if !second.Wait(5, limit) {
		t.Fatalf("the second host got %d\n%s", second.Count(), r.log())
	}
	r.waitLog(`connect to mx1\.test\[192\.0\.2\.20\]:25: (?:Connection timed out|No route to host)`)
	r.waitLog(`connect to mx1\.test\[2001:db8::20\]:25: (?:Connection timed out|No route to host)`)
	s.must(host.IP("link set eth0 up", "addr replace 2001:db8::20/64 dev eth0 nodad"))
	// It is left alone for a minute (TestDeadHost of package delivery has that time pass), but
	// when the other one dies it is tried; and then it is the best host again.
	second.Stop()
	r.submit("<>", "b@dest.test")
	r.waitLog(`to=<b@dest\.test>, relay=mx1\.test\[`)
	s.must(next.Do(second.Start))
	r.submit("<>", crowd(5, "dest.test")...)
	if !first.Wait(7, limit) || second.Count() != 5 {
		t.Errorf("the first host got %d, the second %d\n%s", first.Count(), second.Count(), r.log())
	}
	if strings.Contains(r.log(), "status=deferred") {
		t.Errorf("mail waits while a host works\n%s", r.log())
	}
	r.stop()
}

// All hosts die, mail piles up; they come back, and hear first from a few: a host that is
// about to come up is not to be run over. Then the pile leaves.
func TestAllHostsComeBackWithoutHerd(t *testing.T) {
	t.Parallel()
	s := newStage(t, "dest.test. MX 10 mx1.test.\ndest.test. MX 20 mx2.test.\nmx1.test. A 192.0.2.20\nmx2.test. A 192.0.2.21\n")
	one, two := s.host("192.0.2.20/24"), s.host("192.0.2.21/24")
	r := outageRelay(s, nil)
	const letters = 200
	r.submit("<>", crowd(letters, "dest.test")...)
	eventually(t, "all letters have been tried", func() bool {
		out, _ := r.run("postqueue", "-c", r.dir, "-p")
		return strings.Count(r.log(), "status=deferred") >= letters && strings.Contains(out, "Connection refused")
	}, r.log)
	// Up, but too busy to greet anybody yet.
	first, second := s.sink(one, peers.Script{Hang: "banner"}), s.sink(two, peers.Script{Hang: "banner"})
	eventually(t, "somebody knocks", func() bool { return first.Conns()+second.Conns() > 0 }, r.log)
	time.Sleep(3 * time.Second) // several rounds of the queue, in which a herd would come
	if n := first.Conns() + second.Conns(); n > 2 {
		t.Errorf("%d connections to hosts that have said nothing yet", n)
	}
	t.Logf("%d and %d connections before the first word", first.Conns(), second.Conns())
	first.Behave(peers.Script{Delay: 5 * time.Millisecond})
	second.Behave(peers.Script{Delay: 5 * time.Millisecond})
	hangUp := func(k *peers.Sink, host *peers.Namespace) { // whoever waits hears that it was in vain
		k.Stop()
		s.must(host.Do(k.Start))
	}
	hangUp(first, one)
	hangUp(second, two)
	eventually(t, "the pile has left", func() bool { return first.Count()+second.Count() >= letters }, r.log)
	if n := max(first.Most(), second.Most()); n > 20 {
		t.Errorf("%d connections at a time", n)
	}
	t.Logf("at most %d and %d at a time, %d and %d in all", first.Most(), second.Most(), first.Conns(), second.Conns())
	r.waitEmpty()
	r.stop()
}

// Two hosts of one preference, of which one takes connections and says nothing: mail goes
// through the other.
func TestSilentHostHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, "dest.test. MX 10 mx1.test.\ndest.test. MX 10 mx2.test.\nmx1.test. A 192.0.2.20\nmx2.test. A 192.0.2.21\n")
	silent := s.sink(s.host("192.0.2.20/24"), peers.Script{Hang: "banner"})
	good := s.mailHost("192.0.2.21/24")
	r := outageRelay(s, nil)
	const letters = 200
	r.submit("<>", crowd(letters, "dest.test")...)
	// But for those whose turn at the silent one has come: they wait for smtp_helo_timeout,
	// and are no more than half of all connections, and one.
	if !good.Wait(letters-20, limit) {
		t.Fatalf("the good host got %d, the silent one has %d connections\n%s", good.Count(), silent.Open(), r.log())
	}
	if silent.Count() != 0 {
		t.Error("the silent host has got mail")
	}
	if n := silent.Open(); n > 11 {
		t.Errorf("%d connections at the silent host", n)
	}
	r.kill()
}

// Hosts of one preference share the mail.
func TestEqualHostsShare(t *testing.T) {
	t.Parallel()
	s := newStage(t, "dest.test. MX 10 mx1.test.\ndest.test. MX 10 mx2.test.\nmx1.test. A 192.0.2.20\nmx2.test. A 192.0.2.21\n"+
		"dest.test. MX 20 mx3.test.\nmx3.test. A 192.0.2.22\n")
	slow := peers.Script{Delay: 20 * time.Millisecond}
	sinks := []*peers.Sink{s.sink(s.host("192.0.2.20/24"), slow), s.sink(s.host("192.0.2.21/24"), slow), s.mailHost("192.0.2.22/24")}
	r := outageRelay(s, nil)
	const letters = 100
	r.submit("<>", crowd(letters, "dest.test")...)
	eventually(t, "all have arrived", func() bool { return sinks[0].Count()+sinks[1].Count()+sinks[2].Count() >= letters }, r.log)
	for i, k := range sinks[:2] {
		if k.Count() < letters/10 {
			t.Errorf("host %d got %d of %d", i+1, k.Count(), letters)
		}
	}
	if n := sinks[2].Count(); n != 0 {
		t.Errorf("the host of the worse preference got %d", n)
	}
	t.Logf("%d and %d", sinks[0].Count(), sinks[1].Count())
	r.stop()
}
