package delivery

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// What a server says that has CHUNKING, and one that has PIPELINING as well.
var (
	chunkKeywords = []string{"SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"}
	pipedKeywords = append([]string{"PIPELINING"}, chunkKeywords...)
)

// largeBody does not fit into one write with its commands.
var largeBody = body("Subject: large\r\n\r\n" + strings.Repeat(".0123456789\r\n", 3000))

// Each reply at each step, with a small message and with a large one.
func TestBdatReplies(t *testing.T) {
	const said = "host 192.0.2.1[192.0.2.1] said: "
	const lost = "lost connection with 192.0.2.1[192.0.2.1] while "
	const twice = "sending end of data -- message may be sent more than once"
	sent := "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)"
	both := sent + "\n" + sent
	for _, c := range []struct {
		name    string
		answers map[string]string
		fates   string // of one@ and two@
		small   string // the same for the small message, where that is another
		cmds    string // the first connection's, after EHLO
		got     int
		conns   int
		bad     bool
	}{
		{name: "all is well", fates: both, cmds: "M R R B Q", got: 1},
		{name: "251", answers: map[string]string{"BDAT": "251 ok too"},
			fates: "sent 2.0.0 " + sinkRelay + " (251 ok too)", cmds: "M R R B Q", got: 1},
		{name: "sender refused", answers: map[string]string{"MAIL": "550 5.7.1 no"},
			fates: "bounced 5.7.1 " + sinkRelay + " (" + said + "550 5.7.1 no (in reply to MAIL FROM command))",
			cmds:  "M R R Q"},
		{name: "one refused", answers: map[string]string{"RCPT TO:<two": "550 5.1.1 no such user"},
			fates: sent + "\nbounced 5.1.1 " + sinkRelay + " (" + said + "550 5.1.1 no such user (in reply to RCPT TO command))",
			cmds:  "M R R B Q", got: 1},
		{name: "all refused", answers: map[string]string{"RCPT": "450 4.2.0 full"},
			fates: "deferred 4.2.0 " + sinkRelay + " (" + said + "450 4.2.0 full (in reply to RCPT TO command))",
			cmds:  "M R R Q"},
		{name: "all refused, and the chunk accepted", answers: map[string]string{"RCPT": "550 no", "BDAT": "250 fine"},
			fates: "bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			cmds:  "M R R Q"},
		{name: "all refused, and 502", answers: map[string]string{"RCPT": "550 no", "BDAT": "502 what?"},
			fates: "bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			cmds:  "M R R Q"},
		{name: "all refused, and gone", answers: map[string]string{"RCPT": "550 no", "BDAT": "close"},
			fates: "bounced 5.0.0 " + sinkRelay + " (" + said + "550 no (in reply to RCPT TO command))",
			cmds:  "M R R Q"},
		{name: "content refused for now", answers: map[string]string{"BDAT": "451 4.3.0 later"},
			fates: "deferred 4.3.0 " + sinkRelay + " (" + said + "451 4.3.0 later (in reply to end of DATA command))",
			cmds:  "M R R B Q", got: 1},
		{name: "content refused", answers: map[string]string{"BDAT": "554 5.7.1 spam"},
			fates: "bounced 5.7.1 " + sinkRelay + " (" + said + "554 5.7.1 spam (in reply to end of DATA command))",
			cmds:  "M R R B Q", got: 1},
		{name: "354 to BDAT", answers: map[string]string{"BDAT": "354 what?"},
			fates: "bounced 5.5.0 " + sinkRelay + " (" + said + "354 what? (in reply to end of DATA command))",
			cmds:  "M R R B Q", got: 1},
		{name: "421 to BDAT", answers: map[string]string{"BDAT": "421 4.3.2 closing| close"},
			fates: "deferred 4.3.2 " + sinkRelay + " (" + said + "421 4.3.2 closing (in reply to end of DATA command))",
			cmds:  "M R R B", got: 1, bad: true},
		{name: "BDAT unknown", answers: map[string]string{"BDAT": "500 5.5.1 what?"}, fates: both, cmds: "M R R B Q", got: 2, conns: 2},
		{name: "BDAT not implemented", answers: map[string]string{"BDAT": "502 5.5.1 no"}, fates: both, cmds: "M R R B Q", got: 2, conns: 2},
		{name: "BDAT out of place", answers: map[string]string{"BDAT": "503 5.5.1 no"}, fates: both, cmds: "M R R B Q", got: 2, conns: 2},
		{name: "BDAT and 521", answers: map[string]string{"BDAT": "521 5.5.1 no| close"}, fates: both, cmds: "M R R B", got: 2, conns: 2},
		{name: "lost after the chunk", answers: map[string]string{"BDAT": "close"},
			fates: "deferred 4.4.2 " + sinkRelay + " (" + lost + twice + ")", cmds: "M R R B", got: 1, bad: true},
		{name: "lost before the chunk", answers: map[string]string{"before BDAT": "close"},
			fates: "deferred 4.4.2 " + sinkRelay + " (" + lost + "sending message body)",
			small: "deferred 4.4.2 " + sinkRelay + " (" + lost + twice + ")", // all of it has left
			cmds:  "M R R B", bad: true},
		{name: "refused before the chunk", answers: map[string]string{"before BDAT": "552 5.3.4 too big| close"},
			fates: "bounced 5.3.4 " + sinkRelay + " (" + said + "552 5.3.4 too big (in reply to end of DATA command))",
			cmds:  "M R R B"},
		{name: "lost at MAIL", answers: map[string]string{"MAIL": "close"},
			fates: "deferred 4.4.2 " + sinkRelay + " (" + lost + "sending MAIL FROM)",
			cmds:  "M", bad: true},
		{name: "lost at RCPT", answers: map[string]string{"RCPT TO:<two": "close"},
			fates: "deferred 4.4.2 " + sinkRelay + " (" + lost + "sending RCPT TO)",
			cmds:  "M R R", bad: true},
	} {
		for _, large := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, large %v", c.name, large), func(t *testing.T) {
				p := &peer{keywords: pipedKeywords, on: script(c.answers)}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
				// A reply before the end of the chunk takes buffers in between.
				s.net.tcp = large && c.answers["before BDAT"] != "close"
				a := letter("one@dest.example", "two@dest.example")
				want, cmds, got, bad := c.fates, c.cmds, c.got, c.bad
				switch {
				case large:
					a.Body = largeBody
				case c.small != "":
					want = c.small
				}
				src := s.send("smtp:[192.0.2.1]", a)
				if !strings.Contains(want, "\n") {
					want += "\n" + want
				}
				if f := fates(src.results[0]); f != want {
					t.Errorf("got\n%s\nwant\n%s", f, want)
				}
				if f := src.feedback[0] == mail.FeedbackBad; f != bad {
					t.Errorf("feedback bad: %v, want %v", f, bad)
				}
				s.net.wait()
				// What a server does not read before it hangs up may be a command or not.
				if said := initials(p.commands(1)); !strings.HasPrefix(said, cmds) && !strings.HasPrefix(cmds, said) || !bad && said != cmds {
					t.Errorf("commands %q, want %q", said, cmds)
				}
				if n := len(p.got()); n != got {
					t.Errorf("%d messages came, want %d", n, got)
				}
				if n := p.count(); n != max(c.conns, 1) {
					t.Errorf("%d connections, want %d", n, max(c.conns, 1))
				}
				if log := s.log.String(); strings.Contains(want, twice) != strings.Contains(log, "may be delivered more than once") {
					t.Errorf("log\n%s", log)
				}
				for _, m := range p.got() {
					if all := string(a.Env.Prepend) + string(a.Body.(body)); m.data != all {
						t.Errorf("%d octets came, want %d", len(m.data), len(all))
					}
				}
			})
		}
	}
}

