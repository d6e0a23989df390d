package integration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// ourSigner is d= of the signature that we have put on top of a copy.
var ourSigner = regexp.MustCompile(`(?m)^DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n\td=([^;]+);`)

func lentBy(m peers.Message) string {
	top, _, _ := strings.Cut(m.Data, "\r\nReceived: ")
	var domains []string
	for _, found := range ourSigner.FindAllStringSubmatch(top+"\r\n", -1) {
		domains = append(domains, found[1])
	}
	return strings.Join(domains, " ")
}

// lending is a relay that signs and seals, and has a key also of evil.example, which is hosted
// elsewhere: its users may speak for it, strangers have to prove it.
func (w *launderWorld) lending(t *testing.T, sink *peers.Sink, more map[string]string) *launderRelay {
	t.Helper()
	cf := w.base(sink, "mail.corp.example")
	cf["dkim_keys"] = "inline:{ " + w.keyTable("alias.example evil.example mail.corp.example srs.example") + " }"
	cf["dkim_sign_forwarded"] = "yes"
	cf["arc_sign_domain"], cf["arc_sign_selector"], cf["arc_key_file"] = "ours.example", "s", w.keys["ours.example"]
	maps.Copy(cf, more)
	return w.relay(t, sink, cf)
}

// Who may speak for whom: users, clients in mynetworks, clients that are told, and strangers.
func TestNoLaunderingTrust(t *testing.T) {
	const xclientIP = "127.0.0.7"
	w, sink := newLaunderWorld(t), newSink(t)
	r := w.lending(t, sink, map[string]string{
		"smtpd_authorized_xclient_hosts": xclientIP, "smtpd_authorized_xforward_hosts": xclientIP,
		"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_path": "inline:{ {joe = x} }", "smtpd_sender_login_maps": "inline:{ {joe@alias.example = joe}, {x@evil.example = joe} }",
		"smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
	})
	r.start()
	ours, theirs, keyed := launderLetter("From: joe@alias.example"), launderLetter("From: ceo@included.example"), launderLetter("From: x@evil.example")
	corp := launderLetter("From: boss@mail.corp.example")
	login := []string{"XCLIENT LOGIN=joe"}
	weak := w.signed("alias.example", ours, false)
	cases := []struct {
		name, ip, from, author, message string
		before                          []string
		reply, signed                   string
	}{
		{"mynetworks, ours", trustedIP, "joe@alias.example", "alias.example", ours, nil, "2", "alias.example"},
		{"mynetworks, foreign", trustedIP, "joe@alias.example", "included.example", theirs, nil, "2", ""},
		{"mynetworks, foreign path", trustedIP, "ceo@included.example", "included.example", theirs, nil, "2", "srs.example"},
		{"login, his own", xclientIP, "joe@alias.example", "alias.example", ours, login, "2", "alias.example"},
		{"login, another of ours", xclientIP, "joe@alias.example", "mail.corp.example", corp, login, "2", ""},
		{"login, foreign", xclientIP, "joe@alias.example", "included.example", theirs, login, "2", ""},
		{"login, not his path", xclientIP, "boss@alias.example", "alias.example", ours, login, "2", ""},
		{"login that nobody gave", evilIP, "joe@alias.example", "alias.example", ours, login, "5", ""},
		{"address that nobody gave", evilIP, "joe@alias.example", "alias.example", ours, []string{"XCLIENT ADDR=" + trustedIP}, "5", ""},
		{"forwarded by nobody", evilIP, "joe@alias.example", "alias.example", ours, []string{"XFORWARD ADDR=" + trustedIP}, "5", ""},
		{"local by nobody", evilIP, "joe@alias.example", "alias.example", ours, []string{"XFORWARD SOURCE=LOCAL"}, "5", ""},
		{"told to be a stranger", xclientIP, "joe@alias.example", "alias.example", ours, []string{"XCLIENT ADDR=" + evilIP}, "550 5.7.1", ""},
		{"forwarded from a stranger", xclientIP, "x@evil.example", "alias.example", ours, []string{"XFORWARD ADDR=" + evilIP + " HELO=evil.example"}, "550 5.7.1", ""},
		{"told to be ours by SPF", xclientIP, "joe@alias.example", "alias.example", ours, []string{"XCLIENT ADDR=" + goodIP}, "2", "alias.example"},
		{"ours by SPF", goodIP, "joe@alias.example", "alias.example", ours, nil, "2", "alias.example"},
		{"mynetworks, a domain with keys", trustedIP, "joe@alias.example", "evil.example", keyed, nil, "2", "evil.example"},
		{"login, a domain with keys", xclientIP, "x@evil.example", "evil.example", keyed, login, "2", "evil.example"},
		{"login, a domain with keys, not his path", xclientIP, "boss@evil.example", "evil.example", keyed, login, "2", "srs.example"},
		{"login, a domain with keys, his other path", xclientIP, "joe@alias.example", "evil.example", keyed, login, "2", ""},
		{"stranger, a domain with keys", evilIP, "x@nothing.example", "evil.example", keyed, nil, "550 5.7.1", ""},
		{"stranger without proof", evilIP, "x@nothing.example", "included.example", theirs, nil, "2", "srs.example"},
		{"stranger with proof", evilIP, "x@evil.example", "evil.example", keyed, nil, "2", "evil.example"},
		// What only its own signature speaks for is not signed by us: it left the Subject open.
		{"replay, another Subject", evilIP, "x@evil.example", "alias.example", strings.Replace(weak, "laundry", "pay at once", 1), nil, "2", "srs.example"},
		{"replay, our path", evilIP, "joe@alias.example", "alias.example", strings.Replace(weak, "laundry", "pay at once", 1), nil, "2", ""},
		{"replay, another From", evilIP, "x@evil.example", "alias.example", strings.Replace(weak, "joe@", "boss@", 1), nil, "550 5.7.1", ""},
		{"replay, a second From", evilIP, "x@evil.example", "alias.example", "From: boss@alias.example\r\n" + weak, nil, "550 5.7.1", ""},
		{"l= and more text", evilIP, "x@evil.example", "alias.example", w.signed("alias.example", ours, true) + "Much more.\r\n", nil, "550 5.7.1", ""},
		{"signature twice", evilIP, "x@evil.example", "alias.example", weak[:strings.Index(weak, "From:")] + weak, nil, "2", "srs.example"},
		{"false one above a good one", evilIP, "x@evil.example", "alias.example", strings.Replace(weak, "; b=", "; b=AAAA", 1)[:strings.Index(weak, "From:")+4] + weak, nil, "2", "srs.example"},
		{"a false one", evilIP, "x@evil.example", "alias.example", strings.Replace(weak, "d=alias.example", "d=alias.example; x=1", 1), nil, "550 5.7.1", ""},
	}
	var list []*launderMail
	for _, c := range cases {
		ip := c.ip
		m := &launderMail{name: c.name, ip: ip, helo: "evil.example", from: c.from, message: c.message, before: c.before}
		if ip != xclientIP && ip != trustedIP { // for those the test says who they are
			m.authors = []string{c.author}
		}
		list = append(list, m)
	}
	copies := r.all(list)
	for i, c := range cases {
		if !strings.HasPrefix(list[i].reply, c.reply) {
			t.Errorf("%s: %s, want %s", c.name, list[i].reply, c.reply)
			continue
		}
		got, taken := copies[i]
		if by := lentBy(got); taken && by != c.signed {
			t.Errorf("%s: signed by %q, want %q\n%s", c.name, by, c.signed, got.Data)
		}
		if orgs := w.passes(ourIP, "mx.alias.example", strings.Trim(strings.Fields(got.From + " <>")[0], "<>"), got.Data); c.author == "included.example" && slices.Contains(orgs, "included.example") {
			t.Errorf("%s: leaves with a pass of %q", c.name, orgs)
		}
	}
	r.stop()
}

