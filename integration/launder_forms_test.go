package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// launderForms are ways to write a From of alias.example for one reader or another, and what
// is none. Everything that is taken here leaves with an SPF pass for alias.example: it is
// srs_domain as well.
var launderForms = []struct {
	from string
	ours bool // some reader takes it for a domain of ours: it must not be taken
}{
	{"From: boss@alias.example", true},
	{"From: <boss@ALIAS.EXAMPLE>", true},
	{"from: boss@Alias.Example", true},
	{"FROM : boss@alias.example", true},
	{"From \t: boss@alias.example", true},
	{"From:boss@alias.example", true},
	{"From: boss@alias.example.", true},
	{"From: boss@sub.alias.example", true},
	{"From: boss@sub.alias.example.", true},
	{"From: boss@grün.example", true},
	{"From: boss@xn--grn-ioa.example", true},
	{"From: boss@XN--GRN-IOA.EXAMPLE", true},
	{"From: boss@GRÜN.example", true},
	{"From: boss@gru\u0308n.example", true},
	{"From: boss@alias。example", true},
	{"From: boss@ａlias.example", true},
	{"From: \"x@evil.example\" <boss@alias.example>", true},
	{"From: (x@evil.example) boss@alias.example (x@evil.example)", true},
	{"From: boss(at)@(a)alias.example(b)", true},
	{"From: boss@ (c) alias.example", true},
	{"From: boss @ alias . example", true},
	{"From: Evil <x@evil.example>, Boss <boss@alias.example>", true},
	{"From: boss@alias.example, x@evil.example", true},
	{"From: boss@alias.example <x@evil.example>", true},
	{"From: <x@evil.example> <boss@alias.example>", true},
	{"From: <boss@alias.example> x@evil.example", true},
	{"From: friends: boss@alias.example;", true},
	{"From: friends: x@evil.example, <boss@alias.example>;", true},
	{"From: a: b: boss@alias.example;;", true},
	{"From: friends:;, boss@alias.example", true},
	{"From: <@evil.example:boss@alias.example>", true},
	{"From: <@alias.example:x@evil.example>", false},
	{"From: =?utf-8?q?x=40evil.example?= <boss@alias.example>", true},
	{"From: =?utf-8?b?" + "Ym9zc0BhbGlhcy5leGFtcGxl?=", true}, // boss@alias.example
	{"From: <=?utf-8?q?boss?=@alias.example>", true},
	{"From: boss@alias.example\x00@evil.example", true},
	{"From: x@evil.example\x00 <boss@alias.example>", true},
	{"From: boss\x00@alias.example", true},
	{"From:\r\n boss@alias.example", true},
	{"From:\r\n\t\r\n boss@alias.example", true},
	{"From: Boss\r\n\t<boss@alias.example>", true},
	{"From: \"Boss\r\n x@evil.example\" <boss@\r\n alias.example>", true},
	{"From: \"boss\"@alias.example", true},
	{"From: \"x@evil.example\\\"\"@alias.example", true},
	{"From: \"a\" \"b\"@alias.example", true},
	{"From: boss@[127.0.0.1]", true},
	{"From: boss%alias.example@evil.example", false},
	{"From: x@evil.example\r\nFrom: boss@alias.example", true},
	{"From: boss@alias.example\r\nFrom: x@evil.example", true},
	{"From: x@evil.example\r\nfrom : boss@alias.example", true},
	{"From: x@evil.example\r\nX: a\rFrom: boss@alias.example", false}, // becomes a space
	{"X: a\r\r\nFrom: boss@alias.example", true},
	{"From: x@evil.example\r\n\r\r\nFrom: boss@alias.example", true},
	{"From: x@evil.example\r\nX: a\nFrom: boss@alias.example", true},
	{"From: x@evil.example\r\n \r\nFrom: boss@alias.example", true},
	{"From boss@alias.example Mon Dec  1 00:00:00 2025\r\nFrom: boss@alias.example", true},
	{"From: x@evil.example\r\nnot a field\r\nFrom: boss@alias.example", false}, // an empty line before it
	{"From: boss", true},
	{"From:", true},
	{"X-No: From", true},
	{"From: boss@alias.example\\", true},
	{"From: boss@alias.example;", true},
	{"From: boss@alias.example>", true},
	{"From: <boss@alias.example", true},
	{"From: boss@@alias.example", true},
	{"From: boss@alias..example", true},
	{"From: boss@-.alias.example", true},
	{"From: boss@_x.alias.example", true},
	{"From: x@evil.example\r\nSender: boss@alias.example", false},
	{"From: x@evil.example\r\nResent-From: boss@alias.example", false},
	{"Resent-From: x@evil.example\r\nSender: x@evil.example\r\nFrom: boss@alias.example", true},
	{"From: \"boss@alias.example\" <x@evil.example>", false},
	{"From: x@evil.example (boss@alias.example)", false},
	{"From: =?utf-8?q?boss=40alias.example?= <x@evil.example>", false},
	{"From: x@evil.example, y@evil.example", false},
	{"From: x@evil.example\r\nX-From: boss@alias.example", false},
	{"From: x@evil.example\r\nSubject: a\r\n From: boss@alias.example", false},
	{"From: x@evil.example\r\nX: a\x00From: boss@alias.example", false},
	{strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 115) + "From: boss@alias.example", true},  // 100 KiB
	{strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 600) + "From: boss@alias.example", true},  // beyond what DKIM looks at
	{strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 1300) + "From: boss@alias.example", true}, // beyond what is looked at at all
	{"From: x@evil.example\r\n" + strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 1300) + "From: boss@alias.example", true}, // a second one there
	{"X: " + strings.Repeat("x", 120<<10) + "\r\nFrom: boss@alias.example", true},                                                      // a field longer than header_size_limit
	{"From: " + strings.Repeat("x@evil.example, ", 4000) + "boss@alias.example", true},
}

