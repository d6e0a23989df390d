package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// refusedEarlier is the rule of docs/differences.md that has a recipient refused at
// RCPT where Postfix says so later, or by a bounce.
const refusedEarlier = "refused earlier"

// earlierCodes are the replies it may be refused with: nobody is there, the expansion
// does not end, a table fails; and the first while soft_bounce is on.
var earlierCodes = []string{"550 5.1.1", "451 4.6.0", "451 4.3.0"}

const (
	softCode = "450 4.1.1"
	tempFail = 75 // sysexits(3): what sendmail says of all of them
)

// checkRefusedEarlier tells where a run goes beyond the rule: every RCPT that is not
// answered as Postfix did is answered with one of the codes, and there is such a one.
func checkRefusedEarlier(c postfixCase, o outcome) (wrong []string) {
	codes := slices.Clone(earlierCodes)
	if c.MainCF["soft_bounce"] == "yes" {
		codes[0] = softCode
	}
	refused := 0
	for i, s := range c.Sessions {
		if i >= len(o.sessions) {
			return append(wrong, fmt.Sprintf("session %d was not held", i))
		}
		if s.Result != nil && o.sendmail[i].Exit != s.Result.Exit {
			if refused++; o.sendmail[i].Exit != tempFail {
				wrong = append(wrong, fmt.Sprintf("session %d: exit status %d of sendmail, want %d", i, o.sendmail[i].Exit, tempFail))
			}
		}
		for k, got := range o.sessions[i][:min(len(o.sessions[i]), len(s.Replies))] {
			if got == s.Replies[k] || !strings.HasPrefix(got.Cmd, "RCPT ") || got.Cmd != s.Replies[k].Cmd {
				continue
			}
			refused++
			if code := fmt.Sprintf("%d %s", got.Code, got.Enhanced); !slices.Contains(codes, code) {
				wrong = append(wrong, fmt.Sprintf("session %d: %s, want one of %q", i, got, codes))
			}
		}
	}
	if refused == 0 {
		wrong = append(wrong, "nobody was refused earlier than by Postfix")
	}
	return wrong
}

func TestCheckRefusedEarlier(t *testing.T) {
	rcpt := func(code int, enhanced string) reply {
		return reply{Cmd: "RCPT TO:<a@virt.example>", Code: code, Enhanced: enhanced}
	}
	for _, tt := range []struct {
		name      string
		got, want reply
		soft      bool
		ok        bool
	}{
		{"unknown", rcpt(550, "5.1.1"), rcpt(250, "2.1.5"), false, true},
		{"loop", rcpt(451, "4.6.0"), rcpt(250, "2.1.5"), false, true},
		{"table", rcpt(451, "4.3.0"), rcpt(250, "2.1.5"), false, true},
		{"another code", rcpt(554, "5.7.1"), rcpt(250, "2.1.5"), false, false},
		{"accepted", rcpt(250, "2.1.5"), rcpt(550, "5.1.1"), false, false},
		{"as recorded", rcpt(550, "5.1.1"), rcpt(550, "5.1.1"), false, false},
		{"soft", rcpt(450, "4.1.1"), rcpt(250, "2.1.5"), true, true},
		{"hard, for all soft_bounce", rcpt(550, "5.1.1"), rcpt(250, "2.1.5"), true, false},
		{"another command", reply{Cmd: "DATA", Code: 550, Enhanced: "5.1.1"}, reply{Cmd: "DATA", Code: 354}, false, false},
	} {
		c := postfixCase{MainCF: map[string]string{}, Sessions: []recordedSession{{Replies: []reply{tt.want}}}}
		if tt.soft {
			c.MainCF["soft_bounce"] = "yes"
		}
		wrong := checkRefusedEarlier(c, outcome{sessions: [][]reply{{tt.got}}, sendmail: make([]recordedCommand, 1)})
		if (len(wrong) == 0) != tt.ok {
			t.Errorf("%s: %q", tt.name, wrong)
		}
	}
}
