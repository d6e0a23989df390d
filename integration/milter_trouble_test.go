package integration

import "aliasmx/integration/peers"

// milterTrouble: milters that are away, that break, and that do not keep to the protocol;
// and what was agreed on with those that do.
func milterTrouble() []milterCase {
	var cases []milterCase
	add := func(name, cf string, script peers.MilterScript) {
		cases = append(cases, milterCase{name: name, cf: cf, m: script, send: usual})
	}
	for _, action := range []string{"accept", "reject", "tempfail", "quarantine"} {
		cf := "milter_default_action = " + action
		add("away-"+action, "smtpd_milters = {away}\n"+cf, peers.MilterScript{})
		add("close-options-"+action, cf, replies("O", "close"))
		add("close-rcpt-"+action, cf, replies("R", "close"))
		add("close-end-"+action, cf, replies("E", "close"))
		add("malformed-"+action, cf, replies("M", `y999 x\0`))
	}
	add("away-unix", "smtpd_milters = unix:/nowhere/socket", peers.MilterScript{})
	for name, cmd := range map[string]string{"connect": "C", "helo": "H", "mail": "M", "data": "T", "header": "L", "eoh": "N", "body": "B"} {
		add("close-"+name, "", replies(cmd, "close"))
	}
	slow := "milter_command_timeout = 1s\nmilter_content_timeout = 1s"
	add("hang-mail", slow, replies("M", "none"))
	add("hang-end", slow, replies("E", "none"))
	add("hang-options", slow, replies("O", "none"))

	add("packet-length-0", "", replies("M", "raw:00000000"))
	add("packet-too-long", "", replies("M", "raw:7fffffff63"))
	add("packet-cut", "", replies("M", "raw:00000009 && close"))
	add("data-behind-continue", "", replies("M", "cx"))
	add("unknown-reply-code", "", replies("M", "Z"))
	add("short-string", "", atEnd(`hX-New`))
	add("left-over", "", atEnd(`hX-New\0value\0more\0`))
	add("short-index", "", atEnd(`mab`))
	add("options-version-7", "", options("7 511 0"))
	add("options-actions", "", options("6 1023 0"))
	add("options-other", "", replies("O", "c"))
	add("options-short", "", replies("O", `O\0\0\0\6`))

	add("version-2", "", options("2 63 0"))
	add("version-3", "", options("3 63 0"))
	add("version-4", "", options("4 63 0"))
	add("our-version-2", "milter_protocol = 2", options("2 63 0"))
	add("our-version-4", "milter_protocol = 4", options("4 63 0"))
	add("our-no-header-reply", "milter_protocol = 4, no_header_reply", options("4 63 0x80"))
	add("no-events", "", options("6 511 0x37f"))
	add("no-connect-helo", "", options("6 511 0x3"))
	add("no-header-body", "", options("6 511 0x70"))
	add("quiet", "", options("6 511 0xff080"))
	add("macros-own", "", options("6 511 0", "E", "c"))
	cases[len(cases)-1].m.Options = "6 511 0 0={client_addr},{client_name},{client_ptr},{client_port},{client_connections},{client_resolve},{if_name},j,{daemon_port}" +
		" 1={tls_version} 2={mail_addr},{auth_authen},{client_addr} 3={rcpt_addr},{rcpt_mailer} 4=i,{rcpt_addr},{mail_host} 5=i,{mail_addr},{client_addr},{client_name} 6=i,_"
	add("macros-unknown-stage", "", options("6 511 0 9=i 0=j"))
	add("macros-default", "milter_macro_defaults = {auth_type}=none, auth_authen=nobody { mail_host = some where }\nmilter_mail_macros = {auth_type} auth_authen mail_host {nothing}", peers.MilterScript{})
	add("macros-none", "milter_connect_macros =\nmilter_data_macros = {nothing}\nmilter_unknown_command_macros = j", peers.MilterScript{})
	add("macros-names", "milter_macro_daemon_name = ORIGINATING\nmilter_connect_macros = j {daemon_name} v", peers.MilterScript{})
	return cases
}

const xclient = "smtpd_authorized_xclient_hosts = 127.0.0.1\nsmtpd_discard_ehlo_keywords = xclient, silent-discard"

const starttls = "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {certificate}"

const both = "smtpd_milters = {m1}, {m2}"

