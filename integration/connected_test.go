package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

const connectedAliases = `info@alias.example  target@dest.example
bad@alias.example   bad@dest.example
late@alias.example  late@dest.example
team@alias.example  target@dest.example, bad@dest.example, late@dest.example
other@other.example elsewhere@dest.example
`

// connectedWait is relay_while_connected_time of the tests.
const connectedWait = 2 * time.Second

// connectedRelay is a relay whose clients wait for the next hop.
func connectedRelay(t testing.TB, sink *peers.Sink, change map[string]string) *relay {
	t.Helper()
	cf := base(sink)
	cf["virtual_alias_domains"] = "alias.example other.example"
	cf["relay_while_connected"], cf["relay_while_connected_time"] = "yes", "2s"
	cf["minimal_backoff_time"], cf["maximal_backoff_time"], cf["queue_run_delay"] = "2s", "3s", "1s"
	cf["default_destination_concurrency_failed_cohort_limit"] = "0"
	for name, value := range change {
		cf[name] = value
	}
	r := newRelay(t, cf, map[string]string{"virtual": connectedAliases})
	r.start()
	return r
}

// letter brings one message over a connection that is still open then, as far as the reply
// to its end, which it returns.
func letter(t *testing.T, r *relay, subject string, to ...string) string {
	t.Helper()
	c := beginLetter(t, r, subject, to...)
	defer c.Close()
	reply := c.say(".")
	c.say("QUIT")
	return reply
}

// beginLetter leaves nothing but the final dot to be sent.
func beginLetter(t *testing.T, r *relay, subject string, to ...string) *dialog {
	t.Helper()
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	c.say("MAIL FROM:<sender@client.example>")
	for _, a := range to {
		mustMatch(t, "RCPT", c.say("RCPT TO:<"+a+">"), "^250 ")
	}
	mustMatch(t, "DATA", c.say("DATA"), "^354 ")
	fmt.Fprintf(c.Conn, "From: sender@client.example\r\nSubject: %s\r\nMessage-ID: <%s@client.example>\r\n\r\n..dot\r\n", subject, subject)
	return c
}

// lettersIn is how many messages with content have come. A sink that refuses MAIL and takes
// the rest of what was pipelined gets an empty one.
func lettersIn(sink *peers.Sink) (n int) {
	for _, m := range sink.Messages() {
		if m.Data != "" {
			n++
		}
	}
	return n
}

func (r *relay) mustBeEmpty() {
	r.t.Helper()
	if queue := r.mustRun("mailq", "-c", r.dir); !strings.Contains(queue, "Mail queue is empty") {
		r.t.Errorf("the queue is not empty:\n%s", queue)
	}
}