// The content waits for the replies to RCPT, however small it is.
func TestBdatWrites(t *testing.T) {
	exact := func(n int) body {
		return append(bytes.Repeat([]byte("x"), n-2), "\r\n"...)
	}
	for _, c := range []struct {
		name     string
		keywords []string
		body     body
		rcpts    int
		want     string // commands, with | between those that were sent before and after a wait
	}{
		{"small", pipedKeywords, body(testBody), 2, "M R R | B"},
		{"larger than a write", pipedKeywords, exact(20000), 1, "M R | B"},
		{"no pipelining", chunkKeywords, body(testBody), 2, "M | R | R | B"},
		{"many recipients", pipedKeywords, body(testBody), 100, strings.TrimSpace("M" + strings.Repeat(" R", 55) + " |" + strings.Repeat(" R", 45) + " | B")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: c.keywords}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			var to []string
			for range c.rcpts {
				to = append(to, strings.Repeat("r", 20)+"@dest.example")
			}
			a := letter(to...)
			a.Body = c.body
			// The peer reads what one write brought, and no more: a pipe has no buffer.
			var groups []string
			p.on = func(_ int, cmd string) string {
				switch {
				case strings.HasPrefix(cmd, "EHLO"), cmd == "connect", strings.HasPrefix(cmd, "before"):
				case cmd == "QUIT":
				default:
					groups = append(groups, cmd[:1])
				}
				return ""
			}
			p.asked = func() { groups = append(groups, "|") }
			src := s.send("smtp:[192.0.2.1]", a)
			if got := fates(src.results[0]); strings.Contains(got, "deferred") || len(p.got()) != 1 {
				t.Fatal(got)
			}
			s.net.wait()
			got := strings.Trim(strings.Join(groups, " "), " |")
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A host that does not take what it offers gets DATA for an hour.
func TestBdatIsNotTriedAgainForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{keywords: pipedKeywords, on: script(map[string]string{"BDAT": "502 5.5.1 no"})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		for range 3 {
			if got := fates(s.send("smtp:[192.0.2.1]", letters(2)...).results[1]); !strings.HasPrefix(got, "sent") {
				t.Fatal(got)
			}
		}
		if p.chunks != 1 || p.count() != 4 {
			t.Errorf("%d chunks over %d connections", p.chunks, p.count())
		}
		if n := strings.Count(s.log.String(), "offers CHUNKING, but refuses BDAT: using DATA for 60 minutes"); n != 1 {
			t.Errorf("log\n%s", s.log)
		}
		time.Sleep(time.Hour + time.Second)
		s.send("smtp:[192.0.2.1]", letters(1)...)
		if p.chunks != 2 {
			t.Errorf("%d chunks an hour later", p.chunks)
		}
	})
}

