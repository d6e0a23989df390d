package tlsrpt

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// account is what the test itself has counted: what a report is about, and how often.
type account map[string]uint64

// enter counts a session in the simplest way there is.
func (a account) enter(s mail.TLSSession) {
	if len(s.Policies) == 0 {
		s.Policies = []mail.TLSPublished{{Type: "no-policy-found", Domain: s.Peer.Domain}}
	}
	for _, p := range s.Policies {
		result := cmp.Or(p.Result, s.Result, "ok")
		a[fmt.Sprintf("%s %s %s: %s", s.At.UTC().Format("2006-01-02"), p.Type, p.Domain, result)]++
	}
}

// told is the same of a report.
func (a account) told(doc *Report) {
	for _, p := range doc.Policies {
		line := fmt.Sprintf("%s %s %s: ", doc.DateRange.Start.Format("2006-01-02"), p.Policy.Type, p.Policy.Domain)
		if p.Summary.Successes > 0 {
			a[line+"ok"] += p.Summary.Successes
		}
		for _, f := range p.Failures {
			a[line+f.Result] += f.Sessions
		}
	}
}

func (a account) String() string {
	var b strings.Builder
	for k, n := range a {
		fmt.Fprintf(&b, "%s %d\n", k, n)
	}
	all := strings.Split(strings.TrimSpace(b.String()), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// Four days of sessions at random times, with a restart now and then. Each day of each
// domain that asks for reports is reported once, to each of its endpoints, within four
// hours after its end, with the numbers that the test has counted itself.
func TestDays(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playDays(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func playDays(t *testing.T, dice *rand.Rand) {
	const days = 4
	w := newWorld(t)
	w.records = map[string][]string{
		"mail.example": {"v=TLSRPTv1;rua=mailto:tls@mail.example"},
		"post.example": {"v=spf1 -all", "v=TLSRPTv1; rua=https://reports.example/v1?a=b"},
		"both.example": {"v=TLSRPTv1;rua=mailto:a@both.example,https://reports.example/both,mailto:b@both.example"},
		"two.example":  {"v=TLSRPTv1;rua=mailto:a@x.example", "v=TLSRPTv1;rua=mailto:b@x.example"},
		"odd.example":  {"v=TLSRPTv1;rua=mailto:"},
	}
	domains := []string{"mail.example", "post.example", "both.example", "two.example", "odd.example", "none.example"}
	books := map[string]account{}
	r := w.run(w.options())
	start := time.Now()
	for time.Since(start) < days*day {
		if dice.IntN(30) == 0 {
			r.end()
			r = w.run(w.options())
		}
		domain := domains[dice.IntN(len(domains))]
		s := session(domain, "")
		switch dice.IntN(3) {
		case 0:
			s.Policies = []mail.TLSPublished{sts(domain)}
		case 1:
			s.Policies = []mail.TLSPublished{tlsa("mx." + domain), sts(domain)}
			if dice.IntN(4) == 0 {
				s.Policies[1].Result = "sts-policy-fetch-error"
				s.Policies[1].Strings, s.Policies[1].Hosts = nil, nil
			}
		}
		if dice.IntN(3) == 0 {
			s.Result = results()[dice.IntN(len(results()))]
			s.Reason = fmt.Sprint("reason ", dice.IntN(5))
		}
		if dice.IntN(20) == 0 {
			s.At = s.At.Add(-30 * time.Second) // a slow handshake, perhaps over midnight
		}
		r.Session(s)
		if books[domain] == nil {
			books[domain] = account{}
		}
		books[domain].enter(s)
		time.Sleep(time.Duration(dice.ExpFloat64() * float64(25*time.Minute)))
	}
	time.Sleep(day + spread)
	r.end()

	reported := map[string]account{}
	for _, a := range w.arrived() {
		if err := checkReport(a.raw); err != nil {
			t.Errorf("%v in\n%s", err, a.raw)
		}
		if late := a.at.Sub(a.doc.DateRange.End); late <= settle || late > spread+time.Minute {
			t.Errorf("%s comes %v after the end of its day", a.doc.ID, late)
		}
		if reported[a.to] == nil {
			reported[a.to] = account{}
		}
		reported[a.to].told(&a.doc)
	}
	for to, domain := range map[string]string{
		"mailto:tls@mail.example": "mail.example", "https://reports.example/v1?a=b": "post.example",
		"mailto:a@both.example": "both.example", "https://reports.example/both": "both.example", "mailto:b@both.example": "both.example",
	} {
		if got, want := reported[to].String(), books[domain].String(); got != want {
			t.Errorf("%s was told\n%s\nwant\n%s", to, got, want)
		}
		delete(reported, to)
	}
	if len(reported) > 0 {
		t.Errorf("further reports: %v", reported)
	}
	for which, n := range w.lookups {
		asked := 2 // at its first session, or after a restart before it was known, and for the report
		if wants := w.records[strings.Fields(which)[0]]; len(wants) == 0 {
			asked = 1
		}
		if n > asked {
			t.Errorf("the record of %s was looked up %d times", which, n)
		}
	}
	if n := len(r.tallies); n != 0 {
		t.Errorf("%d tallies are left: %v", n, r.Counts())
	}
	if r.room.left != maxRoom {
		t.Errorf("of the room %d is left, want all", r.room.left)
	}
}

// What a kill costs is the last minute at most; whoever starts with the file of that
// moment reports the rest.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:a@x.example"}
		r := w.run(w.options())
		var killed []byte
		for i := range 100 {
			r.Session(session("x.example", ""))
			if i == 70 {
				killed, _ = os.ReadFile(w.file)
			}
			time.Sleep(time.Second)
		}
		r.end()
		if err := os.WriteFile(w.file, killed, 0o644); err != nil {
			t.Fatal(err)
		}
		r = w.run(w.options())
		time.Sleep(2 * day)
		r.end()
		got := w.arrived()
		if len(got) != 1 {
			t.Fatalf("%d reports, want 1", len(got))
		}
		// One a second; the file was written at the end of the first minute.
		if n := got[0].doc.Policies[0].Summary.Successes; n != 60 && n != 61 {
			t.Errorf("after a kill at 70 s %d sessions are reported, want those of the first minute", n)
		}
	})
}

// A crash between a report and the file: the report comes again, and can be known for it.
func TestCrashAfterReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:a@x.example"}
		r := w.run(w.options())
		r.Session(session("x.example", "certificate-expired"))
		time.Sleep(day / 2)
		before, err := os.ReadFile(w.file)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		r.end()
		if err := os.WriteFile(w.file, before, 0o644); err != nil {
			t.Fatal(err)
		}
		r = w.run(w.options())
		time.Sleep(day)
		r.end()
		got := w.arrived()
		if len(got) != 2 || got[0].doc.ID != got[1].doc.ID || string(got[0].raw) != string(got[1].raw) {
			t.Errorf("%d reports, want the same twice: %+v", len(got), got)
		}
	})
}

