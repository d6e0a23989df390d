package smtpd

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Commands where none should be: behind STARTTLS, in and behind chunks, in place of a
// body, and inside everything that a client may name.

// What comes in the clear behind STARTTLS is not carried out, neither before nor after the
// handshake, in whatever packets it comes.
func TestSTARTTLSInjections(t *testing.T) {
	const evil = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<a@virt.example>\r\n"
	for name, packets := range map[string][]string{
		"one packet":          {"STARTTLS\r\n" + evil},
		"two packets":         {"STARTTLS\r\n", evil},
		"bare LF":             {"STARTTLS\n" + evil},
		"half a command":      {"STARTTLS\r\nMAIL FROM:<ev"},
		"a byte":              {"STARTTLS\r\nR"},
		"a byte, later":       {"STARTTLS\r\n", "R"},
		"STARTTLS twice":      {"STARTTLS\r\nSTARTTLS\r\n"},
		"pipelined before":    {"NOOP\r\nSTARTTLS\r\n" + evil},
		"in the middle of it": {"STARTTL", "S\r\nNO", "OP\r\n"},
	} {
		for _, forbid := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := secured(t, nil)
				w.o.ForbidUnauthPipelining = forbid
				w.srv.Update(w.o)
				addr := serve(t, w)
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				c := &client{t: t, nc: nc}
				c.hear("220 ")
				c.tell("EHLO x.example.net\r\n")
				c.hear("250")
				for _, p := range packets {
					c.tell(p)
				}
				said := ""
				for !strings.Contains(said, "220 ") && !strings.Contains(said, "554 ") {
					said += c.hear("")
				}
				if strings.Contains(said, "2.1.") || strings.Count(said, "220") > 1 {
					t.Fatalf("in the clear: %q", said)
				}
				over := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
				if over.Handshake() != nil {
					return // that is how it should be
				}
				// Whatever the server has read, it must begin anew.
				io.WriteString(over, "RCPT TO:<a@virt.example>\r\nQUIT\r\n")
				inside, _ := io.ReadAll(over)
				if got := codes(string(inside)); got != "503 221" && got != "554" {
					t.Errorf("behind the handshake: %q", inside)
				}
			})
		}
	}
}

// serve is listen for a world that has been started.
func serve(t *testing.T, w *world) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		<-served
		w.srv.Shutdown(t.Context())
	})
	return l.Addr().String()
}

func (c *client) tell(s string) { io.WriteString(c.nc, s) }

// hear returns what comes next, which begins with want.
func (c *client) hear(want string) string {
	c.t.Helper()
	var b [4096]byte
	n, err := c.nc.Read(b[:])
	if err != nil || !strings.HasPrefix(string(b[:n]), want) {
		c.t.Fatalf("%q, %v; want %q", b[:n], err, want)
	}
	return string(b[:n])
}

