package integration

import (
	"regexp"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// newReverseRelay forwards info@alias.example to the owner at ok.example, who may write from
// here, and to another at deny.example, who may not.
func newReverseRelay(t *testing.T, settings ...string) *authRelay {
	t.Helper()
	server, err := peers.NewDNS(authZone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	a := &authRelay{sink: newSink(t), dns: server}
	a.cf = srsBase(a.sink)
	a.cf["dns_servers"] = server.Addr
	a.cf["mailauth_enable"] = "yes"
	a.cf["reverse_alias_secrets_file"] = "{dir}/srs.secrets"
	a.cf["virtual_alias_maps"] = "inline:{ {info@alias.example = owner@ok.example second@deny.example} {other@alias.example = second@deny.example} }"
	for i := 0; i < len(settings); i += 2 {
		a.cf[settings[i]] = settings[i+1]
	}
	a.cf["dkim_keys"] = "texthash:{dir}/dkim_keys"
	a.relay = newSRSRelay(t, a.cf)
	out := a.mustRun("dkim", "genkey", "-d", "alias.example", "-s", "e1", "--ed25519", "-D", a.dir)
	_, line, _ := strings.Cut(out, "# for the table of dkim_keys\n")
	a.write("dkim_keys", line)
	a.start()
	return a
}

const replyLetter = "Received: from pc.ok.example\nFrom: The Owner <owner@ok.example>\nTo: x\nSubject: Re: hello\nMessage-ID: <1@pc.ok.example>\n" +
	"Date: Mon, 1 Dec 2025 00:00:00 +0000\nX-Mailer: pc.ok.example\n\nthe answer\n"

// There: the letter has the address to answer to. Back: the answer names the alias, and not its
// owner.
func TestReverseAlias(t *testing.T) {
	a := newReverseRelay(t)
	mustMatch(t, "there", a.send("joe@two.example", authLetter("joe@two.example")), `^250 `)
	got := strings.ReplaceAll(a.arrived(1), "\r\n", "\n")
	field := regexp.MustCompile(`^X-Reply-Alias: <(re=[a-z2-7]{10}=two\.example=joe=info@alias\.example)>\n`).FindStringSubmatch(got)
	if field == nil {
		t.Fatalf("no address to answer to:\n%s", got)
	}
	address := field[1]
	if printed := strings.TrimSpace(a.mustRun("reverse-alias", "-c", a.dir, "info@alias.example", "joe@two.example")); printed != address {
		t.Errorf("the command prints %s, not %s", printed, address)
	}
	before := a.sink.Count()
	mustMatch(t, "back", a.send("owner@ok.example", replyLetter, "--to", address), `^250 `)
	back := strings.ReplaceAll(a.arrived(before+1), "\r\n", "\n")
	m := a.sink.Messages()[before]
	if from := strings.Fields(m.From)[0]; from != "<info@alias.example>" || len(m.Rcpts) != 1 || !strings.HasPrefix(m.Rcpts[0], "<joe@two.example>") {
		t.Errorf("from %s to %s", m.From, m.Rcpts)
	}
	mustMatch(t, "the answer", back, `^DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n\td=alias\.example; s=e1;\n(?:[\t ].*\n)+`+
		`Received: by mx\.alias\.example \(Postfix\) id [0-9A-Za-z]+;\n\t.*\n`+
		`From: info@alias\.example\nTo: joe@two\.example\nMessage-ID: <[0-9A-Za-z]+@alias\.example>\nSubject: Re: hello\nDate: Mon, 1 Dec 2025 00:00:00 \+0000\n\nthe answer\n\n?$`)
	if strings.Contains(back, "ok.example") {
		t.Errorf("the answer names the owner:\n%s", back)
	}
	a.waitLog(`reverse alias: from=<info@alias\.example> instead of <owner@ok\.example>`)

	for name, c := range map[string]struct{ from, letter, to, want string }{
		"a stranger":          {"x@ok.example", strings.ReplaceAll(replyLetter, "owner@", "x@"), address, `^550 5\.1\.1 .*User unknown in virtual alias table`},
		"forged":              {"owner@ok.example", replyLetter, strings.Replace(address, "=joe=", "=jim=", 1), `^550 5\.1\.1 .*User unknown in virtual alias table`},
		"of another alias":    {"owner@ok.example", replyLetter, strings.Replace(address, "info@alias", "other@alias", 1), `^550 5\.1\.1 `},
		"an owner by name":    {"second@deny.example", strings.ReplaceAll(replyLetter, "owner@ok", "second@deny"), address, `^550 5\.7\.1 .*Sender is not authenticated`},
		"another author":      {"owner@ok.example", strings.ReplaceAll(replyLetter, "owner@ok", "x@ok"), address, `^550 5\.7\.1 .*the From field does not name the owner alone`},
		"two authors":         {"owner@ok.example", strings.ReplaceAll(replyLetter, "<owner@ok.example>", "<owner@ok.example>, <x@ok.example>"), address, `^550 5\.7\.1 `},
		"more recipients":     {"owner@ok.example", replyLetter, address + ",info@alias.example", `^452 4\.5\.3 `},
		"more, the other way": {"owner@ok.example", replyLetter, "info@alias.example," + address, `^452 4\.5\.3 `},
	} {
		// swaks tells of the first refusal.
		mustMatch(t, name, a.send(c.from, c.letter, "--to", c.to), c.want)
	}
	a.stop()
}

// Local users and their programs cannot use one: nobody makes their messages anew.
func TestReverseAliasLocally(t *testing.T) {
	a := newReverseRelay(t, "reverse_alias_field", "")
	mustMatch(t, "there", a.send("joe@two.example", authLetter("joe@two.example")), `^250 `)
	if got := a.arrived(1); strings.Contains(got, "re=") {
		t.Errorf("an address to answer to was not asked for:\n%s", got)
	}
	address := strings.TrimSpace(a.mustRun("reverse-alias", "-c", a.dir, "info@alias.example", "joe@two.example"))
	before := a.sink.Count()
	if out, status := runProgram(t, replyLetter, binary, "sendmail", "-C", a.dir, "-f", "owner@ok.example", address); status != 0 {
		t.Fatalf("sendmail: %d\n%s", status, out)
	}
	a.waitLog(`to=<` + regexp.QuoteMeta(address) + `>, relay=none, .*status=bounced \(User unknown in virtual alias table\)`)
	for _, m := range a.sink.Messages()[before:] {
		if strings.Contains(strings.Join(m.Rcpts, " "), "joe@") {
			t.Errorf("it went out as it was: %s", m.Data)
		}
	}
	a.stop()
}