// Each reply at each stage: what the client hears, and whether anything is queued.
func TestConnectedReplies(t *testing.T) {
	t.Parallel()
	at := func(stage, reply string) peers.Script {
		all := map[string]string{"*": reply}
		return map[string]peers.Script{
			"banner": {Banner: reply}, "MAIL": {Mail: all}, "RCPT": {Rcpt: all}, "DATA": {Data: reply}, ".": {EndOfData: reply},
		}[stage]
	}
	sink := newSink(t)
	r := connectedRelay(t, sink, nil)
	for _, c := range []struct{ stage, reply, want string }{
		{"RCPT", "250 2.1.5 Ok", `^250 2\.0\.0 Ok: queued as \w+$`},
		{"banner", "554 5.7.1 go away", `^250 2\.0\.0 Ok: queued as \w+$`}, // smtp_skip_5xx_greeting
		{"banner", "421 4.3.2 not now", `^250 2\.0\.0 Ok: queued as \w+$`},
		{"MAIL", "550 5.7.1 not you", `^550 5\.7\.1 not you$`},
		{"MAIL", "450 4.7.1 not yet", `^250 2\.0\.0 Ok: queued as \w+$`},
		{"MAIL", "421 4.7.0 too many", `^250 2\.0\.0 Ok: queued as \w+$`},
		{"RCPT", "550 5.1.1 no such user", `^550 5\.1\.1 no such user$`},
		{"RCPT", "551 no codes", `^551 5\.0\.0 no codes$`},
		{"RCPT", "550-5.7.26 two\r\n550 5.7.26 lines", `^550 5\.7\.26 two lines$`},
		{"RCPT", "521 5.7.1 no mail", `^550 5\.7\.1 `},
		{"RCPT", "452 4.2.2 full", `^250 2\.0\.0 Ok: queued as \w+$`},
		{"DATA", "554 5.5.1 no", `^554 5\.5\.1 no$`},
		{"DATA", "451 4.3.0 later", `^250 2\.0\.0 Ok: queued as \w+$`},
		{".", "554 5.7.1 spam", `^554 5\.7\.1 spam$`},
		{".", "550 5.7.26 unauthenticated", `^550 5\.7\.26 unauthenticated$`},
		{".", "451 4.7.1 greylisted", `^250 2\.0\.0 Ok: queued as \w+$`},
	} {
		sink.Behave(at(c.stage, c.reply))
		before := lettersIn(sink)
		subject := strings.Trim(c.stage, ".") + c.reply[:3]
		mustMatch(t, c.stage+" "+c.reply, letter(t, r, subject, "info@alias.example"), c.want)
		refused := !strings.HasPrefix(c.want, "^250")
		if refused || c.reply[0] == '2' {
			r.mustBeEmpty()
		}
		sink.Behave(peers.Script{})
		r.waitEmpty()
		if got := lettersIn(sink) - before; got != map[bool]int{true: 0, false: 1}[refused] {
			t.Errorf("%s %s: arrived %d times\n%s", c.stage, c.reply, got, r.log())
		}
	}
	log := r.log()
	for _, m := range sink.Messages() {
		if strings.HasPrefix(m.From, "<>") {
			t.Errorf("a bounce was made: %v", m)
		}
	}
	for _, no := range []string{"status=bounced", "postfix/bounce["} {
		if strings.Contains(log, no) {
			t.Errorf("%q is in the log", no)
		}
	}
	mustMatch(t, "log", log, `postfix/smtp\[\d+\]: (\w+): to=<target@dest\.example>, orig_to=<info@alias\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, delay=\S+, delays=\S+, dsn=5\.1\.1, status=undeliverable \(host .* said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)\)\n`)
	mustMatch(t, "log", log, `postfix/smtpd\[\d+\]: \w+: reject: END-OF-MESSAGE from \S+: 550 5\.1\.1 no such user; from=<sender@client\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.example>`)
	mustMatch(t, "log", log, `status=sent \(250 2\.0\.0 Ok: queued as SINK\)\n.*postfix/qmgr\[\d+\]: \w+: removed\n.*postfix/qmgr\[\d+\]: \w+: relay while connected: sent\n`)
}

