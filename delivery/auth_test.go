package delivery

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
)

// passwords is a table of a test.
func passwords(entries map[string]string) func(context.Context, string) (string, bool, error) {
	return func(_ context.Context, key string) (string, bool, error) {
		value, ok := entries[key]
		if value == "fail" {
			return "", false, errors.New("no answer")
		}
		return value, ok, nil
	}
}

// plain is the initial response of user with password.
func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func noPlaintext(t *testing.T) mechanism.Security {
	s, err := mechanism.ParseSecurity([]string{"noplaintext", "noanonymous"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Everything that can become of a login, and that no password is in what it leaves.
func TestAuth(t *testing.T) {
	const (
		place  = "192.0.2.1[192.0.2.1]"
		failed = "SASL authentication failed; "
		cannot = failed + "cannot authenticate to server " + place + ": "
		sent   = "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)"
		mailed = "/MAIL FROM:<sender@example.net>/RCPT TO:<r@dest.example>/DATA/QUIT"
	)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	auth := "AUTH PLAIN " + plain("joe", "Secret:1")
	for _, c := range []struct {
		name     string
		offer    string
		answers  map[string]string
		change   func(*SASL)
		want     string
		commands string
	}{
		{"PLAIN", "AUTH LOGIN PLAIN", map[string]string{"AUTH": "235 2.7.0 ok"}, nil, sent, auth + mailed},
		{"old form of the offer", "AUTH=LOGIN PLAIN", map[string]string{"AUTH": "235 2.7.0 ok"}, nil, sent, auth + mailed},
		{"LOGIN", "AUTH LOGIN", map[string]string{"AUTH": "334 VXNlcm5hbWU6", b64("joe"): "334 UGFzc3dvcmQ6", b64("Secret:1"): "235 ok"}, nil,
			sent, "AUTH LOGIN/" + b64("joe") + "/" + b64("Secret:1") + mailed},
		{"CRAM-MD5", "AUTH CRAM-MD5 PLAIN", map[string]string{"AUTH": "334 " + b64("<1.2@x>"), "am9l": "235 ok"}, nil,
			sent, "AUTH CRAM-MD5/" + b64("joe 714fc138b45ce68afe03b8c0332fdac2") + mailed},
		{"AUTH is not offered", "SIZE", nil, nil, sent, "MAIL FROM:<sender@example.net> SIZE=72/RCPT TO:<r@dest.example>/DATA/QUIT"},
		{"no password for this server", "AUTH PLAIN", nil, func(a *SASL) { a.Passwords = passwords(nil) }, sent, strings.TrimPrefix(mailed, "/")},
		{"table fails", "AUTH PLAIN", nil, func(a *SASL) { a.Passwords = passwords(map[string]string{"192.0.2.1": "fail"}) },
			"deferred 4.3.0 " + sinkRelay + " (local data error while talking to " + place + ")", "QUIT"},
		{"next hop as written", "AUTH PLAIN", map[string]string{"AUTH": "235 ok"},
			func(a *SASL) { a.Passwords = passwords(map[string]string{"[192.0.2.1]:25": "joe:Secret:1"}) }, sent, auth + mailed},
		{"no mechanism", "AUTH PLAIN LOGIN", nil, func(a *SASL) { a.Clear = noPlaintext(t) },
			"deferred 4.7.0 " + sinkRelay + " (" + cannot + "no mechanism available)", "QUIT"},
		{"filter leaves none", "AUTH PLAIN LOGIN", nil, func(a *SASL) {
			a.Mechanism = func(context.Context, string) (bool, error) { return false, nil }
		}, "deferred 4.7.0 " + sinkRelay + " (SASL authentication failed: server " + place +
			" offered no compatible authentication mechanisms for this type of connection security)", "QUIT"},
		{"filter takes one", "AUTH PLAIN LOGIN", map[string]string{"AUTH": "535 5.7.8 no"}, func(a *SASL) {
			a.Mechanism = func(_ context.Context, m string) (bool, error) { return m == "LOGIN", nil }
		}, "deferred 4.7.8 " + sinkRelay + " (" + failed + "server " + place + " said: 535 5.7.8 no)", "AUTH LOGIN/QUIT"},
		{"wrong password", "AUTH PLAIN", map[string]string{"AUTH": "535 5.7.8 Error: authentication failed"}, nil,
			"deferred 4.7.8 " + sinkRelay + " (" + failed + "server " + place + " said: 535 5.7.8 Error: authentication failed)", auth + "/QUIT"},
		{"wrong password, hard", "AUTH PLAIN", map[string]string{"AUTH": "535 5.7.8 no"}, func(a *SASL) { a.HardFailure = true },
			"bounced 5.7.8 " + sinkRelay + " (" + failed + "server " + place + " said: 535 5.7.8 no)", auth + "/QUIT"},
		{"without enhanced code", "AUTH PLAIN", map[string]string{"AUTH": "504 what"}, nil,
			"deferred 4.0.0 " + sinkRelay + " (" + failed + "server " + place + " said: 504 what)", auth + "/QUIT"},
		{"not now", "AUTH PLAIN", map[string]string{"AUTH": "454 4.7.0 later"}, func(a *SASL) { a.HardFailure = true },
			"deferred 4.7.0 " + sinkRelay + " (" + failed + "server " + place + " said: 454 4.7.0 later)", auth + "/QUIT"},
		{"the password comes back", "AUTH PLAIN", map[string]string{"AUTH": "535 bad: Secret:1, " + plain("joe", "Secret:1")}, nil,
			"deferred 4.0.0 " + sinkRelay + " (" + failed + "server " + place + " said: 535 bad: ..., ...)", auth + "/QUIT"},
		{"a challenge after everything", "AUTH PLAIN", map[string]string{"AUTH": "334 aGVsbG8="}, nil,
			"deferred 4.7.0 " + sinkRelay + " (" + cannot + "generic failure)", auth + "/QUIT"},
		{"a challenge that is no base64", "AUTH CRAM-MD5", map[string]string{"AUTH": "334 <1.2@x>"}, nil,
			"deferred 4.7.0 " + sinkRelay + " (" + cannot + "bad protocol / cancel)", "AUTH CRAM-MD5/QUIT"},
		{"no end of challenges", "AUTH LOGIN", map[string]string{"": "334 x"}, nil,
			"deferred 4.7.0 " + sinkRelay + " (" + cannot + "bad protocol / cancel)", "AUTH LOGIN/QUIT"},
		{"connection lost", "AUTH PLAIN", map[string]string{"AUTH": "close"}, nil,
			"deferred 4.4.2 " + sinkRelay + " (lost connection with " + place + " while performing the EHLO handshake)", auth},
		{"name to act for, and AUTH=<>", "AUTH PLAIN", map[string]string{"AUTH": "235 ok"},
			func(a *SASL) { a.Authzid, a.DummyMailAuth = true, true }, sent,
			"AUTH PLAIN " + b64("joe\x00joe\x00Secret:1") + "/MAIL FROM:<sender@example.net> AUTH=<>/RCPT TO:<r@dest.example>/DATA/QUIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &SASL{Passwords: passwords(map[string]string{"192.0.2.1": "joe:Secret:1"}), Delimiter: ":"}
			if c.change != nil {
				c.change(a)
			}
			p := &peer{keywords: []string{c.offer}, on: script(c.answers)}
			if c.name == "no end of challenges" {
				p.on = func(_ int, cmd string) string {
					if strings.HasPrefix(cmd, "AUTH") {
						return "334 x"
					}
					return ""
				}
			}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SASL: a})
			src := s.send("smtp:[192.0.2.1]:25", letter("r@dest.example"))
			if got := fates(src.results[0]); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			s.net.wait()
			got := strings.Join(p.commands(1)[1:], "/")
			if got != c.commands {
				t.Errorf("commands\n got %s\nwant %s", got, c.commands)
			}
			for _, text := range []string{s.log.String(), fates(src.results[0]), src.results[0][0].RemoteReply} {
				if strings.Contains(text, "Secret") || strings.Contains(text, plain("joe", "Secret:1")) {
					t.Errorf("the password is in %q", text)
				}
			}
		})
	}
}

