package integration

import (
	"strings"

	"aliasmx/integration/peers"
)

// replies is a script that answers events otherwise than with "go on": event, replies
// (parted by spaces only where they are several words in brackets), event ...
func replies(pairs ...string) peers.MilterScript {
	s := peers.MilterScript{Replies: map[string][]string{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Replies[pairs[i]] = strings.Split(pairs[i+1], " && ")
	}
	return s
}

func options(o string, pairs ...string) peers.MilterScript {
	s := replies(pairs...)
	s.Options = o
	return s
}

// atEnd is a script that answers the end of the message with modifications, and then goes
// on.
func atEnd(replies ...string) peers.MilterScript {
	return peers.MilterScript{Replies: map[string][]string{"E": append(replies, "c")}}
}

func milterCases() []milterCase {
	return append(append(append(milterActions(), milterEdits()...), milterTrouble()...), append(milterSessions(), milterSubmissions()...)...)
}

// milterActions: each action at each event.
func milterActions() []milterCase {
	cases := []milterCase{{name: "continue", send: usual}}
	events := []struct{ name, cmd string }{
		{"connect", "C"}, {"helo", "H"}, {"mail", "M"}, {"rcpt", "R"}, {"data", "T"}, {"header", "L"}, {"eoh", "N"}, {"body", "B"}, {"end", "E"},
	}
	actions := []struct{ name, reply string }{
		{"accept", "a"}, {"reject", "r"}, {"tempfail", "t"}, {"discard", "d"}, {"reply", `y554 5.7.1 not you\0`}, {"reply-421", `y421 4.7.0 not now\0`},
	}
	for _, e := range events {
		for _, a := range actions {
			cases = append(cases, milterCase{name: a.name + "-" + e.name, m: replies(e.cmd, a.reply), send: usual})
		}
	}
	others := []milterCase{
		{name: "shutdown-connect", m: replies("C", "4")},
		{name: "shutdown-mail", m: replies("M", "4")},
		{name: "shutdown-end", m: replies("E", "4")},
		{name: "fail-mail", m: replies("M", "f")},
		{name: "fail-end", m: replies("E", "f")},
		{name: "progress", m: replies("M", "p && p && c", "E", "p && c")},
		{name: "quarantine", m: atEnd(`qlooks odd\0`)},
		{name: "quarantine-then-reject", m: replies("E", `qodd\0 && r`)},
		{name: "quarantine-then-accept", m: replies("E", `qodd\0 && a`)},
		{name: "quarantine-mail", m: replies("M", `qodd\0 && c`)},
		{name: "reply-multiline-mail", m: replies("M", `y550-5.7.1 first line\r\n550-5.7.1 second\r\n550 5.7.1 third\0`)},
		{name: "reply-multiline-end", m: replies("E", `y550-5.7.1 first line\r\n550-5.7.1 second\r\n550 5.7.1 third\0`)},
		{name: "reply-no-code", m: replies("R", `y550 no such luck\0`)},
		{name: "reply-percent", m: replies("R", `y550 5.7.1 100%% sure, 5% not\0`)},
		{name: "reply-malformed", m: replies("R", `y250 2.0.0 fine\0`)},
		{name: "reply-malformed-class", m: replies("R", `y550 4.7.1 mixed\0`)},
		{name: "skip-header", m: options("6 511 0x400", "L#2", "s")},
		{name: "skip-body", m: options("6 511 0x400", "B", "s")},
		{name: "header-two", m: replies("L#2", "r")},
		{name: "reject-rcpt-one", m: replies("R#1", "r"), send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example>",
			"RCPT TO:<team@alias.example>", "RCPT TO:<info@alias.example>", "DATA", milterLetter, "QUIT"}},
		{name: "skip-rcpt", m: options("6 511 0x400", "R", "s"), send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example>",
			"RCPT TO:<team@alias.example>", "RCPT TO:<info@alias.example>", "DATA", milterLetter, "QUIT"}},
		{name: "rcpt-refused", send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example>",
			"RCPT TO:<nobody@alias.example>", "RCPT TO:<x@elsewhere.example>", "RCPT TO:<info@alias.example>", "QUIT"}},
		{name: "rcpt-refused-wanted", m: options("6 511 0x800"), send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example>",
			"RCPT TO:<nobody@alias.example>", "RCPT TO:<x@elsewhere.example>", "RCPT TO:<info@alias.example>", "QUIT"}},
		{name: "unknown", send: []string{"EHLO client.example", "FOO bar baz", "QUIT"}},
		{name: "unknown-reject", m: replies("U", "r"), send: []string{"EHLO client.example", "FOO bar", "QUIT"}},
		{name: "unknown-reply", m: replies("U", `y502 5.5.1 not here\0`), send: []string{"EHLO client.example", "FOO", "QUIT"}},
		{name: "unknown-in-transaction", send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "FOO", "RCPT TO:<info@alias.example>", "FOO", "QUIT"}},
	}
	for _, c := range others {
		if c.send == nil {
			c.send = usual
		}
		cases = append(cases, c)
	}
	return cases
}

