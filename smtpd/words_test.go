package smtpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		line, word, arg string
		v               verb
	}{
		{"EHLO x", "EHLO", "x", verbEhlo},
		{"  helo \t a b ", "helo", "a b", verbHelo},
		{"MAIL\tFROM:<a>", "MAIL", "FROM:<a>", verbMail},
		{"STARTTLSxyz", "STARTTLSxyz", "", verbUnknown},
		{"UNKNOWN", "UNKNOWN", "", verbUnknown},
		{"BDAT 3 LAST", "BDAT", "3 LAST", verbBdat},
		{"", "", "", verbUnknown},
		{" \t ", "", "", verbUnknown},
		{"quit", "quit", "", verbQuit},
	} {
		v, word, arg := parseCommand(tt.line)
		if v != tt.v || word != tt.word || arg != tt.arg {
			t.Errorf("%q: %v, %q, %q", tt.line, v, word, arg)
		}
	}
}

// Whatever a line is, its verb and argument are parts of it in their order, and a verb
// that is known is written as its name.
func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"EHLO x", " mail  from:<a@b> SIZE=3 ", "\t", "DATA", "ſtarttls", "RCPT TO:<a>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		v, word, arg := parseCommand(line)
		i := strings.Index(line, word)
		if i < 0 || strings.Trim(line[:i], " \t") != "" || strings.Trim(line[i+len(word):], " \t") != strings.Trim(arg, " \t") {
			t.Errorf("%q: %q, %q", line, word, arg)
		}
		if strings.ContainsAny(word, " \t") || v != verbUnknown && !strings.EqualFold(word, v.String()) {
			t.Errorf("%q: %v, %q", line, v, word)
		}
		for _, p := range params(arg) {
			if p.text == "" || !strings.HasSuffix(p.text, p.value) || strings.ContainsAny(p.text, " \t") {
				t.Errorf("%q: parameter %+v", line, p)
			}
		}
	})
}

func TestParseForbidBareNewline(t *testing.T) {
	for s, want := range map[string]wire.BareLF{
		"": wire.BareLFNormalize, "Normalize": wire.BareLFNormalize, "yes": wire.BareLFNormalize, "reject": wire.BareLFReject, "no": wire.BareLFAllow,
	} {
		if got, err := ParseForbidBareNewline(s); got != want || err != nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if _, err := ParseForbidBareNewline("maybe"); err == nil || err.Error() != `"maybe" is not one of normalize, reject, yes, no` {
		t.Errorf("%v", err)
	}
}

func TestTally(t *testing.T) {
	var c tally
	if got := c.String(); got != "commands=0/0" {
		t.Errorf("nothing: %q", got)
	}
	for _, v := range []verb{verbEhlo, verbMail, verbRcpt, verbData, verbQuit} {
		c.count(v, true)
	}
	if got := c.String(); got != "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5" {
		t.Errorf("a message: %q", got)
	}
	c.count(verbRcpt, false)
	c.count(verbUnknown, false)
	if got := c.String(); got != "ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 unknown=0/1 commands=5/7" {
		t.Errorf("with refusals: %q", got)
	}
}

func TestParseBdat(t *testing.T) {
	for arg, want := range map[string]struct {
		size     int64
		last, ok bool
	}{
		"0": {0, false, true}, "12 LAST": {12, true, true}, "12  last": {12, true, true}, "9223372036854775807": {9223372036854775807, false, true},
		"": {}, "x": {}, "-1": {}, "+1": {}, "1 2": {}, "1 LAST x": {}, "9223372036854775808": {}, "LAST": {}, "0x10": {},
	} {
		size, last, ok := parseBdat(arg)
		if ok != want.ok || ok && (size != want.size || last != want.last) {
			t.Errorf("%q: %d, %v, %v", arg, size, last, ok)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "010": 10, "9223372036854775000": 9223372036854775000, "9223372036854775807": -1,
		"99999999999999999999": -1, "": -2, "-1": -2, "1x": -2, "+1": -2, "٣": -2,
	} {
		n, ok := parseSize(s)
		if !ok {
			n = -2
		}
		if n != want && !(want == -1 && n == 9223372036854775807) {
			t.Errorf("%q: %d, want %d", s, n, want)
		}
	}
}

func TestXtext(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"plain", "plain", true}, {"", "", true}, {"a+2Bb+3D", "a+b=", true}, {"a+2bb", "a+b", true}, {"j+C3+B6", "jö", true},
		{"jö", "jö", true}, {"+", "", false}, {"+2", "", false}, {"+zz", "", false}, {"a+0D+0A", "", false}, {"+FF", "", false}, {"+00", "", false},
	} {
		if got, ok := decodeXtext(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %q, %v", tt.in, got, ok)
		}
	}
	for _, tt := range []struct {
		in, kind, addr string
		ok             bool
	}{
		{"rfc822;a@b", "rfc822", "a@b", true}, {"rfc822;", "rfc822", "", true}, {"X400;a;b", "X400", "a;b", true},
		{`utf-8;j\x{F6}s\x{e9}@b`, "utf-8", "jösé@b", true}, {`UTF-8;\x{1F600}`, "UTF-8", "😀", true}, {"utf-8;jö+2B", "utf-8", "jö+", true},
		{`rfc822;\x{F6}`, "rfc822", `\x{F6}`, true},
		{"rfc822", "", "", false}, {";x", "", "", false}, {"", "", "", false}, {"a b;x", "", "", false}, {"ä;x", "", "", false},
		{`utf-8;\x{110000}`, "", "", false}, {`utf-8;\x{D800}`, "", "", false}, {`utf-8;\x{1`, "", "", false}, {`utf-8;\x{A}`, "", "", false},
	} {
		if kind, addr, ok := parseORcpt(tt.in); ok != tt.ok || ok && (kind != tt.kind || addr != tt.addr) {
			t.Errorf("%q: %q, %q, %v", tt.in, kind, addr, ok)
		}
	}
}