// A daemon that was away over the end of a day reports it when it is back, one that was
// away for long does not.
func TestAway(t *testing.T) {
	for _, c := range []struct {
		away time.Duration
		want int
	}{{day + day/2, 1}, {maxAge - time.Hour, 1}, {maxAge + day, 0}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:a@x.example"}
			r := w.run(w.options())
			r.Session(session("x.example", ""))
			r.end()
			time.Sleep(c.away)
			r = w.run(w.options())
			time.Sleep(time.Minute)
			r.end()
			if n := len(w.arrived()); n != c.want {
				t.Errorf("after %v: %d reports, want %d", c.away, n, c.want)
			}
		})
	}
}

// What nobody knew before a restart is asked again after it; what is counted of domains
// beyond the bound goes with its day.
func TestAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dnsDown = true
		r := w.run(w.options())
		r.Session(session("x.example", ""))
		r.set(func() { r.beyond[dayOf(time.Now())] = &totals{OK: 1} })
		synctest.Wait()
		r.end()
		w.set(func() { w.dnsDown = false })
		r = w.run(w.options())
		synctest.Wait()
		counts := r.Counts()
		if len(counts) != 2 || counts[0].Successes != 1 || counts[1].Reports != "no" {
			t.Errorf("after a restart: %+v", counts)
		}
		time.Sleep(day + time.Hour)
		if counts := r.Counts(); len(counts) != 0 {
			t.Errorf("after a day: %+v", counts)
		}
		r.end()
	})
}
