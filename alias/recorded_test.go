package alias

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What Postfix 3.7.11 did with the same tables: testdata/recorded.json, a case a line.
// rcpt_to is what its next hop was told, with the DSN parameters.

type recordedCase struct {
	Name     string            `json:"name"`
	About    string            `json:"about"`
	MainCF   map[string]string `json:"main_cf"`
	Files    map[string]string `json:"files"`
	Sessions []recordedSession `json:"sessions"`
	RcptTo   []string          `json:"rcpt_to"`
}

type recordedSession struct {
	Client string `json:"client"`
	Rcpts  []struct {
		Addr   string `json:"addr"`
		Params string `json:"params"`
		Reply  string `json:"reply"`
	} `json:"rcpts"`
	Dot        string `json:"dot"` // the refusal after the message
	Deliveries []struct {
		RcptTo string `json:"rcpt_to"`
		OrigTo string `json:"orig_to"`
		Agent  string `json:"agent"`
		DSN    string `json:"dsn"`
		Reason string `json:"reason"`
	} `json:"deliveries"`
}

func TestRecordedFromPostfix(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []recordedCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { replay(t, c) })
	}
}

func replay(t *testing.T, c recordedCase) {
	r := fromConfig(t, c.MainCF, c.Files)
	var told []string
	for i, s := range c.Sessions {
		var accepted []mail.Recipient
		seen := mail.NewDuplicates(1000, c.MainCF["enable_original_recipient"] != "no")
		dot := ""
		for _, rcpt := range s.Rcpts {
			if strings.HasPrefix(rcpt.Reply, "501") {
				continue // refused by the parser of commands
			}
			reply, rcpts := rcptTo(t, r, c, s.Client, rcpt.Addr, rcpt.Params)
			if reply == "451 4.6.0 Alias expansion error" {
				reply, dot = "250 2.1.5 Ok", reply // Postfix finds out only at the end
			}
			if len(rcpts) == 0 && strings.HasPrefix(reply, "451 4.3.0") {
				reply, dot = "250 2.1.5 Ok", "451 4.3.0 Error: queue file write error"
			}
			if strings.HasPrefix(rcpt.Reply, "250") && strings.Contains(reply, "550 5.1.1") && onlyReturned(s) {
				continue // refused here instead of returned later
			}
			if reply != rcpt.Reply {
				t.Errorf("session %d: RCPT TO:<%s>\n got %s\nwant %s", i, rcpt.Addr, reply, rcpt.Reply)
			}
			for _, rc := range rcpts {
				if len(s.Rcpts) == 1 || !seen.Seen(&rc) {
					accepted = append(accepted, rc)
				}
			}
		}
		if dot != s.Dot {
			t.Errorf("session %d: end of message: got %q, want %q", i, dot, s.Dot)
		}
		told = append(told, compareDeliveries(t, i, s, accepted)...)
	}
	if c.RcptTo == nil {
		return // its next hop answered in ways that are not ours to know
	}
	slices.Sort(told)
	want := slices.Clone(c.RcptTo)
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("next hop is told\n got %q\nwant %q", told, want)
	}
}

// rcptTo does what the session does with a recipient: who may relay, then Expand.
func rcptTo(t *testing.T, r *Resolver, c recordedCase, client, addr, params string) (string, []mail.Recipient) {
	ctx := context.Background()
	a := address(t, addr)
	class, err := r.Class(ctx, r.Complete(a))
	if err != nil {
		t.Fatal(err)
	}
	shown := addr
	if strings.HasPrefix(shown, "@") {
		_, shown, _ = strings.Cut(shown, ":")
	}
	if strings.Contains(shown, `"`) {
		shown = a.Internal()
	}
	trusted := strings.Contains(c.MainCF["mynetworks"], client)
	postmaster := strings.EqualFold(addr, "postmaster")
	if class == mail.ClassDefault && !trusted && !postmaster {
		return "554 5.7.1 <" + shown + ">: Relay access denied", nil
	}
	req := mail.RcptRequest{Addr: a, ORcpt: "rfc822;" + addr}
	for _, p := range strings.Fields(params) {
		if v, ok := strings.CutPrefix(p, "ORCPT="); ok {
			req.ORcpt = v
		}
		if v, ok := strings.CutPrefix(p, "NOTIFY="); ok {
			for _, k := range strings.Split(v, ",") {
				req.Notify |= map[string]mail.Notify{"NEVER": mail.NotifyNever, "SUCCESS": mail.NotifySuccess,
					"FAILURE": mail.NotifyFailure, "DELAY": mail.NotifyDelay}[k]
			}
		}
	}
	rcpts, err := r.Expand(ctx, req)
	if err == nil {
		return "250 2.1.5 Ok", rcpts
	}
	status := mail.StatusOf(err)
	if status.Code == 451 && status.Enhanced == mail.Code(4, 6, 0) {
		return "451 4.6.0 Alias expansion error", nil
	}
	shownStatus := *status
	shownStatus.Text = "<" + shown + ">: " + status.Text
	return shownStatus.Error(), nil
}

func onlyReturned(s recordedSession) bool {
	for _, d := range s.Deliveries {
		if d.Agent != "error" {
			return false
		}
	}
	return len(s.Deliveries) > 0
}

func compareDeliveries(t *testing.T, i int, s recordedSession, rcpts []mail.Recipient) (told []string) {
	var got, want []string
	for _, rc := range rcpts {
		line := "to=<" + external(rc.Final) + ">, orig_to=<" + rc.OrigTo() + ">, " + rc.Dest.Transport()
		if rc.Dest.Transport() == "error" {
			e, text := splitStatus(rc.Dest.NextHop(), mail.Code(5, 0, 0))
			line += ", dsn=" + e.String() + " (" + text + ")"
		} else {
			told = append(told, tell(rc))
		}
		got = append(got, line)
	}
	if len(rcpts) > 0 || !onlyReturned(s) {
		for _, d := range s.Deliveries {
			line := "to=<" + d.RcptTo + ">, orig_to=<" + d.OrigTo + ">, " + d.Agent
			if d.Agent == "error" {
				line += ", dsn=" + d.DSN + " (" + d.Reason + ")"
			}
			want = append(want, line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("session %d: recipients\n got %s\nwant %s", i, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	return told
}

// tell writes a recipient as the SMTP client does.
func tell(rc mail.Recipient) string {
	kind, addr, _ := strings.Cut(rc.ORcpt, ";")
	line := "<" + external(rc.Final) + "> ORCPT=" + kind + ";" + xtext(addr)
	var words []string
	for _, n := range []struct {
		bit  mail.Notify
		word string
	}{{mail.NotifyNever, "NEVER"}, {mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if rc.Notify&n.bit != 0 {
			words = append(words, n.word)
		}
	}
	if words != nil {
		line += " NOTIFY=" + strings.Join(words, ",")
	}
	return line
}

func xtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			const hex = "0123456789ABCDEF"
			b.WriteString("+" + string(hex[c>>4]) + string(hex[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