// A password that was refused is not tried again until it is another one, its time is
// over, or the server is another.
func TestRefusedPasswordIsNotTriedAgain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	password := "joe:one"
	a := &SASL{Delimiter: ":", FailureTime: time.Hour, Passwords: func(context.Context, string) (string, bool, error) { return password, true, nil }}
	p := &peer{keywords: []string{"AUTH PLAIN"}, on: script(map[string]string{"AUTH": "535 5.7.8 no"})}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SASL: a, Now: func() time.Time { return now }})
	tried := func() int {
		n := 0
		for i := 1; i <= p.count(); i++ {
			n += strings.Count(strings.Join(p.commands(i), "/"), "AUTH")
		}
		return n
	}
	for _, step := range []struct {
		change func()
		tries  int
	}{
		{func() {}, 1},
		{func() { now = now.Add(59 * time.Minute) }, 1},
		{func() { password = "joe:two" }, 2},
		{func() {}, 2},
		{func() { now = now.Add(61 * time.Minute) }, 3},
		{func() { password = "ann:two" }, 4},
		{func() { s.Update(s.options) }, 4},
	} {
		step.change()
		got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0])
		s.net.wait()
		if !strings.HasPrefix(got, "deferred 4.7.8") || tried() != step.tries {
			t.Errorf("%s: %d tries, want %d", got, tried(), step.tries)
		}
	}
	if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); got !=
		"deferred 4.7.8 "+sinkRelay+" (SASL [CACHED] authentication failed; server 192.0.2.1 said: 535 5.7.8 no)" {
		t.Error(got)
	}
}

