package integration

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// What the operator's own tools make of a message: whoever is its author after that, the copy
// has no signature of ours for him that he has not earned.
func TestNoLaunderingOfChanges(t *testing.T) {
	w := newLaunderWorld(t)
	milter, err := peers.NewMilter("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(milter.Stop)
	at := map[string]string{"smtpd_milters": "inet:" + milter.Addr}
	evil := "From: x@evil.example"
	genuine := launderMail{ip: goodIP, helo: "alias.example", from: "joe@alias.example", message: launderLetter("From: joe@alias.example")}
	strange := launderMail{ip: evilIP, helo: "evil.example", from: "x@evil.example", message: launderLetter(evil)}
	for _, c := range []struct {
		name    string
		cf      map[string]string
		script  peers.MilterScript
		mail    launderMail
		authors string // of the copy, some reader's view
		signed  string // by whom; "refused": it is not taken
	}{
		{"nothing", at, peers.MilterScript{}, genuine, "alias.example", "alias.example"},
		{"milter adds a field", at, atEnd(`hX-Spam\0no\0`), genuine, "alias.example", "alias.example"},
		{"milter adds From on top", at, atEnd(`i<0>From\0boss@alias.example\0`), strange, "alias.example", ""},
		{"milter adds From below", at, atEnd(`hFrom\0boss@alias.example\0`), strange, "alias.example", ""},
		{"milter changes From to ours", at, atEnd(`m<1>From\0boss@alias.example\0`), strange, "alias.example", ""},
		{"milter changes From to theirs", at, atEnd(`m<1>From\0ceo@included.example\0`), genuine, "included.example", ""},
		{"milter changes From to srs_domain", at, atEnd(`m<1>From\0ceo@srs.example\0`), genuine, "", ""},
		{"milter takes From away", at, atEnd(`m<1>From\0\0`), genuine, "alias.example", ""},
		{"header_checks put From on top", map[string]string{"header_checks": "regexp:{{/^X-Case/ PREPEND From: boss@alias.example}}"}, peers.MilterScript{}, strange, "alias.example", "refused"},
		{"header_checks change From", map[string]string{"header_checks": "regexp:{{/^From: x@evil/ REPLACE From: boss@alias.example}}"}, peers.MilterScript{}, strange, "alias.example", "refused"},
		{"header_checks change From to theirs", map[string]string{"header_checks": "regexp:{{/^From:/ REPLACE From: ceo@included.example}}"}, peers.MilterScript{}, genuine, "included.example", ""},
		{"restriction puts From on top", map[string]string{"smtpd_sender_restrictions": "check_sender_access inline:{{evil.example = PREPEND From: boss@alias.example}}"}, peers.MilterScript{}, strange, "alias.example", ""},
		{"message_drop_headers takes a From", map[string]string{"message_drop_headers": "from"}, peers.MilterScript{}, strange, "evil.example", "refused"},
		{"smtp_header_checks change From", map[string]string{"smtp_header_checks": "regexp:{{/^From:/ REPLACE From: boss@alias.example}}"}, peers.MilterScript{}, strange, "alias.example", "evil.example"},
		{"smtp_header_checks add a From", map[string]string{"smtp_header_checks": "regexp:{{/^From:/ PREPEND From: boss@alias.example}}"}, peers.MilterScript{}, strange, "alias.example", "evil.example"},
		{"smtp_generic_maps change From", map[string]string{"smtp_generic_maps": "inline:{x@evil.example=boss@alias.example}"}, peers.MilterScript{}, strange, "alias.example", "evil.example"},
		{"canonical_maps change From", map[string]string{"canonical_maps": "inline:{x@evil.example=boss@alias.example}", "canonical_classes": "header_sender", "remote_header_rewrite_domain": "domain.invalid"},
			peers.MilterScript{}, strange, "alias.example", "refused"},
		{"sender_canonical_maps change the path", map[string]string{"sender_canonical_maps": "inline:{x@evil.example=boss@alias.example}", "sender_canonical_classes": "envelope_sender"},
			peers.MilterScript{}, strange, "evil.example", ""},
		{"missing From is added", map[string]string{"always_add_missing_headers": "yes"}, peers.MilterScript{},
			launderMail{ip: evilIP, helo: "evil.example", from: "x@evil.example", message: launderLetter("X-No: From")}, "evil.example", "evil.example"},
		{"missing From of ours is added", map[string]string{"always_add_missing_headers": "yes"}, peers.MilterScript{},
			launderMail{ip: evilIP, helo: "evil.example", from: "boss@alias.example", message: launderLetter("X-No: From")}, "alias.example", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			milter.Behave(c.script)
			sink := newSink(t)
			r := w.lending(t, sink, c.cf)
			r.start()
			m := c.mail
			m.name = c.name
			if c.authors != "" {
				m.authors = []string{c.authors}
			}
			copies := r.all([]*launderMail{&m})
			got, taken := copies[0]
			if taken != (c.signed != "refused") || taken && lentBy(got) != c.signed {
				t.Errorf("%s, signed by %q, want %q\n%s", m.reply, lentBy(got), c.signed, got.Data)
			}
			r.stop()
		})
	}
}

