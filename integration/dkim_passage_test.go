package integration

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// Byte exactness, seen by those who sign: what dkimpy and Mail::DKIM have signed passes the
// relay, in by DATA and by BDAT, out to next hops that can do much and little, and still
// verifies for them, and for us.

// odd are messages that a relay could be tempted to improve.
func odd() map[string]string {
	const head = "From: joe@a.example\r\nTo: sue@b.example\r\nSubject: hello\r\nDate: Mon, 30 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@a.example>\r\n"
	lines := func(n int, line string) string { return strings.Repeat(line+"\r\n", n) }
	return map[string]string{
		"plain":        head + "\r\nHi.\r\n\r\nHow are you?\r\n",
		"8bit":         head + "Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9\xe8 \xff\r\n",
		"utf8":         strings.Replace(head, "hello", "h\u00e9llo \u4f60\u597d", 1) + "\r\n\u4f60\u597d\r\n",
		"line998":      head + "\r\n" + strings.Repeat("x", 998) + "\r\n",
		"line999":      head + "\r\n" + strings.Repeat("x", 999) + "\r\n",
		"line5000":     head + "\r\n" + strings.Repeat("x y  ", 1000) + "\r\n.\r\n",
		"field5000":    head + "X-Long: " + strings.Repeat("y ", 2500) + "\r\n\r\nHi.\r\n",
		"refs20000":    head + "References:" + strings.Repeat("\r\n <0123456789abcdef@a.example>", 700) + "\r\n\r\nHi.\r\n",
		"nospace":      "From:joe@a.example\r\nTo:sue@b.example\r\nSubject:hello\r\n\r\nHi.\r\n",
		"folded":       "From:\r\n joe@a.example\r\nTo:\r\n\tsue@b.example,\r\n \t bob@b.example\r\nSubject: \t a\r\n \t b \t \r\n\r\nHi.\r\n",
		"empties":      head + "Cc:\r\nReply-To: \r\nX-Tabs:\t\t\r\n\r\nHi.\r\n",
		"duplicates":   head + "Subject: again\r\nTo: bob@b.example\r\nX: 1\r\nX: 2\r\n\r\nHi.\r\n",
		"obsolete":     "From: Joe (the one) < @x.example,@y.example:joe @ a . example >\r\nDate: Mon, 30 Nov 26 00:00 EST\r\nTo: Undisclosed:;\r\nsubject: =?utf-8?q?=C3=A9?= x\r\nSUBJECT: y\r\n\r\nHi.\r\n",
		"emptybody":    head + "\r\n",
		"blanklines":   head + "\r\n\r\n\r\nHi. \t\r\n \r\n\r\n\r\n",
		"dots":         head + "\r\n.\r\n..\r\n.a\r\n...\r\n",
		"noend":        head + "\r\nHi.\r\n\r\nThe end",
		"controls":     head + "\r\n\x01\x02\x7f \x0b\x0c\r\n\x00\x00x\r\n",
		"mime":         head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@c.example\r\nReceived: y\r\n\r\n.\r\n--b--\r\n",
		"traces":       "Received: from c\r\n\tby d; Mon, 30 Nov 2026 00:00:00 +0000\r\nX-Original-To: y@c.example\r\n" + head + "\r\nHi.\r\n",
		"spacecolon":   "From : joe@a.example\r\nTo: sue@b.example\r\nSubject\t: hello\r\n\r\nHi.\r\n",
		"huge":         head + "\r\n" + lines(12<<20/72, strings.Repeat("0123456789", 7)),
		"hugeoneline":  head + "\r\n" + strings.Repeat("0123456789", 100_000) + "\r\n",
		"manyfields":   head + lines(900, "X-Many: of them") + "\r\nHi.\r\n",
		"listheaders":  head + "List-Unsubscribe: <https://a.example/u>,\r\n <mailto:u@a.example>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Id: <l.a.example>\r\n\r\nHi.\r\n",
		"trailingdot":  head + "\r\nHi.\r\n.",
		"headeronly":   strings.TrimSuffix(head, "\r\n") + "\r\nX: y\r\n\r\n",
		"mixedendings": head + "\r\n" + lines(3, "a \t") + lines(3, "\t") + lines(2, "") + "b\r\n",
	}
}

// fromTheEnd cuts what two texts end with together, and all but a little before it.
func fromTheEnd(a, b string) (string, string) {
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a[max(0, len(a)-100):], b[max(0, len(b)-100):]
}

// byDataToo tells whether a message can be sent by DATA without becoming another.
func byDataToo(message string) bool { return strings.HasSuffix(message, "\r\n") }

