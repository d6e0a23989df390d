package delivery

import (
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestParseLimits(t *testing.T) {
	for line, want := range map[string]limits{
		"LIMITS":                                       {},
		"LIMITS RCPTMAX=20":                            {rcpts: 20},
		"limits rcptmax=20 MailMax=5":                  {rcpts: 20, mails: 5},
		"LIMITS RCPTDOMAINMAX=1 MAILMAX=999999":        {domains: 1, mails: 999999},
		"LIMITS RCPTMAX=0":                             {},
		"LIMITS RCPTMAX=1000000":                       {},
		"LIMITS RCPTMAX=-1 MAILMAX=+1":                 {},
		"LIMITS RCPTMAX= MAILMAX=x RCPTDOMAINMAX":      {},
		"LIMITS X=1 RCPTMAX=3 SUBMITMAX=4,5;RCPTMAX=6": {rcpts: 3},
		"LIMITS\tRCPTMAX=3":                            {rcpts: 3},
	} {
		if got := parseLimits(line); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}

// A message with more recipients than the server takes goes in several transactions over
// one connection, which is not used for more of them than it may.
func TestLimitsAreKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits string
		rcpts  int
		want   []string // commands of each connection
		uses   string   // conn_use of the recipients
	}{
		{"none", "LIMITS", 3, []string{"M R R R D M R R R D Q"}, "111"},
		{"as many as there are", "LIMITS RCPTMAX=3", 3, []string{"M R R R D M R R R D Q"}, "111"},
		{"two at a time", "LIMITS RCPTMAX=2", 5, []string{"M R R D M R R D M R D M R R D M R R D M R D Q"}, "11223"},
		{"one at a time", "LIMITS RCPTMAX=1", 2, []string{"M R D M R D M R D M R D Q"}, "12"},
		{"a transaction each", "LIMITS MAILMAX=1", 2, []string{"M R R D Q", "M R R D Q"}, "11"},
		{"both", "LIMITS MAILMAX=2 RCPTMAX=1", 3, []string{"M R D M R D Q", "M R D M R D Q", "M R D M R D Q"}, "121"},
		{"a domain each", "LIMITS RCPTDOMAINMAX=1", 4, []string{"M R R D M R R D M R R D M R R D Q"}, "1122"},
	} {
		for _, keywords := range [][]string{{}, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
			t.Run(c.name+" "+strings.Join(keywords, " "), func(t *testing.T) {
				p := &peer{keywords: append([]string{c.limits}, keywords...)}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
				var to []string
				for i := range c.rcpts {
					to = append(to, fmt.Sprintf("r%d@%s.example", i, "ab"[i*2/c.rcpts:][:1]))
				}
				src := s.send("smtp:[192.0.2.1]", letter(to...), letter(to...))
				uses := ""
				for _, r := range src.results[0] {
					if r.State != mail.Delivered {
						t.Error(fate(r))
					}
					uses += fmt.Sprint(r.ConnUse)
				}
				if uses != c.uses {
					t.Errorf("conn_use %s, want %s", uses, c.uses)
				}
				s.net.wait()
				for i, want := range c.want {
					if len(keywords) > 1 {
						want = strings.ReplaceAll(want, "D", "B")
					}
					if got := initials(p.commands(i + 1)); got != want {
						t.Errorf("connection %d: %q, want %q", i+1, got, want)
					}
				}
				if p.count() != len(c.want) {
					t.Errorf("%d connections", p.count())
				}
				if n := 0; true {
					for _, m := range p.got() {
						n += len(m.to)
					}
					if n != 2*c.rcpts {
						t.Errorf("%d recipients arrived, want %d", n, 2*c.rcpts)
					}
				}
			})
		}
	}
}

// What happens to one part of the recipients is not the fate of the others.
func TestPartsOfAMessage(t *testing.T) {
	sent := "sent 2.0.0 " + sinkRelay + " (250 2.0.0 Ok: queued as SINK)"
	const said = "host 192.0.2.1[192.0.2.1] said: "
	for _, c := range []struct {
		name, cmd, reply string
		nth              int // which one
		want             []string
		conns            int
	}{
		{"content refused once", ".", "554 5.7.1 not these", 1,
			[]string{"bounced 5.7.1 " + sinkRelay + " (" + said + "554 5.7.1 not these (in reply to end of DATA command))", sent, sent}, 1},
		{"sender refused the second time", "MAIL", "451 4.7.0 slowly", 2,
			[]string{sent, "deferred 4.7.0 " + sinkRelay + " (" + said + "451 4.7.0 slowly (in reply to MAIL FROM command))", sent}, 1},
		{"lost in the second", "DATA", "354 go| close", 2,
			[]string{sent, "deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending message body)",
				"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending message body)"}, 1},
		{"gone before the second", "MAIL", "close", 2,
			[]string{sent, "deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending MAIL FROM)",
				"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending MAIL FROM)"}, 1},
		{"asked to leave after the first", "RCPT", "421 4.7.0 enough| close", 1,
			[]string{"deferred 4.7.0 " + sinkRelay + " (" + said + "421 4.7.0 enough (in reply to RCPT TO command))",
				"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending DATA command)",
				"deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while sending DATA command)"}, 1},
		{"not used again after the first", "RCPT", "555 5.5.4 what?", 1,
			[]string{"bounced 5.5.4 " + sinkRelay + " (" + said + "555 5.5.4 what? (in reply to RCPT TO command))", sent, sent}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			p := &peer{keywords: []string{"PIPELINING", "LIMITS RCPTMAX=1"}, on: func(_ int, cmd string) string {
				if strings.HasPrefix(cmd, c.cmd) {
					if n++; n == c.nth {
						return c.reply
					}
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			src := s.send("smtp:[192.0.2.1]", letter("one@dest.example", "two@dest.example", "three@dest.example"))
			if got := fates(src.results[0]); got != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(c.want, "\n"))
			}
			if p.count() != c.conns {
				t.Errorf("%d connections, want %d", p.count(), c.conns)
			}
		})
	}
}
