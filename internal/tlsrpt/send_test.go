package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// What goes wrong with a report, when it comes in the end, and what the log says.
func TestTroubleWithReports(t *testing.T) {
	const https, both = "v=TLSRPTv1;rua=https://reports.example/", "v=TLSRPTv1;rua=https://reports.example/,mailto:a@x.example"
	after := func(n int, then string) func(w *world) {
		return func(w *world) {
			asked := 0
			w.status = func(string) string {
				if asked++; asked <= n {
					return then
				}
				return ""
			}
		}
	}
	for _, c := range []struct {
		name, record string
		trouble      func(w *world) // when the day is over
		over         time.Duration  // when that ends; 0: never
		arrivals     map[string]int
		late         time.Duration // of the last of them, after the first attempt; at least this, and less than twice
		log          string
	}{
		{"none", both, nil, 0, map[string]int{"https://reports.example/": 1, "mailto:a@x.example": 1}, 0, "sent to https://reports.example/ (201 Created)"},
		{"server error twice", https, after(2, "500 Oops"), 0, map[string]int{"https://reports.example/": 1}, 45 * time.Minute, "the server answered 500 Oops; it is tried again in 15m0s"},
		{"a redirect is not followed", https, after(1, "307 Temporary Redirect"), 0, map[string]int{"https://reports.example/": 1}, 15 * time.Minute, "answered 307"},
		{"server error for ever", https, after(1000, "503 Busy"), 0, nil, 0, "answered 503 Busy; given up"},
		{"one endpoint has it already", both, after(1, "400 No"), 0, map[string]int{"https://reports.example/": 1, "mailto:a@x.example": 1}, 15 * time.Minute, "not delivered to https://reports.example/"},
		{"a server that never answers", https, after(1, "never"), 0, map[string]int{"https://reports.example/": 1}, 15 * time.Minute, "not delivered to https://reports.example/"},
		{"a certificate of nobody", https, func(w *world) { _, w.cert = certificate(w.t, "reports.example") }, 0, nil, 0, "certificate signed by unknown authority"},
		{"a certificate of another", "v=TLSRPTv1;rua=https://other.example/", nil, 0, nil, 0, "certificate is valid for reports.example, not other.example"},
		{"the queue is full", both, func(w *world) { w.full = errors.New("insufficient system storage") }, 2 * time.Hour,
			map[string]int{"https://reports.example/": 1, "mailto:a@x.example": 1}, 225 * time.Minute, "not delivered to mailto:a@x.example: insufficient system storage"},
		{"no name server answers", both, func(w *world) { w.dnsDown = true }, 10 * time.Hour,
			map[string]int{"https://reports.example/": 1, "mailto:a@x.example": 1}, 465 * time.Minute, "no name server answers; it is tried again in 4h0m0s"},
		{"the record has gone", both, func(w *world) { delete(w.records, "x.example") }, 0, nil, 0, ""},
		{"the record is broken now", both, func(w *world) { w.records["x.example"] = []string{"v=TLSRPTv1;rua=x"} }, 0, nil, 0, "neither a mailto: nor an https: address"},
		{"the record names another now", both, func(w *world) { w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:b@x.example"} }, 0,
			map[string]int{"mailto:b@x.example": 1}, 0, "sent to mailto:b@x.example (queued as "},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.records["x.example"] = []string{c.record}
				o := w.options()
				o.Delay = func(time.Duration) time.Duration { return time.Hour }
				r := w.run(o)
				r.Session(session("x.example", ""))
				first := time.Now().Truncate(day).Add(day + settle + time.Hour)
				time.Sleep(first.Sub(time.Now()) - time.Second)
				if c.trouble != nil {
					w.set(func() { c.trouble(w) })
				}
				if c.over > 0 {
					time.Sleep(c.over)
					w.set(func() { w.full, w.dnsDown = nil, false })
				}
				time.Sleep(2 * day)
				got := map[string]int{}
				for _, a := range w.arrived() {
					got[a.to]++
					if late := a.at.Sub(first); c.late > 0 && got[a.to] == 1 && a.to == "https://reports.example/" && c.over == 0 && (late < c.late || late > 2*c.late) {
						t.Errorf("%s comes %v after the first attempt, want about %v", a.to, late, c.late)
					}
					if late := a.at.Sub(first); late > 0 && late > max(2*c.late, time.Minute) {
						t.Errorf("%s comes %v after the first attempt, want at most twice %v", a.to, late, c.late)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(c.arrivals) && len(got)+len(c.arrivals) > 0 {
					t.Errorf("reports %v, want %v\n%s", got, c.arrivals, w.logged())
				}
				if c.log != "" && !strings.Contains(w.logged(), c.log) {
					t.Errorf("the log has no %q:\n%s", c.log, w.logged())
				}
				if counts := r.Counts(); len(counts) > 0 {
					t.Errorf("still there: %+v", counts)
				}
				r.end()
			})
		})
	}
}

