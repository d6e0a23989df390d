package integration

import (
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// reportPair is one relay of ours and one Postfix, configured alike, each with a next hop
// of its own that behaves alike and takes the reports.
type reportPair struct {
	t            *testing.T
	r            *relay
	p            *postfix
	ours, theirs *peers.Sink
	seen         int // reports that were compared
}

// newReportPair starts both with an alias file and further settings and files.
func newReportPair(t *testing.T, script peers.Script, virtual string, settings, files map[string]string) *reportPair {
	t.Helper()
	x := &reportPair{t: t, ours: newSink(t), theirs: newSink(t)}
	x.ours.Behave(script)
	x.theirs.Behave(script)
	cf := base(x.ours)
	cf["myhostname"] = "peer.example"
	cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
	cf["queue_run_delay"], cf["minimal_backoff_time"], cf["maximal_backoff_time"] = "1s", "1s", "1s"
	x.r = newRelay(t, cf, map[string]string{"virtual": virtual})
	for name, text := range files {
		x.r.write(name, text)
	}
	_, port, _ := net.SplitHostPort(x.theirs.Addr)
	lines := []string{
		"virtual_mailbox_domains =", "relayhost = [127.0.0.1]:" + port, "virtual_alias_domains = alias.example",
		"virtual_alias_maps = texthash:" + x.r.dir + "/virtual",
		"queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 1s",
	}
	for name, value := range settings {
		cf[name] = value
		lines = append(lines, name+" = "+strings.NewReplacer("{dir}", x.r.dir, "{top}", x.r.top).Replace(value))
	}
	x.r.configure(cf)
	x.r.start()
	x.p = newPostfix(t, lines...)
	return x
}

// converse has the same conversation with both.
func (x *reportPair) converse(commands []string, content string) {
	x.t.Helper()
	for _, addr := range []string{x.r.smtp, x.p.addr} {
		nc, err := net.DialTimeout("tcp", addr, limit)
		if err != nil {
			x.t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(limit))
		c := textproto.NewConn(nc)
		steps := append(append([]string{"", "EHLO client.example"}, commands...), "DATA", content+"\r\n.", "QUIT")
		for _, say := range steps {
			if say != "" {
				c.PrintfLine("%s", say)
			}
			if code, text, err := c.ReadResponse(0); err != nil || code >= 400 {
				x.t.Fatalf("%s: %s: %d %s %v", addr, say, code, text, err)
			}
		}
		nc.Close()
	}
}

// better is where Postfix 3.7 is not followed: it has an 8-bit local part of a sender in
// quotes (newer ones have not), gives addresses in UTF-8 the type rfc822 or leaves them as
// they are in fields that are ASCII, where RFC 6533 section 3 wants the type utf-8 and an
// encoding, and encodes ORCPT where it need not.
func better(s string) string {
	s = strings.NewReplacer(
		"rfc822; \"s\\\xc3\\\xbc\"@client.example", "utf-8; sü@client.example",
		"<\"s\\\xc3\\\xbc\"@client.example>", "<sü@client.example>",
		"Original-Recipient: rfc822;ümlaut@", "Original-Recipient: utf-8;ümlaut@",
		`ORCPT=utf-8;s\x{FC}@`, "ORCPT=utf-8;sü@",
	).Replace(s)
	if strings.Contains(s, "Content-Type: message/delivery-status\n") {
		s = strings.NewReplacer("Final-Recipient: rfc822; grün@", `Final-Recipient: utf-8; gr\x{FC}n@`,
			"smtp; 550 5.1.1 <grün@", `smtp; 550 5.1.1 <gr\x{FC}n@`).Replace(s)
	}
	return s
}

// reports waits until each next hop has n more of them and compares them. It returns ours.
func (x *reportPair) reports(n int) []peers.Message {
	x.t.Helper()
	var ours, theirs []peers.Message
	for end := time.Now().Add(limit); len(ours) < x.seen+n || len(theirs) < x.seen+n; time.Sleep(20 * time.Millisecond) {
		if ours, theirs = reportsIn(x.ours), reportsIn(x.theirs); time.Now().After(end) {
			x.t.Fatalf("%d and %d reports, want %d\n%s\n%s", len(ours), len(theirs), x.seen+n, x.r.log(), x.p.log())
		}
	}
	bySubject := func(list []peers.Message) []peers.Message { // they may overtake each other
		list = list[x.seen : x.seen+n]
		slices.SortStableFunc(list, func(a, b peers.Message) int { return strings.Compare(subjectOf(a), subjectOf(b)) })
		return list
	}
	ours, theirs = bySubject(ours), bySubject(theirs)
	x.seen += n
	for i := range n {
		if got, want := envelopeOf(ours[i]), better(envelopeOf(theirs[i])); got != want {
			x.t.Errorf("envelope %s, Postfix: %s", got, want)
		}
		got, want := normaliseReport(ours[i].Data), better(normaliseReport(theirs[i].Data))
		if got != want {
			x.t.Errorf("report %d: %s\n%s", i, firstDifference(got, want), got)
		}
	}
	return ours
}

func envelopeOf(m peers.Message) string { return withoutSize(m.From) + " to " + m.Rcpts[0] }

func subjectOf(m peers.Message) string {
	_, subject, _ := strings.Cut(m.Data, "\nSubject: ")
	subject, _, _ = strings.Cut(subject, "\r")
	return subject
}

// reportsIn are the messages that are reports.
func reportsIn(sink *peers.Sink) (list []peers.Message) {
	for _, m := range sink.Messages() {
		if strings.HasPrefix(m.From, "<>") || strings.Contains(m.From, "double-bounce@") {
			list = append(list, m)
		}
	}
	return list
}

var (
	reportDate = regexp.MustCompile(`\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)`)
	reportIDs  = regexp.MustCompile(`(?m)(\bid |-Queue-ID: |--|boundary="|queued as )[0-9A-Za-z]{8,20}\b`)
	reportTime = regexp.MustCompile(`\.\d{10}/`)
	reportMID  = regexp.MustCompile(`Message-Id: <\d{14}\.\w+@`)
	reportPort = regexp.MustCompile(`\]:\d{2,5}`)
)

// normaliseReport takes out of a report what differs from run to run.
func normaliseReport(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = reportDate.ReplaceAllString(text, "DATE")
	text = reportIDs.ReplaceAllString(text, "${1}ID")
	text = reportTime.ReplaceAllString(text, ".TIME/")
	text = reportPort.ReplaceAllString(text, "]:PORT")
	// Postfix folds behind its shorter queue ID or not; in a Received field that is nothing.
	text = regexp.MustCompile(`;\n?\s+DATE`).ReplaceAllString(text, "; DATE")
	return reportMID.ReplaceAllString(text, "Message-Id: <ID@")
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: %q, Postfix: %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, Postfix: %d", len(g), len(w))
}

// Reports are Postfix's, octet for octet but for IDs and times: the same conversations
// through both, with next hops that know DSN and that do not.
func TestReportsAsPostfixWritesThem(t *testing.T) {
	t.Parallel()
	const virtual = "info@alias.example target@dest.example\ngone@alias.example gone@dest.example\n" +
		"both@alias.example gone@dest.example, never@dest.example\numlaut@alias.example grün@dest.example\nümlaut@alias.example grün@dest.example\n"
	withDSN := []string{"PIPELINING", "8BITMIME", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"}
	refusals := map[string]string{
		"gone@dest.example": "550 5.1.1 <gone@dest.example>: no such user", "never@dest.example": "554 5.7.1 policy says no, and goes on saying it for more than one line of eighty columns",
		"grün@dest.example": "550 5.1.1 <grün@dest.example>: unbekannt",
	}
	relayed := map[string]int{"without DSN": 1}
	for name, offer := range map[string][]string{"with DSN": withDSN, "without DSN": {"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newReportPair(t, peers.Script{Ehlo: offer, Rcpt: refusals}, virtual, map[string]string{"notify_classes": "resource", "bounce_size_limit": "3000",
				"relay_domains": "direct.example"}, nil)
			n := 0
			for _, c := range []struct {
				mail, rcpt string
				content    string
				reports    int
			}{
				{"<s@client.example>", "<gone@alias.example>", "Subject: x\r\n\r\nHello", 1},
				{"<s@client.example> RET=HDRS ENVID=a+2Bb+3Dc", "<gone@alias.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+2By@z.example", "Subject: x\r\n\r\nHello", 1},
				{"<s@client.example> RET=FULL ENVID=QQ314159", "<gone@alias.example> NOTIFY=SUCCESS,FAILURE", "Subject: x\r\n\r\nHello", 2},
				{"<s@client.example>", "<gone@alias.example> NOTIFY=NEVER", "Subject: x\r\n\r\nHello", 0},
				{"<s@client.example>", "<gone@alias.example> NOTIFY=DELAY", "Subject: x\r\n\r\nHello", 0},
				{"<s@client.example>", "<gone@alias.example>", "Subject: big\r\nX: y\r\n\r\n" + strings.Repeat(strings.Repeat("z", 70)+"\r\n", 50), 1},
				{"<s@client.example>", "<both@alias.example>", "Subject: two\r\n\r\nHello", 1},
				{"<s@client.example>", "<info@alias.example> NOTIFY=SUCCESS", "Subject: expanded\r\n\r\nHello", 1},
				{"<s@client.example>", "<user@direct.example> NOTIFY=SUCCESS", "Subject: relayed\r\n\r\nHello", relayed[name]},
				{"<>", "<gone@alias.example>", "Subject: a report of somebody\r\n\r\nHello", 0},
				{"<s@client.example> SMTPUTF8", "<gone@alias.example>", "Subject: grün\r\n\r\nHello", 1},
				{"<sü@client.example> SMTPUTF8 ENVID=x", "<umlaut@alias.example> ORCPT=utf-8;gr\\x{FC}n@z.example", "Subject: x\r\n\r\nHello", 1},
				{"<s@client.example>", "<umlaut@alias.example>", "Subject: ASCII to UTF-8\r\n\r\nHello", 1},
				{"<s@client.example> SMTPUTF8 RET=HDRS", "<ümlaut@alias.example>", "Subject: x\r\n\r\nHello", 1},
			} {
				x.converse([]string{"MAIL FROM:" + c.mail, "RCPT TO:" + c.rcpt}, c.content)
				n += c.reports
				x.reports(c.reports)
			}
			x.r.waitEmpty()
			if got := len(reportsIn(x.ours)); got != n {
				t.Errorf("%d reports, want %d\n%s", got, n, x.r.log())
			}
		})
	}
}