// launderNobody are those that name nobody at all: reports of others are like that, and are taken
// where the sender is null. The first becomes X-Mailbox-Line, as in Postfix.
var launderNobody = []string{"From \t: boss@alias.example", "From: boss", "From:", "X-No: From"}

// However a From is written, nobody gets in with a domain of ours.
func TestNoLaunderingForms(t *testing.T) {
	w := newLaunderWorld(t)
	sink := newSink(t)
	cf := w.base(sink)
	cf["srs_domain"], cf["srs_domain_allow_aligned"] = "alias.example", "yes"
	cf["dkim_keys"], cf["dkim_sign_forwarded"] = "inline:{ "+w.keyTable("alias.example evil.example")+" }", "yes"
	r := w.relay(t, sink, cf)
	r.start()
	var list []*launderMail
	for i, f := range launderForms {
		for _, path := range []string{"x@evil.example", ""} {
			for _, chunked := range []bool{false, true} {
				m := &launderMail{name: fmt.Sprintf("form %d (%.60q), path %q, BDAT %v", i, f.from, path, chunked), ip: evilIP, helo: "evil.example", from: path,
					authors: []string{"evil.example"}, message: launderLetter(f.from), chunked: chunked, mustLeave: !f.ours}
				switch {
				case path == "" && slices.Contains(launderNobody, f.from):
					m.mustLeave, m.authors = true, nil
				case f.ours:
					m.authors = []string{"alias.example"}
				}
				list = append(list, m)
			}
		}
	}
	copies := r.all(list)
	for i, m := range list {
		if _, taken := copies[i]; taken && !m.mustLeave {
			t.Errorf("%s is taken: %s", m.name, m.reply)
		} else if !taken && !strings.HasPrefix(m.reply, "550 5.7.1") && !strings.HasPrefix(m.reply, "521 ") {
			t.Errorf("%s: %s", m.name, m.reply)
		}
	}
	r.stop()
}