// Attempts last for a day and no longer, at growing intervals.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.records["x.example"] = []string{"v=TLSRPTv1;rua=https://reports.example/"}
		var tries []time.Time
		w.status = func(string) string { tries = append(tries, time.Now()); return "500 No" }
		r := w.run(w.options())
		r.Session(session("x.example", ""))
		for range 40 { // restarts do not begin anew
			time.Sleep(97 * time.Minute)
			r.end()
			r = w.run(w.options())
		}
		r.end()
		var pauses []string
		for i := 1; i < len(tries); i++ {
			pauses = append(pauses, tries[i].Sub(tries[i-1]).String())
		}
		want := "15m0s 30m0s 1h0m0s 2h0m0s 4h0m0s 4h0m0s 4h0m0s 4h0m0s 4h0m0s"
		if got := strings.Join(pauses, " "); got != want {
			t.Errorf("pauses %s, want %s", got, want)
		}
	})
}

// The end of the daemon is not an endpoint's fault: an attempt that it breaks off is made
// again, and what has arrived does not arrive again.
func TestEndDuringAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:a@x.example,https://reports.example/"}
		w.status = func(string) string { return "never" }
		o := w.options()
		o.Delay = func(time.Duration) time.Duration { return 0 }
		r := w.run(o)
		r.Session(session("x.example", ""))
		time.Sleep(time.Until(time.Now().Truncate(day).Add(day + settle + time.Second)))
		r.end()
		if n := len(w.arrived()); n != 1 {
			t.Fatalf("%d letters before the end, want 1", n)
		}
		for _, tally := range r.tallies {
			if tally.attempts != 0 || tally.busy {
				t.Errorf("what was broken off counts as an attempt: %+v", tally)
			}
		}
		w.set(func() { w.status = nil })
		r = w.run(o)
		time.Sleep(time.Minute)
		r.end()
		got := w.arrived()
		if len(got) != 2 || got[1].to != "https://reports.example/" {
			t.Errorf("arrived: %+v", got)
		}
	})
}

// Only so many reports are under way at a time; the others wait for them.
func TestManyReportsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		now, most := 0, 0
		w.status = func(string) string {
			if now++; now > most {
				most = now
			}
			w.mu.Unlock()
			time.Sleep(time.Second)
			w.mu.Lock()
			now--
			return ""
		}
		o := w.options()
		o.Delay = func(time.Duration) time.Duration { return 0 }
		r := w.run(o)
		for i := range 50 {
			domain := fmt.Sprintf("d%d.example", i)
			w.set(func() { w.records[domain] = []string{"v=TLSRPTv1;rua=https://reports.example/" + domain} })
			r.Session(session(domain, ""))
		}
		time.Sleep(day + time.Hour)
		r.end()
		if n := len(w.arrived()); n != 50 || most != maxActive {
			t.Errorf("%d reports, %d at a time, want 50 and %d", n, most, maxActive)
		}
	})
}

