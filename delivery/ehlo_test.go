package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// Keywords are discarded for all servers, or for some by their address.
func TestDiscardedKeywords(t *testing.T) {
	special := func(_ context.Context, addr string) ([]string, bool, error) {
		switch addr {
		case "192.0.2.1":
			return []string{"SIZE", "DSN"}, true, nil
		case "192.0.2.3":
			return nil, false, errors.New("no answer")
		}
		return nil, false, nil
	}
	for _, c := range []struct{ addr, mail, log, fate string }{
		{"192.0.2.1", "MAIL FROM:<sender@example.net>", "discarding EHLO keywords: SIZE DSN", "sent"},
		{"192.0.2.2", "MAIL FROM:<sender@example.net> SIZE=72", "discarding EHLO keywords: PIPELINING", "sent"},
		{"192.0.2.3", "", "WARN: smtp_discard_ehlo_keyword_address_maps map lookup error for 192.0.2.3: no answer",
			"deferred 4.3.0 192.0.2.3[192.0.2.3]:25 (local data error while talking to 192.0.2.3[192.0.2.3])"},
	} {
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{c.addr + ":25": p}, Options{DiscardEHLO: []string{"PIPELINING", "NO-SUCH"}, DiscardEHLOFor: special})
		got := fates(s.send("smtp:["+c.addr+"]", letter("r@dest.example")).results[0])
		s.net.wait()
		said := ""
		for _, cmd := range p.commands(1) {
			if strings.HasPrefix(cmd, "MAIL") {
				said = cmd
			}
		}
		if !strings.HasPrefix(got, c.fate) || said != c.mail || !strings.Contains(s.log.String(), c.log) {
			t.Errorf("%s: %s, said %q, logged %s", c.addr, got, said, s.log)
		}
	}
}

// smtp_skip_quit_response = no waits for the reply, within its time limit.
func TestAwaitQuit(t *testing.T) {
	for _, await := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &peer{on: script(map[string]string{"QUIT": "stall"})}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{AwaitQuit: await, Timeouts: Timeouts{Quit: 7 * time.Second}})
			start := time.Now()
			s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
			waited := time.Since(start) >= 7*time.Second
			if waited != await {
				t.Errorf("await %v: it took %v", await, time.Since(start))
			}
		})
	}
}

// With a deadline for requests a server that sends a byte now and then has the time limit
// for its reply; else for each wait, and twice that in all.
func TestRequestDeadline(t *testing.T) {
	for whole, want := range map[bool]time.Duration{false: 20 * time.Second, true: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var dripping sync.WaitGroup
			dripping.Go(func() {
				tick := time.NewTicker(3 * time.Second)
				defer tick.Stop()
				for _, err := io.WriteString(far, "220-"); err == nil; _, err = io.WriteString(far, "x") {
					<-tick.C
				}
			})
			defer dripping.Wait()
			defer far.Close()
			set := Options{RequestDeadline: whole, MyHostname: "mx.example.com", Timeouts: Timeouts{Helo: 10 * time.Second}}
			set.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
			c := New(set)
			defer c.Close()
			src := &source{t: t, attempts: []*mail.Attempt{letter("r@dest.example")}}
			start := time.Now()
			c.Work(t.Context(), "smtp:[192.0.2.1]", src)
			if took := time.Since(start); took != want || !strings.Contains(fates(src.results[0]), "timed out while receiving the initial server greeting") {
				t.Errorf("whole %v: %v, %s", whole, took, fates(src.results[0]))
			}
		})
	}
}

func TestReplyFilter(t *testing.T) {
	filter := func(_ context.Context, line string) (string, bool, error) {
		switch {
		case strings.HasPrefix(line, "250-SIZE"):
			return "250-X", true, nil
		case line == "550 5.1.1 broken":
			return "", false, errors.New("no answer")
		case strings.HasPrefix(line, "550"):
			return "450 4.1.1 not yet", true, nil
		}
		return "", false, nil
	}
	const place = "192.0.2.1[192.0.2.1]"
	for reply, want := range map[string]string{
		"550 5.1.1 unknown": "deferred 4.1.1 " + sinkRelay + " (host " + place + " said: 450 4.1.1 not yet (in reply to RCPT TO command))",
		"550 5.1.1 broken":  "deferred 4.3.0 " + sinkRelay + " (local data error while talking to " + place + ")",
		"250 fine":          "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)",
	} {
		p := &peer{keywords: []string{"SIZE 10", "8BITMIME"}, on: script(map[string]string{"RCPT": reply})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{ReplyFilter: filter})
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); got != want {
			t.Errorf("%s: %s\nwant %s", reply, got, want)
		}
		if !strings.Contains(s.log.String(), sinkRelay+`: replacing server reply "250-SIZE 10" with "250-X"`) {
			t.Errorf("logged %s", s.log)
		}
	}
}