// Chunks that are not what they say. Content is never taken for commands, and what is
// behind an error is never carried out, unless it is behind exactly the octets that were
// announced.
func TestBDATInjection(t *testing.T) {
	const envelope = "EHLO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\n" // 220 250 250 250
	const evil = "MAIL FROM:<evil@example.net>\r\n"                                        // 30 octets
	for _, tt := range []struct {
		name, send, codes string
		body              string // of the message that is kept; "": there is none
	}{
		{"exact", envelope + "BDAT 5 LAST\r\nhelloQUIT\r\n", "220 250 250 250 250 221", "hello\r\n"},
		{"more than said", envelope + "BDAT 5 LAST\r\nhello, world\r\nQUIT\r\n", "220 250 250 250 250 221", "hello\r\n"},
		{"less than said", envelope + "BDAT 50 LAST\r\nhello\r\nQUIT\r\n", "220 250 250 250", ""},
		{"less than said, in two", envelope + "BDAT 8\r\nhello\r\nBDAT 0 LAST\r\nQUIT\r\n", "220 250 250 250 250 500 221", ""},
		{"not ended", envelope + "BDAT 5\r\nhelloQUIT\r\n", "220 250 250 250 250 221", ""},
		{"abandoned", envelope + "BDAT 5\r\nhelloRSET\r\nBDAT 5 LAST\r\nworldQUIT\r\n", "220 250 250 250 250 250 503 221", ""},
		{"no transaction", "BDAT 30 LAST\r\n" + evil + "QUIT\r\n", "220 503 221", ""},
		{"no recipient", "MAIL FROM:<s@example.net>\r\nBDAT 30\r\n" + evil + "BDAT 30 LAST\r\n" + evil + "QUIT\r\n", "220 250 554 551 221", ""},
		{"after an error", "BDAT 30\r\n" + evil + "BDAT 30\r\n" + evil + "BDAT 30 LAST\r\n" + evil + envelope + "QUIT\r\n", "220 503 551 551 250 250 250 221", ""},
		{"DATA behind a chunk", envelope + "BDAT 5\r\nhelloDATA\r\nMAIL FROM:<s@example.net>\r\nBDAT 0 LAST\r\nQUIT\r\n", "220 250 250 250 250 503 503 250 221", "hello\r\n"},
		{"too big", envelope + "BDAT 3000\r\n" + strings.Repeat(evil, 100) + "BDAT 30 LAST\r\n" + evil + "QUIT\r\n", "220 250 250 250 552 551 221", ""},
		{"too big together", envelope + "BDAT 1500\r\n" + strings.Repeat(evil, 50) + "BDAT 1500 LAST\r\n" + strings.Repeat(evil, 50) + "QUIT\r\n", "220 250 250 250 250 552 221", ""},
		{"2^63-1", envelope + "BDAT 9223372036854775807 LAST\r\n" + evil, "220 250 250 250 552", ""},
		{"2^63-1 behind another", envelope + "BDAT 5\r\nhelloBDAT 9223372036854775807 LAST\r\n" + evil, "220 250 250 250 250 552", ""},
		{"2^63", envelope + "BDAT 9223372036854775808 LAST\r\n" + evil, "220 250 250 250 521", ""},
		{"2^64+5", envelope + "BDAT 18446744073709551621 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"2^32+5", envelope + "BDAT 4294967301 LAST\r\nhello" + evil, "220 250 250 250 552", ""},
		{"forty digits", envelope + "BDAT " + strings.Repeat("9", 40) + " LAST\r\n" + evil, "220 250 250 250 521", ""},
		{"negative", envelope + "BDAT -5 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"minus nought", envelope + "BDAT -0 LAST\r\n" + evil, "220 250 250 250 521", ""},
		{"plus", envelope + "BDAT +5 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"spaces", envelope + "BDAT  \t 5 \t LAST \r\nhelloQUIT\r\n", "220 250 250 250 250 221", "hello\r\n"},
		{"leading noughts", envelope + "BDAT 00005 LAST\r\nhelloQUIT\r\n", "220 250 250 250 250 221", "hello\r\n"},
		{"hexadecimal", envelope + "BDAT 0x5 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"underscore", envelope + "BDAT 1_0 LAST\r\nhellohello" + evil, "220 250 250 250 521", ""},
		{"fraction", envelope + "BDAT 5.0 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"other digits", envelope + "BDAT \u0665 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"no-break space", envelope + "BDAT 5\u00a0LAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"form feed", envelope + "BDAT 5\fLAST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"one word more", envelope + "BDAT 5 LAST X\r\nhello" + evil, "220 250 250 250 521", ""},
		{"another word", envelope + "BDAT 5 FIRST\r\nhello" + evil, "220 250 250 250 521", ""},
		{"none", envelope + "BDAT\r\n" + evil, "220 250 250 250 521", ""},
		{"only LAST", envelope + "BDAT LAST\r\n" + evil, "220 250 250 250 521", ""},
		{"bare LF", envelope + "BDAT 5 LAST\nhelloQUIT\r\n", "220 250 250 250 250 221", "hello\r\n"},
		{"bad UTF-8", envelope + "BDAT 5\xff LAST\r\nhello" + evil, "220 250 250 250 500", ""},
		{"NUL", envelope + "BDAT 5\x00 LAST\r\nhello" + evil, "220 250 250 250 521", ""},
	} {
		for _, size := range []int{0, 1, 7} {
			t.Run(tt.name, func(t *testing.T) {
				w := usual(t)
				w.o.MessageSizeLimit = 2000
				w.start()
				said := w.play(&tape{steps: []string{tt.send}, size: size})
				if got := codes(said); got != tt.codes || malformed(said) != "" {
					t.Errorf("in packets of %d: %q,\n got %s\nwant %s", size, said, got, tt.codes)
				}
				kept := w.kept()
				if len(kept) > 1 || len(kept) == 1 && kept[0].body != "\r\n"+tt.body || len(kept) == 0 && tt.body != "" {
					t.Errorf("kept %v, want %q", kept, tt.body)
				}
				for _, m := range kept {
					if m.env.Sender.Local != "s" {
						t.Errorf("kept a message of %s", m.env.Sender)
					}
				}
			})
		}
	}
}

// A chunk that is refused before anybody looks at it used to be taken for commands.
func TestBDATRefusedAtOnce(t *testing.T) {
	const chunk = "BDAT 30 LAST\r\nMAIL FROM:<evil@example.net>\r\n"
	for name, c := range map[string]struct {
		change func(*Options)
		codes  string
	}{
		"without TLS":   {func(o *Options) { o.TLS = &TLS{Config: &tls.Config{}, Required: true} }, "220 250 530 221"},
		"access denied": {func(o *Options) { o.Client, o.DelayReject = restrict("reject"), false }, "554 503 503 221"},
	} {
		w := usual(t)
		c.change(&w.o)
		w.start()
		if said := w.play(&tape{steps: []string{"EHLO x\r\n" + chunk + "QUIT\r\n"}}); codes(said) != c.codes {
			t.Errorf("%s: %q, want %s", name, said, c.codes)
		}
	}
}

// A body that comes before 354 is a body or the end of the connection, never commands.
func TestBodyBefore354(t *testing.T) {
	const send = "EHLO x\r\n|MAIL FROM:<s@example.net>\r\n|RCPT TO:<a@virt.example>\r\n|DATA\r\nSubject: x\r\n\r\nRSET\r\nMAIL FROM:<evil@example.net>\r\n.\r\n|QUIT\r\n"
	for forbid, want := range map[bool]string{false: "220 250 250 250 354 250 221", true: "220 250 250 250 554"} {
		w := usual(t)
		w.o.ForbidUnauthPipelining = forbid
		w.start()
		said := w.play(&tape{steps: strings.Split(send, "|")})
		if got := codes(said); got != want {
			t.Errorf("smtpd_forbid_unauth_pipelining %v: %q", forbid, said)
		}
		if n := len(w.kept()); n != 0 && forbid || n != 1 && !forbid {
			t.Errorf("smtpd_forbid_unauth_pipelining %v: %d messages", forbid, n)
		}
	}
	// DATA that is refused is followed by commands, or closes: none of the body is carried
	// out as long as early bodies are forbidden.
	w := usual(t)
	w.o.ForbidUnauthPipelining = true
	w.start()
	said := w.play(&tape{steps: []string{"EHLO x\r\n", "DATA\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<a@virt.example>\r\n"}})
	if got := codes(said); got != "220 250 503 250 250" {
		// As in Postfix: a refused DATA takes no content.
		t.Errorf("DATA out of turn: %q", said)
	}
}

// hostileBytes are what nobody should write into a log, a header or a command.
func hostileBytes() []string {
	return []string{
		"\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\r", "\r\r", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x80", "\xff", "\xc3", "\xed\xa0\x80",
		"\u0085", "\u009b31m", "\u2028", "\u202e", "ü", "\t", "\\", "\"", "(", ")", "<", ">", ";", "%0d%0a", `\r\n`,
		"+0D+0A", "+00", "+1B", "+7F", "+0A", "+C2+9B", "+FF", `\x{A}`, `\x{D}`, `\x{1B}`, `\x{7F}`, `\x{9B}`, `\x{0}`,
		"\"\r\"", "\"\x1b\"", "=0D=0A", "&#10;",
	}
}

// Everything that a client names, with everything that does harm somewhere. Nothing of it
// leaves as a control character: not in a reply, not in the envelope, which becomes
// commands and reports, and not in the Received field.
func TestHostileFields(t *testing.T) {
	const hello, from, to = "EHLO client.example.net\r\n", "MAIL FROM:<s@example.net>\r\n", "RCPT TO:<a@virt.example>\r\n"
	const rest = "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
	for name, format := range map[string]string{
		"EHLO":            "EHLO x%y\r\n" + from + to + rest,
		"HELO":            "HELO %\r\n" + from + to + rest,
		"sender":          hello + "MAIL FROM:<a%b@example.net>\r\n" + to + rest,
		"quoted sender":   hello + "MAIL FROM:<\"a%b\"@example.net>\r\n" + to + rest,
		"sender's domain": hello + "MAIL FROM:<a@ex%ample.net>\r\n" + to + rest,
		"sender, UTF-8":   hello + "MAIL FROM:<a%b@example.net> SMTPUTF8\r\n" + to + rest,
		"source route":    hello + "MAIL FROM:<@x%:a@example.net>\r\n" + to + rest,
		"recipient":       hello + from + "RCPT TO:<a%b@all.example>\r\n" + rest,
		"quoted rcpt":     hello + from + "RCPT TO:<\"%\"@all.example>\r\n" + rest,
		"rcpt's domain":   hello + from + "RCPT TO:<a@all.exa%mple>\r\n" + to + rest,
		"comment":         hello + from + "RCPT TO:<a(%)@all.example>\r\n" + rest,
		"ENVID":           hello + "MAIL FROM:<s@example.net> ENVID=a%b\r\n" + to + rest,
		"RET":             hello + "MAIL FROM:<s@example.net> RET=%\r\n" + from + to + rest,
		"SIZE":            hello + "MAIL FROM:<s@example.net> SIZE=1%\r\n" + from + to + rest,
		"BODY":            hello + "MAIL FROM:<s@example.net> BODY=%\r\n" + from + to + rest,
		"AUTH=":           hello + "MAIL FROM:<s@example.net> AUTH=%\r\n" + to + rest,
		"MAIL parameter":  hello + "MAIL FROM:<s@example.net> X%=Y\r\n" + from + to + rest,
		"ORCPT":           hello + from + "RCPT TO:<a@virt.example> ORCPT=rfc822;x%y@z\r\n" + rest,
		"ORCPT utf-8":     hello + from + "RCPT TO:<a@virt.example> ORCPT=utf-8;x%y@z\r\n" + rest,
		"ORCPT type":      hello + from + "RCPT TO:<a@virt.example> ORCPT=rfc%822;x@z\r\n" + rest,
		"NOTIFY":          hello + from + "RCPT TO:<a@virt.example> NOTIFY=%\r\n" + to + rest,
		"RCPT parameter":  hello + from + "RCPT TO:<a@virt.example> %\r\n" + to + rest,
		"VRFY":            hello + "VRFY %\r\nVRFY a%b@virt.example\r\n" + from + to + rest,
		"ETRN":            hello + "ETRN %\r\nETRN virt%.example\r\n" + from + to + rest,
		"NOOP":            hello + "NOOP %\r\n" + from + to + rest,
		"HELP":            hello + "HELP %\r\n" + from + to + rest,
		"verb":            hello + "X%Y\r\n" + from + to + rest,
		"AUTH":            hello + "AUTH %\r\nAUTH PLAIN %\r\n" + from + to + rest,
		"XCLIENT NAME":    "XCLIENT NAME=x%.example\r\n" + hello + from + to + rest,
		"XCLIENT HELO":    "XCLIENT HELO=x%.example\r\n" + hello + from + to + rest,
		"XCLIENT LOGIN":   "XCLIENT LOGIN=x%y\r\n" + from + to + rest,
		"XCLIENT ADDR":    "XCLIENT ADDR=%\r\n" + hello + from + to + rest,
		"XCLIENT":         "XCLIENT %=x\r\n" + hello + from + to + rest,
		"XFORWARD":        hello + "XFORWARD NAME=x%.example HELO=%x IDENT=x%y SOURCE=%\r\n" + from + to + rest,
		"STARTTLS":        hello + "STARTTLS %\r\n" + from + to + rest,
		"BDAT":            hello + from + to + "BDAT %\r\n",
		"header name":     hello + from + to + "DATA\r\nX%Y: z\r\nMessage-ID%: <x>\r\n\r\nx\r\n.\r\nQUIT\r\n",
		"message ID":      hello + from + to + "DATA\r\nMessage-ID: <a%b>\r\n\r\nx\r\n.\r\nQUIT\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			taken := 0
			for _, evil := range hostileBytes() {
				w := usual(t)
				book := newBook("virt.example all.example", "a@virt.example b@dest.example\n@all.example c@dest.example\n")
				w.o.Recipients, w.o.Logins = book, &accounts{mechanisms: "PLAIN LOGIN"}
				w.o.AuthorizedXclient = networks{netip.MustParseAddr("127.0.0.2")}
				w.o.AuthorizedXforward, w.o.AuthenticatedHeader = w.o.AuthorizedXclient, true
				w.o.HardErrorLimit = 100
				w.start()
				send := strings.ReplaceAll(format, "%", evil)
				said := w.play(&tape{steps: []string{send}})
				if line := malformed(said); line != "" || strings.Contains(said, "internal error") {
					t.Errorf("%q: said %q in %q", send, line, said)
				}
				for _, m := range w.kept() {
					taken++
					env := m.env
					for field, text := range map[string]string{
						"sender": env.Sender.String(), "recipient": env.Rcpts[0].Final.String(), "original recipient": env.Rcpts[0].Orig.String(),
						"ORCPT": env.Rcpts[0].ORcpt, "ENVID": env.EnvID, "RET": env.Ret, "HELO": env.Client.Helo, "client": env.Client.Name,
						"Received": strings.NewReplacer("\r\n\t", "", "\r\n ", "").Replace(strings.TrimSuffix(string(env.Prepend), "\r\n")),
					} {
						if strings.ContainsFunc(text, isDangerous) || !utf8.ValidString(text) {
							t.Errorf("%q: %s is %q", send, field, text)
						}
					}
					if n := strings.Count(string(env.Prepend), "Received: "); n != 1 {
						t.Errorf("%q: %q", send, env.Prepend)
					}
				}
			}
			if taken == 0 && !strings.HasPrefix(name, "BDAT") {
				t.Error("no message was taken: nothing has been tried")
			}
		})
	}
}

// isDangerous tells control characters, those of ISO 8859 too, which terminals know.
func isDangerous(c rune) bool { return unicode.IsControl(c) && c != '\t' }
