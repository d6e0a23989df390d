package smtpd

import (
	"slices"
	"strings"
	"testing"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/wire"
)

// A whole connection of anything, in any packets: no panic, an end, no draft left behind,
// replies as RFC 5321 has them, and in the queue exactly what a naive reading of both
// sides finds: messages that were ended by CRLF.CRLF or by BDAT LAST and answered with 250.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"EHLO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nA: b\r\n\r\nhi\r\n.\r\nQUIT\r\n",
		"HELO x\nMAIL FROM:<>\nRCPT TO:<a@virt.example>\nBDAT 3\nabcBDAT 0 LAST\n",
		"MAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\n\n.\n.\r\nRSET\r\n",
		"EHLO x\r\nVRFY a@virt.example\r\nETRN x\r\nSTARTTLS\r\nAUTH PLAIN\r\nHELP\r\nRSET\r\n\r\n",
		"MAIL FROM:<\"a\\\"@b\"@example.net> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<@x:a@virt.example> ORCPT=rfc822;x+2B NOTIFY=NEVER\r\n",
		"GET / HTTP/1.0\r\n", "\x16\x03\x01", "BDAT 99999999999 LAST\r\n",
		"MAIL FROM:<>\r\nRCPT TO:<a@virt.example>\r\nBDAT 4\r\na\r\nbBDAT 8 LAST\r\n\r\n.\r\nQUI\r\nBDAT 5\xff\r\n",
		"MAIL FROM:<>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\n..\r\n\r.\r\n\x00.\r\n.\r\r\n.\r\nBDAT 2\r\nhiBDAT 0 LAST\r\n",
	} {
		f.Add([]byte(s), uint8(0), []byte(nil))
		f.Add([]byte(s), uint8(7), []byte{0})
		f.Add([]byte(s), uint8(10), []byte{5, 0, 60})
	}
	f.Fuzz(func(t *testing.T, input []byte, how uint8, cuts []byte) {
		w := usual(t)
		w.o.HardErrorLimit, w.o.MessageDropHeaders = 1000, nil
		w.o.ForbidUnauthPipelining = how&1 != 0
		w.o.ReplaceStrayCR = how&2 != 0
		w.o.StrictEnvelopes = how&4 != 0
		if how&8 != 0 {
			w.o.ForbidBareNewline = wire.BareLFReject
		}
		w.o.MessageSizeLimit = 2000
		w.start()
		said := w.play(&tape{steps: []string{string(input)}, cuts: cuts})
		if line := malformed(said); line != "" {
			t.Errorf("reply line %q", line)
		}
		if strings.Contains(said, "internal error") {
			t.Errorf("a panic: %q", w.log.all())
		}
		var got []string
		for _, m := range w.kept() {
			got = append(got, joined(m.body))
		}
		if want := naiveConversation(string(input), said, w.o.ReplaceStrayCR); !slices.Equal(got, want) {
			t.Errorf("%q, answered with %q:\n got %q\nwant %q", input, said, got, want)
		}
	})
}

// joined is a content without what tells a header from a body, which is not looked at here.
func joined(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "X-Mailbox-Line: ", ""), "\r\n", "")
}

// naiveConversation reads both sides of a conversation side by side, and finds the messages
// that were taken.
func naiveConversation(input, said string, replace bool) (taken []string) {
	replies := strings.Fields(codes(said))
	next := func() string {
		if len(replies) == 0 {
			return ""
		}
		code := replies[0]
		replies = replies[1:]
		return code
	}
	next() // the greeting
	chunks := ""
	for {
		line, rest, found := strings.Cut(input, "\n")
		if !found {
			return taken
		}
		input = rest
		line = strings.TrimSuffix(line, "\r")
		words := strings.FieldsFunc(line[:min(len(line), 2048)], func(c rune) bool { return c == ' ' || c == '\t' })
		code := next()
		if code == "" {
			return taken
		}
		switch verb := strings.ToUpper(strings.Join(words[:min(1, len(words))], "")); {
		case verb == "DATA" && code == "354":
			content, rest, ended := smuggle.Kept(input, replace)
			if code = next(); code == "250" {
				if !ended {
					return append(taken, "a message that was never ended")
				}
				taken = append(taken, joined(content))
			}
			if !ended {
				return taken
			}
			input, chunks = rest, ""
		case verb == "BDAT":
			digits := words[min(1, len(words)-1)]
			if strings.Trim(digits, "0123456789") != "" {
				return taken // the connection ends
			}
			size := 0
			for _, d := range []byte(digits) {
				size = min(size*10+int(d-'0'), len(input)+1)
			}
			if size > len(input) {
				if code == "250" {
					return append(taken, "a chunk that never came whole")
				}
				return taken
			}
			if code == "250" {
				chunks += input[:size]
				if len(words) > 2 {
					taken = append(taken, joined(smuggle.KeptChunks(chunks, replace)))
					chunks = ""
				}
			}
			input = input[size:]
		case code == "250" && verb != "NOOP" && verb != "MAIL" && verb != "RCPT": // RSET and greetings
			chunks = ""
		}
	}
}

