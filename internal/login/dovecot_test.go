package login

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is an auth service that says what it is told to: after the greeting, for each line
// from the client what follows, "" nothing, "close" the end of the connection.
type script struct {
	t        *testing.T
	ln       net.Listener
	greeting string
	replies  []string
	wg       sync.WaitGroup

	mu    sync.Mutex // guards what follows
	lines []string
	conns int
}

const usualGreeting = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tX-OURS\tprivate\nMECH\tCRAM-MD5\tdictionary\tactive\nSPID\t17\nCUID\t3\nCOOKIE\tabc\nDONE\n"

func newScript(t *testing.T, greeting string, replies ...string) (*script, *Dovecot, *said) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "auth"))
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, ln: ln, greeting: greeting, replies: replies}
	s.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(nc) })
		}
	})
	log := new(said)
	d := &Dovecot{Network: "unix", Address: ln.Addr().String(), Service: "smtp", Warn: log.warn, Now: time.Now}
	t.Cleanup(func() { ln.Close(); d.Close(); s.wg.Wait() })
	return s, d, log
}

func (s *script) serve(nc net.Conn) {
	defer nc.Close()
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	io.WriteString(nc, s.greeting)
	for in := bufio.NewScanner(nc); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "VERSION") || strings.HasPrefix(line, "CPID") {
			continue
		}
		s.mu.Lock()
		s.lines = append(s.lines, line)
		reply := "close"
		if len(s.replies) > 0 {
			reply, s.replies = s.replies[0], s.replies[1:]
		}
		s.mu.Unlock()
		if reply == "close" {
			return
		}
		io.WriteString(nc, reply)
	}
}

func (s *script) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func TestDovecot(t *testing.T) {
	const away = "454 4.7.0 Connection lost to authentication server"
	for _, c := range []struct {
		name, mechanism    string
		replies, responses []string
		want               string
	}{
		{"at once", "PLAIN", []string{"OK\t1\tuser=joe\n"}, []string{"\x00joe\x00secret"}, "ok joe"},
		{"asked", "LOGIN", []string{"CONT\t1\tVXNlcm5hbWU6\n", "CONT\t1\tUGFzc3dvcmQ6\n", "OK\t1\tuser=joe@a.example\tforward_x=1\n"},
			[]string{"-", "joe", "secret"}, "Username: | Password: | ok joe@a.example"},
		{"refused", "PLAIN", []string{"FAIL\t1\tuser=joe\n"}, []string{"\x00joe\x00x"}, "535 5.7.8 (reason unavailable)"},
		{"refused with a reason", "PLAIN", []string{"FAIL\t1\tuser=joe\treason=Account \x01tclosed\n"}, []string{"\x00joe\x00x"}, "535 5.7.8 Account ?closed"},
		{"temporary", "PLAIN", []string{"FAIL\t1\tuser=joe\ttemp\n"}, []string{"\x00joe\x00x"}, "454 4.7.0 (reason unavailable)"},
		{"temporary by code", "PLAIN", []string{"FAIL\t1\tcode=temp_fail\treason=down\n"}, []string{"\x00joe\x00x"}, "454 4.7.0 down"},
		{"other lines first", "PLAIN", []string{"OK\t7\tuser=evil\nFAIL\nOK\tx\nNEWS\t1\nOK\t1\tuser=joe\n"}, []string{"x"}, "ok joe"},
		{"nobody", "PLAIN", []string{"OK\t1\n"}, []string{"x"}, "454 4.7.0 Authentication backend error"},
		{"no base64", "PLAIN", []string{"CONT\t1\t!!\n"}, []string{"x"}, "454 4.7.0 Authentication backend error"},
		{"empty challenge", "PLAIN", []string{"CONT\t1\t\n", "OK\t1\tuser=joe\n"}, []string{"-", "x"}, " | ok joe"},
		{"gone", "PLAIN", []string{"close"}, []string{"x"}, away},
		{"gone in the middle", "LOGIN", []string{"CONT\t1\tVXNlcm5hbWU6\n", "close"}, []string{"-", "joe"}, "Username: | " + away},
		{"a line without end", "PLAIN", []string{"OK\t1\tuser=" + strings.Repeat("j", 2*maxLine)}, []string{"x"}, away},
		{"not announced", "EXTERNAL", nil, []string{"x"}, "535 5.7.8 Invalid authentication mechanism: 'EXTERNAL'"},
		{"private", "X-OURS", nil, []string{"x"}, "535 5.7.8 Invalid authentication mechanism: 'X-OURS'"},
		{"name with controls", "PLAIN", []string{"OK\t1\tuser=jo\x01ne\n"}, []string{"x"}, "ok jo?e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, d, log := newScript(t, usualGreeting, c.replies...)
			if got := play(t, &Logins{Source: d, Warn: log.warn}, c.mechanism, c.responses...); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.busy != 0 {
				t.Errorf("%d connections were not given back", d.busy)
			}
		})
	}
}