// milterSessions: how milters follow a session, several of them, and other ways for mail to
// come.
func milterSessions() []milterCase {
	mail, rcpt := "MAIL FROM:<sender@client.example>", "RCPT TO:<info@alias.example>"
	away := "milter_default_action = tempfail\nsmtpd_milters = "
	return []milterCase{
		{name: "two", cf: both, send: usual},
		{name: "two-first-refuses", cf: both, m: replies("R", "r"), send: usual},
		{name: "two-second-refuses", cf: both, m2: replies("R", "r"), send: usual},
		{name: "two-first-accepts", cf: both, m: replies("M", "a"), m2: atEnd(`hX-Two\0two\0`), send: usual},
		{name: "two-first-refuses-connect", cf: both, m: replies("C", "r"), send: usual},
		{name: "two-edit", cf: both, m: atEnd(`i<0>X-One\0one\0`, `m<1>Subject\0one\0`, `hX-End\0one\0`, `bby one\r\n`),
			m2: atEnd(`m<1>Subject\0two\0`, `hX-End\0two\0`, `i<1>X-Two\0two\0`), send: usual},
		{name: "two-bodies", cf: both, m: atEnd(`bby one\r\n`), m2: atEnd(`bby two\r\n`), send: usual},
		{name: "two-first-quarantines", cf: both, m: atEnd(`qodd\0`), send: usual},
		{name: "two-first-away", cf: "smtpd_milters = { {away}, default_action=accept } {m2}", send: usual},
		{name: "two-settings", cf: away + "{ {m1}, command_timeout=1s, default_action=accept, protocol=4 }, {m2}", m: replies("M", "none"), send: usual},
		{name: "relative-path", cf: "smtpd_milters = unix:relative", send: usual},

		{name: "two-messages", send: append(append([]string{}, usual[:5]...), usual[1:]...)},
		{name: "message-after-refusal", m: replies("E#1", "r"), send: append(append([]string{}, usual[:5]...), usual[1:]...)},
		{name: "message-after-accept", m: replies("M#1", "a"), send: append(append([]string{}, usual[:5]...), usual[1:]...)},
		{name: "message-after-discard", m: replies("R#1", "d"), send: append(append([]string{}, usual[:5]...), usual[1:]...)},
		{name: "rset", send: []string{"EHLO client.example", mail, rcpt, "RSET", mail, rcpt, "DATA", milterLetter, "QUIT"}},
		{name: "rset-idle", send: []string{"EHLO client.example", "RSET", "NOOP", "QUIT"}},
		{name: "ehlo-twice", send: []string{"EHLO client.example", "EHLO other.example", mail, "EHLO third.example", mail, "QUIT"}},
		{name: "helo", send: append([]string{"HELO client.example"}, usual[1:]...)},
		{name: "helo-odd-name", send: []string{"EHLO <odd;name>", "QUIT"}},
		{name: "no-helo", send: usual[1:]},
		{name: "no-quit", send: usual[:3]},
		{name: "quit-at-once", send: []string{"QUIT"}},
		{name: "reject-connect-others", m: replies("C", "r"), send: []string{"EHLO client.example", "VRFY <info@alias.example>", "ETRN alias.example", "STARTTLS", "FOO", mail, rcpt, "QUIT"}},
		{name: "tempfail-helo-others", m: replies("H", "t"), send: []string{"EHLO client.example", "VRFY <info@alias.example>", "STARTTLS", mail, "HELO client.example", "QUIT"}},
		{name: "null-sender", send: []string{"EHLO client.example", "MAIL FROM:<>", rcpt, "QUIT"}},
		{name: "parameters", send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x", "RCPT TO:<info@alias.example> NOTIFY=NEVER ORCPT=rfc822;a@b.example", "QUIT"}},
		{name: "addresses", send: []string{"EHLO client.example", "MAIL FROM: sender@client.example", `RCPT TO:<"info"@alias.example>`, "RCPT TO:<Team@Alias.Example>", "RCPT TO:postmaster", "QUIT"}},
		{name: "bad-addresses", send: []string{"EHLO client.example", "MAIL FROM:<sender@client.example", mail + " FOO=1", mail, "RCPT TO:<a b@alias.example>", "QUIT"}},
		{name: "size", cf: "message_size_limit = 1000", send: []string{"EHLO client.example", mail + " SIZE=2000", "QUIT"}},
		{name: "no-recipients", send: []string{"EHLO client.example", mail, "DATA", "QUIT"}},
		{name: "bdat", send: []string{"EHLO client.example", mail, rcpt, "BDAT 16\r\nSubject: chunk\r\n", "BDAT 9 LAST\r\n\r\nbody\r\n\r", "\nQUIT"}[:4]},
		{name: "bdat-whole", send: []string{"EHLO client.example", mail, rcpt, "BDAT 24 LAST\r\nSubject: chunk\r\n\r\nbody\r\n", "QUIT"}},
		{name: "bdat-reject", m: replies("T", "r"), send: []string{"EHLO client.example", mail, rcpt, "BDAT 24 LAST\r\nSubject: chunk\r\n\r\nbody\r\n", "QUIT"}},
		{name: "no-body", m: atEnd(`hX-New\0value\0`), send: []string{"EHLO client.example", mail, rcpt, "DATA", "~Subject: only\r\nFrom: a@b.example\r\n", "QUIT"}},
		{name: "empty-body", m: atEnd(`hX-New\0value\0`), send: []string{"EHLO client.example", mail, rcpt, "DATA", "~Subject: only\r\nFrom: a@b.example\r\n\r\n", "QUIT"}},
		{name: "no-header", m: atEnd(`hX-New\0value\0`), send: []string{"EHLO client.example", mail, rcpt, "DATA", "~\r\nonly a body\r\n", "QUIT"}},
		{name: "not-a-header", send: []string{"EHLO client.example", mail, rcpt, "DATA", "~this is no header\r\nbody\r\n", "QUIT"}},
		{name: "odd-header", send: []string{"EHLO client.example", mail, rcpt, "DATA", "~Subject : spaced\r\nX-Empty:\r\nX-Tab:\ttab\r\nX-Fold:\r\n folded\r\n\tagain \r\nFrom: a@b.example\r\n\r\nx\r\n", "QUIT"}},
		{name: "mbox-line", send: []string{"EHLO client.example", mail, rcpt, "DATA", "~From someone\r\nSubject: x\r\nFrom: a@b.example\r\n\r\nx\r\n", "QUIT"}},
		{name: "large-body", m: options("6 511 0x60"), send: []string{"EHLO client.example", mail, rcpt, "DATA", "~Subject: large\r\nFrom: a@b.example\r\n\r\n" + largeBody(), "QUIT"}},
		{name: "soft-bounce", cf: "soft_bounce = yes", m: replies("M", "r", "R", `y550-5.7.1 a\r\n550 5.7.1 b\0`), send: usual},
		{name: "soft-bounce-end", cf: "soft_bounce = yes", m: replies("E", `y550-5.7.1 a\r\n550 5.7.1 b\0`), send: usual},
		{name: "footer", cf: "smtpd_reject_footer = call us", m: replies("R", `y550-5.7.1 a\r\n550 5.7.1 b\0`), send: usual},
		{name: "no-delay", cf: "smtpd_delay_reject = no\nsmtpd_sender_restrictions = check_sender_access inline:{bad@client.example=REJECT}", send: []string{"EHLO client.example", "MAIL FROM:<bad@client.example>", mail, "QUIT"}},
		{name: "maps-disable", cf: "smtpd_milter_maps = inline:{127.0.0.1=DISABLE}", send: usual},
		{name: "maps-other", cf: "smtpd_milter_maps = inline:{{127.0.0.1 = {m2}}}", send: usual},
		{name: "maps-nobody", cf: "smtpd_milter_maps = inline:{192.0.2.1=DISABLE}", send: usual},
		{name: "disable", cf: "smtpd_milters = DISABLE", send: usual},
		{name: "bcc", cf: "always_bcc = copy@dest.example\nsender_bcc_maps = inline:{new@client.example=watch@dest.example}", m: atEnd(`e<new@client.example>\0`, `-<copy@dest.example>\0`), send: usual},
		{name: "one-per-target", cf: "enable_original_recipient = no", m: atEnd(`+<other@dest.example>\0`, `-<target@dest.example>\0`), send: usual},
		{name: "xclient", cf: xclient, send: append([]string{"EHLO proxy.example", "XCLIENT NAME=far.example ADDR=192.0.2.9 PORT=1234"}, usual...)},
		{name: "xclient-helo", cf: xclient, send: append([]string{"EHLO proxy.example", "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.10 HELO=far.example PROTO=ESMTP"}, usual[1:]...)},
		{name: "starttls", cf: starttls, send: append([]string{"EHLO client.example", "STARTTLS"}, usual...)},
		{name: "starttls-tempfail-helo", cf: starttls, m: replies("H", "t"), send: []string{"EHLO client.example", "STARTTLS", "QUIT"}},
		{name: "starttls-no-greeting", cf: starttls, m: replies("H", "t"), send: []string{"STARTTLS", "EHLO client.example", "MAIL FROM:<sender@client.example>", "QUIT"}},
		{name: "prepend", cf: "smtpd_recipient_restrictions = check_recipient_access inline:{{info@alias.example = PREPEND X-Pre: pended}}", m: atEnd(`i<0>X-A\0a\0`, `i<2>X-B\0b\0`, `m<1>X-Pre\0changed\0`), send: usual},
		{name: "access-discard", cf: "smtpd_recipient_restrictions = check_recipient_access inline:{{info@alias.example = DISCARD}}", send: usual},
		{name: "access-hold", cf: "smtpd_recipient_restrictions = check_recipient_access inline:{{info@alias.example = HOLD}}", m: atEnd(`qodd\0`), send: usual},
		{name: "end-of-data-reject", cf: "smtpd_end_of_data_restrictions = reject", send: usual},
	}
}

// milterSubmissions: mail of the sendmail command.
func milterSubmissions() []milterCase {
	const cf = "non_smtpd_milters = {m1}\nsmtpd_milters ="
	to := []string{"-i", "-f", "sender@client.example", "info@alias.example"}
	letter := []string{"~From: Sender <sender@client.example>\r\nSubject: local\r\nMessage-ID: <1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nbody\r\n"}
	var cases []milterCase
	add := func(name, cf string, m peers.MilterScript, args ...string) {
		cases = append(cases, milterCase{name: "submit-" + name, cf: cf, m: m, args: args, send: letter})
	}
	add("continue", cf, peers.MilterScript{}, to...)
	add("two-rcpts", cf, peers.MilterScript{}, append(to, "team@alias.example")...)
	add("null-sender", cf, peers.MilterScript{}, "-i", "-f", "", "info@alias.example")
	add("edit", cf, atEnd(`i<0>X-A\0a\0`, `i<1>X-B\0b\0`, `hX-C\0c\0`, `bnew\r\n`, `e<new@client.example>\0`, `+<other@dest.example>\0`, `-<info@alias.example>\0`), to...)
	add("quarantine", cf, atEnd(`qodd\0`), to...)
	add("accept-connect", cf, replies("C", "a"), to...)
	add("accept-mail", cf, replies("M", "a"), to...)
	add("discard-mail", cf, replies("M", "d"), to...)
	add("discard-end", cf, replies("E", "d"), to...)
	add("macros", cf+"\nmilter_connect_macros = j _ {client_addr} {client_name} {client_ptr} {client_port} {client_resolve} {daemon_addr} {daemon_port}\nmilter_rcpt_macros = {rcpt_addr} {rcpt_host} {mail_addr} i\nmilter_end_of_data_macros = {rcpt_addr} {mail_addr} i {client_addr}", peers.MilterScript{}, to...)
	add("away-accept", "non_smtpd_milters = {away}\nsmtpd_milters =\nmilter_default_action = accept", peers.MilterScript{}, to...)
	add("away-quarantine", "non_smtpd_milters = {away}\nsmtpd_milters =\nmilter_default_action = quarantine", peers.MilterScript{}, to...)
	add("two", "non_smtpd_milters = {m1} {m2}\nsmtpd_milters =", atEnd(`hX-A\0a\0`), to...)
	// In Postfix the user has gone when these are decided: he gets a report, or the message
	// is tried again later. Here he is told at once.
	add("reject-mail", cf, replies("M", "r"), to...)
	add("reject-rcpt", cf, replies("R", "r"), to...)
	add("reject-data", cf, replies("T", "r"), to...)
	add("reply-end", cf, replies("E", `y554 5.7.1 not you\0`), to...)
	add("tempfail-end", cf, replies("E", "t"), to...)
	return cases
}

func largeBody() string {
	b := make([]byte, 0, 140000)
	for len(b) < 140000 {
		b = append(b, "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456\r\n"...)
	}
	return string(b)
}
