package integration

import (
	"strings"
	"testing"
)

// swaks is the smoke test that people run first.
func swaks(t *testing.T, r *relay, args ...string) (string, int) {
	t.Helper()
	return runProgram(t, "", "swaks", append([]string{"--server", r.smtp, "--from", "sender@client.example", "--helo", "client.example"}, args...)...)
}

func TestSwaksToAlias(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	out, code := swaks(t, r, "--to", "info@alias.example", "--body", "a letter\n.with a dot\n")
	if code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	mustMatch(t, "swaks output", out, `<[~-] +250 2\.0\.0 Ok: queued as [0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{12}`)
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<sender@client.example>") || len(m.Rcpts) != 1 || !strings.HasPrefix(m.Rcpts[0], "<target@dest.example>") {
		t.Errorf("envelope: %v", m)
	}
	mustMatch(t, "message", m.Data, `(?s)^Received: from client\.example \(unknown \[127\.0\.0\.1\]\)\r\n\tby mx\.alias\.example \(Postfix\) with ESMTP id \w{12}\r\n\tfor <info@alias\.example>; .*\r\n\.with a dot\r\n`)
	r.waitLog(`postfix/smtp\[\d+\]: \w{12}: to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as SINK\)`)
	r.waitLog(`postfix/qmgr\[\d+\]: \w{12}: removed`)
	r.stop()
}

func TestSwaksRefusals(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	for _, c := range []struct{ name, to, reply string }{
		{"unknown", "nobody@alias.example", `550 5\.1\.1 <nobody@alias\.example>: Recipient address rejected: User unknown in virtual alias table`},
		{"relay", "x@elsewhere.example", `554 5\.7\.1 <x@elsewhere\.example>: Relay access denied`},
		{"self", "self@alias.example", `550 5\.1\.1 <self@alias\.example>: Recipient address rejected: User unknown in virtual alias table`},
		{"dead end", "dead@alias.example", `550 5\.1\.1 <dead@alias\.example>: Recipient address rejected: User unknown in virtual alias table`},
		{"mutual loop", "loop@alias.example", `451 4\.6\.0 <loop@alias\.example>: .*Alias expansion error`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := swaks(t, r, "--to", c.to)
			if code == 0 {
				t.Errorf("accepted:\n%s", out)
			}
			mustMatch(t, "swaks output", out, c.reply)
		})
	}
	r.waitLog(`postfix/smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.1\]: 550 5\.1\.1 <nobody@alias\.example>: Recipient address rejected: User unknown in virtual alias table; from=<sender@client\.example> to=<nobody@alias\.example> proto=ESMTP helo=<client\.example>`)
	if n := sink.Count(); n != 0 {
		t.Errorf("%d messages arrived, want none", n)
	}
}