// milterEdits: each modification.
func milterEdits() []milterCase {
	var cases []milterCase
	add := func(name string, script peers.MilterScript) {
		cases = append(cases, milterCase{name: name, m: script, send: usual})
	}
	add("add-header", atEnd(`hX-New\0value\0`))
	add("add-header-lines", atEnd(`hX-New\0one\n\ttwo\nthree\0`))
	add("add-headers", atEnd(`hX-New\0one\0`, `hX-New\0two\0`, `hX-Other\0\0`))
	for _, at := range []string{"0", "1", "2", "3", "99"} {
		add("insert-"+at, atEnd(`i<`+at+`>X-New\0value\0`))
	}
	add("insert-many", atEnd(`i<0>X-A\0a\0`, `i<0>X-B\0b\0`, `i<2>X-C\0c\0`, `i<1>X-D\0d\0`))
	add("insert-negative", atEnd(`i<-2>X-A\0a\0`))
	add("change", atEnd(`m<1>Subject\0new subject\0`))
	add("change-case", atEnd(`m<1>SUBJECT\0new subject\0`))
	add("change-index-0", atEnd(`m<0>Subject\0new subject\0`))
	add("change-second", atEnd(`m<2>X-Twice\0changed\0`))
	add("change-missing", atEnd(`m<1>X-None\0appended\0`, `m<5>X-Twice\0appended\0`))
	add("change-received", atEnd(`m<1>Received\0changed\0`))
	add("change-received-2", atEnd(`m<2>Received\0appended\0`))
	add("change-inserted", atEnd(`i<0>X-A\0a\0`, `m<1>X-A\0b\0`))
	add("delete", atEnd(`m<1>Subject\0\0`))
	add("delete-both", atEnd(`m<1>X-Twice\0\0`, `m<1>X-Twice\0\0`, `m<1>X-None\0\0`))
	add("delete-received", atEnd(`m<1>Received\0\0`, `m<1>Received\0\0`))
	add("change-no-name", atEnd(`m<1>\0x\0`))
	add("leading-space", options("6 511 0x100000", "E", `hX-New\0value\0 && hX-Spaced\0 value\0 && m<1>Subject\0 s\0 && c`))
	add("replace-body", atEnd(`bnew body\r\n.dot\r\n`))
	add("replace-body-open", atEnd(`bno end`))
	add("replace-body-parts", atEnd(`bpart one, `, `bpart two\r`, `b\nend\n`))
	add("replace-body-empty", atEnd(`b`))
	add("replace-body-and-header", atEnd(`bnew body\r\n`, `hX-New\0value\0`))
	add("header-and-replace-body", atEnd(`hX-New\0value\0`, `bnew body\r\n`))
	add("replace-body-mixed", atEnd(`bone\r\n`, `hX-New\0value\0`, `btwo\r\n`))
	add("add-rcpt", atEnd(`+<other@dest.example>\0`))
	add("add-rcpt-alias", atEnd(`+<team@alias.example>\0`))
	add("add-rcpt-bare", atEnd(`+other@dest.example\0`))
	add("add-rcpt-same", atEnd(`+<target@dest.example>\0`))
	add("add-rcpt-null", atEnd(`+<>\0`))
	add("add-rcpt-list", atEnd(`+<a@dest.example>, <b@dest.example>\0`))
	add("add-rcpt-par", atEnd(`2<other@dest.example>\0NOTIFY=NEVER ORCPT=rfc822;x+2By@z.example\0`))
	add("add-rcpt-par-bad", atEnd(`2<other@dest.example>\0NOTIFY=MAYBE ORCPT=x FOO=bar\0`))
	add("add-rcpt-par-none", atEnd(`2<other@dest.example>\0`))
	add("delete-rcpt", atEnd(`-<info@alias.example>\0`, `+<other@dest.example>\0`))
	add("delete-rcpt-target", atEnd(`-<target@dest.example>\0`))
	add("delete-rcpt-again", atEnd(`-<info@alias.example>\0`, `+<info@alias.example>\0`))
	add("delete-rcpt-all", atEnd(`-<info@alias.example>\0`))
	add("delete-rcpt-added", atEnd(`+<other@dest.example>\0`, `-<other@dest.example>\0`))
	add("change-from", atEnd(`e<new@client.example>\0`))
	add("change-from-args", atEnd(`e<new@client.example>\0RET=HDRS ENVID=a+2Bb\0`))
	add("change-from-args-bad", atEnd(`e<new@client.example>\0RET=ALL FOO=bar\0`))
	add("change-from-null", atEnd(`e<>\0`))
	add("change-from-bare", atEnd(`enew\0`))
	add("edits-then-reject", replies("E", `hX-New\0value\0 && bnew\r\n && r`))
	add("edits-then-accept", replies("E", `hX-New\0value\0 && a`))
	add("edits-and-quarantine", atEnd(`hX-New\0value\0`, `qodd\0`))
	add("everything", atEnd(`i<1>X-Sig\0s=1;\n\tb=2\0`, `m<1>Subject\0[x] s\0`, `hX-End\0e\0`, `bnew\r\n`, `e<new@client.example>\0`,
		`-<info@alias.example>\0`, `+<team@alias.example>\0`))
	add("edit-early", replies("M", `hX-New\0value\0`))
	return cases
}