// Over real sockets: the report arrives; nothing of loopback is spoken to unless a test
// says so.
func TestPostOverTheNetwork(t *testing.T) {
	type request struct {
		method, uri, kind string
		body              []byte
	}
	seen := make(chan request, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case seen <- request{r.Method, r.RequestURI, r.Header.Get("Content-Type"), body}:
		default:
			t.Error("a second request")
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	w := newWorld(t)
	o := w.options()
	o.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	o.Dial = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	r := New(o)
	how, err := r.post(t.Context(), &letter{params: r.params}, "https://example.com/v1/tlsrpt?x=y", []byte("packed"))
	if err != nil || how != "202 Accepted" {
		t.Fatalf("%q, %v", how, err)
	}
	got := <-seen
	if got.method != "POST" || got.uri != "/v1/tlsrpt?x=y" || got.kind != "application/tlsrpt+gzip" || string(got.body) != "packed" {
		t.Errorf("the server got %+v", got)
	}

	o.Dial = nil
	r = New(o)
	r.params.Addrs = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"example.com", "127.0.0.1"} {
		_, err = r.post(t.Context(), &letter{params: r.params}, "https://"+host+":"+port+"/", nil)
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1 is no public address") {
			t.Errorf("a post to %s: %v", host, err)
		}
	}
}

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "2a00:1450::1": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"0.0.0.0": false, "::": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "fe80::1": false, "fd00::1": false,
		"ff02::1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "0.1.2.3": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("public(%s) = %v", addr, got)
		}
	}
}

// A reload changes who sends, and keeps what was counted.
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	r := w.at(noon)
	r.Session(noonSession("x.example", ""))
	p := w.options().Params
	p.Contact, p.Organization, p.Node = "new@other.example", "New", 7
	r.Update(p)
	doc, err := r.ReportOn("x.example")
	if err != nil {
		t.Fatal(err)
	}
	if doc.Contact != "new@other.example" || doc.Organization != "New" || doc.ID != "20260131.x.example.7@mx.alias.example" || doc.Policies[0].Summary.Successes != 1 {
		t.Errorf("%+v", doc)
	}
}

// Postfix's lines about sessions, for domains that ask for reports and no others.
func TestSessionLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.records["x.example"] = []string{"v=TLSRPTv1;rua=mailto:a@x.example"}
		r := w.run(w.options())
		r.Session(session("x.example", "")) // before anybody knows whether it asks
		r.Session(session("none.example", "certificate-expired"))
		synctest.Wait()
		bad := session("x.example", "starttls-not-supported")
		r.Session(bad)
		bad.Result, bad.Reason = "validation-failure", "self-signed certificate\n"
		r.Session(bad)
		r.Session(session("x.example", "", mail.TLSPublished{Type: "sts", Result: "sts-policy-invalid"}))
		r.end()
		const mx = "domain=x.example, receiving_mx=mx.x.example[198.51.100.7]"
		want := []string{
			"TLSRPT: status=success, " + mx,
			"TLSRPT: status=failure, " + mx + ", failure_type=starttls_not_supported",
			"TLSRPT: status=failure, " + mx + ", failure_type=validation_failure, failure_reason=self-signed certificate?",
			"TLSRPT: status=failure, " + mx + ", failure_type=sts_policy_invalid",
		}
		var got []string
		for line := range strings.Lines(w.logged()) {
			got = append(got, line)
			if !strings.HasPrefix(line, "level=INFO msg=\"TLSRPT: ") || !strings.HasSuffix(line, "\" daemon=smtp\n") {
				t.Errorf("%q", line)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), w.logged())
		}
		for i, line := range want {
			if !strings.Contains(got[i], "\""+line+"\"") {
				t.Errorf("got  %swant %s", got[i], line)
			}
		}
	})
}
