package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Rates, complaints and bounces by alias.

// letterTo is what a client says to send a letter.
func letterTo(from, text string, rcpts ...string) []string {
	send := []string{"EHLO client.example", "MAIL FROM:<" + from + ">"}
	for _, r := range rcpts {
		send = append(send, "RCPT TO:<"+r+">")
	}
	return append(send, "DATA", "~"+text, "QUIT")
}

const plainLetter = "From: sender@client.example\r\nSubject: hello\r\n\r\nbody\r\n"

func TestAliasRates(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["alias_rate_limit"], cf["alias_domain_rate_limit"] = "2", "6"
	cf["alias_rate_limit_maps"] = "inline:{ team@alias.example=3 }"
	cf["recipient_delimiter"] = "+"
	r := newRelay(t, cf, nil)
	r.start()
	const refused = "450 4.7.1 <%s>: Recipient address rejected: too much mail for this address, try again later"
	for _, step := range []struct {
		rcpt string
		ok   bool
	}{
		{"info@alias.example", true}, {"INFO+x@Alias.example", true}, {"info@alias.example", false}, {"info+y@alias.example", false},
		{"team@alias.example", true}, {"team@alias.example", true}, {"team@alias.example", true}, {"team@alias.example", false},
		{"nobody@alias.example", false}, // who is not there takes nothing of the domain's
		{"chain@alias.example", true}, {"chain@alias.example", false},
	} {
		got := playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, step.rcpt))[3]
		want := fmt.Sprintf(refused, step.rcpt)
		switch {
		case step.rcpt == "nobody@alias.example":
			want = "550 5.1.1 <nobody@alias.example>: Recipient address rejected: User unknown in virtual alias table"
		case step.ok:
			want = "250 2.1.5 Ok"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", step.rcpt, got, want)
		}
	}
	r.waitLog(`warning: Recipient address rate limit exceeded: 7 for alias\.example from unknown\[127\.0\.0\.1\] for service \S+`)
	r.waitLog(`smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.1\]: 450 4\.7\.1 <team@alias\.example>: Recipient address rejected: too much mail for this address, try again later; from=<sender@client\.example> to=<team@alias\.example> proto=ESMTP helo=<client\.example>`)
	if n := strings.Count(r.log(), "rate limit exceeded: 3 for info@alias.example"); n != 1 {
		t.Errorf("info was warned of %d times, want once\n%s", n, r.log())
	}
	// Clients that are trusted have no limit.
	got := playFrom(t, "127.0.0.9", r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	if got[3] != "250 2.1.5 Ok" {
		t.Errorf("mynetworks: %q", got)
	}
}

func TestCatchAllAddresses(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["catchall_address_limit"] = "2"
	r := newRelay(t, cf, map[string]string{"virtual": "@alias.example target@dest.example\ninfo@alias.example target@dest.example\n"})
	r.start()
	for _, step := range []struct {
		local string
		code  string
	}{{"a", "250"}, {"b", "250"}, {"c", "450"}, {"B", "250"}, {"d", "450"}, {"info", "250"}, {"a", "250"}} {
		got := playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, step.local+"@alias.example"))[3]
		if !strings.HasPrefix(got, step.code) {
			t.Errorf("%s: %q, want %s", step.local, got, step.code)
		}
	}
	r.waitLog(`warning: catch-all address limit exceeded: 2 addresses of alias\.example in an hour from unknown\[127\.0\.0\.1\] for service \S+`)
}

// complaint is a report as Yahoo and its like send them (RFC 5965 appendix B.2). about is the
// part for programs behind its first lines, original the header of the message.
func complaint(kind, about, original string) string {
	return "From: <feedback@receiver.example>\r\nTo: arf@alias.example\r\nSubject: FW: hello\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=feedback-report; boundary=\"b 1\"\r\n\r\n" +
		"--b 1\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n" +
		"--b 1\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: " + kind + "\r\nUser-Agent: R/1\r\nVersion: 1\r\n" + about + "\r\n" +
		"--b 1\r\nContent-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n" + original + "\r\nbody\r\n--b 1--\r\n"
}

type reputationRow struct {
	Kind, Name                                           string
	In, Delivered, Refused, Policy, Complaints, Returned int
}

// reputationOf is what the command tells of an alias or destination.
func (r *relay) reputationOf(name string) (row reputationRow) {
	r.t.Helper()
	for line := range strings.Lines(r.mustRun("reputation", "-c", r.dir, "-j", name)) {
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			r.t.Fatalf("%v: %s", err, line)
		}
		if row.Name == name {
			return row
		}
	}
	return reputationRow{}
}

