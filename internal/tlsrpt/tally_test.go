package tlsrpt

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// at is a Reporter at a moment that does not pass.
func (w *world) at(now time.Time) *Reporter {
	o := w.options()
	o.Now = func() time.Time { return now }
	return New(o)
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func noonSession(domain, result string, policies ...mail.TLSPublished) mail.TLSSession {
	s := session(domain, result, policies...)
	s.At = noon
	return s
}

// The document, as the documentation shows it.
func TestReportGolden(t *testing.T) {
	r := newWorld(t).at(noon)
	for range 3 {
		r.Session(noonSession("dest.example", "", sts("dest.example")))
	}
	expired := noonSession("dest.example", "certificate-expired", sts("dest.example"))
	expired.Reason = "x509: certificate has expired"
	r.Session(expired)
	r.Session(expired)
	r.Session(noonSession("dest.example", "starttls-not-supported"))
	r.Session(noonSession("dest.example", "", tlsa("mx.dest.example")))
	doc, err := r.ReportOn("DEST.example.")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkReport(got); err != nil {
		t.Errorf("%v in\n%s", err, got)
	}
	const golden = "testdata/report.golden"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := os.ReadFile(golden)
	if string(got)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What a session counts for.
func TestSessionCounts(t *testing.T) {
	failing := sts("x.example")
	failing.Result, failing.Reason = "sts-policy-fetch-error", "time-out"
	for _, c := range []struct {
		name string
		s    mail.TLSSession
		want string // type, domain, successes and results
	}{
		{"no policy, good", session("x.example", ""), "no-policy-found x.example 1"},
		{"no policy, failed", session("x.example", "starttls-not-supported"), "no-policy-found x.example 0 starttls-not-supported=1"},
		{"two policies, failed", session("x.example", "certificate-host-mismatch", tlsa("mx.x.example"), sts("x.example")),
			"sts x.example 0 certificate-host-mismatch=1; tlsa mx.x.example 0 certificate-host-mismatch=1"},
		{"a policy that is broken itself", session("x.example", "", tlsa("mx.x.example"), failing),
			"sts x.example 0 sts-policy-fetch-error=1; tlsa mx.x.example 1"},
		{"the policy's own fault comes first", session("x.example", "certificate-expired", failing), "sts x.example 0 sts-policy-fetch-error=1"},
		{"the same policy twice", session("x.example", "", sts("x.example"), sts("x.example")), "sts x.example 1"},
		{"a policy's domain in U-labels", session("x.example", "", mail.TLSPublished{Type: "sts", Domain: "Grün.Example."}), "sts xn--grn-ioa.example 1"},
		{"patterns", session("x.example", "", mail.TLSPublished{Type: "sts", Hosts: []string{"*.MX.Grün.example", "a b", "*.", "", "Mx.example."}}), "sts x.example 1 hosts=[*.mx.xn--grn-ioa.example mx.example]"},
		{"a policy without a domain", session("x.example", "", mail.TLSPublished{Type: "tlsa"}), "tlsa x.example 1"},
		{"an unknown type of policy", session("x.example", "", mail.TLSPublished{Type: "psychic", Domain: "y.example"}), "no-policy-found x.example 1"},
		{"an unknown result", session("x.example", "solar-flare"), "no-policy-found x.example 0 validation-failure(solar-flare)=1"},
		{"domain in U-labels", session("Grün.Example", ""), "no-policy-found xn--grn-ioa.example 1"},
		{"an address", session("192.0.2.1", ""), ""},
		{"an IPv6 address", session("2001:db8::1", ""), ""},
		{"no domain", session("[x]", ""), ""},
		{"LMTP", func() mail.TLSSession { s := session("x.example", ""); s.Peer.LMTP = true; return s }(), ""},
		{"a socket", func() mail.TLSSession { s := session("x.example", ""); s.Peer.Port = 0; return s }(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newWorld(t).at(time.Now())
			r.Session(c.s)
			var got []string
			for _, tally := range r.tallies {
				doc := tally.report(&r.params)
				raw, err := json.Marshal(doc)
				if err != nil {
					t.Fatal(err)
				}
				if err := checkReport(raw); err != nil {
					t.Errorf("%v in %s", err, raw)
				}
				for _, p := range doc.Policies {
					line := fmt.Sprintf("%s %s %d", p.Policy.Type, p.Policy.Domain, p.Summary.Successes)
					if hosts := p.Policy.MXHosts; hosts != nil && len(c.s.Policies) > 0 && c.s.Policies[0].Strings == nil {
						line += fmt.Sprint(" hosts=", hosts)
					}
					for _, f := range p.Failures {
						line += " " + f.Result
						if f.Reason != "" && p.Policy.Type == policyNone {
							line += "(" + f.Reason + ")"
						}
						line += fmt.Sprintf("=%d", f.Sessions)
					}
					got = append(got, line)
				}
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("counted as %q, want %q", s, c.want)
			}
		})
	}
}

// Details that others choose are bounded, each of them and all together; the totals are
// right whatever is left of them.
func TestBounds(t *testing.T) {
	long := strings.Repeat("é\x00\xff\r\n", 3000)
	vary := map[string]func(s *mail.TLSSession, i int){
		"reasons":   func(s *mail.TLSSession, i int) { s.Reason = fmt.Sprint(i, long) },
		"names":     func(s *mail.TLSSession, i int) { s.Helo, s.Peer.Host = fmt.Sprint(i, long), fmt.Sprint(i, long) },
		"addresses": func(s *mail.TLSSession, i int) { s.Remote = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) },
		"results":   func(s *mail.TLSSession, i int) { s.Result = fmt.Sprint("x", i) },
		"policies":  func(s *mail.TLSSession, i int) { s.Policies[0].Strings = []string{fmt.Sprint(i), long, long} },
		"many hosts": func(s *mail.TLSSession, i int) {
			s.Policies[0].Hosts = strings.Split(strings.Repeat("mx.example ", 5000)+fmt.Sprint(i), " ")
		},
		"domains of policies": func(s *mail.TLSSession, i int) { s.Policies[0].Domain = fmt.Sprint("d", i, ".example") },
		"policies at once": func(s *mail.TLSSession, i int) {
			for j := range 100 {
				s.Policies = append(s.Policies, mail.TLSPublished{Type: "tlsa", Domain: fmt.Sprint("p", j, ".example")})
			}
		},
	}
	const n = 1000
	for what, f := range vary {
		t.Run(what, func(t *testing.T) {
			r := newWorld(t).at(noon)
			for i := range n {
				s := noonSession("x.example", "certificate-expired", sts("x.example"))
				f(&s, i)
				r.Session(s)
			}
			doc, err := r.ReportOn("x.example")
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > 400<<10 {
				t.Errorf("a report of %d bytes", len(raw))
			}
			var failed uint64
			for _, p := range doc.Policies {
				if p.Policy.Type == policySTS {
					failed += p.Summary.Failures
				}
				sum := uint64(0)
				for _, d := range p.Failures {
					sum += d.Sessions
				}
				if sum != p.Summary.Failures {
					t.Errorf("details of %d sessions, total %d", sum, p.Summary.Failures)
				}
			}
			if failed != n {
				t.Errorf("%d sessions, want %d", failed, n)
			}
			if details := len(raw); r.room.left < maxRoom-2*details-perEntry*200 {
				t.Errorf("%d of the room is gone for %d bytes", maxRoom-r.room.left, details)
			}
		})
	}
}

// A day has so many domains; sessions with others are counted together.
func TestTooManyDomains(t *testing.T) {
	r := newWorld(t).at(noon)
	for i := range maxDomains + 5 {
		r.Session(noonSession(fmt.Sprintf("d%d.example", i), ""))
	}
	r.Session(noonSession("one-more.example", "certificate-expired"))
	r.Session(noonSession("d0.example", ""))
	if n := len(r.tallies); n != maxDomains {
		t.Errorf("%d tallies, want %d", n, maxDomains)
	}
	first := r.Counts()[0]
	if want := (Count{Day: "2026-01-31", Reports: "no", Successes: 5, Failures: 1}); !reflect.DeepEqual(first, want) {
		t.Errorf("beyond the bound: %+v, want %+v", first, want)
	}
}

// When all the room is taken nothing is kept but numbers.
func TestRoom(t *testing.T) {
	r := newWorld(t).at(noon)
	r.room.left = 3000
	for i := range 50 {
		s := noonSession(fmt.Sprintf("d%d.example", i%5), "certificate-expired", sts("x.example"))
		s.Reason = strings.Repeat(fmt.Sprint(i), 100)
		r.Session(s)
	}
	var failed uint64
	for _, c := range r.Counts() {
		failed += c.Failures
	}
	if failed != 50 || r.room.left < 0 {
		t.Errorf("%d sessions, room for %d; want 50 and not less than none", failed, r.room.left)
	}
	for _, tally := range r.tallies {
		r.drop(tally)
	}
	if r.room.left != 3000 {
		t.Errorf("dropping all gives back room for %d, want 3000", r.room.left)
	}
}

// Sessions come from many deliveries at once, while the file is written and operators look.
func TestAtOnce(t *testing.T) {
	r := newWorld(t).at(noon)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				r.Session(noonSession(fmt.Sprintf("d%d.example", j%7), []string{"", "certificate-expired"}[i%2]))
			}
		})
	}
	all.Go(func() {
		for range 20 {
			r.save()
			r.Counts()
			r.decide(key{dayOf(noon), "d3.example"}, ErrNoRecord)
		}
	})
	all.Wait()
	var good, failed uint64
	for _, c := range r.Counts() {
		good, failed = good+c.Successes, failed+c.Failures
	}
	if good != 800 || failed != 800 {
		t.Errorf("%d and %d sessions, want 800 each", good, failed)
	}
}

