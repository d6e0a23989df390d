package delivery

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What a message needs and a hop does not offer: it is sent whole or not at all, by DATA
// as by BDAT, and nothing in it is changed to make it fit.
func TestWhatAHopCannotCarry(t *testing.T) {
	eight := body("Subject: x\r\n\r\n\xc3\xa4\xff\r\n")
	utf8Header := body("Subject: \xc3\xa4\r\n\r\nx\r\n")
	long := body("Subject: x\r\n\r\n" + strings.Repeat("x", 5000) + "\r\n")
	for _, c := range []struct {
		name     string
		keywords []string
		flags    mail.Flags
		body     body
		to       string
		o        Options
		want     string // fate
		from     string // what MAIL has beside the address, if it came
	}{
		{"8-bit, offered", []string{"8BITMIME"}, mail.FlagEightBit | mail.FlagBody8BitMIME, eight, "r@dest.example", Options{}, "sent", " BODY=8BITMIME"},
		{"8-bit, not offered", nil, mail.FlagEightBit | mail.FlagBody8BitMIME, eight, "r@dest.example", Options{},
			"bounced 5.6.3 " + sinkRelay + " (8BITMIME is required, but was not offered by host 192.0.2.1[192.0.2.1])", ""},
		{"8-bit as it is (disable_mime_output_conversion)", nil, mail.FlagEightBit | mail.FlagBody8BitMIME, eight, "r@dest.example", Options{SendEightBit: true}, "sent", ""},
		{"7-bit that said 8BITMIME", nil, mail.FlagBody8BitMIME, body(testBody), "r@dest.example", Options{}, "sent", ""},
		{"UTF-8 address, not offered", []string{"8BITMIME"}, mail.FlagSMTPUTF8, body(testBody), "ü@dest.example", Options{SendEightBit: true},
			"bounced 5.6.7 " + sinkRelay + " (SMTPUTF8 is required, but was not offered by host 192.0.2.1[192.0.2.1])", ""},
		{"UTF-8 header, not offered", []string{"8BITMIME"}, mail.FlagSMTPUTF8 | mail.FlagEightBit, utf8Header, "r@dest.example", Options{SendEightBit: true},
			"bounced 5.6.7 " + sinkRelay + " (SMTPUTF8 is required, but was not offered by host 192.0.2.1[192.0.2.1])", ""},
		{"UTF-8, offered", []string{"SMTPUTF8"}, mail.FlagSMTPUTF8 | mail.FlagEightBit, utf8Header, "ü@dest.example", Options{}, "sent", " SMTPUTF8"},
		{"SMTPUTF8 that nothing needs", nil, mail.FlagSMTPUTF8, body(testBody), "r@dest.example", Options{}, "sent", ""},
		{"long line", nil, mail.FlagLongLines, long, "r@dest.example", Options{}, "sent", ""},
		{"larger than it may be", []string{"SIZE 1000"}, 0, long, "r@dest.example", Options{},
			"bounced 5.3.4 " + sinkRelay + " (message size 5054 exceeds size limit 1000 of server 192.0.2.1[192.0.2.1])", ""},
		{"SIZE without a limit", []string{"SIZE"}, 0, long, "r@dest.example", Options{}, "sent", " SIZE=5054"},
	} {
		for _, more := range [][]string{nil, {"PIPELINING"}, {"CHUNKING"}, {"PIPELINING", "CHUNKING"}} {
			t.Run(c.name+" "+strings.Join(more, " "), func(t *testing.T) {
				p := &peer{keywords: append(append([]string(nil), more...), c.keywords...)}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, c.o)
				a := letter(c.to)
				a.Env.Flags, a.Body = c.flags, c.body
				got := fates(s.send("smtp:[192.0.2.1]", a).results[0])
				if c.want == "sent" && !strings.HasPrefix(got, "sent") || c.want != "sent" && got != c.want {
					t.Fatalf("got %s\nwant %s", got, c.want)
				}
				s.net.wait()
				m := p.got()
				if c.want != "sent" {
					if got := initials(p.commands(1)); len(m) != 0 || got != "Q" {
						t.Errorf("%d messages came, commands %q", len(m), got)
					}
					return
				}
				if len(m) != 1 || m[0].data != string(a.Env.Prepend)+string(c.body) || m[0].from != "<sender@example.net>"+c.from {
					t.Errorf("came: %+v", m)
				}
				if by := initials(p.commands(1)); strings.Contains(by, "B") != p.offers("CHUNKING") {
					t.Errorf("commands %q", by)
				}
			})
		}
	}
}