// The connection goes on after a message that was taken, and after one whose recipients
// were refused. After a chunk that was refused it does not: was it read?
func TestReuseAfterBdat(t *testing.T) {
	for _, c := range []struct {
		name, cmd, reply string
		want             string
		conns            int
	}{
		{"taken", "", "", "M R B M R B M R B Q", 1},
		{"content refused", "BDAT", "554 5.7.1 spam", "M R B Q", 2},
		{"recipient refused", "RCPT", "550 5.1.1 no", "M R R M R B M R B Q", 1},
		{"sender refused", "MAIL", "550 5.1.1 no", "M R M R B M R B Q", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: pipedKeywords}
			asked := 0
			p.on = func(_ int, cmd string) string {
				if c.cmd != "" && strings.HasPrefix(cmd, c.cmd) {
					if asked++; asked == 1 {
						return c.reply
					}
				}
				return ""
			}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			src := s.send("smtp:[192.0.2.1]", letters(3)...)
			if src.results[2][0].State != mail.Delivered {
				t.Error(fates(src.results[2]))
			}
			s.net.wait()
			if got := initials(p.commands(1)); got != c.want || p.count() != c.conns {
				t.Errorf("commands %q over %d connections, want %q", got, p.count(), c.want)
			}
		})
	}
}

// A connection that waited and was given up meanwhile is nobody's failure. Once the content
// has left, it may have been taken.
func TestStaleConnectionWithBdat(t *testing.T) {
	for _, c := range []struct {
		name, cmd, reply, want string
		conns                  int
	}{
		{"hung up", "MAIL", "close", "sent 2.0.0", 2},
		{"421", "MAIL", "421 4.4.2 idle too long| close", "sent 2.0.0", 2},
		{"lost at RCPT", "RCPT", "close", "sent 2.0.0", 2},
		{"lost after the chunk", "BDAT", "close", "deferred 4.4.2", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			p := &peer{keywords: pipedKeywords, on: func(conn int, cmd string) string {
				if conn == 1 && strings.HasPrefix(cmd, c.cmd) {
					if asked++; asked == 2 {
						return c.reply
					}
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			src := s.send("smtp:[192.0.2.1]", letters(2)...)
			got := fates(src.results[1])
			if !strings.HasPrefix(got, c.want) || p.count() != c.conns {
				t.Errorf("%d connections, %s", p.count(), got)
			}
			if strings.HasPrefix(got, "deferred") != strings.Contains(s.log.String(), "may be delivered more than once") {
				t.Errorf("log\n%s", s.log)
			}
		})
	}
}

// What has to be changed on its way goes by DATA, and so does everything for a server or
// an operator that does not want BDAT.
func TestWhatGoesByData(t *testing.T) {
	long := body("Subject: x\r\n\r\n" + strings.Repeat("x", 1200) + "\r\n")
	for _, c := range []struct {
		name    string
		flags   mail.Flags
		body    body
		prepend string
		o       Options
		keyword string
		want    string
	}{
		{"as usual", 0, body(testBody), "", Options{}, "CHUNKING", "M R B Q"},
		{"in lower case", 0, body(testBody), "", Options{}, "chunking", "M R B Q"},
		{"not offered", 0, body(testBody), "", Options{}, "X", "M R D Q"},
		{"not wanted", 0, body(testBody), "", Options{DiscardEHLO: []string{"CHUNKING"}}, "CHUNKING", "M R D Q"},
		{"addresses to be replaced", 0, body(testBody), "", Options{Generic: func(_ context.Context, a mail.Address) (mail.Address, error) { return a, nil }}, "CHUNKING", "M R D Q"},
		{"stray line ends", mail.FlagStrayEnds, body("a\rb\n.\r\nc"), "", Options{}, "CHUNKING", "M R D Q"},
		{"long lines", mail.FlagLongLines, long, "", Options{}, "CHUNKING", "M R B Q"},
		{"long lines and a limit", mail.FlagLongLines, long, "", Options{LineLengthLimit: 998}, "CHUNKING", "M R D Q"},
		{"a limit", 0, body(testBody), "", Options{LineLengthLimit: 998}, "CHUNKING", "M R B Q"},
		{"a low limit", 0, body(testBody), "", Options{LineLengthLimit: 997}, "CHUNKING", "M R D Q"},
		{"a limit and a long field", 0, body(testBody), "X: " + strings.Repeat("x", 1200) + "\r\n", Options{LineLengthLimit: 998}, "CHUNKING", "M R D Q"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: []string{"PIPELINING", c.keyword}}
			if strings.EqualFold(c.keyword, "CHUNKING") {
				p.keywords = append(p.keywords, "CHUNKING") // for the peer
				p.keywords = slices.Compact(p.keywords)
			}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, c.o)
			a := letter("r@dest.example")
			a.Env.Flags, a.Body, a.Env.Prepend = c.flags, c.body, append(a.Env.Prepend, c.prepend...)
			if got := fates(s.send("smtp:[192.0.2.1]", a).results[0]); !strings.HasPrefix(got, "sent") {
				t.Fatal(got)
			}
			s.net.wait()
			if got := initials(p.commands(1)); got != c.want {
				t.Errorf("commands %q, want %q", got, c.want)
			}
		})
	}
}