// The parameters of MAIL and RCPT: whatever they are, what is taken of them is printable,
// and written down again it is taken as the same.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{
		"SIZE=10 BODY=8BITMIME", "RET=HDRS ENVID=a+2Bb SMTPUTF8", "AUTH=<>", "AUTH=a+3Db", "SIZE=99999999999999999999", "BODY=7BIT BODY=8BITMIME",
		"ORCPT=rfc822;a+2Bb@c NOTIFY=SUCCESS,DELAY", `ORCPT=utf-8;j\x{F6}@c NOTIFY=NEVER`, "NOTIFY=,", "X=Y", "=", "SIZE", "ENVID=", "\tRET=FULL ",
	} {
		f.Add(s)
	}
	w := &world{store: new(store), log: newJournal()}
	w.o = Options{MyHostname: "mx.example.com", SMTPUTF8Enable: true}
	o := w.o.withDefaults()
	f.Fuzz(func(t *testing.T, s string) {
		c := &conn{o: o, log: o.Log}
		if opts, refused := c.mailParams(s); refused == nil {
			again := []string{}
			if opts.Size != 0 {
				again = append(again, "SIZE="+strings.TrimSpace(itoa(int(opts.Size))))
			}
			if opts.Body != "" {
				again = append(again, "BODY="+string(opts.Body))
			}
			if opts.Return != "" {
				again = append(again, "RET="+string(opts.Return))
			}
			if opts.EnvelopeID != "" {
				again = append(again, "ENVID="+quoteXtext(opts.EnvelopeID))
			}
			if opts.UTF8 {
				again = append(again, "SMTPUTF8")
			}
			if opts.Auth != nil {
				again = append(again, "AUTH="+*opts.Auth)
			}
			if strings.ContainsFunc(opts.EnvelopeID, isControl) {
				t.Errorf("%q: ENVID %q", s, opts.EnvelopeID)
			}
			second, refused := c.mailParams(strings.Join(again, " "))
			if refused != nil || second.Size != opts.Size || second.Body != opts.Body || second.Return != opts.Return ||
				second.EnvelopeID != opts.EnvelopeID || second.UTF8 != opts.UTF8 || (second.Auth == nil) != (opts.Auth == nil) {
				t.Errorf("%q is %+v, written again %q, then %+v, %+v", s, opts, again, second, refused)
			}
		} else if refused.ok() || strings.ContainsFunc(echo(refused.text, maxReplyLine), isControl) {
			t.Errorf("%q is refused with %+v", s, refused)
		}
		if opts, refused := c.rcptParams(s); refused == nil {
			again := []string{}
			var words []string
			for _, n := range opts.Notify {
				words = append(words, string(n))
			}
			if words != nil {
				again = append(again, "NOTIFY="+strings.Join(words, ","))
			}
			if kind := string(opts.OriginalRecipientType); kind != "" {
				again = append(again, "ORCPT="+kind+";"+strings.ReplaceAll(quoteXtext(opts.OriginalRecipient), `\`, "+5C"))
			}
			if strings.ContainsFunc(string(opts.OriginalRecipientType)+opts.OriginalRecipient, isControl) {
				t.Errorf("%q: ORCPT %q", s, opts.OriginalRecipient)
			}
			second, refused := c.rcptParams(strings.Join(again, " "))
			if refused != nil || !slices.Equal(second.Notify, opts.Notify) || second.OriginalRecipient != opts.OriginalRecipient ||
				second.OriginalRecipientType != opts.OriginalRecipientType {
				t.Errorf("%q is %+v, written again %q, then %+v, %+v", s, opts, again, second, refused)
			}
		} else if refused.ok() {
			t.Errorf("%q is refused with %+v", s, refused)
		}
	})
}

// The argument of BDAT is digits and perhaps LAST, and nothing else.
func FuzzParseBdat(f *testing.F) {
	for _, s := range []string{"5", "5 LAST", "+5", "-0", "5\u00a0LAST", "9223372036854775808", "05 last", "", "LAST", "5  LAST ", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size, last, ok := parseBdat(s)
		if !ok {
			return
		}
		rest := strings.Trim(s, " \t")
		digits := strings.TrimLeft(rest, "0123456789")
		if size < 0 || digits == rest || strings.TrimLeft(rest[:len(rest)-len(digits)], "0") != strings.TrimLeft(itoa(int(size)), "0") ||
			last != strings.EqualFold(strings.Trim(digits, " \t"), "LAST") || !last && digits != "" || last && !strings.ContainsAny(digits[:1], " \t") {
			t.Errorf("%q: %d, %v", s, size, last)
		}
	})
}