// The next hop hangs or hangs up at each stage: the client has its 250 in time, and the
// message arrives in the end, once, but where it was taken without a reply.
func TestConnectedTrouble(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"banner", "EHLO", "MAIL", "RCPT", "DATA", ".", "taken"} {
		for _, what := range []string{"hang", "drop"} {
			t.Run(what+" at "+stage, func(t *testing.T) {
				t.Parallel()
				sink := newSink(t)
				r := connectedRelay(t, sink, nil)
				script := peers.Script{Hang: stage}
				if what == "drop" {
					script = peers.Script{Drop: stage}
				}
				sink.Behave(script)
				began := time.Now()
				mustMatch(t, "reply", letter(t, r, "trouble", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
				if waited := time.Since(began); what == "hang" && waited < connectedWait {
					t.Errorf("the client waited for %v", waited)
				}
				sink.Behave(peers.Script{})
				if what == "hang" {
					sink.Stop() // the connection breaks
					restart(t, sink)
				}
				r.waitEmpty()
				want := 1
				if stage == "taken" {
					want = 2
					mustMatch(t, "log", r.log(), `sending end of data -- message may be sent more than once`)
				}
				if sink.Count() != want {
					t.Errorf("arrived %d times, want %d\n%s", sink.Count(), want, r.log())
				}
				r.stop()
			})
		}
	}
}

// restart has a sink listen again. Meanwhile somebody's connection may have its port.
func restart(t *testing.T, sink *peers.Sink) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := sink.Start()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A reply that comes after the client had its 250 is the outcome: the message is not sent
// again, and who refuses it then makes a bounce.
func TestConnectedLateReply(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, nil)
	sink.Behave(peers.Script{Delay: 2 * connectedWait, DelayAt: "."})
	mustMatch(t, "reply", letter(t, r, "late", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	r.waitEmpty()
	if sink.Count() != 1 || sink.Conns() != 1 {
		t.Errorf("arrived %d times over %d connections", sink.Count(), sink.Conns())
	}
	sink.Behave(peers.Script{Delay: 2 * connectedWait, DelayAt: ".", EndOfData: "554 5.7.1 spam"})
	mustMatch(t, "reply", letter(t, r, "refused", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	sink.Behave(peers.Script{}) // what is under way keeps its answer
	r.waitLog(`status=bounced \(host .* said: 554 5\.7\.1 spam`)
	r.waitEmpty()
	if n := sink.Count(); n != 2 || !strings.HasPrefix(sink.Messages()[1].From, "<>") {
		t.Errorf("%d messages: %v\n%s", n, sink.Messages(), r.log())
	}
}

// Recipients with different answers: done are done, one bounce for who was refused, and the
// rest waits.
func TestConnectedDifferentAnswers(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, nil)
	sink.Behave(killScript("450 4.2.0 later"))
	mustMatch(t, "reply", letter(t, r, "mixed", "team@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	r.waitLog(`status=deferred \(host .* said: 450 4\.2\.0 later`)
	if queue := r.mustRun("mailq", "-c", r.dir); strings.Contains(queue, "target@dest.example") || strings.Contains(queue, "bad@dest.example") || !strings.Contains(queue, "late@dest.example") {
		t.Errorf("queue:\n%s", queue)
	}
	sink.Behave(killScript("250 2.1.5 Ok"))
	r.waitEmpty()
	got := map[string]int{}
	for _, m := range sink.Messages() {
		for _, to := range m.Rcpts {
			addr, _, _ := strings.Cut(to, " ")
			got[addr]++
		}
	}
	for _, to := range []string{"<target@dest.example>", "<late@dest.example>", "<sender@client.example>"} {
		if got[to] != 1 {
			t.Errorf("%s has %d", to, got[to])
		}
	}
	// All of them refuse: no bounce, and the first answer.
	sink.Behave(peers.Script{Rcpt: map[string]string{"*": "550 5.1.1 nobody"}})
	before := sink.Count()
	mustMatch(t, "reply", letter(t, r, "all", "team@alias.example"), `^550 5\.1\.1 nobody$`)
	sink.Behave(peers.Script{})
	r.mustBeEmpty()
	if sink.Count() != before {
		t.Error("a bounce was made")
	}
}

// What the next hop cannot take is refused with the code that says so.
func TestConnectedExtensions(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{"disable_mime_output_conversion": "no"})
	send := func(params, subject, body string) string {
		c := dialSMTP(t, r.smtp)
		defer c.Close()
		c.say("EHLO client.example")
		c.say("MAIL FROM:<sender@client.example>" + params)
		c.say("RCPT TO:<info@alias.example>")
		c.say("DATA")
		fmt.Fprintf(c.Conn, "Subject: %s\r\n\r\n%s\r\n", subject, body)
		return c.say(".")
	}
	sink.Behave(peers.Script{Ehlo: []string{"PIPELINING"}})
	mustMatch(t, "8BITMIME", send(" BODY=8BITMIME", "x", "gr\xc3\xbc\xc3\x9fe"), `^554 5\.6\.3 8BITMIME is required, but was not offered by host `)
	mustMatch(t, "SMTPUTF8", send(" SMTPUTF8", "gr\xc3\xbc\xc3\x9fe", "x"), `^554 5\.6\.7 SMTPUTF8 is required, but was not offered by host `)
	sink.Behave(peers.Script{Ehlo: []string{"PIPELINING", "SIZE 100"}})
	mustMatch(t, "SIZE", send("", "x", strings.Repeat("x", 200)), `^552 5\.3\.4 message size \d+ exceeds size limit 100 of server `)
	sink.Behave(peers.Script{})
	mustMatch(t, "all", send(" BODY=8BITMIME SMTPUTF8", "gr\xc3\xbc\xc3\x9fe", "gr\xc3\xbc\xc3\x9fe"), `^250 2\.0\.0 `)
	r.mustBeEmpty()
	if sink.Count() != 1 {
		t.Errorf("%d arrived", sink.Count())
	}
}
