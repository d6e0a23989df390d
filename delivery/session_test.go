package delivery

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// From the connection to EHLO: every way to be turned away.
func TestHandshake(t *testing.T) {
	const place = "192.0.2.1[192.0.2.1]"
	for _, c := range []struct {
		name     string
		answers  map[string]string
		o        Options
		want     string
		commands string
		bad      bool
	}{
		{"greeting 5xx", map[string]string{"connect": "554 5.7.1 go away"}, Options{},
			"bounced 5.7.1 " + sinkRelay + " (host " + place + " refused to talk to me: 554 5.7.1 go away)", "QUIT", false},
		{"greeting 5xx, skipped", map[string]string{"connect": "554 5.7.1 go away"}, Options{Skip5xxGreeting: true},
			"deferred 4.7.1 " + sinkRelay + " (host " + place + " refused to talk to me: 554 5.7.1 go away)", "QUIT", true},
		{"greeting 4xx", map[string]string{"connect": "421-4.7.0 busy\n421 4.7.0 later"}, Options{},
			"deferred 4.7.0 " + sinkRelay + " (host " + place + " refused to talk to me: 421-4.7.0 busy 421 4.7.0 later)", "QUIT", true},
		{"greeting 3xx", map[string]string{"connect": "354 hm"}, Options{},
			"bounced 5.5.0 " + sinkRelay + " (host " + place + " refused to talk to me: 354 hm)", "QUIT", false},
		{"no greeting", map[string]string{"connect": "close"}, Options{},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with " + place + " while receiving the initial server greeting)", "", true},
		{"not SMTP", map[string]string{"connect": "HTTP/1.1 400 Bad Request| close"}, Options{},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with " + place + " while receiving the initial server greeting)", "", true},
		{"EHLO not known", map[string]string{"EHLO": "502 5.5.2 what?"}, Options{},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)", "EHLO mx.example.com/HELO mx.example.com/MAIL FROM:<sender@example.net>/RCPT TO:<r@dest.example>/DATA/QUIT", false},
		{"EHLO refused for now", map[string]string{"EHLO": "450 4.3.2 later"}, Options{},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)", "EHLO mx.example.com/HELO mx.example.com/MAIL FROM:<sender@example.net>/RCPT TO:<r@dest.example>/DATA/QUIT", false},
		{"EHLO 421", map[string]string{"EHLO": "421 4.3.2 no| close"}, Options{},
			"deferred 4.3.2 " + sinkRelay + " (host " + place + " refused to talk to me: 421 4.3.2 no)", "EHLO mx.example.com", true},
		{"HELO refused", map[string]string{"EHLO": "502 no", "HELO": "550 5.7.1 bad name"}, Options{HeloName: "helo.example.com"},
			"bounced 5.7.1 " + sinkRelay + " (host " + place + " refused to talk to me: 550 5.7.1 bad name)", "EHLO helo.example.com/HELO helo.example.com/QUIT", false},
		{"lost at EHLO", map[string]string{"EHLO": "close"}, Options{},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with " + place + " while performing the EHLO handshake)", "EHLO mx.example.com", true},
		{"lost at HELO", map[string]string{"EHLO": "502 no", "HELO": "close"}, Options{},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with " + place + " while performing the HELO handshake)", "EHLO mx.example.com/HELO mx.example.com", true},
		{"keywords in lower case, and an old form", map[string]string{"EHLO": "250-x\n250-auth=LOGIN\n250-\n250-size=20000000\n250 pipelining"}, Options{},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)", "EHLO mx.example.com/MAIL FROM:<sender@example.net> SIZE=72/RCPT TO:<r@dest.example>/DATA/QUIT", false},
		{"it is ourselves", map[string]string{"EHLO": "250-MX.example.com hello\n250 SIZE"}, Options{},
			"bounced 5.4.6 " + sinkRelay + " (mail for 192.0.2.1 loops back to myself)", "EHLO mx.example.com/QUIT", false},
		{"it is ourselves by another name", map[string]string{"EHLO": "250 other.example.com"}, Options{MyNames: []string{"other.example.com"}},
			"bounced 5.4.6 " + sinkRelay + " (mail for 192.0.2.1 loops back to myself)", "EHLO mx.example.com/QUIT", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{on: script(c.answers)}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, c.o)
			src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
			if got := fates(src.results[0]); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
				t.Errorf("feedback bad: %v, want %v", bad, c.bad)
			}
			s.net.wait()
			if got := strings.Join(p.commands(1), "/"); strings.ReplaceAll(got, "//", "/") != c.commands {
				t.Errorf("commands\n got %s\nwant %s", got, c.commands)
			}
		})
	}
}

// On another port than 25 a server may well have our name: a content filter, a demo.
func TestOwnNameOnAnotherPort(t *testing.T) {
	p := &peer{on: script(map[string]string{"EHLO": "250 mx.example.com"})}
	s := newSetup(t, map[string]any{"127.0.0.1:2525": p}, Options{OwnAddrs: netip.Addr.IsLoopback})
	if got := fates(s.send("smtp:[127.0.0.1]:2525", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent") {
		t.Error(got)
	}
}

// A server that is silent, at each step: how long we wait, and what we say.
func TestTimeouts(t *testing.T) {
	const timedOut = "deferred 4.4.2 " + sinkRelay + " (conversation with 192.0.2.1[192.0.2.1] timed out while "
	for _, c := range []struct {
		at    string
		after string // before stalling
		want  string
		took  time.Duration
	}{
		{"connect", "", timedOut + "receiving the initial server greeting)", 5 * time.Minute},
		{"EHLO", "", timedOut + "performing the EHLO handshake)", 5 * time.Minute},
		{"MAIL", "", timedOut + "sending MAIL FROM)", 5 * time.Minute},
		{"RCPT", "", timedOut + "sending RCPT TO)", 5 * time.Minute},
		{"DATA", "", timedOut + "sending DATA command)", 2 * time.Minute},
		{".", "", timedOut + "sending end of data -- message may be sent more than once)", 10 * time.Minute},
	} {
		t.Run(c.at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{on: script(map[string]string{c.at: "stall"})}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
				began := time.Now()
				src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
				if got := fates(src.results[0]); got != c.want {
					t.Errorf("got %s\nwant %s", got, c.want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if src.feedback[0] != mail.FeedbackBad {
					t.Error("feedback is good")
				}
				r := src.results[0][0]
				inSetup := c.at == "connect" || c.at == "EHLO"
				if r.Connected+r.Transmitted != c.took || (r.Transmitted == 0) != inSetup {
					t.Errorf("delays %v and %v", r.Connected, r.Transmitted)
				}
			})
		})
	}
}

// The figures of delays= are measured.
func TestDelaysAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{on: func(_ int, cmd string) string {
			switch {
			case cmd == "connect":
				<-time.After(3 * time.Second)
			case strings.HasPrefix(cmd, "MAIL"):
				<-time.After(time.Second)
			case cmd == ".":
				<-time.After(7 * time.Second)
			}
			return ""
		}}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		r := s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0][0]
		if r.Connected != 3*time.Second || r.Transmitted != 8*time.Second {
			t.Errorf("got %v and %v, want 3s and 8s", r.Connected, r.Transmitted)
		}
		s.net.wait()
	})
}