// With passwords by sender a connection belongs to one of them: the next message goes over
// it only if it would log in as the same.
func TestConnectionsBelongToTheirLogin(t *testing.T) {
	a := &SASL{
		Delimiter: ":", Passwords: passwords(map[string]string{"192.0.2.1": "house:x"}),
		SenderPasswords: func(_ context.Context, sender mail.Address) (string, bool, error) {
			if sender.Local == "broken" {
				return "", false, errors.New("no answer")
			}
			return sender.Local + ":x", sender.Domain == "own.example", nil
		},
	}
	p := &peer{keywords: []string{"AUTH PLAIN"}, on: script(map[string]string{"AUTH": "235 ok"})}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SASL: a})
	var all []*mail.Attempt
	for _, sender := range []string{"a@own.example", "a@own.example", "b@own.example", "x@other.example", "", "y@other.example", "broken@own.example", "b@own.example"} {
		l := letter("r@dest.example")
		l.Env.Sender = mail.SplitAddress(sender)
		all = append(all, l)
	}
	s.send("smtp:[192.0.2.1]", all...)
	s.net.wait()
	var got []string
	for i := 1; i <= p.count(); i++ {
		user := ""
		for _, cmd := range p.commands(i) {
			if response, ok := strings.CutPrefix(cmd, "AUTH PLAIN "); ok {
				b, _ := base64.StdEncoding.DecodeString(response)
				user = strings.Split(string(b), "\x00")[1]
			}
			if from, ok := strings.CutPrefix(cmd, "MAIL FROM:"); ok {
				got = append(got, user+from)
			}
		}
	}
	want := "a<a@own.example> a<a@own.example> b<b@own.example> house<x@other.example> house<> house<y@other.example> b<b@own.example>"
	if strings.Join(got, " ") != want || p.count() != 5 {
		t.Errorf("%d connections\n got %s\nwant %s", p.count(), strings.Join(got, " "), want)
	}
}

