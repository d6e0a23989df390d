package delivery

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// What Postfix 3.7 was seen to send.
func TestEnvelopeParameters(t *testing.T) {
	type rcpt struct {
		to, orig, orcpt string
		notify          mail.Notify
	}
	plain := rcpt{"one@dest.example", "a@virt.example", "", 0}
	for _, c := range []struct {
		name     string
		keywords []string
		from     string
		flags    mail.Flags
		envid    string
		ret      string
		rcpt     rcpt
		mail     string
		to       string
	}{
		{"plain", allKeywords, "sender@example.net", 0, "", "", plain,
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;a@virt.example"},
		{"8BITMIME only", []string{"8BITMIME"}, "sender@example.net", 0, "", "", plain,
			"<sender@example.net>", "<one@dest.example>"},
		{"BODY=8BITMIME", allKeywords, "", mail.FlagBody8BitMIME, "", "", rcpt{"sender@example.net", "sender@example.net", "", 0},
			"<> SIZE=72 BODY=8BITMIME", "<sender@example.net> ORCPT=rfc822;sender@example.net"},
		{"BODY=7BIT", allKeywords, "sender@example.net", mail.FlagBody7Bit, "", "", plain,
			"<sender@example.net> SIZE=72 BODY=7BIT", "<one@dest.example> ORCPT=rfc822;a@virt.example"},
		{"8-bit that nobody announced", allKeywords, "sender@example.net", mail.FlagEightBit, "", "", plain,
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;a@virt.example"},
		{"ENVID and RET", allKeywords, "sender@example.net", 0, "env1", "HDRS", rcpt{"one@dest.example", "a@virt.example", "", mail.NotifyFailure},
			"<sender@example.net> SIZE=72 ENVID=env1 RET=HDRS", "<one@dest.example> ORCPT=rfc822;a@virt.example NOTIFY=FAILURE"},
		{"ENVID with odd characters", allKeywords, "sender@example.net", 0, "a b+c=d", "FULL", plain,
			"<sender@example.net> SIZE=72 ENVID=a+20b+2Bc+3Dd RET=FULL", "<one@dest.example> ORCPT=rfc822;a@virt.example"},
		{"no DSN", []string{"PIPELINING", "SIZE"}, "sender@example.net", 0, "env1", "HDRS", rcpt{"one@dest.example", "a@virt.example", "", mail.NotifyFailure},
			"<sender@example.net> SIZE=72", "<one@dest.example>"},
		{"SMTPUTF8", allKeywords, "sender@example.net", mail.FlagSMTPUTF8, "", "", rcpt{"one@dest.example", "jösé@virt.example", "", 0},
			"<sender@example.net> SIZE=72 SMTPUTF8", "<one@dest.example> ORCPT=rfc822;j+C3+B6s+C3+A9@virt.example"},
		{"UTF-8 target without SMTPUTF8", []string{"PIPELINING", "8BITMIME", "DSN"}, "sender@example.net", 0, "", "", rcpt{"jösé@dest.example", "b@virt.example", "", 0},
			"<sender@example.net>", "<jösé@dest.example> ORCPT=rfc822;b@virt.example"},
		{"spelling is kept", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "A@Virt.Example", "", 0},
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;A@Virt.Example"},
		{"quoted", allKeywords, "sender@example.net", 0, "", "", rcpt{"x+y z@dest.example", "x+y z@virt2.example", "", 0},
			"<sender@example.net> SIZE=72", `<"x+y z"@dest.example> ORCPT=rfc822;"x+2By+20z"@virt2.example`},
		{"equals sign", allKeywords, "sender@example.net", 0, "", "", rcpt{"a=b+c@dest.example", "a=b+c@virt2.example", "", 0},
			"<sender@example.net> SIZE=72", "<a=b+c@dest.example> ORCPT=rfc822;a+3Db+2Bc@virt2.example"},
		{"ORCPT of the client", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "a@virt.example", "rfc822;orig@origin.example", mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay},
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;orig@origin.example NOTIFY=SUCCESS,FAILURE,DELAY"},
		{"ORCPT in UTF-8", allKeywords, "sender@example.net", mail.FlagSMTPUTF8, "", "", rcpt{"one@dest.example", "a@virt.example", "utf-8;jösé+@x.example", 0},
			"<sender@example.net> SIZE=72 SMTPUTF8", `<one@dest.example> ORCPT=utf-8;jösé\x{2B}@x.example`},
		{"ORCPT in UTF-8 without SMTPUTF8", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "a@virt.example", "utf-8;jösé\t@x.example", 0},
			"<sender@example.net> SIZE=72", `<one@dest.example> ORCPT=utf-8;j\x{F6}s\x{E9}\x{09}@x.example`},
		{"ORCPT that would be a parameter", allKeywords, "sender@example.net", 0, "x\r\nDATA", "EVIL\r\n", rcpt{"one@dest.example", "a@virt.example", "rfc822;x NOTIFY=NEVER\r\nDATA", 0},
			"<sender@example.net> SIZE=72 ENVID=x+0D+0ADATA", "<one@dest.example> ORCPT=rfc822;x+20NOTIFY+3DNEVER+0D+0ADATA"},
		{"no original address", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "", "", mail.NotifyNever},
			"<sender@example.net> SIZE=72", "<one@dest.example> NOTIFY=NEVER"},
		{"NOTIFY=SUCCESS that ended at an alias", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "a@virt.example", "", mail.NotifyExpanded},
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;a@virt.example NOTIFY=NEVER"},
		{"NOTIFY=SUCCESS,DELAY that ended at an alias", allKeywords, "sender@example.net", 0, "", "", rcpt{"one@dest.example", "a@virt.example", "", mail.NotifyExpanded | mail.NotifySuccess | mail.NotifyDelay},
			"<sender@example.net> SIZE=72", "<one@dest.example> ORCPT=rfc822;a@virt.example NOTIFY=DELAY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: c.keywords}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			a := letter(c.rcpt.to)
			a.Env.Sender, a.Env.Flags, a.Env.EnvID, a.Env.Ret = mail.SplitAddress(c.from), c.flags, c.envid, c.ret
			r := &a.Env.Rcpts[0]
			r.Orig, r.ORcpt, r.Notify = mail.SplitAddress(c.rcpt.orig), c.rcpt.orcpt, c.rcpt.notify
			src := s.send("smtp:[192.0.2.1]", a)
			if len(p.got()) == 0 {
				t.Fatal(fates(src.results[0]))
			}
			m := p.got()[0]
			if m.from != c.mail || m.to[0] != c.to {
				t.Errorf("got\n%s\n%s\nwant\n%s\n%s", m.from, m.to[0], c.mail, c.to)
			}
		})
	}
}

