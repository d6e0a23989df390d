package delivery

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

const sinkRelay = "192.0.2.1[192.0.2.1]:25"

// script answers commands by their beginning.
func script(answers map[string]string) func(int, string) string {
	return func(_ int, cmd string) string {
		best := ""
		for k := range answers {
			if strings.HasPrefix(cmd, k) && len(k) > len(best) {
				best = k
			}
		}
		return answers[best]
	}
}

// Each reply at each step: what becomes of the recipients, what the server saw, how the
// destination is judged.
func TestReplies(t *testing.T) {
	const said = "host 192.0.2.1[192.0.2.1] said: "
	for _, c := range []struct {
		name     string
		answers  map[string]string
		fates    string // of one@ and two@
		commands string // after EHLO, one letter each
		pipe     string // the same with PIPELINING
		got      int    // messages that came
		bad      bool
	}{
		{"all is well", nil,
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\nsent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)",
			"M R R D Q", "", 1, false},
		{"251 after the dot", map[string]string{".": "251 ok too"},
			"sent 2.0.0 " + sinkRelay + " (251 ok too)\nsent 2.0.0 " + sinkRelay + " (251 ok too)",
			"M R R D Q", "", 1, false},
		{"sender refused", map[string]string{"MAIL": "550 5.7.1 no"},
			"bounced 5.7.1 " + sinkRelay + " (" + said + "550 5.7.1 no (in reply to MAIL FROM command))",
			"M Q", "M R R D Q", 0, false},
		{"sender refused for now", map[string]string{"MAIL": "451 later"},
			"deferred 4.0.0 " + sinkRelay + " (" + said + "451 later (in reply to MAIL FROM command))",
			"M Q", "M R R D Q", 0, false},
		{"one refused", map[string]string{"RCPT TO:<two": "550 5.1.1 no such user"},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\nbounced 5.1.1 " + sinkRelay + " (" + said + "550 5.1.1 no such user (in reply to RCPT TO command))",
			"M R R D Q", "", 1, false},
		{"552 for too many", map[string]string{"RCPT TO:<two": "552 too many recipients"},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\ndeferred 4.0.0 " + sinkRelay + " (" + said + "552 too many recipients (in reply to RCPT TO command))",
			"M R R D Q", "", 1, false},
		{"552 5.5.3 for too many", map[string]string{"RCPT TO:<two": "552 5.5.3 too many recipients"},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\ndeferred 4.5.3 " + sinkRelay + " (" + said + "552 5.5.3 too many recipients (in reply to RCPT TO command))",
			"M R R D Q", "", 1, false},
		{"552 for another reason", map[string]string{"RCPT TO:<two": "552 5.2.2 full"},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\nbounced 5.2.2 " + sinkRelay + " (" + said + "552 5.2.2 full (in reply to RCPT TO command))",
			"M R R D Q", "", 1, false},
		{"552 where nobody was too many", map[string]string{"RCPT": "552 5.5.3 too many recipients"},
			"bounced 5.5.3 " + sinkRelay + " (" + said + "552 5.5.3 too many recipients (in reply to RCPT TO command))",
			"M R R Q", "M R R D Q", 0, false},
		{"one refused for now", map[string]string{"RCPT TO:<one": "450-4.2.0 try\n450 4.2.0 again"},
			"deferred 4.2.0 " + sinkRelay + " (" + said + "450-4.2.0 try 450 4.2.0 again (in reply to RCPT TO command))\nsent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)",
			"M R R D Q", "", 1, false},
		{"all refused", map[string]string{"RCPT": "550 no"},
			"bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			"M R R Q", "M R R D Q", 0, false},
		{"all refused, and yet 354", map[string]string{"RCPT": "550 no", "DATA": "354 go on"},
			"bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			"M R R Q", "M R R D Q", 0, false},
		{"all refused, 354, and the dot accepted", map[string]string{"RCPT": "550 no", "DATA": "354 go on", ".": "250 fine"},
			"bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			"M R R Q", "M R R D Q", 0, false},
		{"sender refused, and yet 354", map[string]string{"MAIL": "550 no", "DATA": "354 go on"},
			"bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to MAIL FROM command))",
			"M Q", "M R R D Q", 0, false},
		{"DATA refused", map[string]string{"DATA": "451 4.3.0 no room"},
			"deferred 4.3.0 " + sinkRelay + " (" + said + "451 4.3.0 no room (in reply to DATA command))",
			"M R R D Q", "", 0, false},
		{"DATA accepted with 250", map[string]string{"DATA": "250 ok?"},
			"bounced 5.5.0 " + sinkRelay + " (Protocol error: " + said + "250 ok? (in reply to DATA command))",
			"M R R D Q", "", 0, false},
		{"content refused for now", map[string]string{".": "451 4.3.0 later"},
			"deferred 4.3.0 " + sinkRelay + " (" + said + "451 4.3.0 later (in reply to end of DATA command))",
			"M R R D Q", "", 1, false},
		{"content refused", map[string]string{".": "554 5.7.1 spam"},
			"bounced 5.7.1 " + sinkRelay + " (" + said + "554 5.7.1 spam (in reply to end of DATA command))",
			"M R R D Q", "", 1, false},
		{"3xx after the dot", map[string]string{".": "354 what?"},
			"bounced 5.5.0 " + sinkRelay + " (" + said + "354 what? (in reply to end of DATA command))",
			"M R R D Q", "", 1, false},
		{"421 to MAIL", map[string]string{"MAIL": "421 4.3.2 closing| close"},
			"deferred 4.3.2 " + sinkRelay + " (" + said + "421 4.3.2 closing (in reply to MAIL FROM command))",
			"M", "M", 0, true},
		{"421 to RCPT, and gone", map[string]string{"RCPT TO:<one": "421 4.7.0 slow down| close"},
			"deferred 4.7.0 " + sinkRelay + " (" + said + "421 4.7.0 slow down (in reply to RCPT TO command))\n" +
				"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending RCPT TO)",
			"M R", "M R", 0, true},
		{"421 to RCPT, and not gone", map[string]string{"RCPT TO:<one": "421 4.7.0 slow down"},
			"deferred 4.7.0 " + sinkRelay + " (" + said + "421 4.7.0 slow down (in reply to RCPT TO command))\nsent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)",
			"M R R D Q", "", 1, true},
		{"421 to the dot", map[string]string{".": "421 4.3.2 closing| close"},
			"deferred 4.3.2 " + sinkRelay + " (" + said + "421 4.3.2 closing (in reply to end of DATA command))",
			"M R R D", "", 1, true},
		{"lost at MAIL", map[string]string{"MAIL": "close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending MAIL FROM)",
			"M", "M", 0, true},
		{"lost at RCPT", map[string]string{"RCPT TO:<two": "close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending RCPT TO)",
			"M R R", "M R R", 0, true},
		{"lost at DATA", map[string]string{"DATA": "close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending DATA command)",
			"M R R D", "", 0, true},
		{"lost after 354", map[string]string{"DATA": "354 go on| close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending message body)",
			"M R R D", "", 0, true},
		{"lost after the dot", map[string]string{".": "close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending end of data -- message may be sent more than once)",
			"M R R D", "", 1, true},
		{"garbage before a reply", map[string]string{"MAIL": "what is this\n250 ok"},
			"sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\nsent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)",
			"M R R D Q", "", 1, false},
		{"only garbage", map[string]string{"MAIL": "what is this| close"},
			"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending MAIL FROM)",
			"M", "M", 0, true},
		{"endless reply", map[string]string{"MAIL": strings.Repeat("250-x\n", 20000) + "250 x"},
			"deferred 4.4.2 " + sinkRelay + " (Protocol error: endless reply from 192.0.2.1[192.0.2.1] while sending MAIL FROM)",
			"M", "M", 0, true},
		{"control characters in a reply", map[string]string{"RCPT": "550 5.1.1 a\x1b[2Jb\x00"},
			"bounced 5.1.1 " + sinkRelay + " (" + said + "550 5.1.1 a?[2Jb? (in reply to RCPT TO command))",
			"M R R Q", "M R R D Q", 0, false},
	} {
		for _, pipelining := range []bool{false, true} {
			name, want := c.name, c.commands
			p := &peer{on: script(c.answers)}
			if pipelining {
				name += ", pipelined"
				p.keywords = []string{"PIPELINING"}
				if c.pipe != "" {
					want = c.pipe
				}
			}
			t.Run(name, func(t *testing.T) {
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
				src := s.send("smtp:[192.0.2.1]", letter("one@dest.example", "two@dest.example"))
				fate := c.fates
				if !strings.Contains(fate, "\n") {
					fate += "\n" + fate
				}
				if got := fates(src.results[0]); got != fate {
					t.Errorf("got\n%s\nwant\n%s", got, fate)
				}
				if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
					t.Errorf("feedback bad: %v, want %v", bad, c.bad)
				}
				s.net.wait()
				if got := initials(p.commands(1)); got != want {
					t.Errorf("commands %q, want %q", got, want)
				}
				if got := len(p.got()); got != c.got {
					t.Errorf("%d messages came, want %d", got, c.got)
				}
				if p.count() != 1 {
					t.Errorf("%d connections", p.count())
				}
			})
		}
	}
}

// initials are the commands after EHLO.
func initials(cmds []string) string {
	var s []string
	for _, c := range cmds {
		if c != "" && !strings.HasPrefix(c, "EHLO") && !strings.HasPrefix(c, "HELO") && !strings.HasPrefix(c, "LHLO") {
			s = append(s, c[:1])
		}
	}
	return strings.Join(s, " ")
}

// A result says what the log line and the report need.
func TestResultFields(t *testing.T) {
	p := &peer{keywords: allKeywords, on: script(map[string]string{"RCPT TO:<two": "550-5.1.1 no\n550 5.1.1 such user"})}
	s := newSetup(t, map[string]any{"192.0.2.1:2525": p}, Options{
		Resolver: fakeDNS{addrs: map[string]string{"mx.dest.example": "192.0.2.1"}}, DNSEnabled: true,
	})
	src := s.send("relay:[mx.dest.example]:2525", letter("one@dest.example", "two@dest.example"))
	one, two := src.results[0][0], src.results[0][1]
	for _, c := range []struct{ what, got, want string }{
		{"agent", one.Agent, "smtp"},
		{"relay", one.Relay, "mx.dest.example[192.0.2.1]:2525"},
		{"remote MTA", one.RemoteMTA, "mx.dest.example"},
		{"remote reply", one.RemoteReply, "250 2.0.0 Ok: queued as SINK"},
		{"refused: agent", two.Agent, "smtp"},
		{"refused: relay", two.Relay, "mx.dest.example[192.0.2.1]:2525"},
		{"refused: remote MTA", two.RemoteMTA, "mx.dest.example"},
		{"refused: remote reply", two.RemoteReply, "550-5.1.1 no 550 5.1.1 such user"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if one.Status.Code != 250 || two.Status.Code != 550 || one.ConnUse != 1 || !one.DSNPassed {
		t.Errorf("codes %d %d, conn_use %d, DSN passed %v", one.Status.Code, two.Status.Code, one.ConnUse, one.DSNPassed)
	}
}

func TestUnknownTransport(t *testing.T) {
	s := newSetup(t, nil, Options{})
	src := s.send("uucp:host", letter("one@dest.example"), letter("two@dest.example"))
	for _, r := range src.results {
		if got := fates(r); got != "deferred 4.3.0 none (mail transport unavailable)" || r[0].Agent != "error" {
			t.Errorf("got %s by %s", got, r[0].Agent)
		}
	}
	if len(src.results) != 2 {
		t.Errorf("%d attempts done, want 2", len(src.results))
	}
}

// Without this, an address from a table could become a command of its own.
func TestAddressesThatAreNoAddresses(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	a := letter("ok@dest.example", "x\r\nRCPT TO:<evil@dest.example>", "y@dest.example> BODY=7BIT")
	a.Env.Rcpts[1].Final = mail.Address{Local: "x\r\nDATA", Domain: "dest.example"}
	a.Env.Rcpts[2].Final = mail.Address{Local: "y", Domain: "dest.example>\nDATA"}
	src := s.send("smtp:[192.0.2.1]", a)
	want := "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\n" +
		"bounced 5.1.3 " + sinkRelay + " (bad recipient address syntax: control character in address)\n" +
		"bounced 5.1.3 " + sinkRelay + " (bad recipient address syntax: control character in address)"
	if got := fates(src.results[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b := letter("ok@dest.example")
	b.Env.Sender = mail.Address{Local: "s\n", Domain: "x.example"}
	if got := fates(s.send("smtp:[192.0.2.1]", b).results[0]); !strings.HasPrefix(got, "bounced 5.1.7") {
		t.Errorf("sender: got %s", got)
	}
	s.net.wait()
	if got := initials(p.commands(1)); got != "M R D Q" {
		t.Errorf("commands %q", got)
	}
	if got := initials(p.commands(2)); got != "Q" {
		t.Errorf("commands with a bad sender %q", got)
	}
}

// Quoted local parts, the null sender, and bare names leave as RFC 5321 writes them.
func TestAddressesOnTheWire(t *testing.T) {
	p := &peer{keywords: []string{"PIPELINING"}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	a := letter("x+y z@dest.example", `a"b\c@dest.example`, "postmaster", "jösé@dest.example", "x@y@dest.example")
	a.Env.Sender = mail.Address{}
	src := s.send("smtp:[192.0.2.1]", a)
	if strings.Contains(fates(src.results[0]), "bounced") {
		t.Fatal(fates(src.results[0]))
	}
	m := p.got()[0]
	want := `<> <"x+y z"@dest.example> <"a\"b\\c"@dest.example> <postmaster> <jösé@dest.example> <"x@y"@dest.example>`
	if got := m.from + " " + strings.Join(m.to, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// More commands than may be under way at once: the replies are read in between, or both
// sides would wait for the other.
func TestManyRecipients(t *testing.T) {
	p := &peer{keywords: allKeywords, on: func(_ int, cmd string) string {
		if strings.HasPrefix(cmd, "RCPT TO:<r3") {
			return "450 4.2.0 " + strings.Repeat("busy ", 90)
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	var to []string
	for range 1000 {
		to = append(to, "r"+string(rune('0'+len(to)%10))+strings.Repeat("x", 30)+"@dest.example")
	}
	src := s.send("smtp:[192.0.2.1]", letter(to...))
	for i, r := range src.results[0] {
		if want := i%10 != 3; (r.State == mail.Delivered) != want {
			t.Fatalf("%s: %s", to[i], fate(r))
		}
	}
	if n := len(p.got()[0].to); n != 900 {
		t.Errorf("%d recipients arrived, want 900", n)
	}
}