// TestDovecotLines: what is sent, to the letter.
func TestDovecotLines(t *testing.T) {
	s, d, _ := newScript(t, usualGreeting, "OK\t1\tuser=joe\n", "CONT\t2\t\n", "OK\t2\tuser=joe\n", "FAIL\t3\n")
	l := &Logins{Source: d}
	x, err := l.Start(t.Context(), Request{
		Mechanism: "plain", Client: netip.MustParseAddrPort("192.0.2.1:4711"), Server: netip.MustParseAddrPort("[2001:db8::1]:587"), Secured: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	x.Next([]byte("\x00joe\x00secret"))
	x.Close()
	play(t, l, "PLAIN", "-", "abc")
	play(t, l, "PLAIN", "")
	want := "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=2001:db8::1\tlport=587\trip=192.0.2.1\trport=4711\tsecured\tresp=AGpvZQBzZWNyZXQ=\n" +
		"AUTH\t2\tPLAIN\tservice=smtp\tnologin\nCONT\t2\tYWJj\n" +
		"AUTH\t3\tPLAIN\tservice=smtp\tnologin\tresp=="
	if got := s.got(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s.conns != 1 {
		t.Errorf("%d connections for what one could do", s.conns)
	}
	var names []string
	for _, m := range d.Mechanisms(t.Context()) {
		names = append(names, m.Name)
	}
	if strings.Join(names, " ") != "PLAIN LOGIN CRAM-MD5" {
		t.Error(names)
	}
}

// TestDovecotReconnects: a connection that was closed while nobody used it costs no login.
func TestDovecotReconnects(t *testing.T) {
	s, d, log := newScript(t, usualGreeting, "OK\t1\tuser=joe\n", "close", "OK\t1\tuser=jane\n")
	l := &Logins{Source: d}
	if got := play(t, l, "PLAIN", "x"); got != "ok joe" {
		t.Fatal(got)
	}
	if got := play(t, l, "PLAIN", "x"); got != "ok jane" || s.conns != 2 {
		t.Errorf("%s, %d connections, %s", got, s.conns, log.all())
	}
}

// TestDovecotAway: 454 for who knows a mechanism, and one warning each time it was tried.
func TestDovecotAway(t *testing.T) {
	var log said
	now := time.Now()
	d := &Dovecot{Network: "unix", Address: filepath.Join(t.TempDir(), "nosuch"), Service: "smtp", Warn: log.warn, Now: func() time.Time { return now }}
	l := &Logins{Source: d}
	for range 3 {
		if got := strings.Join(l.Offered(t.Context(), false), " "); got != "PLAIN LOGIN" {
			t.Error(got)
		}
	}
	if n := strings.Count(log.all(), "SASL: Connect to Dovecot auth socket"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if got := play(t, l, "PLAIN", "x"); got != "454 4.7.0 Can't connect to authentication server" {
		t.Error(got)
	}
	if d.busy != 0 {
		t.Errorf("%d busy", d.busy)
	}
}

func TestDovecotHandshake(t *testing.T) {
	for greeting, want := range map[string]string{
		"VERSION\t2\t0\nDONE\n":    "Protocol version mismatch (2.0 vs. 1)",
		"VERSION\t1\t0\nSPID\t1\n": "Connected to wrong auth socket (auth-master instead of auth-client)",
		"VERSION\nDONE\n":          "Protocol version mismatch",
	} {
		_, d, log := newScript(t, greeting)
		if got := play(t, &Logins{Source: d}, "PLAIN", "x"); got != "454 4.7.0 Can't connect to authentication server" {
			t.Errorf("%q: %s", greeting, got)
		}
		if !strings.Contains(log.all(), want) {
			t.Errorf("%q: %s, want %s", greeting, log.all(), want)
		}
	}
}

// TestDovecotAborted: who gives up in the middle does not leave his request to the next.
func TestDovecotAborted(t *testing.T) {
	s, d, _ := newScript(t, usualGreeting, "CONT\t1\t\n", "OK\t1\tuser=joe\n")
	l := &Logins{Source: d}
	x, err := l.Start(t.Context(), Request{Mechanism: "PLAIN"})
	if err != nil {
		t.Fatal(err)
	}
	x.Next(nil)
	x.Close()
	x.Close()
	if got := play(t, l, "PLAIN", "x"); got != "ok joe" || s.conns != 2 || d.busy != 0 {
		t.Errorf("%s, %d connections, %d busy", got, s.conns, d.busy)
	}
}

// FuzzAnswer: whatever Dovecot says, a name is only known from an answer with this id that
// has the field, and what is shown of it is printable.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"OK\t1\tuser=joe", "FAIL\t1\treason=\x01t\ttemp", "CONT\t2\tabc=", "OK", "OK\t-1", "FAIL\t1\tcode=temp_fail"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseAnswer(line)
		if !ok {
			if r != (answer{}) {
				t.Fatalf("%q: %v", line, r)
			}
			return
		}
		if r.user != "" && !strings.Contains(line, "\tuser=") || r.temporary && r.kind != "FAIL" {
			t.Fatalf("%q: %v", line, r)
		}
		for _, s := range []string{printable(r.user), reason(r)} {
			if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Fatalf("%q: %q", line, s)
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add(usualGreeting)
	f.Fuzz(func(t *testing.T, text string) {
		var h handshake
		for line := range strings.SplitSeq(text, "\n") {
			if h.take(line) != nil {
				return
			}
		}
		for _, m := range h.mechanisms {
			if strings.ContainsAny(m.Name, " \t\r\n") || m.Properties&private != 0 {
				t.Fatalf("%q", m.Name)
			}
		}
	})
}