// A message that needs what the server lacks does not go there.
func TestNeeds(t *testing.T) {
	utf8Header := "Subject: grün\r\n\r\nx\r\n"
	utf8Body := "Subject: x\r\n\r\ngrün\r\n"
	for _, c := range []struct {
		name     string
		keywords []string
		from, to string
		flags    mail.Flags
		body     string
		as8bit   bool
		want     string
	}{
		{"small enough", []string{"SIZE 1000"}, "s@x.example", "r@x.example", 0, testBody, false, "sent 2.0.0"},
		{"too big", []string{"SIZE 71"}, "s@x.example", "r@x.example", 0, testBody, false, "bounced 5.3.4 " + sinkRelay + " (message size 72 exceeds size limit 71 of server 192.0.2.1[192.0.2.1])"},
		{"size is nonsense", []string{"SIZE lots"}, "s@x.example", "r@x.example", 0, testBody, false, "sent 2.0.0"},
		{"size is zero", []string{"SIZE 0"}, "s@x.example", "r@x.example", 0, testBody, false, "sent 2.0.0"},
		{"8-bit", nil, "s@x.example", "r@x.example", mail.FlagEightBit, utf8Body, false, "bounced 5.6.3 " + sinkRelay + " (8BITMIME is required, but was not offered by host 192.0.2.1[192.0.2.1])"},
		{"8-bit, sent all the same", nil, "s@x.example", "r@x.example", mail.FlagEightBit, utf8Body, true, "sent 2.0.0"},
		{"announced as 8-bit, but is not", nil, "s@x.example", "r@x.example", mail.FlagBody8BitMIME, testBody, false, "sent 2.0.0"},
		{"8-bit to 8BITMIME", []string{"8bitmime"}, "s@x.example", "r@x.example", mail.FlagEightBit, utf8Body, false, "sent 2.0.0"},
		{"8-bit to SMTPUTF8 alone", []string{"SMTPUTF8"}, "s@x.example", "r@x.example", mail.FlagEightBit, utf8Body, false, "sent 2.0.0"},
		{"SMTPUTF8 asked for, not needed", []string{"8BITMIME"}, "s@x.example", "r@x.example", mail.FlagSMTPUTF8, testBody, false, "sent 2.0.0"},
		{"SMTPUTF8 asked for, 8-bit body only", []string{"8BITMIME"}, "s@x.example", "r@x.example", mail.FlagSMTPUTF8 | mail.FlagEightBit, utf8Body, false, "sent 2.0.0"},
		{"UTF-8 header", []string{"8BITMIME"}, "s@x.example", "r@x.example", mail.FlagSMTPUTF8 | mail.FlagEightBit, utf8Header, false, "bounced 5.6.7 " + sinkRelay + " (SMTPUTF8 is required, but was not offered by host 192.0.2.1[192.0.2.1])"},
		{"UTF-8 recipient", []string{"8BITMIME"}, "s@x.example", "rö@x.example", mail.FlagSMTPUTF8, testBody, false, "bounced 5.6.7 " + sinkRelay + " (SMTPUTF8 is required, but was not offered by host 192.0.2.1[192.0.2.1])"},
		{"UTF-8 sender", []string{"8BITMIME"}, "jö@x.example", "r@x.example", mail.FlagSMTPUTF8, testBody, false, "bounced 5.6.7 " + sinkRelay + " (SMTPUTF8 is required, but was not offered by host 192.0.2.1[192.0.2.1])"},
		{"UTF-8 recipient, not asked for", []string{"8BITMIME"}, "s@x.example", "rö@x.example", 0, testBody, false, "sent 2.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: c.keywords}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SendEightBit: c.as8bit})
			a := letter(c.to)
			a.Env.Sender, a.Env.Flags, a.Body = mail.SplitAddress(c.from), c.flags, body(c.body)
			src := s.send("smtp:[192.0.2.1]", a)
			if got := fates(src.results[0]); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if src.feedback[0] != mail.FeedbackGood {
				t.Error("the destination is blamed for it")
			}
		})
	}
}

