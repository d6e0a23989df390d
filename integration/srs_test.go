package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

const srsSecret = "a secret of the tests"

// srsBase is base with senders rewritten.
func srsBase(sink *peers.Sink) map[string]string {
	cf := base(sink)
	cf["srs_domain"], cf["srs_secrets_file"] = "srs.example", "{dir}/srs.secrets"
	return cf
}

// newSRSRelay is newRelay with secrets in its file.
func newSRSRelay(t testing.TB, cf map[string]string, secrets ...string) *relay {
	t.Helper()
	r := newRelay(t, cf, nil)
	r.secrets(secrets...)
	return r
}

func (r *relay) secrets(secrets ...string) {
	r.t.Helper()
	if len(secrets) == 0 {
		secrets = []string{srsSecret}
	}
	r.write("srs.secrets", strings.Join(secrets, "\n")+"\n")
	if err := os.Chmod(r.secretFile(), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *relay) secretFile() string { return filepath.Join(r.dir, "srs.secrets") }

// srs is what the command makes of an address.
func (r *relay) srs(args ...string) string {
	r.t.Helper()
	args = append([]string{"srs", "--secret-file", r.secretFile(), "--domain", "srs.example"}, args...)
	return strings.TrimSpace(r.mustRun(args...))
}

// took waits for a message and returns its reverse-path and recipients, without parameters.
func took(t *testing.T, sink *peers.Sink, n int, r *relay) (from, to string) {
	t.Helper()
	if !sink.Wait(n, limit) {
		t.Fatalf("message %d does not arrive\n%s", n, r.log())
	}
	m := sink.Messages()[n-1]
	var rcpts []string
	for _, rcpt := range m.Rcpts {
		rcpts = append(rcpts, strings.Fields(rcpt)[0])
	}
	return strings.Fields(m.From)[0], strings.Join(rcpts, " ")
}

// askFrom says MAIL and RCPT and returns the reply to the latter.
func (d *dialog) askFrom(from, to string) string {
	d.t.Helper()
	d.say("RSET")
	if got := d.say("MAIL FROM:<" + from + ">"); !strings.HasPrefix(got, "250") {
		d.t.Fatalf("MAIL FROM:<%s>: %s", from, got)
	}
	return d.say("RCPT TO:<" + to + ">")
}

// Out with a rewritten sender, the bounce back to who sent it; the log has the sender as it
// came.
func TestSRSThereAndBack(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := newSRSRelay(t, srsBase(sink))
	r.start()
	if out, code := swaks(t, r, "--from", "Author@client.example", "--to", "info@alias.example"); code != 0 {
		t.Fatal(out)
	}
	from, to := took(t, sink, 1, r)
	mustMatch(t, "reverse-path", from, `^<SRS0=[\w-]{4}=[A-Z2-7]{2}=client\.example=Author@srs\.example>$`)
	if to != "<target@dest.example>" {
		t.Errorf("recipient %s", to)
	}
	mustMatch(t, "content", sink.Messages()[0].Data, `(?s)^Received: from .*From: Author@client\.example\r\n`)
	r.waitLog(`postfix/qmgr\[\d+\]: \w+: from=<Author@client\.example>, size=`)

	// The next hop bounces later.
	bounce := strings.Trim(from, "<>")
	if out, code := swaks(t, r, "--from", "<>", "--to", bounce); code != 0 {
		t.Fatal(out)
	}
	if from, to := took(t, sink, 2, r); from != "<>" || to != "<Author@client.example>" {
		t.Errorf("the bounce goes from %s to %s", from, to)
	}
	r.waitLog(`to=<Author@client\.example>, orig_to=<` + quoted(bounce) + `>, .*status=sent`)

	// Programs that answer with a sender are tolerated, noted, and not rewritten.
	if out, code := swaks(t, r, "--from", "robot@dest.example", "--to", strings.ToLower(bounce)); code != 0 {
		t.Fatal(out)
	}
	if from, to := took(t, sink, 3, r); from != "<robot@dest.example>" || to != "<author@client.example>" {
		t.Errorf("the answer goes from %s to %s", from, to)
	}
	r.waitLog(`is used by <robot@dest\.example>, not by a bounce`)
}

// What RCPT says of addresses at srs_domain. Nobody can relay by making them up.
func TestSRSRefusals(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := srsBase(sink)
	cf["srs_bounce_rate_limit"] = "2"
	r := newSRSRelay(t, cf)
	r.start()
	good := r.srs("forward", "a@client.example")
	old := r.srs("forward", "a@client.example", "--now", itoa(int(time.Now().AddDate(0, 0, -23).Unix())))
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	for _, q := range []struct{ name, to, reply string }{
		{"forged", "SRS0=AAAA=2W=victim.example=a@srs.example", `^550 5\.1\.1 <SRS0=AAAA=2W=victim\.example=a@srs\.example>: Recipient address rejected: SRS address is not one of ours: wrong signature`},
		{"another recipient", strings.Replace(good, "=a@", "=b@", 1), `^550 5\.1\.1 .*wrong signature`},
		{"another recipient, routed", strings.Replace(good, "=a@", "=b%victim.example@", 1), `^550 5\.1\.1 .*wrong signature`},
		{"expired", old, `^550 5\.1\.1 .*: Recipient address rejected: SRS address has expired`},
		{"malformed", "SRS0=AAAA=2W=victim.example@srs.example", `^550 5\.1\.1 .*: Recipient address rejected: malformed SRS address`},
		{"SRS1, forged", "SRS1=AAAA=victim.example==x@srs.example", `^550 5\.1\.1 .*wrong signature`},
		{"nobody", "somebody@srs.example", `^550 5\.1\.1 <somebody@srs\.example>: Recipient address rejected: User unknown in virtual alias table`},
		{"postmaster", "Postmaster@srs.example", `^250 2\.1\.5 Ok`},
		{"another domain", strings.Replace(good, "@srs.example", "@else.example", 1), `^554 5\.7\.1 .*Relay access denied`},
		{"good", good, `^250 2\.1\.5 Ok`},
		{"in upper case", strings.ToUpper(good), `^250 2\.1\.5 Ok`},
		{"too many", good, `^450 4\.7\.1 .*: Recipient address rejected: too many bounces to this sender`},
		{"of another sender", r.srs("forward", "b@client.example"), `^250 2\.1\.5 Ok`},
		{"with a route in it", r.srs("forward", "b%c!d@client.example"), `^250 2\.1\.5 Ok`},
		{"in quotes", r.srs("forward", `"b c"@client.example`), `^250 2\.1\.5 Ok`},
	} {
		mustMatch(t, q.name, c.askFrom("", q.to), q.reply)
	}
	r.waitLog(`warning: bounce rate limit exceeded: more than 2 to A@CLIENT\.EXAMPLE|more than 2 to a@client\.example in`)
	if out, code := r.run("explain", "-c", r.dir, good); code != 0 || !strings.Contains(out, good+" -> a@client.example  (srs_domain") || !strings.Contains(out, "class of srs.example: virtual alias, by srs_domain") {
		t.Errorf("explain: exit status %d\n%s", code, out)
	}
	if out, code := r.run("explain", "-c", r.dir, old); code != 1 || !strings.Contains(out, "has expired") {
		t.Errorf("explain: exit status %d\n%s", code, out)
	}
	if out, code := r.run("explain", "-c", r.dir, good, "--now", "86400"); code != 1 || !strings.Contains(out, "has expired") {
		t.Errorf("explain in 1970: exit status %d\n%s", code, out)
	}
	if n := sink.Count(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// Whose mail keeps its sender: null, our own domains, srs_exclude, mail that came by no alias,
// and mail that stays with us. One letter may leave with and without.
func TestSRSOnlyWhereForwarded(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := srsBase(sink)
	cf["mynetworks"], cf["relay_domains"] = "127.0.0.0/8", "relay.example"
	cf["srs_exclude"] = "excluded.example, .wide.example"
	cf["relay_transport"] = "smtp:" + cf["relayhost"]
	files := map[string]string{"virtual": virtualTable + "inside@alias.example someone@relay.example\nmixed@alias.example away@dest.example someone@relay.example\n"}
	r := newRelay(t, cf, files)
	r.secrets()
	r.start()
	const rewritten = "<SRS0="
	n := 0
	for _, c := range []struct{ name, from, to, want string }{
		{"outside", "a@client.example", "info@alias.example", rewritten},
		{"null", "<>", "info@alias.example", "<>"},
		{"own domain", "a@alias.example", "info@alias.example", "<a@alias.example>"},
		{"own domain, backup", "a@relay.example", "info@alias.example", "<a@relay.example>"},
		{"srs_domain", "SRS0=x@srs.example", "info@alias.example", "<SRS0=x@srs.example>"},
		{"excluded", "a@excluded.example", "info@alias.example", "<a@excluded.example>"},
		{"excluded, below", "a@sub.wide.example", "info@alias.example", "<a@sub.wide.example>"},
		{"not below", "a@sub.excluded.example", "info@alias.example", rewritten},
		{"no alias", "a@client.example", "x@dest.example", "<a@client.example>"},
		{"stays", "a@client.example", "inside@alias.example", "<a@client.example>"},
		{"backup", "a@client.example", "x@relay.example", "<a@client.example>"},
	} {
		if out, code := swaks(t, r, "--from", c.from, "--to", c.to); code != 0 {
			t.Fatalf("%s: %s", c.name, out)
		}
		n++
		if from, _ := took(t, sink, n, r); !strings.HasPrefix(from, c.want) {
			t.Errorf("%s: from %s, want %s", c.name, from, c.want)
		}
	}
	if out, code := swaks(t, r, "--from", "a@client.example", "--to", "mixed@alias.example"); code != 0 {
		t.Fatal(out)
	}
	one, _ := took(t, sink, n+1, r)
	two, _ := took(t, sink, n+2, r)
	got := map[string]string{}
	for _, m := range sink.Messages()[n:] {
		got[strings.Fields(m.Rcpts[0])[0]] = strings.Fields(m.From)[0]
	}
	if !strings.HasPrefix(got["<away@dest.example>"], rewritten) || got["<someone@relay.example>"] != "<a@client.example>" {
		t.Errorf("mixed: %s and %s: %v", one, two, got)
	}
}

// A report of ours about forwarded mail goes to the sender, not to the rewritten address.
func TestSRSReportGoesToTheSender(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 gone"}})
	r := newSRSRelay(t, srsBase(sink))
	r.start()
	if out, code := swaks(t, r, "--from", "author@client.example", "--to", "info@alias.example"); code != 0 {
		t.Fatal(out)
	}
	if from, to := took(t, sink, 1, r); from != "<>" || to != "<author@client.example>" {
		t.Errorf("the report goes from %s to %s", from, to)
	}
	r.waitLog(`postfix/smtp\[\d+\]: \w+: to=<target@dest\.example>, orig_to=<info@alias\.example>, .*status=bounced`)
}

// A sender whose rewritten address would not fit into a path is refused while the client is
// there, and mail of a local user is returned: it never leaves as it is.
func TestSRSOverLong(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := srsBase(sink)
	cf["mynetworks"] = "127.0.0.0/8"
	r := newSRSRelay(t, cf)
	r.start()
	local := strings.Repeat("v", 65)
	host := strings.Repeat("d.", 75) + "client.example"
	long := local + "@" + host
	c := dialSMTP(t, r.smtp)
	c.say("EHLO client.example")
	if n := len("SRS0=AAAA=22=@srs.example=") + len(local) + len(host) + 2; n != 257 {
		t.Fatalf("%d octets", n)
	}
	mustMatch(t, "too long", c.askFrom(long, "info@alias.example"), `^553 5\.1\.7 <v+@[d.]+client\.example>: Sender address rejected: sender address is too long to be rewritten for forwarding`)
	mustMatch(t, "not forwarded", c.askFrom(long, "x@dest.example"), `^250`)
	mustMatch(t, "fits", c.askFrom(local[1:]+"@"+host, "info@alias.example"), `^250`)

	if out, code := r.runWith("Subject: x\n\nx\n", "sendmail", "-C", r.dir, "-f", long, "info@alias.example"); code != 0 {
		t.Fatal(out)
	}
	r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, .*dsn=5\.1\.7, status=bounced \(sender address is too long to be rewritten for forwarding\)`)
	if from, to := took(t, sink, 1, r); from != "<>" || to != "<"+long+">" {
		t.Errorf("from %s to %s", from, to)
	}
}

// A new secret on top signs from the reload on; what the old one has signed is believed until
// it is taken out.
func TestSRSRotation(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := newSRSRelay(t, srsBase(sink))
	r.start()
	send := func(n int) string {
		if out, code := swaks(t, r, "--from", "author@client.example", "--to", "info@alias.example"); code != 0 {
			t.Fatal(out)
		}
		from, _ := took(t, sink, n, r)
		return strings.Trim(from, "<>")
	}
	reply := func(to string) string {
		c := dialSMTP(t, r.smtp)
		c.say("EHLO client.example")
		return c.askFrom("", to)
	}
	before := send(1)
	r.secrets("another secret of the tests", srsSecret)
	r.mustRun("reload", "-c", r.dir)
	after := send(2)
	if before == after {
		t.Errorf("the new secret does not sign: %s", after)
	}
	mustMatch(t, "signed by the old one", reply(before), `^250`)
	mustMatch(t, "signed by the new one", reply(after), `^250`)
	r.secrets("another secret of the tests")
	r.mustRun("reload", "-c", r.dir)
	mustMatch(t, "signed by the one that is gone", reply(before), `^550 5\.1\.1 .*wrong signature`)
	mustMatch(t, "signed by the new one", reply(after), `^250`)

	// A file that is damaged leaves what was read in force.
	r.write("srs.secrets", "short\n")
	if out, code := r.run("reload", "-c", r.dir); code == 0 {
		t.Errorf("the reload says nothing:\n%s", out)
	}
	r.waitLog(`error: reload: srs_secrets_file .*the first secret, which signs, has 5 bytes`)
	mustMatch(t, "after the failed reload", reply(after), `^250`)
}

// A sender in UTF-8 stays that, and needs SMTPUTF8 both ways.
func TestSRSOfUTF8(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := newSRSRelay(t, srsBase(sink))
	r.start()
	c := dialSMTP(t, r.smtp)
	send := func(from, to string) {
		for _, line := range []string{"EHLO client.example", "MAIL FROM:<" + from + "> SMTPUTF8", "RCPT TO:<" + to + ">"} {
			if got := c.say(line); !strings.HasPrefix(got, "250") {
				t.Fatalf("%s: %s", line, got)
			}
		}
		c.say("DATA")
		if got := c.say("Subject: x\r\n\r\nx\r\n."); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
	}
	send("grün@grün.example", "info@alias.example")
	from, _ := took(t, sink, 1, r)
	mustMatch(t, "reverse-path", from, `^<SRS0=....=..=grün\.example=grün@srs\.example>$`)
	mustMatch(t, "parameters", sink.Messages()[0].From, ` SMTPUTF8`)
	send("", strings.Trim(from, "<>"))
	if from, to := took(t, sink, 2, r); from != "<>" || to != "<grün@grün.example>" {
		t.Errorf("back from %s to %s", from, to)
	}
	mustMatch(t, "parameters", sink.Messages()[1].From, ` SMTPUTF8`)
}

// With srs_enable = no senders stay as they are, and bounces of before still come back.
func TestSRSTurnedOff(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := srsBase(sink)
	cf["srs_enable"] = "no"
	r := newSRSRelay(t, cf)
	r.start()
	if out, code := swaks(t, r, "--from", "author@client.example", "--to", "info@alias.example"); code != 0 {
		t.Fatal(out)
	}
	if from, _ := took(t, sink, 1, r); from != "<author@client.example>" {
		t.Errorf("from %s", from)
	}
	if out, code := swaks(t, r, "--from", "<>", "--to", r.srs("forward", "author@client.example")); code != 0 {
		t.Fatal(out)
	}
	if _, to := took(t, sink, 2, r); to != "<author@client.example>" {
		t.Errorf("to %s", to)
	}
}

// quoted is a text as it stands in a pattern.
func quoted(s string) string {
	return strings.NewReplacer(".", `\.`, "+", `\+`).Replace(s)
}

// What a transport of LMTP takes for others is forwarded, too: the domain decides, not the
// protocol.
func TestSRSByLMTP(t *testing.T) {
	t.Parallel()
	server := &peers.Scripted{LMTP: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	cf := srsBase(nil)
	cf["virtual_mailbox_domains"], cf["virtual_transport"] = "box.example", "lmtp:inet:"+server.Addr
	cf["transport_maps"] = "inline:{dest.example=lmtp:inet:" + server.Addr + "}"
	r := newRelay(t, cf, map[string]string{"virtual": "info@alias.example target@dest.example\nbox@alias.example box@box.example\n"})
	r.secrets()
	r.start()
	for to, want := range map[string]string{
		"info@alias.example": "MAIL FROM:<SRS0=",
		"box@alias.example":  "MAIL FROM:<author@client.example>",
	} {
		if out, code := swaks(t, r, "--from", "author@client.example", "--to", to); code != 0 {
			t.Fatal(out)
		}
		r.waitLog(`postfix/lmtp\[\d+\]: \w+: to=<.*>, orig_to=<` + quoted(to) + `>, .*status=sent`)
		talks := server.Talks()
		if said := strings.Join(talks[len(talks)-1], "\n"); !strings.Contains(said, want) {
			t.Errorf("%s: want %s in\n%s", to, want, said)
		}
	}
}

// Who may not read the secrets can still ask about everything else.
func TestSRSExplainedToAnotherUser(t *testing.T) {
	t.Parallel()
	r := newSRSRelay(t, srsBase(nil))
	token := r.srs("forward", "author@client.example")
	explain := func(address string) (string, int) {
		cmd := exec.Command(binary, "explain", "-c", r.dir, address)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatalf("explain as another user (this test must run as root): %v", err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := explain("info@alias.example"); code != 0 || !strings.Contains(out, "warning: srs_secrets_file (main.cf, line ") {
		t.Errorf("an alias: exit status %d\n%s", code, out)
	}
	if out, code := explain(token); code != 75 || !strings.Contains(out, "the secrets of srs_domain cannot be read by this user") {
		t.Errorf("a bounce: exit status %d\n%s", code, out)
	}
}