// A session belongs to the day it was in, unless that is over, or another clock's.
func TestWhichDay(t *testing.T) {
	today := time.Date(2026, 1, 31, 0, 0, 30, 0, time.UTC)
	for _, c := range []struct {
		name  string
		at    time.Time
		begun bool // yesterday's report is on its way
		want  string
	}{
		{"now", today, false, "2026-01-31"},
		{"a moment before midnight", today.Add(-40 * time.Second), false, "2026-01-30"},
		{"that was reported already", today.Add(-40 * time.Second), true, "2026-01-31"},
		{"long ago", today.Add(-2 * day), false, "2026-01-31"},
		{"tomorrow", today.Add(2 * day), false, "2026-01-31"},
		{"no time", time.Time{}, false, "2026-01-31"},
	} {
		r := newWorld(t).at(today)
		if c.begun {
			r.put(&tally{key: key{dayOf(today) - 86400, "x.example"}, begun: today})
		}
		s := session("x.example", "")
		s.At = c.at
		r.Session(s)
		var got string
		for _, count := range r.Counts() {
			got += count.Day
		}
		if got != c.want {
			t.Errorf("%s: counted for %s, want %s", c.name, got, c.want)
		}
	}
}

// Of a domain that has no record the sessions are counted, and nothing else is kept.
func TestWithoutRecord(t *testing.T) {
	r := newWorld(t).at(noon)
	broken := sts("x.example")
	broken.Result = "sts-policy-invalid"
	r.Session(noonSession("x.example", "", broken))
	r.decide(key{dayOf(noon), "x.example"}, ErrNoRecord)
	r.Session(noonSession("x.example", "", broken))
	r.Session(noonSession("x.example", "certificate-expired"))
	r.Session(noonSession("x.example", ""))
	if got, want := r.Counts(), []Count{{Day: "2026-01-31", Domain: "x.example", Reports: "no", Successes: 1, Failures: 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := r.ReportOn("x.example"); err != ErrNotWanted {
		t.Errorf("the report: %v", err)
	}
	if r.room.left != maxRoom {
		t.Errorf("it takes %d bytes", maxRoom-r.room.left)
	}
}
