package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// relay_while_connected_tempfail, _reply, and a table.
func TestConnectedSettings(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{
		"relay_while_connected":          "inline:{alias.example=yes, third.example=no}",
		"relay_while_connected_tempfail": "pass",
		"relay_while_connected_reply":    "yes",
	})
	mustMatch(t, "reply", letter(t, r, "a", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+; next hop said: 250 2\.0\.0 Ok: queued as SINK$`)
	mustMatch(t, "reply", letter(t, r, "b", "other@other.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	r.waitEmpty()
	if n := strings.Count(r.log(), "relay while connected: "); n != 1 {
		t.Errorf("%d messages went this way, want 1", n)
	}
	sink.Behave(peers.Script{Rcpt: map[string]string{"*": "452 4.2.2 full"}})
	mustMatch(t, "reply", letter(t, r, "c", "info@alias.example"), `^452 4\.2\.2 full$`)
	r.mustBeEmpty()
	sink.Behave(peers.Script{Rcpt: map[string]string{"*": "421 4.7.0 too much"}})
	mustMatch(t, "reply", letter(t, r, "d", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	sink.Behave(peers.Script{})
	r.waitEmpty()
	mustMatch(t, "reply", letter(t, r, "e", "info@alias.example", "other@other.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	r.waitEmpty()
}

// With bounce_hide_destination the client hears nothing that tells where an alias leads.
func TestConnectedHides(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{
		"bounce_hide_destination": "yes", "relay_while_connected_tempfail": "pass", "relay_while_connected_reply": "yes",
		"relay_while_connected_rcpt": "yes", "address_verify_poll_delay": "2s",
	})
	tell := " <target@dest.example> TARGET@Dest.Example target=40dest.example dest.example target 127.0.0.1"
	sink.Behave(peers.Script{Data: "550 5.2.2" + tell})
	mustMatch(t, "reply", letter(t, r, "a", "info@alias.example"), `^550 5\.2\.2 mail to this address could not be delivered: the mailbox is full$`)
	sink.Behave(peers.Script{EndOfData: "452 4.3.1" + tell})
	mustMatch(t, "reply", letter(t, r, "b", "info@alias.example"), `^452 4\.3\.1 mail to this address could not be delivered yet: the mail system in charge does not take it$`)
	sink.Behave(peers.Script{EndOfData: "250 2.0.0" + tell})
	mustMatch(t, "reply", letter(t, r, "c", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	sink.Behave(peers.Script{Rcpt: map[string]string{"*": "550 5.1.1" + tell}})
	mustMatch(t, "RCPT", rcpt(t, r, "bad@alias.example"), `^550 5\.1\.1 <bad@alias\.example>: mail to this address could not be delivered: the address does not exist or does not take mail$`)
	mustMatch(t, "log", r.log(), `said: 550 5\.2\.2 <target@dest\.example>`)
}

// relay_while_connected_rcpt: each recipient has its own answer, at RCPT.
func TestConnectedRcpt(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{"relay_while_connected_rcpt": "yes", "address_verify_poll_delay": "2s"})
	sink.Behave(killScript("450 4.2.0 later"))
	mustMatch(t, "good", rcpt(t, r, "info@alias.example"), `^250 2\.1\.5`)
	mustMatch(t, "bad", rcpt(t, r, "bad@alias.example"), `^550 5\.1\.1 <bad@alias\.example>: <bad@dest\.example>: nobody here$`)
	mustMatch(t, "late", rcpt(t, r, "late@alias.example"), `^250 2\.1\.5`)
	mustMatch(t, "log", r.log(), `reject: RCPT from \S+: 550 5\.1\.1 <bad@alias\.example>: <bad@dest\.example>: nobody here; from=<sender@client\.example> to=<bad@alias\.example>`)
	if sink.Count() != 0 {
		t.Error("a probe was taken for a message")
	}
}

// A configuration that means nothing is refused at start.
func TestConnectedBadSettings(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"relay_while_connected": "maybe", "relay_while_connected_time": "0", "relay_while_connected_limit": "101",
		"relay_while_connected_tempfail": "defer", "relay_while_connected_map": "pcre:/x",
	} {
		cf := base(nil)
		cf["relay_while_connected"] = "yes"
		cf[name] = value
		r := newRelay(t, cf, nil)
		out, code := r.run("check", "-c", r.dir)
		if code == 0 || !strings.Contains(out, name) || !strings.Contains(out, "main.cf") {
			t.Errorf("%s = %s: exit status %d\n%s", name, value, code, out)
		}
	}
}

// So is a table that says neither yes nor no, where it can be listed.
func TestConnectedBadTable(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"hash", "texthash", "regexp", "inline"} {
		cf := base(nil)
		r := newRelay(t, cf, map[string]string{"virtual": connectedAliases, "wanted": "alias.example yes\nother.example perhaps\n", "patterns": "/alias/ yes\n/other/ perhaps\n"})
		at := "wanted, line 2"
		switch kind {
		case "regexp":
			cf["relay_while_connected"], at = "regexp:"+r.dir+"/patterns", "patterns, line 2"
		case "inline":
			cf["relay_while_connected"], at = "inline:{alias.example=yes, other.example=perhaps}", "main.cf"
		default:
			cf["relay_while_connected"] = kind + ":" + r.dir + "/wanted"
		}
		r.configure(cf)
		if kind == "hash" {
			r.mustRun("postmap", "hash:"+r.dir+"/wanted")
		}
		out, code := r.run("check", "-c", r.dir)
		if code == 0 || !strings.Contains(out, "relay_while_connected") || !strings.Contains(out, `"perhaps": write yes or no`) || !strings.Contains(out, at) {
			t.Errorf("%s: exit status %d\n%s", kind, code, out)
		}
	}
}

// The end of the daemon while clients wait: each has an answer, and what it is told is true.
func TestConnectedStop(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"RCPT", "."} {
		sink := newSink(t)
		r := connectedRelay(t, sink, map[string]string{"relay_while_connected_time": "60s"})
		sink.Behave(peers.Script{Delay: 3 * time.Second, DelayAt: stage})
		answers := make(chan string)
		go func() { answers <- letter(t, r, "stop", "info@alias.example") }()
		r.waitLog(`\(queue active\)`)
		time.Sleep(200 * time.Millisecond)
		r.stop()
		mustMatch(t, "reply", <-answers, `^250 2\.0\.0 Ok: queued as \w+$`)
		sink.Behave(peers.Script{})
		r.start()
		r.waitEmpty()
		if sink.Count() != 1 {
			t.Errorf("%s: arrived %d times\n%s", stage, sink.Count(), r.log())
		}
		r.stop()
	}
}

// What is counted (reputation_enable) goes this way as well: the client hears the refusal,
// and each result is counted once.
func TestConnectedCounted(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{"reputation_enable": "yes"})
	sink.Behave(peers.Script{EndOfData: "554 5.7.1 spam"})
	mustMatch(t, "reply", letter(t, r, "a", "info@alias.example"), `^554 5\.7\.1 spam$`)
	r.mustBeEmpty()
	if got := r.reputationOf("info@alias.example"); got.In != 0 || got.Delivered != 0 || got.Refused != 1 || got.Policy != 1 {
		t.Errorf("refused: %+v", got)
	}
	sink.Behave(peers.Script{})
	mustMatch(t, "reply", letter(t, r, "b", "other@other.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	r.mustBeEmpty()
	if got := r.reputationOf("other@other.example"); got.In != 1 || got.Delivered != 1 || got.Refused != 0 {
		t.Errorf("sent: %+v", got)
	}
	mustMatch(t, "log", r.log(), `relay while connected: refused\n(?s:.*)relay while connected: sent\n`)
}

// What others wrote in UTF-8, or in bytes that are no text at all, is ASCII for a client that
// has not asked for SMTPUTF8: the next hop's reply, at the end and at RCPT, and a table's text.
func TestRepliesAreASCII(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{
		"relay_while_connected_reply": "yes", "alias_attribute_maps": "inline:{ { old@alias.example = suspended=\"550 5.2.1 zu f\u00fcr immer\" } }",
		"virtual_alias_maps": "hash:{dir}/virtual, inline:{ old@alias.example=x@dest.example }",
	})
	verifies := verifying(t, sink, nil)
	asks := connectedRelay(t, sink, map[string]string{"relay_while_connected_rcpt": "yes", "address_verify_poll_delay": "2s"})
	said := func(r *relay, parameter, to string) string {
		t.Helper()
		c := dialSMTP(t, r.smtp)
		defer c.Close()
		c.say("EHLO client.example")
		c.say("MAIL FROM:<sender@client.example>" + parameter)
		if reply := c.say("RCPT TO:<" + to + ">"); !strings.HasPrefix(reply, "250") {
			return reply
		}
		c.say("DATA")
		fmt.Fprint(c.Conn, "Subject: x\r\n\r\nx\r\n")
		return c.say(".")
	}
	for _, c := range []struct {
		name      string
		r         *relay
		script    peers.Script
		to        string
		want, utf string
	}{
		{"refused", r, peers.Script{EndOfData: "554 5.7.1 gr\u00fcn"}, "info@alias.example", `^554 5\.7\.1 gr\?\?n$`, "^554 5\\.7\\.1 gr\u00fcn$"},
		{"sent", r, peers.Script{EndOfData: "250 2.0.0 gr\u00fcn"}, "info@alias.example", `said: 250 2\.0\.0 gr\?\?n$`, "said: 250 2\\.0\\.0 gr\u00fcn$"},
		{"suspended", r, peers.Script{}, "old@alias.example", `^550 5\.2\.1 .*: zu f\?\?r immer$`, "zu f\u00fcr immer$"},
		{"at RCPT", asks, peers.Script{Rcpt: map[string]string{"*": "550 5.1.1 gr\u00fcn"}}, "info@alias.example", `^550 5\.1\.1 .*: gr\?\?n$`, ": gr\u00fcn$"},
		{"unverified", verifies, peers.Script{Rcpt: map[string]string{"*": "550 5.1.1 gr\u00fcn"}}, "info@alias.example", `^550 5\.1\.1 .*said: 550 5\.1\.1 gr\?\?n \(`, "said: 550 5\\.1\\.1 gr\u00fcn \\("},
	} {
		sink.Behave(c.script)
		mustMatch(t, c.name, said(c.r, "", c.to), c.want)
		mustMatch(t, c.name+" with SMTPUTF8", said(c.r, " SMTPUTF8", c.to), c.utf)
	}
}