// Reports that forged mail has caused speak for nobody but us, and what they bring back cannot
// be taken for what they say.
func TestNoLaunderingByReports(t *testing.T) {
	w, sink := newLaunderWorld(t), newSink(t)
	sink.Behave(peers.Script{Rcpt: map[string]string{"target@dest.example": "550 5.1.1 nobody here\r"}})
	r := w.lending(t, sink, map[string]string{"dkim_keys": "inline:{ " + w.keyTable("alias.example mail.corp.example srs.example") + " }"})
	r.start()
	forged := strings.Replace(launderLetter("From: x@evil.example"), "Wire the money.",
		"--=_boundary\r\nContent-Type: text/plain\r\n\r\nWire the money.\r\n\r\n--03V0/mx.alias.example--", 1)
	// It is from evil.example, and so a report is sent at all; what it says, it says of others.
	forged = strings.Replace(forged, "Subject: laundry", "Subject: laundry\r\nX-Note: From: boss@included.example\r\nReply-To: boss@included.example\r\nContent-Type: multipart/mixed; boundary=\"=_boundary\"", 1)
	for _, mail := range []launderMail{
		{ip: evilIP, from: "x@evil.example", message: forged},
		{ip: evilIP, from: "boss@included.example", message: forged},
	} {
		mail.helo = "evil.example"
		mail.send(t, r.smtp)
		if !strings.HasPrefix(mail.reply, "250") {
			t.Fatal(mail.reply)
		}
	}
	if !sink.Wait(2, limit) {
		t.Fatalf("%d reports arrive\n%s", sink.Count(), r.log())
	}
	for _, m := range sink.Messages() {
		// Whose path was not proven gets none: postmaster is told.
		kept := strings.HasPrefix(m.From, "<double-bounce@mx.alias.example>")
		if !strings.HasPrefix(m.From, "<>") && !kept || strings.Contains(strings.Join(m.Rcpts, " "), "included.example") {
			t.Errorf("not a report: %s\n%s", m.From, m.Data)
		}
		header, body, _ := strings.Cut(m.Data, "\r\n\r\n")
		if by := lentBy(m); by != "alias.example" && by != "" {
			t.Errorf("signed by %q", by)
		}
		mustMatch(t, "header", header+"\r\n", `(?m)^From: .*<?(MAILER-DAEMON|double-bounce|postmaster)@mx\.alias\.example>?.*\r$`)
		if n := len(regexp.MustCompile(`(?mi)^(from|sender|reply-to):`).FindAllString(header, -1)); n != 1 {
			t.Errorf("%d authors\n%s", n, header)
		}
		for _, d := range w.passes(ourIP, "mx.alias.example", "", m.Data) {
			if d != "alias.example" {
				t.Errorf("it passes for %s", d)
			}
		}
		boundary := regexp.MustCompile(`boundary="([^"]+)"`).FindStringSubmatch(header)
		if boundary == nil {
			t.Fatalf("no boundary\n%s", header)
		}
		// Text of ours, status, and last of all what came, within its own part.
		parts := strings.Split("\r\n"+body, "\r\n--"+boundary[1])
		if len(parts) != 5 || strings.Contains(parts[1]+parts[2], "Wire the money") || !regexp.MustCompile(`(?i)^\r\n(.*\r\n)*Content-Type: (message/rfc822|text/rfc822-headers)`).MatchString(parts[3]) {
			t.Errorf("%d parts:\n%s", len(parts), m.Data)
		}
	}
	r.stop()
}