// The server that lacks something may not be the only one.
func TestNeedsAreMetElsewhere(t *testing.T) {
	old, modern := &peer{}, &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": old, "192.0.2.2:25": modern}, Options{
		DNSEnabled: true, Resolver: fakeDNS{
			mx:    map[string]string{"dest.example": "10 old.example, 20 new.example"},
			addrs: map[string]string{"old.example": "192.0.2.1", "new.example": "192.0.2.2"},
		}})
	a := letter("r@dest.example")
	a.Env.Flags, a.Body = mail.FlagEightBit, body("\r\ngrün\r\n")
	if got := fates(s.send("smtp:dest.example", a).results[0]); got != "sent 2.0.0 new.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)" {
		t.Error(got)
	}
}

// FuzzXtext: what is encoded is printable, without separators, and decodes to itself.
func FuzzXtext(f *testing.F) {
	f.Add("a+b=c d\r\n\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		x := string(appendXtext(nil, s))
		if strings.ContainsFunc(x, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '=' }) {
			t.Fatalf("%q: %q", s, x)
		}
		var back []byte
		for i := 0; i < len(x); i++ {
			if x[i] != '+' {
				back = append(back, x[i])
				continue
			}
			n, err := strconv.ParseUint(x[i+1:i+3], 16, 8)
			if err != nil {
				t.Fatalf("%q: %q", s, x)
			}
			back = append(back, byte(n))
			i += 2
		}
		if string(back) != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

// FuzzUTF8Addr: RFC 6533's encoding holds nothing that could end the parameter, and
// names the same characters.
func FuzzUTF8Addr(f *testing.F) {
	f.Add("jösé+=\\@x.example", true)
	f.Add("\r\n \x7f", false)
	f.Fuzz(func(t *testing.T, s string, unicode bool) {
		if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
			return
		}
		x := string(appendUTF8Addr(nil, s, unicode))
		if strings.ContainsFunc(x, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '=' || c == '+' || c > 0x7f && !unicode }) {
			t.Fatalf("%q: %q", s, x)
		}
		var back strings.Builder
		for rest := x; rest != ""; {
			if !strings.HasPrefix(rest, `\x{`) {
				c, n := utf8.DecodeRuneInString(rest)
				back.WriteRune(c)
				rest = rest[n:]
				continue
			}
			hex, after, _ := strings.Cut(rest[3:], "}")
			var c rune
			if _, err := fmt.Sscanf(hex, "%X", &c); err != nil {
				t.Fatalf("%q: %q", s, x)
			}
			back.WriteRune(c)
			rest = after
		}
		if back.String() != s {
			t.Fatalf("%q came back as %q", s, back.String())
		}
	})
}