// What is decoded can be kept and shown: printable, and encoded again it is the same.
func FuzzXtext(f *testing.F) {
	for _, s := range []string{"a+2Bb", `utf-8;j\x{F6}`, "rfc822;x", "+C3+B6", "+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := decodeXtext(s); ok {
			if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\x7f") {
				t.Errorf("%q: %q", s, got)
			}
			if again, ok := decodeXtext(strings.ReplaceAll(got, "+", "+2B")); !ok || again != got {
				t.Errorf("%q: %q, then %q", s, got, again)
			}
		}
		if kind, addr, ok := parseORcpt(s); ok && (kind == "" || strings.ContainsAny(kind+addr, "\r\n\x00")) {
			t.Errorf("%q: %q, %q", s, kind, addr)
		}
	})
}

func TestParseNotify(t *testing.T) {
	unknown := map[string]string{"BAD": "BAD", "SUCCESS,bad,worse": "bad", "NEVER NEVER": "NEVER NEVER"}
	for s, want := range map[string][]smtp.DSNNotify{
		"NEVER":                 {smtp.DSNNotifyNever},
		"success,Failure,DELAY": {smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
		"SUCCESS,":              {smtp.DSNNotifySuccess},
		"NEVER,SUCCESS":         nil, "SUCCESS,NEVER": nil, "": nil, ",": nil, "BAD": nil, "SUCCESS,bad,worse": nil, "NEVER NEVER": nil,
	} {
		got, word := parseNotify(s)
		if (got == nil) != (want == nil) || !slices.Equal(got, want) || word != unknown[s] {
			t.Errorf("%q: %v, %q", s, got, word)
		}
	}
}

// What the client says of the body is passed on with the message; the last word holds.
func TestBodyParameter(t *testing.T) {
	w := usual(t).start()
	c := w.dial("127.0.0.2").greeting()
	c.expect("EHLO x", "250-")
	for params, want := range map[string]mail.Flags{
		"": 0, " BODY=7BIT": mail.FlagBody7Bit, " body=8bitmime": mail.FlagBody8BitMIME, " BODY=8BITMIME BODY=7BIT": mail.FlagBody7Bit,
	} {
		c.expect("MAIL FROM:<s@example.net>"+params, "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ", "Subject: x\r\n\r\nx\r\n.", "250 ")
		if got := w.store.messages[len(w.store.messages)-1].env.Flags; got != want {
			t.Errorf("MAIL with%s: flags %b, want %b", params, got, want)
		}
	}
	c.hangUp()
	w.conns.Wait()
}

// SMTPUTF8 that nobody has asked for, where it is to be found out.
func TestSMTPUTF8Autodetect(t *testing.T) {
	for _, tt := range []struct {
		name, rcpt, text string
		detect, want     bool
	}{
		{"header", "a@virt.example", "Subject: ü\r\n\r\nx\r\n.", true, true},
		{"header, not looked for", "a@virt.example", "Subject: ü\r\n\r\nx\r\n.", false, false},
		{"target", "u@virt.example", "Subject: u\r\n\r\nx\r\n.", true, true},
		{"body", "a@virt.example", "Subject: u\r\n\r\nü\r\n.", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := usual(t)
			w.o.Recipients = newBook("virt.example", "a@virt.example b@dest.example\nu@virt.example ü@dest.example\n")
			w.o.SMTPUTF8Autodetect = tt.detect
			w.start()
			c := w.dial("127.0.0.2").greeting()
			c.expect("EHLO x", "250-", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<"+tt.rcpt+">", "250 ", "DATA", "354 ", tt.text, "250 ")
			if got := w.store.messages[0].env.Flags&mail.FlagSMTPUTF8 != 0; got != tt.want {
				t.Errorf("SMTPUTF8: %v, want %v", got, tt.want)
			}
			c.hangUp()
			w.conns.Wait()
		})
	}
}

func TestReceived(t *testing.T) {
	only := mail.Address{Local: "odd user", Domain: "virt.example"}
	date := time.Date(2025, 11, 2, 10, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, tt := range []struct {
		name string
		t    trace
		want string
	}{
		{"one recipient", trace{helo: "client.example.net", peer: Peer{Name: "unknown", Addr: netip.MustParseAddr("192.0.2.1")}, protocol: "ESMTP", only: &only},
			"Received: from client.example.net (unknown [192.0.2.1])\r\n\tby mx.example.com (Postfix) with ESMTP id 000000000007\r\n\tfor <\"odd user\"@virt.example>; Sun,  2 Nov 2025 10:00:00 +0100 (CET)\r\n"},
		{"several, IPv6, no HELO", trace{peer: Peer{Name: "c.example", Addr: netip.MustParseAddr("2001:db8::1")}, protocol: "SMTP"},
			"Received: from c.example (c.example [IPv6:2001:db8::1])\r\n\tby mx.example.com (Postfix) with SMTP id 000000000007;\r\n\tSun,  2 Nov 2025 10:00:00 +0100 (CET)\r\n"},
		{"local", trace{helo: "h", peer: Peer{Local: true}.settled(), protocol: "UTF8SMTP"},
			"Received: from h (localhost [127.0.0.1])\r\n\tby mx.example.com (Postfix) with UTF8SMTP id 000000000007;\r\n\tSun,  2 Nov 2025 10:00:00 +0100 (CET)\r\n"},
	} {
		tt.t.hostname, tt.t.mailName, tt.t.id, tt.t.time = "mx.example.com", "Postfix", 7, date
		if got := string(tt.t.received(nil)); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestHeloName(t *testing.T) {
	for in, want := range map[string]string{
		"client.example.net": "client.example.net", "[127.0.0.1]": "[127.0.0.1]", "a b": "a?b", `<x>"()\;@`: "?x???????",
		"x\ty": "x?y", "ö": "ö", "\xff": "?", strings.Repeat("x", 300): strings.Repeat("x", 255),
	} {
		if got := heloName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEcho(t *testing.T) {
	for _, tt := range []struct {
		in   string
		most int
		want string
	}{
		{"plain", 10, "plain"}, {"plain", 3, "pla"}, {"a\r\nb\x00\x7f", 10, "a??b??"}, {"grün", 10, "grün"}, {"grün", 3, "gr"}, {"a\xffb", 10, "a?b"}, {"", 5, ""},
	} {
		if got := echo(tt.in, tt.most); got != tt.want {
			t.Errorf("%q, %d: %q, want %q", tt.in, tt.most, got, tt.want)
		}
	}
	if got := escape([]byte("a\r\n\t\\\x01\xff")); got != `a\r\n\t\\\001\377` {
		t.Errorf("escape: %q", got)
	}
}

func TestPeer(t *testing.T) {
	for _, tt := range []struct {
		p    Peer
		want string
		uid  int
	}{
		{Peer{Addr: netip.MustParseAddr("::ffff:192.0.2.1")}, "unknown[192.0.2.1]", -1},
		{Peer{Name: "c.example", Addr: netip.MustParseAddr("2001:db8::1"), UID: 5}, "c.example[2001:db8::1]", -1},
		{Peer{Local: true, UID: 1000}, "localhost[127.0.0.1]", 1000},
	} {
		if p := tt.p.settled(); p.String() != tt.want || p.UID != tt.uid {
			t.Errorf("%+v: %s, UID %d", tt.p, p, p.UID)
		}
	}
}