// Where we would log in, TLS that fails is no reason to go on in the clear.
func TestNoPlaintextWherePasswordsAre(t *testing.T) {
	for _, c := range []struct {
		entries map[string]string
		conns   int
	}{
		{map[string]string{"192.0.2.1": "joe:x"}, 1},
		{map[string]string{"192.0.2.1": "fail"}, 1},
		{nil, 2},
	} {
		p := &peer{keywords: []string{"STARTTLS", "AUTH PLAIN"}, on: func(_ int, cmd string) string {
			if cmd == "STARTTLS" {
				return "220 ready| close"
			}
			return ""
		}}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
			TLSLevel: "may", SASL: &SASL{Passwords: passwords(c.entries), Delimiter: ":"},
		})
		s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
		s.net.wait()
		if p.count() != c.conns {
			t.Errorf("%v: %d connections, want %d", c.entries, p.count(), c.conns)
		}
	}
}

// Nor is STARTTLS that is refused.
func TestNoPlaintextWhereSTARTTLSIsRefused(t *testing.T) {
	for _, c := range []struct {
		entries map[string]string
		want    string
	}{
		{map[string]string{"192.0.2.1": "joe:secret"}, "deferred 4.7.0"},
		{nil, "sent"},
	} {
		p := &peer{keywords: []string{"STARTTLS", "AUTH PLAIN"}, on: func(_ int, cmd string) string {
			if cmd == "STARTTLS" {
				return "454 4.7.0 not now"
			}
			return ""
		}}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
			TLSLevel: "may", SASL: &SASL{Passwords: passwords(c.entries), Delimiter: ":"},
		})
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %s", c.entries, got)
		}
		s.net.wait()
		if told := strings.Join(p.commands(1), "/"); c.entries != nil && (strings.Contains(told, "AUTH") || strings.Contains(told, "MAIL")) {
			t.Errorf("%v: said %s", c.entries, told)
		}
	}
}

// A password that a server repeats behind the login is not told to anybody either.
func TestPasswordThatComesBackLater(t *testing.T) {
	for cmd, reply := range map[string]string{
		"RCPT": "550 5.1.1 no: Secret:1, " + plain("joe", "Secret:1"), "MAIL": "451 4.3.0 " + strings.TrimRight(plain("joe", "Secret:1"), "="),
		"before the dot": "250 ok Secret:1", "AUTH": "what is " + plain("joe", "Secret:1") + "?\n235 2.7.0 ok",
		"DATA":       "354-Secret:1" + strings.Repeat("x", 3000) + "\n354 go on",
		"RCPT TO:<r": "250-" + strings.Repeat("x", 18) + "Secret:1" + strings.Repeat("x", 3000) + "\n250 ok",
	} {
		p := &peer{keywords: []string{"PIPELINING", "AUTH PLAIN"}, on: script(map[string]string{cmd: reply, "BDAT": reply})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
			SASL: &SASL{Passwords: passwords(map[string]string{"192.0.2.1": "joe:Secret:1"}), Delimiter: ":"},
		})
		src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
		for _, r := range src.results[0] {
			if all := r.Reason + r.RemoteReply + s.log.String(); strings.Contains(all, "Secret:") || strings.Contains(all, strings.TrimRight(plain("joe", "Secret:1"), "=")) {
				t.Errorf("%s: %s", cmd, all)
			}
		}
	}
}

// What a server offers in the clear is forgotten with TLS: anybody may have said it.
func TestOfferInTheClearDoesNotCount(t *testing.T) {
	cert, _ := selfSigned(t, "sink.example")
	hellos := 0
	p := &peer{cert: cert, on: func(_ int, cmd string) string {
		if strings.HasPrefix(cmd, "EHLO") {
			if hellos++; hellos == 1 {
				return "250-sink\n250-AUTH PLAIN\n250 STARTTLS"
			}
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
		TLSLevel: "encrypt", SASL: &SASL{Passwords: passwords(map[string]string{"192.0.2.1": "joe:x"}), Delimiter: ":"},
	})
	s.net.tcp = true
	if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent") {
		t.Error(got)
	}
	s.net.wait()
	if got := strings.Join(p.commands(1), "/"); strings.Contains(got, "AUTH") || hellos != 2 {
		t.Errorf("%d times EHLO, %s", hellos, got)
	}
}
