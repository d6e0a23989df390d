package delivery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// dialled is which hosts the network was asked for since the last time.
func (n *network) dialled() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var hosts []string
	for _, address := range n.dials {
		hosts = append(hosts, strings.TrimSuffix(strings.TrimPrefix(address, "192.0.2."), ":25"))
	}
	n.dials = nil
	return strings.Join(hosts, " ")
}

// A dead host costs one try a minute, and less and less; the site is well all the time.
func TestDeadHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := mxZone(3)
		zone.mx["dest.example"] = "10 mx1.example, 10 mx2.example, 20 mx3.example"
		peers := map[string]any{"192.0.2.1:25": syscall.ETIMEDOUT, "192.0.2.2:25": &peer{keywords: allKeywords}, "192.0.2.3:25": &peer{keywords: allKeywords}}
		s := newSetup(t, peers, Options{DNSEnabled: true, Resolver: zone, CacheTime: -1})
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, "1 2"}, {0, "2"}, {59 * time.Second, "2"}, // a minute
			{time.Second, "1 2"}, {0, "2"}, {119 * time.Second, "2"}, // two
			{time.Second, "1 2"}, {239 * time.Second, "2"}, // four
			{time.Second, "1 2"}, {479 * time.Second, "2"}, // eight
			{time.Second, "1 2"}, {599 * time.Second, "2"}, // ten, and no longer
			{time.Second, "1 2"}, {599 * time.Second, "2"},
			{21 * time.Minute, "1 2"}, {59 * time.Second, "2"}, {time.Second, "1 2"}, // from the beginning
		} {
			time.Sleep(step.after)
			src := s.send("smtp:dest.example", letter("r@dest.example"))
			if got := fates(src.results[0]); !strings.HasPrefix(got, "sent") || src.feedback[0] != mail.FeedbackGood {
				t.Errorf("%s, feedback %v", got, src.feedback[0])
			}
			if got := s.net.dialled(); got != step.want {
				t.Fatalf("after %s: tried %s, want %s", step.after, got, step.want)
			}
		}
		// It is back: the penalty is forgotten.
		s.net.peers["192.0.2.1:25"] = &peer{keywords: allKeywords}
		time.Sleep(10 * time.Minute)
		for range 2 {
			s.send("smtp:dest.example", letter("r@dest.example"))
			if got := s.net.dialled(); got != "1" {
				t.Errorf("tried %s", got)
			}
		}
		if len(s.hosts.byAddr) != 0 {
			t.Errorf("remembered: %v", s.hosts.byAddr)
		}
	})
}

// Many that fail at once are one failure.
func TestFailuresAtOnce(t *testing.T) {
	var table hostTable
	now, h := time.Now(), makeHosts(1, 0, 10)[0]
	for range 20 {
		table.failed(&h, now)
	}
	if s := table.byAddr[h.key()]; s.length != penaltyFirst || !s.until.Equal(now.Add(penaltyFirst)) {
		t.Errorf("penalty %s until %s", s.length, s.until.Sub(now))
	}
}

// What the hosts in penalty are tried for, and what not.
func TestHostsInPenalty(t *testing.T) {
	later := func() *peer {
		return &peer{keywords: allKeywords, on: script(map[string]string{"MAIL": "450 4.1.8 later"})}
	}
	fine := func() *peer { return &peer{keywords: allKeywords} }
	for _, c := range []struct {
		name  string
		hosts []any
		shun  []int
		tried string
		fate  string
		bad   bool
	}{
		{"no others: as if there were no penalty", []any{fine(), fine()}, []int{1, 2}, "1", "sent", false},
		{"the only host", []any{fine()}, []int{1}, "1", "sent", false},
		{"a lesser host instead", []any{fine(), fine()}, []int{1}, "2", "sent", false},
		{"the others are dead, too", []any{fine(), syscall.ECONNREFUSED}, []int{1}, "2 1", "sent", false},
		{"all are dead", []any{syscall.ECONNREFUSED, syscall.ECONNREFUSED, syscall.EHOSTUNREACH}, []int{1}, "2 3 1",
			"deferred 4.4.1 none (connect to mx1.example[192.0.2.1]:25: Connection refused)", true},
		{"another has talked: it is left alone", []any{fine(), later()}, []int{1}, "2",
			"deferred 4.1.8 mx2.example[192.0.2.2]:25 (host mx2.example[192.0.2.2] said: 450 4.1.8 later (in reply to MAIL FROM command))", false},
		{"another was too busy to talk", []any{fine(), &peer{on: script(map[string]string{"connect": "421 no"})}}, []int{1}, "2",
			"deferred 4.0.0 mx2.example[192.0.2.2]:25 (host mx2.example[192.0.2.2] refused to talk to me: 421 no)", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			peers := map[string]any{}
			for i, h := range c.hosts {
				peers[fmt.Sprintf("192.0.2.%d:25", i+1)] = h
			}
			s := newSetup(t, peers, Options{DNSEnabled: true, Resolver: mxZone(len(c.hosts))})
			for _, n := range c.shun {
				s.hosts.failed(&host{addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), port: 25}, time.Now())
			}
			src := s.send("smtp:dest.example", letter("r@dest.example"))
			if got := fates(src.results[0]); !strings.HasPrefix(got, c.fate) {
				t.Errorf("got  %s\nwant %s", got, c.fate)
			}
			if got := s.net.dialled(); got != c.tried {
				t.Errorf("tried %s, want %s", got, c.tried)
			}
			if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
				t.Errorf("feedback bad: %v, want %v", bad, c.bad)
			}
		})
	}
}

// A machine without room for another connection blames no host.
func TestNoPenaltyForWhatIsOurs(t *testing.T) {
	s := newSetup(t, map[string]any{"192.0.2.1:25": syscall.EMFILE}, Options{})
	s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
	if len(s.hosts.byAddr) != 0 {
		t.Errorf("remembered: %v", s.hosts.byAddr)
	}
}

// Hosts that are dead for good, more of them than there should be: what is remembered has
// a bound.
func TestPenaltiesAreBounded(t *testing.T) {
	var table hostTable
	now := time.Now()
	for i := range 3 * hostsMost {
		table.failed(&host{addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), port: 25}, now)
		if n := len(table.byAddr); n > hostsMost {
			t.Fatalf("%d hosts", n)
		}
	}
	now = now.Add(time.Hour)
	for i := range hostsMost {
		table.failed(&host{addr: netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), port: 25}, now)
		now = now.Add(2 * penaltyFirst)
		if n := len(table.byAddr); i > 100 && n > 2*hostsFew {
			t.Fatalf("%d hosts, most of them long forgiven", n)
		}
	}
}

// The order stays what it was, but for the hosts in penalty.
func TestArrange(t *testing.T) {
	var table hostTable
	now := time.Now()
	hosts := makeHosts(6, 0, 10)
	for _, i := range []int{1, 4} {
		table.failed(&hosts[i], now)
	}
	before := slices.Clone(hosts)
	table.arrange(hosts, 0, now.Add(penaltyFirst))
	if !slices.Equal(hosts, before) {
		t.Error("a penalty that is over counts")
	}
	table.arrange(hosts, 0, now)
	if got := hostList(hosts); got != "/192.0.2.0 /192.0.2.2 /192.0.2.3 /192.0.2.5 /192.0.2.1 /192.0.2.4" {
		t.Error(got)
	}
	hosts = makeHosts(3, 0, 10)
	table.arrange(hosts, 1, now)
	if got := hostList(hosts); got != "/192.0.2.0 /192.0.2.2 /192.0.2.1" || !hosts[2].shunned {
		t.Error(got)
	}
}