func TestComplaints(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"three@dest.example": "550 5.7.1 we do not like your mail"}})
	cf := base(sink)
	cf["arf_recipients"] = "arf@alias.example"
	cf["alias_complaint_limit"], cf["alias_complaint_action"] = "2", "reject"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable + "arf@alias.example reports@dest.example\n"})
	r.start()
	send := func(from, text string, rcpts ...string) {
		t.Helper()
		got := playClient(t, r.smtp, letterTo(from, text, rcpts...))
		if last := got[len(got)-2]; !strings.HasPrefix(last, "250 2.0.0 Ok: queued as ") {
			t.Fatalf("%q\n%s", got, r.log())
		}
	}
	send("sender@client.example", plainLetter, "info@alias.example")
	send("", plainLetter, "team@alias.example", "chain@alias.example") // null sender: nobody hears of the refusal
	if !sink.Wait(2, limit) {
		t.Fatalf("not all arrived\n%s", r.log())
	}
	r.waitEmpty()
	forwarded := map[string]string{} // header as the target has it, by target
	for _, m := range sink.Messages() {
		for _, to := range m.Rcpts {
			if to, _, _ = strings.Cut(to, " "); forwarded[to] == "" { // behind it are parameters
				forwarded[to] = m.Data[:strings.Index(m.Data, "body")]
			}
		}
	}
	if want, got := (reputationRow{"alias", "team@alias.example", 1, 2, 1, 1, 0, 0}), r.reputationOf("team@alias.example"); got != want {
		t.Errorf("team: got %+v, want %+v", got, want)
	}

	// By the Received field of ours, which names the alias; the report goes its way.
	send("feedback@receiver.example", complaint("abuse", "Source-IP: 192.0.2.1\r\n", forwarded["<target@dest.example>"]), "arf@alias.example")
	r.waitLog(`cleanup\[\d+\]: \w{12}: complaint \(abuse\) about info@alias\.example, from dest\.example`)
	if !sink.Wait(3, limit) {
		t.Fatal("the report does not arrive")
	}
	// By the queue ID, where there were two aliases: of these the one that led to this domain.
	send("feedback@receiver.example", complaint("fraud", "Original-Rcpt-To: <two@other.example>\r\n", forwarded["<two@other.example>"]), "arf@alias.example")
	r.waitLog(`complaint \(fraud\) about team@alias\.example, from other\.example`)
	// By what other hosts write; and what is no complaint.
	send("feedback@receiver.example", complaint("other", "", "Delivered-To: info@alias.example\r\nFrom: x@y\r\n"), "arf@alias.example")
	send("feedback@receiver.example", complaint("not-spam", "Original-Rcpt-To: info@alias.example\r\n", plainLetter), "arf@alias.example")
	send("feedback@receiver.example", complaint("abuse", "Original-Rcpt-To: nobody@alias.example\r\n", plainLetter), "arf@alias.example")
	r.waitLog(`complaint \(abuse\) about no alias that is known`)
	r.waitEmpty()
	if got := r.reputationOf("info@alias.example"); got.Complaints != 2 || got.In != 1 || got.Delivered != 1 {
		t.Errorf("info: %+v", got)
	}
	if got := r.reputationOf("dest.example"); got.Complaints != 1 || got.Policy != 1 {
		t.Errorf("dest.example: %+v", got)
	}
	out := r.mustRun("reputation", "-c", r.dir)
	mustMatch(t, "reputation", out, `(?m)^alias +in +delivered +refused +5\.7\.x +returned +complaints +rate\ninfo@alias\.example +1 +1 +0 +0 +0 +2 +200\.00%\nteam@alias\.example +1 +2 +1 +1 +0 +1 +50\.00%\n`)

	// One too many is worth one warning, and is known after a restart: it was kept.
	send("feedback@receiver.example", complaint("abuse", "Original-Rcpt-To: info@alias.example\r\n", plainLetter), "arf@alias.example")
	r.stop()
	r.start()
	for range 2 {
		got := playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
		if want := "450 4.7.1 <info@alias.example>: Recipient address rejected: too many complaints about mail for this address, try again later"; got[3] != want {
			t.Fatalf("got %q, want %q\n%s", got[3], want, r.log())
		}
	}
	r.waitLog(`warning: alias complaint limit exceeded: 3 today about info@alias\.example; until tomorrow its mail is refused$`)
	if n := strings.Count(r.log(), "complaint limit exceeded"); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
	send("sender@client.example", plainLetter, "team@alias.example")

	// With hold it is taken, and waits.
	cf["alias_complaint_action"] = "hold"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	send("sender@client.example", plainLetter, "info@alias.example")
	r.waitLog(`hold: RCPT from unknown\[127\.0\.0\.1\]: <info@alias\.example>: Recipient address triggers HOLD action: too many complaints`)
	if out := r.mustRun("mailq", "-c", r.dir); !strings.Contains(out, "!") {
		t.Errorf("nothing is on hold:\n%s", out)
	}
}

// A failure that comes back to an alias is counted by the original recipient that we have
// told the next hop.
func TestReturnedFailures(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["reputation_enable"] = "yes"
	r := newRelay(t, cf, nil)
	r.start()
	playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	notice := "From: MAILER-DAEMON@dest.example\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; dest.example\r\n\r\n" +
		"Original-Recipient: rfc822;info@alias.example\r\nFinal-Recipient: rfc822;target@dest.example\r\nAction: failed\r\nStatus: 5.7.26\r\n\r\n--b--\r\n"
	if got := playClient(t, r.smtp, letterTo("", notice, "team@alias.example")); !strings.HasPrefix(got[5], "250") {
		t.Fatalf("%q", got)
	}
	r.waitLog(`failure about info@alias\.example, from dest\.example`)
	if got := r.reputationOf("info@alias.example"); got.Returned != 1 || got.Policy != 1 {
		t.Errorf("%+v", got)
	}
	// What was counted survives a death.
	file := filepath.Join(r.top, "data", "reputation")
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if b, _ := os.ReadFile(file); strings.Contains(string(b), `alias "info@alias.example"`) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the file is not written")
		}
	}
	r.kill()
	r.start()
	if got := r.reputationOf("info@alias.example"); got.In != 1 {
		t.Errorf("after a death: %+v", got)
	}
}

// With nothing of it set there is no file, and the command says so.
func TestReputationOff(t *testing.T) {
	t.Parallel()
	r := newRelay(t, base(newSink(t)), nil)
	r.start()
	playClient(t, r.smtp, letterTo("sender@client.example", plainLetter, "info@alias.example"))
	r.waitEmpty()
	if out, code := r.run("reputation", "-c", r.dir); code != 1 || !strings.Contains(out, "nothing is counted: reputation_enable is no") {
		t.Errorf("exit status %d: %s", code, out)
	}
	r.stop()
	for _, name := range []string{"reputation", "greylist"} {
		if _, err := os.Stat(filepath.Join(r.top, "data", name)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}
