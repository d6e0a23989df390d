package integration

import (
	"regexp"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// The names of the tests: ok.example's mail may come from here, that of deny.example and of our
// own alias.example may not.
const authZone = `
ok.example. TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.ok.example. TXT "v=DMARC1; p=reject"
deny.example. TXT "v=spf1 -all"
strict.example. TXT "v=spf1 -all"
_dmarc.strict.example. TXT "v=DMARC1; p=reject"
alias.example. TXT "v=spf1 -all"
two.example. TXT "v=spf1 ip4:127.0.0.1 -all"
srs.example. TXT "v=spf1 ip4:127.0.0.1 -all"
`

// authRelay is a relay that finds out who mail is from, and where it goes.
type authRelay struct {
	*relay
	sink *peers.Sink
	dns  *peers.DNS
	cf   map[string]string
}

func newAuthRelay(t *testing.T, settings ...string) *authRelay {
	t.Helper()
	server, err := peers.NewDNS(authZone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	a := &authRelay{sink: newSink(t), dns: server}
	a.cf = base(a.sink)
	a.cf["virtual_alias_domains"] = "alias.example two.example"
	a.cf["dns_servers"] = server.Addr
	a.cf["mailauth_enable"] = "yes"
	for i := 0; i < len(settings); i += 2 {
		a.cf[settings[i]] = settings[i+1]
	}
	a.relay = newRelay(t, a.cf, nil)
	a.start()
	return a
}

// send sends a message by swaks and returns the reply to its end, or the first refusal.
func (a *authRelay) send(from, message string, more ...string) string {
	a.t.Helper()
	out, _ := runProgram(a.t, "", "/usr/bin/swaks", append([]string{
		"--server", a.smtp, "--helo", "client.ok.example", "--from", from, "--to", "info@alias.example", "--data", message,
	}, more...)...)
	refused := regexp.MustCompile(`(?m)^<\*\* +(.*)$`).FindStringSubmatch(out)
	if refused != nil {
		return refused[1]
	}
	took := regexp.MustCompile(`(?m)^<-  +(250 2\.0\.0 Ok: queued as .*)$`).FindStringSubmatch(out)
	if took == nil {
		a.t.Fatalf("no reply:\n%s", out)
	}
	return took[1]
}

func (a *authRelay) arrived(n int) string {
	a.t.Helper()
	if !a.sink.Wait(n, limit) {
		a.t.Fatalf("%d messages have arrived, not %d\n%s", a.sink.Count(), n, a.log())
	}
	return a.sink.Messages()[n-1].Data
}

func authLetter(from string) string {
	return "From: <" + from + ">\nTo: <info@alias.example>\nSubject: x\nMessage-ID: <1@ok.example>\nDate: Mon, 1 Dec 2025 00:00:00 +0000\n\nbody\n"
}

func TestAuthenticationResults(t *testing.T) {
	a := newAuthRelay(t)
	forged := "Authentication-Results: mx.alias.example; dmarc=pass\n header.from=bank.example\nAuthentication-Results: other.example; spf=pass\n"
	if got := a.send("x@ok.example", forged+authLetter("x@ok.example")); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	got := strings.ReplaceAll(a.arrived(1), "\r\n", "\n")
	mustMatch(t, "the message", got, `^Authentication-Results: mx\.alias\.example;\n`+
		`\tdmarc=pass \(p=reject dis=none\) header\.from=ok\.example;\n`+
		`\tspf=pass smtp\.mailfrom=x@ok\.example;\n`+
		`\tdkim=none\n`+
		`Received: from client\.ok\.example \(unknown \[127\.0\.0\.1\]\)\n`)
	if strings.Contains(got, "bank.example") {
		t.Error("a forged field is still there")
	}
	if !strings.Contains(got, "Authentication-Results: other.example; spf=pass\nFrom: <x@ok.example>\n") {
		t.Errorf("the field of another host has changed:\n%s", got)
	}
	a.waitLog(`postfix/smtpd\[\d+\]: [0-9A-Za-z]+: mailauth: author=ok\.example dmarc=pass \(p=reject\) spf=pass dkim=none arc=none action=accept$`)
	a.stop()
}

func TestHostedAuthors(t *testing.T) {
	a := newAuthRelay(t)
	for _, c := range []struct{ path, from, reply string }{
		{"x@ok.example", "boss@alias.example", `^550 5\.7\.1 alias\.example is served here, and this From has neither SPF nor an aligned DKIM signature that passes$`},
		{"x@ok.example", "boss@sub.alias.example", `^550 5\.7\.1 sub\.alias\.example is served here`},
		{"", "boss@alias.example", `^550 5\.7\.1 `},
		{"boss@alias.example", "x@ok.example", `^550 5\.7\.1 alias\.example is served here, and this MAIL FROM has neither`},
		{"boss@two.example", "boss@two.example", `^250 `},
		{"x@ok.example", "x@ok.example>, <boss@alias.example", `^550 5\.7\.1 `},
	} {
		mustMatch(t, c.path+" "+c.from, a.send(c.path, authLetter(c.from)), c.reply)
	}
	a.waitLog(`reject: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: 550 5\.7\.1 alias\.example is served here.*; from=<x@ok\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.ok\.example>$`)
	a.waitEmpty()
	if n := a.sink.Count(); n != 1 {
		t.Errorf("%d messages have arrived", n)
	}
	a.stop()
}

func TestDMARCReject(t *testing.T) {
	a := newAuthRelay(t, "dmarc_quarantine_action", "hold")
	// SPF fails as well.
	mustMatch(t, "with evidence", a.send("x@strict.example", authLetter("x@strict.example")),
		`^550 5\.7\.1 Unauthenticated mail from strict\.example is refused by the domain's DMARC policy: SPF of strict\.example fails`)
	a.waitLog(`mailauth: author=strict\.example dmarc=fail \(p=reject\) spf=fail dkim=none arc=none action=reject \(DMARC of strict\.example fails \(reject\): SPF of strict\.example fails`)
	// A mailing list, perhaps.
	mustMatch(t, "without", a.send("list@ok.example", authLetter("x@strict.example")), `^250 `)
	a.waitLog(`hold: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: .*action=hold \(DMARC of strict\.example fails \(reject\); no other evidence against it\)`)
	mustMatch(t, "mailq", a.mustRun("postqueue", "-c", a.dir, "-p"), `(?m)^[0-9A-Za-z]+! .*list@ok\.example$`)
	// What has no answer is no pass, and no refusal.
	a.dns.Fail("_dmarc.broken.example", true)
	mustMatch(t, "no answer", a.send("x@ok.example", authLetter("x@broken.example")), `^250 `)
	a.waitLog(`mailauth: author=broken\.example dmarc=temperror spf=pass .* action=tag \(DMARC of broken\.example cannot be checked now\)`)
	a.stop()
}

func TestSPFAtRcpt(t *testing.T) {
	a := newAuthRelay(t, "spf_reject_at_rcpt", "yes", "spf_fail_action", "reject", "mailauth_policy_maps", "inline:{ { forgiven.example = spf=ignore } }")
	mustMatch(t, "fails", a.send("x@deny.example", authLetter("x@ok.example")), `^550 5\.7\.23 SPF of deny\.example does not let 127\.0\.0\.1 send for it`)
	a.waitLog(`reject: RCPT from unknown\[127\.0\.0\.1\]: 550 5\.7\.23 SPF of deny\.example`)
	mustMatch(t, "passes", a.send("x@ok.example", authLetter("x@ok.example")), `^250 `)
	if err := a.dns.Set(authZone + "forgiven.example. TXT \"v=spf1 -all\"\n"); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, "by the table", a.send("x@forgiven.example", authLetter("x@other.example")), `^250 `)
	a.stop()
}

// Without srs_domain and mailauth_enable nothing is asked and nothing is added.
func TestNoAuthentication(t *testing.T) {
	a := newAuthRelay(t, "mailauth_enable", "${srs_domain?{yes}:{no}}")
	forged := "Authentication-Results: mx.alias.example; dmarc=pass\n"
	letter := forged + authLetter("boss@alias.example")
	mustMatch(t, "forged", a.send("x@deny.example", letter), `^250 `)
	got := strings.ReplaceAll(a.arrived(1), "\r\n", "\n")
	if _, rest, _ := strings.Cut(got, "+0000 (UTC)\n"); !strings.HasPrefix(got, "Received: ") || !strings.HasPrefix(rest, letter) {
		t.Errorf("the message:\n%s", got)
	}
	if strings.Contains(a.log(), "mailauth") {
		t.Error("the log speaks of it")
	}
	a.stop()
}

// A submission is not judged, and gets no field.
func TestSubmissionIsNotJudged(t *testing.T) {
	a := newAuthRelay(t, "mynetworks", "127.0.0.0/8")
	mustMatch(t, "of mynetworks", a.send("boss@alias.example", authLetter("boss@alias.example")), `^250 `)
	if got := a.arrived(1); !strings.HasPrefix(got, "Received: ") {
		t.Errorf("the message:\n%s", got)
	}
	a.stop()
}

func TestMailauthConfig(t *testing.T) {
	sink := newSink(t)
	for _, c := range []struct{ parameter, value, want string }{
		{"mailauth_policy_maps", "inline:{ { a.example = dmarc=maybe } }", `mailauth_policy_maps \(main\.cf, line \d+\): .*"dmarc=maybe": "maybe" is not one of ignore, tag, hold, defer, reject`},
		{"mailauth_policy_maps", "inline:{ { a.example = dkim=tag } }", `"dkim" is not one of spf, `},
		{"dmarc_reject_action", "bounce", `dmarc_reject_action`},
		{"authserv_id", "mx example", `authserv_id \(main\.cf, line \d+\): "mx example" is no name`},
	} {
		cf := base(sink)
		cf["mailauth_enable"], cf[c.parameter] = "yes", c.value
		r := newRelay(t, cf, nil)
		out, code := r.run("check", "-c", r.dir)
		if code != 78 {
			t.Errorf("%s = %s: exit status %d", c.parameter, c.value, code)
		}
		mustMatch(t, c.parameter, out, c.want)
	}
}
