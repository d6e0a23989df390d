package delivery

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// Servers that do not keep to the order of a conversation.

// trickle gives a reader a byte at a time.
type trickle struct{ net.Conn }

func (c trickle) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(len(p), 1)]) }

// Replies that arrive in pieces of a byte are the same replies.
func TestRepliesSplitAtEveryByte(t *testing.T) {
	for _, keywords := range [][]string{nil, allKeywords, pipedKeywords} {
		p := &peer{keywords: keywords, on: script(map[string]string{"RCPT TO:<two": "550-5.1.1 no\n550 5.1.1 such user"})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		s.net.wrap = func(c net.Conn) net.Conn { return trickle{c} }
		src := s.send("smtp:[192.0.2.1]", letter("one@dest.example", "two@dest.example"))
		want := "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)\n" +
			"bounced 5.1.1 " + sinkRelay + " (host 192.0.2.1[192.0.2.1] said: 550-5.1.1 no 550 5.1.1 such user (in reply to RCPT TO command))"
		if got := fates(src.results[0]); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// A reply more than was asked for, before the content has left: it is nobody's, and the
// message is not taken for delivered by it. A refusal is believed.
func TestRepliesBeforeTheirTime(t *testing.T) {
	const protocol = "deferred 4.5.0 " + sinkRelay + " (Protocol error: host 192.0.2.1[192.0.2.1] replied before it was asked)"
	for _, c := range []struct {
		name, cmd, reply string
		keywords         []string
		large            bool
		want             string
	}{
		{"with the 354", "DATA", "354 go\n250 2.0.0 Ok: queued already", nil, false, protocol},
		{"with the 354, pipelined", "DATA", "354 go\n250 2.0.0 Ok: queued already", allKeywords, false, protocol},
		{"a refusal with the 354", "DATA", "354 go\n421 4.3.2 closing", allKeywords, false,
			"deferred 4.3.2 " + sinkRelay + " (host 192.0.2.1[192.0.2.1] said: 421 4.3.2 closing (in reply to end of DATA command))"},
		{"before BDAT", "RCPT", "250 2.1.5 Ok\n250 2.0.0 Ok: queued already", chunkKeywords, true, protocol},
		{"before BDAT, with PIPELINING", "RCPT", "250 2.1.5 Ok\n250 2.0.0 Ok: queued already", pipedKeywords, true, protocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: c.keywords, on: func(conn int, cmd string) string {
				if conn == 1 && strings.HasPrefix(cmd, c.cmd) {
					return c.reply
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			a := letter("r@dest.example")
			if c.large {
				a.Body = largeBody
			}
			src := s.send("smtp:[192.0.2.1]", a, letter("r@dest.example"))
			if got := fates(src.results[0]); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			s.net.wait()
			if m := p.got(); len(m) != 1 || m[0].conn != 2 {
				t.Errorf("came: %+v, want the second message alone", m)
			}
			if p.count() != 2 {
				t.Errorf("%d connections: it was used again", p.count())
			}
		})
	}
}

// What a server offers after TLS is what holds, and what it offered before is forgotten.
func TestEhloThatChangesAfterTLS(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	for _, c := range []struct {
		name          string
		before, after string
		want          string // commands after the second EHLO
	}{
		{"all is gone", "250-x\n250-PIPELINING\n250-CHUNKING\n250-SIZE 10\n250 STARTTLS", "250 x", "M R D Q"},
		{"all is new", "250-x\n250 STARTTLS", "250-x\n250-PIPELINING\n250 CHUNKING", "M R B Q"},
		{"the size is another", "250-x\n250-SIZE 10\n250 STARTTLS", "250-x\n250 SIZE", "M R D Q"},
		{"lower case", "250-x\n250 starttls", "250-x\n250-pipelining\n250-chunking\n250 size 100000", "M R B Q"},
		{"limits", "250-x\n250-LIMITS RCPTMAX=1 MAILMAX=1\n250 STARTTLS", "250-x\n250 LIMITS", "M R D Q"},
	} {
		t.Run(c.name, func(t *testing.T) {
			greetings := 0
			p := &peer{keywords: []string{"CHUNKING"}, cert: cert, on: func(_ int, cmd string) string {
				if strings.HasPrefix(cmd, "EHLO") {
					if greetings++; greetings == 1 {
						return c.before
					}
					return c.after
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "may"})
			s.net.tcp = true
			if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent") {
				t.Fatal(got)
			}
			s.net.wait()
			if got := initials(p.commands(1)); got != "S "+c.want {
				t.Errorf("commands %q, want %q", got, "S "+c.want)
			}
		})
	}
}

// Whatever pattern of replies a server gives to three recipients and the content: what it
// has is one message or none, and its commands are never content.
func TestEveryPatternOfReplies(t *testing.T) {
	codes := []string{"250 2.1.5 Ok", "450 4.2.0 no", "550 5.1.1 no"}
	ends := []string{"", "451 4.3.0 no", "554 5.7.1 no", "354 more", "close"}
	for pattern := range 27 * len(ends) {
		for _, keywords := range [][]string{nil, {"PIPELINING"}, chunkKeywords, pipedKeywords} {
			end := ends[pattern/27]
			answers := map[string]string{".": end, "BDAT": end}
			accepted := 0
			for i, n := range []int{pattern % 3, pattern / 3 % 3, pattern / 9 % 3} {
				answers[fmt.Sprintf("RCPT TO:<r%d", i)] = codes[n]
				if n == 0 {
					accepted++
				}
			}
			p := &peer{keywords: keywords, on: script(answers)}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			a := letter("r0@dest.example", "r1@dest.example", "r2@dest.example")
			a.Body = body("NOOP\r\nMAIL FROM:<evil@dest.example>\r\nRCPT TO:<evil@dest.example>\r\nDATA\r\n.\r\nQUIT\r\n")
			src := s.send("smtp:[192.0.2.1]", a)
			s.net.wait()
			delivered := 0
			for i, r := range src.results[0] {
				ok := strings.HasPrefix(answers[fmt.Sprintf("RCPT TO:<r%d", i)], "250") && end == ""
				if ok != (r.State == mail.Delivered) {
					t.Fatalf("%v %v: %s", keywords, answers, fates(src.results[0]))
				}
				if r.State == mail.Delivered {
					delivered++
				}
			}
			if n := len(p.got()); n != min(accepted, 1) || delivered > 0 && n != 1 {
				t.Fatalf("%v %v: %d messages came for %d recipients", keywords, answers, n, accepted)
			}
			for conn := range p.count() {
				for _, cmd := range p.commands(conn + 1) {
					if strings.Contains(cmd, "evil") || cmd == "NOOP" {
						t.Fatalf("%v %v: content came as a command: %s", keywords, answers, cmd)
					}
				}
			}
		}
	}
}

// A server that refuses BDAT and does not read the chunk would take content for commands: it
// never gets any for recipients that it has refused. One that does so although it has
// accepted somebody does not get another message over that connection.
func TestServerThatDoesNotReadWhatItRefuses(t *testing.T) {
	evil := body("MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@dest.example>\r\nNOOP\r\nNOOP\r\n")
	for _, accepts := range []bool{false, true} {
		for _, code := range []string{"503 5.5.1 no", "554 5.5.1 no valid recipients", "500 what?", "421 4.3.2 no"} {
			p := &peer{keywords: []string{"PIPELINING"}, on: func(conn int, cmd string) string {
				switch {
				case conn > 1:
				case strings.HasPrefix(cmd, "EHLO"):
					return "250-x\n250-PIPELINING\n250 CHUNKING" // the peer itself does not have it
				case strings.HasPrefix(cmd, "RCPT") && !accepts:
					return "550 5.1.1 no"
				case strings.HasPrefix(cmd, "BDAT"):
					return code
				case cmd == "NOOP":
					return "250 ok"
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			s.net.tcp = true
			a := letter("r@dest.example")
			a.Env.Prepend, a.Body = nil, evil
			s.send("smtp:[192.0.2.1]", a, letter("r@dest.example"))
			s.net.wait()
			told := strings.Join(p.commands(1), "\n")
			if !accepts && strings.Contains(told, "evil") {
				t.Errorf("%s: content for nobody was sent:\n%s", code, told)
			}
			if accepts && strings.Count(told, "BDAT") > 1 {
				t.Errorf("%s: another message went over the connection:\n%s", code, told)
			}
		}
	}
}

// Replies without end, at each step, with BDAT as with DATA.
func TestEndlessRepliesAtEachStep(t *testing.T) {
	for _, cmd := range []string{"connect", "EHLO", "MAIL", "RCPT", "BDAT"} {
		p := &peer{keywords: pipedKeywords, on: script(map[string]string{cmd: strings.Repeat("250-"+strings.Repeat("x", 1000)+"\n", 100) + "250 x"})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0])
		if !strings.HasPrefix(got, "deferred 4.4.2") || !strings.Contains(got, "endless reply") {
			t.Errorf("%s: %s", cmd, got)
		}
	}
}