// Results and chains under our name, however they are spelled, are no voucher.
func TestNoLaunderingVouchers(t *testing.T) {
	w, sink := newLaunderWorld(t), newSink(t)
	r := w.lending(t, sink, nil)
	r.start()
	forged := []string{
		"mx.alias.example; dmarc=pass", "MX.Alias.Example; dmarc=pass", "mx.alias.example 1; dmarc=pass", "mx.alias.example. ; dmarc=pass",
		"\"mx.alias.example\"; dmarc=pass", "\"mx\\.alias.example\"; dmarc=pass", "(x) mx.alias.example (y) ; dmarc=pass", "mx.alias.example/1; dmarc=pass",
		"\r\n mx.alias.example;\r\n dmarc=pass", "mx.alias.example; none", "mx.alias.example", "; mx.alias.example; dmarc=pass",
		"=?utf-8?q?mx=2Ealias=2Eexample?=; dmarc=pass", "mx . alias . example; dmarc=pass", "mx.alias.example\x00; dmarc=pass", "i=1; mx.alias.example; dmarc=pass",
		"(unclosed mx.alias.example; dmarc=pass", "\"unclosed mx.alias.example; dmarc=pass",
	}
	set := func(i int) string {
		return fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; cv=none; d=ours.example; s=s; t=1; b=AAAA\r\n"+
			"ARC-Message-Signature: i=%d; a=rsa-sha256; d=ours.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"+
			"ARC-Authentication-Results: i=%d; mx.alias.example; dmarc=pass header.from=bank.example\r\n", i, i, i)
	}
	var list []*launderMail
	for _, value := range forged {
		for _, name := range []string{"Authentication-Results", "authentication-results", "Authentication-Results "} {
			list = append(list, &launderMail{name: name + ": " + value, ip: evilIP, helo: "evil.example", from: "x@evil.example", authors: []string{"evil.example"},
				message: name + ": " + value + "\r\n" + launderLetter("From: x@evil.example"), mustLeave: true})
		}
	}
	plain := len(list)
	for _, chain := range []string{set(1), set(2), set(2) + set(1), set(1) + set(1), strings.Replace(set(1), "cv=none", "cv=pass", 1), set(51), set(1)[:60] + "\r\n"} {
		list = append(list, &launderMail{name: chain, ip: evilIP, helo: "evil.example", from: "x@evil.example", authors: []string{"evil.example"},
			message: chain + launderLetter("From: x@evil.example"), mustLeave: true})
	}
	copies := r.all(list)
	name := regexp.MustCompile(`(?im)^authentication-results[ \t]*:`)
	for i, m := range list {
		got := copies[i].Data
		if n := len(name.FindAllString(got, -1)); n != 1 || !strings.Contains(got, "dmarc=pass (p=none dis=none) header.from=evil.example") {
			t.Errorf("%q: %d fields\n%s", m.name, n, got)
		}
		seal := regexp.MustCompile(`^ARC-Seal: i=(\d+); a=rsa-sha256; cv=(\w+);`).FindStringSubmatch(got)
		switch {
		case i < plain && (seal == nil || seal[2] != "none"):
			t.Errorf("%q: sealed as %q\n%s", m.name, seal, got)
		case i >= plain && seal != nil && seal[2] != "fail":
			t.Errorf("%q: a false chain is sealed as %q\n%s", m.name, seal, got)
		}
	}
	r.stop()
}