// Also by LMTP, by a service with a name of its own, and to where only some are forwarded.
func TestNoLaunderingByTransport(t *testing.T) {
	w, sink := newLaunderWorld(t), newSink(t)
	_, port, _ := strings.Cut(sink.Addr, ":")
	cf := map[string]string{"transport_maps": "inline:{dest.example=own:[127.0.0.1]:" + port + "}", "myhostname": "mx.srs.example", "hosted_author_action": "tag"}
	r := w.lending(t, sink, cf)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\nown unix - - n - - smtp -o smtp_helo_name=mx.corp.example\n")
	r.helo = "mx.corp.example"
	r.start()
	list := w.launderMatrix()
	for _, m := range list {
		m.mustLeave, m.keeps = false, false
	}
	var null []*launderMail
	for _, m := range list {
		if m.from == "" {
			null = append(null, m)
		}
	}
	copies := r.all(null)
	for i, m := range null {
		_, taken := copies[i]
		if corp := strings.HasSuffix(m.authors[0], "corp.example"); corp && taken {
			t.Errorf("%s: taken, and the service says EHLO mx.corp.example", m.name)
		}
	}
	if len(copies) == 0 {
		t.Error("nothing is taken")
	}
	r.stop()
}

// What does not start, and does not become so by a reload.
func TestNoLaunderingStart(t *testing.T) {
	w := newLaunderWorld(t)
	zone := newSink(t)
	file := func(r *launderRelay, text string) { r.write("domains", text) }
	for _, c := range []struct {
		name, srs string
		cf        map[string]string
		table     string
		says      string // "": it starts
	}{
		{"apart", "srs.example", nil, "", ""},
		{"in a table", "srs.example", map[string]string{"virtual_alias_domains": "texthash:{dir}/domains"}, "srs.example x\n", `srs\.example is itself a domain of virtual_alias_domains`},
		{"below in a table", "a.b.other.example", map[string]string{"virtual_alias_domains": "texthash:{dir}/domains"}, "other.example x\n", `a\.b\.other\.example lies within other\.example`},
		{"above in a table", "srs.example", map[string]string{"relay_domains": "texthash:{dir}/domains"}, "in.srs.example x\n", `in\.srs\.example of relay_domains lies within srs\.example`},
		{"in a file", "srs.example", map[string]string{"relay_domains": "{dir}/domains"}, "# list\nx.srs.example\n", `x\.srs\.example of relay_domains`},
		{"sibling in a table", "srs.corp.example", map[string]string{"virtual_alias_domains": "texthash:{dir}/domains"}, "mail.corp.example x\n", `are of one organisation, corp\.example`},
		{"organisation's top", "srs.corp.example", map[string]string{"virtual_alias_domains": "corp.example"}, "", `lies within corp\.example`},
		{"relay_domains", "srs.relay.example", map[string]string{"relay_domains": "relay.example"}, "", `relay_domains`},
		{"mydestination", "srs.dest.example", map[string]string{"mydestination": "dest.example"}, "", `lies within dest\.example of mydestination`},
		{"virtual_mailbox_domains", "box.example", map[string]string{"virtual_mailbox_domains": "box.example"}, "", `virtual_mailbox_domains`},
		{"all below a domain", "srs.example", map[string]string{"relay_domains": ".srs.example"}, "", `relay_domains`},
		{"case", "SRS.Alias.EXAMPLE", map[string]string{"virtual_alias_domains": "aLias.example"}, "", `srs\.alias\.example lies within alias\.example`},
		{"dot at the end", "srs.alias.example.", nil, "", `srs\.alias\.example\.? lies within|is no domain`},
		{"dot at the end of ours", "srs.alias.example", map[string]string{"virtual_alias_domains": "alias.example."}, "", `srs\.alias\.example lies within alias\.example`},
		{"U-label", "srs.grün.example", map[string]string{"virtual_alias_domains": "xn--grn-ioa.example"}, "", `srs\.xn--grn-ioa\.example lies within xn--grn-ioa\.example`},
		{"U-label of ours", "srs.xn--grn-ioa.example", map[string]string{"virtual_alias_domains": "GRÜN.example"}, "", `srs\.xn--grn-ioa\.example lies within xn--grn-ioa\.example`},
		{"myhostname", "mx.alias.example", map[string]string{"mydestination": "$myhostname", "virtual_alias_domains": "other.example"}, "", `is itself a domain of mydestination`},
		{"signing by a domain of ours", "srs.example", map[string]string{"dkim_sign_forwarded": "yes", "dkim_forwarded_domain": "mail.alias.example", "dkim_keys": "inline:{ " + w.keyTable(".alias.example") + " }"}, "",
			`dkim_forwarded_domain \(main\.cf, line \d+\): alias\.example is itself a domain of virtual_alias_domains`},
		{"signing for a sibling", "srs.example", map[string]string{"virtual_alias_domains": "mail.corp.example", "dkim_sign_forwarded": "yes", "dkim_forwarded_domain": "srs.corp.example", "dkim_keys": "inline:{ " + w.keyTable("srs.corp.example") + " }"}, "",
			`dkim_forwarded_domain \(main\.cf, line \d+\): srs\.corp\.example and mail\.corp\.example of virtual_alias_domains are of one organisation`},
		{"signing by a parent of ours", "srs.example", map[string]string{"virtual_alias_domains": "mail.corp.example", "dkim_sign_forwarded": "yes", "dkim_forwarded_domain": "x.corp.example", "dkim_keys": "inline:{ " + w.keyTable(".corp.example") + " }"}, "",
			`dkim_forwarded_domain \(main\.cf, line \d+\): `},
	} {
		t.Run(c.name, func(t *testing.T) {
			cf := w.base(zone)
			cf["srs_domain"] = c.srs
			maps.Copy(cf, c.cf)
			r := w.relay(t, zone, cf)
			file(r, c.table)
			out, code := r.run("check", "-c", r.dir)
			if (code != 0) != (c.says != "") {
				t.Errorf("check: exit status %d\n%s", code, out)
			}
			mustMatch(t, "check", out, c.says)
			if c.says == "" || code == 0 || strings.Contains(out, "is no domain") {
				return
			}
			cf["srs_domain_allow_aligned"] = "yes"
			r.configure(cf)
			out, code = r.run("check", "-c", r.dir)
			if code != 0 {
				t.Errorf("check, with srs_domain_allow_aligned: exit status %d", code)
			}
			mustMatch(t, "check", out, `warning: \w+ \(main\.cf, line \d+\): .*\(srs_domain_allow_aligned = yes\)`)
		})
	}
}