// Transports have settings of their own, which an update replaces with those of all.
func TestServices(t *testing.T) {
	p := &peer{}
	o := Options{
		Transports: map[string]string{"slow": "smtp"},
		Services:   map[string]Options{"slow": {HeloName: "slow.example.com", LogName: "slow/smtp"}, "lmtp": {HeloName: "lmtp.example.com"}},
	}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p, "192.0.2.1:24": p}, o)
	own := s.options
	for name, svc := range own.Services {
		svc.Dial, svc.Log, svc.Resolver = own.Dial, own.Log, own.Resolver
		own.Services[name] = svc
	}
	s.Update(own)
	helo := func(conn int) string { return p.commands(conn)[0] }
	for i, c := range []struct{ dest, helo, agent string }{
		{"smtp:[192.0.2.1]", "EHLO mx.example.com", "smtp"},
		{"slow:[192.0.2.1]", "EHLO slow.example.com", "slow/smtp"},
		{"lmtp:[192.0.2.1]", "LHLO lmtp.example.com", "lmtp"},
	} {
		r := s.send(c.dest, letter("r@dest.example")).results[0][0]
		s.net.wait()
		if helo(i+1) != c.helo || r.Agent != c.agent {
			t.Errorf("%s: %s by %s", c.dest, helo(i+1), r.Agent)
		}
	}
	own.Services = map[string]Options{}
	s.Update(own)
	s.send("slow:[192.0.2.1]", letter("r@dest.example"))
	s.net.wait()
	if helo(4) != "EHLO mx.example.com" {
		t.Errorf("after the update: %s", helo(4))
	}
}

// What is told of a client, and that it does not disturb a transaction that is open.
func TestXForward(t *testing.T) {
	remote := mail.Client{Name: "client.example", Addr: netip.MustParseAddr("2001:db8::1"), Port: 1234, Helo: "he lo", Protocol: "ESMTPS"}
	all := learnXForward(strings.Fields("NAME addr PORT PROTO HELO IDENT SOURCE OTHER"))
	nobody := func(netip.Addr) bool { return false }
	for _, c := range []struct {
		client mail.Client
		x      xforward
		ours   bool
		want   string
	}{
		{remote, all, false, "XFORWARD NAME=client.example ADDR=IPV6:2001:db8::1 PORT=1234/XFORWARD PROTO=ESMTPS HELO=he+20lo IDENT=ID SOURCE=REMOTE"},
		{remote, all, true, "XFORWARD NAME=client.example ADDR=IPV6:2001:db8::1 PORT=1234/XFORWARD PROTO=ESMTPS HELO=he+20lo IDENT=ID SOURCE=LOCAL"},
		{remote, xforwardHelo, false, "XFORWARD HELO=he+20lo"},
		{mail.Client{Name: "unknown", Addr: netip.MustParseAddr("::ffff:192.0.2.9")}, all, false, "XFORWARD ADDR=192.0.2.9/XFORWARD IDENT=ID SOURCE=REMOTE"},
		{mail.Client{}, all, false, "XFORWARD IDENT=ID SOURCE=LOCAL"},
		{mail.Client{}, xforwardAddr | xforwardName, false, ""},
	} {
		env := letter("r@dest.example").Env
		env.Client = c.client
		ours := nobody
		if c.ours {
			ours = func(netip.Addr) bool { return true }
		}
		var lines []string
		for _, command := range c.x.commands(env, ours) {
			lines = append(lines, strings.ReplaceAll(command.line, env.ID.String(), "ID"))
		}
		if got := strings.Join(lines, "/"); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}

	p := &peer{keywords: append([]string{"XFORWARD ADDR"}, allKeywords...), on: func(_ int, cmd string) string {
		switch {
		case strings.HasPrefix(cmd, "XFORWARD"):
			return "250 2.0.0 Ok"
		case strings.HasPrefix(cmd, "RCPT TO:<bad@"):
			return "550 5.1.1 no"
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SendXForward: true})
	bad, good := letter("bad@dest.example"), letter("good@dest.example")
	bad.Env.Client, good.Env.Client = remote, remote
	s.send("smtp:[192.0.2.1]", bad, good)
	s.net.wait()
	var verbs []string
	for _, cmd := range p.commands(1) {
		verb, _, _ := strings.Cut(cmd, " ")
		verbs = append(verbs, verb)
	}
	if got := strings.Join(verbs, " "); got != "EHLO XFORWARD MAIL RCPT DATA RSET XFORWARD MAIL RCPT DATA QUIT" {
		t.Error(got)
	}
}

// Versions by level, and our certificate, unless a policy says otherwise.
func TestTLSConfig(t *testing.T) {
	certificate := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	set := &settings{Options: Options{
		TLSVersions: [2]uint16{tls.VersionTLS12, tls.VersionTLS12}, MandatoryTLSVersions: [2]uint16{tls.VersionTLS13, 0},
		ClientCertificate: certificate,
	}}
	for _, c := range []struct {
		level       mail.TLSLevel
		min         uint16
		least, most uint16
	}{
		{mail.TLSMay, 0, tls.VersionTLS12, tls.VersionTLS12},
		{mail.TLSEncrypt, 0, tls.VersionTLS13, 0},
		{mail.TLSSecure, tls.VersionTLS12, tls.VersionTLS12, 0},
	} {
		got := (&session{set: set}).tlsConfig(&mail.TLSChoice{Level: c.level, Versions: [2]uint16{c.min, 0}})
		if got.MinVersion != c.least || got.MaxVersion != c.most || got.GetClientCertificate == nil {
			t.Errorf("%s: %x to %x", c.level, got.MinVersion, got.MaxVersion)
		}
	}
}
