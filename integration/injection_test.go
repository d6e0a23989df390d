package integration

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aliasmx/integration/peers"
)

// hostileText is what does harm in a log, on a terminal, in a header or in a command.
func hostileText() []string {
	return []string{
		"\x00", "\x01", "\x08", "\r", "\x0b", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x80", "\xff", "\xc3", "\u0085", "\u009b31m", "\u2028", "\u202e", "ü",
		"\t", "\\", "\"", "<", ">", "+0D+0A", "+0A+0D", "+00", "+1B", "+7F", "+C2+9B", `\x{A}`, `\x{1B}`, `\x{9B}`, "\"\\\r\"", "=0D=0A", ", status=sent",
	}
}

// wholeLine is one line of Postfix's log, and nothing else.
var wholeLine = regexp.MustCompile(`^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/[a-z/]+\[\d+\]: \S.*$`)

// checkPrintable looks for control characters and bytes that are no text.
func checkPrintable(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(c rune) bool {
			return unicode.IsControl(c) && c != '\t' || what == "log" && (c == 0x2028 || c == 0x202e)
		}) {
			t.Errorf("%s: %q", what, line)
		}
	}
}

// Whatever clients and next hops say, what we write is text: log lines, commands, Received
// fields and reports.
func TestHostileWords(t *testing.T) {
	sink := newSink(t)
	nasty := strings.NewReplacer("\r", "", "\n", "").Replace(strings.Join(hostileText(), "|"))
	sink.Behave(peers.Script{
		Banner: "220 sink.example " + nasty,
		Ehlo:   []string{"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "X" + nasty},
		Rcpt: map[string]string{
			"refused@dest.example": "550-5.1.1 " + nasty + "\r\n550 5.1.1 \r" + nasty + "\rX-Injected: yes",
			"later@dest.example":   "450 4.2.0 " + nasty,
		},
		EndOfData: "250 2.0.0 Ok " + nasty,
	})
	cf := base(sink)
	cf["smtpd_hard_error_limit"], cf["smtpd_junk_command_limit"] = "100000", "100000"
	cf["smtpd_authorized_xclient_hosts"], cf["smtpd_authorized_xforward_hosts"] = "127.0.0.1", "127.0.0.1"
	cf["smtpd_client_connection_count_limit"] = "0"
	r := newRelay(t, cf, map[string]string{"virtual": virtualTable + "refused@alias.example refused@dest.example\nlater@alias.example later@dest.example\n" +
		"@all.example target@dest.example\n"})
	cf["virtual_alias_domains"] = "alias.example all.example"
	r.configure(cf)
	r.start()

	const hello, from, to = "EHLO client.example\r\n", "MAIL FROM:<sender@client.example>\r\n", "RCPT TO:<info@alias.example>\r\n"
	const refused, rest = "RCPT TO:<refused@alias.example>\r\n", "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nRSET\r\n"
	for name, format := range map[string]string{
		"EHLO":           "EHLO x%y\r\n" + from + to + refused + rest,
		"sender":         "MAIL FROM:<a%b@client.example>\r\n" + to + refused + rest,
		"quoted sender":  "MAIL FROM:<\"a%b\"@client.example> SMTPUTF8\r\n" + to + refused + rest,
		"recipient":      from + "RCPT TO:<\"a%b\"@all.example>\r\n" + "RCPT TO:<a%b@alias.example>\r\nRCPT TO:<a@x%y.example>\r\n" + rest,
		"ENVID":          "MAIL FROM:<sender@client.example> ENVID=a%b\r\n" + refused + rest,
		"ORCPT":          from + "RCPT TO:<refused@alias.example> ORCPT=rfc822;a%b NOTIFY=FAILURE\r\n" + rest,
		"ORCPT utf-8":    from + "RCPT TO:<refused@alias.example> ORCPT=utf-8;a%b NOTIFY=FAILURE\r\n" + rest,
		"success":        "MAIL FROM:<sender@client.example> ENVID=a%b RET=HDRS\r\nRCPT TO:<info@alias.example> ORCPT=rfc822;a%b NOTIFY=SUCCESS\r\n" + rest,
		"VRFY and ETRN":  "VRFY a%b@alias.example\r\nETRN %.example\r\nHELP %\r\nNOOP %\r\nX%Y %\r\nRSET\r\n",
		"parameters":     "MAIL FROM:<sender@client.example> %=% SIZE=%\r\nMAIL FROM:<sender@client.example> X%\r\nRSET\r\n",
		"BDAT":           from + to + "BDAT % LAST\r\n",
		"XCLIENT":        "XCLIENT NAME=x%y.example HELO=a%b LOGIN=u%v\r\n" + hello + from + to + refused + rest,
		"XFORWARD":       "XFORWARD NAME=x%y HELO=a%b IDENT=u%v\r\n" + from + to + rest,
		"Message-ID":     from + to + "DATA\r\nMessage-ID: <a%b>\r\n\r\nx\r\n.\r\nRSET\r\n",
		"a later try":    "MAIL FROM:<a%b@client.example>\r\nRCPT TO:<later@alias.example>\r\n" + rest,
		"forbidden word": "%CONNECT % HTTP/1.1\r\n",
	} {
		for _, evil := range hostileText() {
			checkPrintable(t, name+": reply", exchange(t, r.smtp, hello+strings.ReplaceAll(format, "%", evil)))
		}
	}
	r.waitLog(`to=<later@dest.example>.*status=deferred`)
	r.mustRun("postsuper", "-c", r.dir, "-d", "ALL", "deferred")
	r.waitEmpty()
	out, _ := r.run("mailq", "-c", r.dir)
	checkPrintable(t, "mailq", out)
	r.stop()

	lines := 0
	for line := range strings.Lines(r.log()) {
		if lines++; !wholeLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("a line that is none: %q", line)
		}
	}
	checkPrintable(t, "log", r.log())
	reports := 0
	for _, m := range sink.Messages() {
		checkPrintable(t, "envelope", m.From+strings.Join(m.Rcpts, ""))
		header, _, _ := strings.Cut(m.Data, "\r\n\r\n")
		if m.From == "<>" || strings.HasPrefix(m.From, "<> ") {
			reports++
			header, _, _ = strings.Cut(m.Data, "Content-Description: Undelivered Message\r\n")
		} else {
			header, _, _ = strings.Cut(header, "\r\nSubject: ")
			header, _, _ = strings.Cut(header, "\r\nMessage-ID: ")
		}
		checkPrintable(t, "header", header)
		if strings.Contains(m.Data, "\nX-Injected") || strings.Contains(m.Data, "\rX-Injected") {
			t.Errorf("a field of the next hop's making: %q", m.Data)
		}
	}
	if lines < 1000 || reports < 50 {
		t.Errorf("only %d lines of log and %d reports", lines, reports)
	}
}

// talk sends lines, each when the one before has been answered, and content only where it
// is asked for. It returns what was answered.
func exchange(t *testing.T, addr, send string) (said string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(c)
	hear := func() (last string, ok bool) {
		for last = "   -"; len(last) > 3 && last[3] == '-'; said += last {
			if last, err = r.ReadString('\n'); err != nil {
				return "", false
			}
		}
		return last, true
	}
	hear()
	for send != "" {
		line, rest, _ := strings.Cut(send, "\r\n")
		send = rest
		content := ""
		if line == "DATA" {
			content, send, _ = strings.Cut(send, "\r\n.\r\n")
		}
		io.WriteString(c, line+"\r\n")
		last, ok := hear()
		if ok && strings.HasPrefix(last, "354") {
			io.WriteString(c, content+"\r\n.\r\n")
			_, ok = hear()
		}
		if !ok {
			return said
		}
	}
	return said
}