func TestNoLaunderingReload(t *testing.T) {
	w, sink := newLaunderWorld(t), newSink(t)
	cf := w.base(sink)
	cf["virtual_alias_domains"] = "texthash:{dir}/domains"
	r := w.relay(t, sink, cf)
	r.write("domains", "alias.example x\n")
	r.start()
	// What forbids a start leaves a running daemon as it is.
	r.write("domains", "alias.example x\nx.srs.example x\n")
	if out, code := r.run("reload", "-c", r.dir); code == 0 || !strings.Contains(out+r.log(), "x.srs.example of virtual_alias_domains lies within srs.example") {
		t.Errorf("reload: exit status %d\n%s\n%s", code, out, r.log())
	}
	letter := launderMail{ip: evilIP, helo: "evil.example", from: "x@evil.example", authors: []string{"x.srs.example"}, message: launderLetter("From: boss@x.srs.example")}
	r.all([]*launderMail{&letter})
	if !strings.HasPrefix(letter.reply, "550 5.7.1") {
		t.Error(letter.reply)
	}
	// By wish, and said each time.
	cf["srs_domain_allow_aligned"] = "yes"
	r.configure(cf)
	for n := 1; n <= 2; n++ {
		r.mustRun("reload", "-c", r.dir)
		if got := strings.Count(r.log(), "(srs_domain_allow_aligned = yes)"); got != n {
			t.Errorf("%d warnings after %d reloads\n%s", got, n, r.log())
		}
	}
	r.all([]*launderMail{&letter})
	if !strings.HasPrefix(letter.reply, "550 5.7.1") {
		t.Error(letter.reply)
	}
	r.stop()
}