// A store that says the wrong thing about line ends: nothing of it leaves by BDAT, and by
// DATA it leaves as always.
func TestStrayLineEndsThatNobodyKnewOf(t *testing.T) {
	for _, large := range []bool{false, true} {
		p := &peer{keywords: pipedKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		s.net.tcp = large
		a := letter("r@dest.example")
		text := "Subject: x\r\n\r\n"
		if large {
			text = string(largeBody)
		}
		a.Body = body(text + "a\rb\n.\r\nc")
		if got := fates(s.send("smtp:[192.0.2.1]", a).results[0]); !strings.HasPrefix(got, "sent") {
			t.Fatal(got)
		}
		s.net.wait()
		m := p.got()
		if len(m) != 1 || p.count() != 2 || p.chunks != 0 || m[0].data != string(a.Env.Prepend)+text+"a b\r\n.\r\nc\r\n" {
			t.Errorf("large %v: %d messages over %d connections, %d chunks", large, len(m), p.count(), p.chunks)
		}
	}
}

// Content that cannot be read to its end is never a whole chunk.
func TestContentThatCannotBeReadForBdat(t *testing.T) {
	for _, c := range []struct {
		name string
		b    badBody
	}{
		{"broken off", badBody{readErr: fmt.Errorf("checksum mismatch")}},
		{"too short", badBody{short: 5}},
	} {
		for _, large := range []bool{false, true} {
			p := &peer{keywords: pipedKeywords}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			a := letter("r@dest.example")
			c.b.body = body(testBody)
			if large {
				c.b.body = largeBody
			}
			a.Body = c.b
			src := s.send("smtp:[192.0.2.1]", a, letter("r@dest.example"))
			if got := fates(src.results[0]); got != "deferred 4.3.0 "+sinkRelay+" (local data error while talking to 192.0.2.1[192.0.2.1])" {
				t.Errorf("%s, large %v: got %s", c.name, large, got)
			}
			s.net.wait()
			if m := p.got(); len(m) != 1 || p.chunks != 1 || src.results[1][0].State != mail.Delivered {
				t.Errorf("%s, large %v: %d messages, %d chunks", c.name, large, len(m), p.chunks)
			}
		}
	}
}

// LMTP answers a chunk once for each recipient that was accepted.
func TestBdatOverLMTP(t *testing.T) {
	const relay = "192.0.2.1[192.0.2.1]:24"
	p := &peer{lmtp: true, keywords: pipedKeywords, on: func(_ int, cmd string) string {
		switch {
		case strings.HasPrefix(cmd, "RCPT TO:<two"):
			return "550 5.1.1 no"
		case strings.HasPrefix(cmd, "BDAT") && strings.HasSuffix(cmd, "<three@dest.example>"):
			return "452 4.2.2 full"
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:24": p}, Options{})
	src := s.send("lmtp:inet:[192.0.2.1]", letter("one@dest.example", "two@dest.example", "three@dest.example"), letter("four@dest.example"))
	const said = "host 192.0.2.1[192.0.2.1] said: "
	want := "sent 2.1.5 " + relay + " (250 2.1.5 <one@dest.example> delivered)\n" +
		"bounced 5.1.1 " + relay + " (" + said + "550 5.1.1 no (in reply to RCPT TO command))\n" +
		"deferred 4.2.2 " + relay + " (" + said + "452 4.2.2 full (in reply to end of DATA command))"
	if got := fates(src.results[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.net.wait()
	if got := initials(p.commands(1)); got != "M R R R B M R B Q" {
		t.Errorf("commands %q", got)
	}
}