func TestDKIMPassage(t *testing.T) {
	s := newSigners(t)
	signed := s.sign(odd())
	hops := map[string]*hop{
		"full": newHop(t, "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING"),
		"data": newHop(t, "PIPELINING", "8BITMIME"),
		"bare": newHop(t),
	}
	cf := base(nil)
	cf["message_size_limit"], cf["virtual_alias_maps"] = "40960000", "inline:{"
	cf["transport_maps"] = "inline:{"
	cf["local_header_rewrite_clients"] = "" // the client is on loopback, but stands for a stranger
	for name, h := range hops {
		_, port, _ := net.SplitHostPort(h.addr)
		cf["virtual_alias_maps"] += "{" + name + "@alias.example=x@" + name + ".example} "
		cf["transport_maps"] += "{" + name + ".example=smtp:[127.0.0.1]:" + port + "} "
	}
	cf["virtual_alias_maps"] += "}"
	cf["transport_maps"] += "}"
	r := newRelay(t, cf, map[string]string{})
	r.start()

	arrived := make(map[string]string) // by message, way in, hop
	ways := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		message := signed[name]
		for _, in := range []string{"DATA", "BDAT"} {
			if in == "DATA" && !byDataToo(message) {
				continue
			}
			submitRaw(t, r.smtp, in, message, "full@alias.example", "data@alias.example", "bare@alias.example")
			for hopName, h := range hops {
				select {
				case m := <-h.arrived:
					ways[hopName+" "+m.by]++
					want := message
					if !strings.HasSuffix(want, "\r\n") {
						want += "\r\n" // RFC 5321 section 4.1.1.4: the line end before the dot is part of the data
					}
					top, exact := strings.CutSuffix(m.data, want)
					if !exact || !strings.HasPrefix(top, "Received: ") || strings.Contains(top, "\r\n\r\n") {
						got, want := fromTheEnd(m.data, want)
						t.Errorf("%s by %s to %s (by %s): other bytes arrive, up to\n%q\nwant\n%q", name, in, hopName, m.by, got, want)
					}
					arrived[name+"-"+in] = m.data
				case <-time.After(limit):
					t.Fatalf("%s by %s does not arrive at %s\n%s", name, in, hopName, r.log())
				}
			}
		}
	}
	for _, way := range []string{"full BDAT", "data DATA", "bare DATA"} {
		if ways[way] == 0 {
			t.Errorf("nothing left to %s: %v", way, ways)
		}
	}
	r.waitEmpty()
	for name, o := range s.verify(arrived) {
		// Four canonical forms and one of Ed25519 by dkimpy, two forms by Mail::DKIM.
		all := []string{"pass", "pass", "pass", "pass", "pass", "pass", "pass"}
		python, perl := slices.Clone(all), slices.Clone(all)
		perl[4] = "unknown"
		if strings.HasPrefix(name, "spacecolon-") { // dkimpy reads no such field, and has not signed
			all, python, perl = all[:2], []string{"unread"}, perl[:2]
		}
		if strings.HasPrefix(name, "noend-") || strings.HasPrefix(name, "trailingdot-") {
			// Where a line end is missing, Mail::DKIM leaves it out of the simple form it signs,
			// against RFC 6376 section 3.4.3: nobody verifies that, before or after.
			all[6], python[6], perl[6] = "not", "not", "not"
		}
		if !slices.Equal(o.ours, all) || !slices.Equal(o.python, python) || !slices.Equal(o.perl, perl) {
			t.Errorf("%s: ours %v, dkimpy %v, Mail::DKIM %v", name, o.ours, o.python, o.perl)
		}
	}
}

// TestDKIMPassageOfStrays: a CR alone is what no next hop may be sent (RFC 5321 section
// 2.3.8). It leaves as a space, and the signature fails for everybody: nobody is told that
// the bytes are the author's.
func TestDKIMPassageOfStrays(t *testing.T) {
	s := newSigners(t)
	signed := s.sign(map[string]string{"cr": "From: joe@a.example\r\nSubject: x\r\n\r\na\rb\r\n"})
	h := newHop(t, "PIPELINING", "8BITMIME", "CHUNKING")
	cf := base(nil)
	_, port, _ := net.SplitHostPort(h.addr)
	cf["relayhost"] = "[127.0.0.1]:" + port
	r := newRelay(t, cf, nil)
	r.start()
	submitRaw(t, r.smtp, "BDAT", signed["cr"], "info@alias.example")
	select {
	case m := <-h.arrived:
		if strings.Count(m.data, "\r") != strings.Count(m.data, "\r\n") {
			t.Errorf("by %s: %q", m.by, m.data[len(m.data)-20:])
		}
		if !strings.HasSuffix(m.data, "\r\na b\r\n") {
			t.Errorf("the CR alone left as %q", m.data[len(m.data)-8:])
		}
		o := s.verify(map[string]string{"cr": m.data, "before": signed["cr"]})
		if slices.Contains(o["cr"].ours, "pass") || slices.Contains(o["cr"].python, "pass") || slices.Contains(o["cr"].perl, "pass") {
			t.Errorf("%+v", o["cr"])
		}
		if !slices.Contains(o["before"].ours, "pass") || !slices.Contains(o["before"].python, "pass") {
			t.Errorf("it did not verify before, either: %+v", o["before"])
		}
	case <-time.After(limit):
		t.Fatal(r.log())
	}
}

// submitRaw sends a message by DATA or by BDAT, in chunks that end anywhere.
func submitRaw(t *testing.T, addr, by, message string, rcpts ...string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * limit))
	tp := textproto.NewReader(bufio.NewReader(c))
	answer := func(want int) {
		t.Helper()
		if code, text, err := tp.ReadResponse(want); err != nil {
			t.Fatalf("%d %s: %v", code, text, err)
		}
	}
	answer(220)
	commands := []string{"EHLO client.example", "MAIL FROM:<sender@client.example> BODY=8BITMIME"}
	for _, to := range rcpts {
		commands = append(commands, "RCPT TO:<"+to+">")
	}
	for _, command := range commands {
		fmt.Fprintf(c, "%s\r\n", command)
		answer(250)
	}
	if by == "DATA" {
		fmt.Fprint(c, "DATA\r\n")
		answer(354)
		text := strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:]
		io.WriteString(c, text+".\r\n")
		answer(250)
	} else {
		for _, size := range []int{len(message) / 3, len(message) / 2, len(message)} {
			size = min(size, len(message))
			last := ""
			if size == len(message) {
				last = " LAST"
			}
			fmt.Fprintf(c, "BDAT %d%s\r\n", size, last)
			io.WriteString(c, message[:size])
			message = message[size:]
			answer(250)
			if last != "" {
				break
			}
		}
	}
	fmt.Fprint(c, "QUIT\r\n")
	answer(221)
}
