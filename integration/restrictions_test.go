package integration

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Access rules, one listener for each case of testdata/restrictions.txt: what Debian's
// Postfix replied and logged, and that we do the same. The file is rewritten with
//
//	go test ./integration -run TestRestrictionsOfPostfix -record-restrictions

var recordRestrictions = flag.Bool("record-restrictions", false, "rewrite testdata/restrictions.txt with what the installed Postfix does")

const restrictionsFile = "testdata/restrictions.txt"

// accessCase is one listener and what a client says to it.
type accessCase struct {
	name    string
	set     []string // name = value
	client  string
	lines   []string
	replies []string
	log     []string
}

// loadAccessCases reads "== name", "name = value", "> command", "< reply", "| log line".
func loadAccessCases(t *testing.T) []*accessCase {
	t.Helper()
	text, err := os.ReadFile(restrictionsFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []*accessCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, &accessCase{name: name, client: "127.0.0.2"})
			continue
		}
		c := cases[len(cases)-1]
		switch {
		case strings.HasPrefix(line, "> "):
			c.lines = append(c.lines, line[2:])
		case strings.HasPrefix(line, "< "):
			c.replies = append(c.replies, line[2:])
		case strings.HasPrefix(line, "| "):
			c.log = append(c.log, line[2:])
		case strings.HasPrefix(line, "client "):
			c.client = line[len("client "):]
		default:
			c.set = append(c.set, line)
		}
	}
	return cases
}

func writeAccessCases(t *testing.T, cases []*accessCase) {
	t.Helper()
	text, err := os.ReadFile(restrictionsFile)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "== ")
	var b strings.Builder
	b.WriteString(head)
	for _, c := range cases {
		b.WriteString("== " + c.name + "\n")
		if c.client != "127.0.0.2" {
			b.WriteString("client " + c.client + "\n")
		}
		for _, part := range []struct {
			mark  string
			lines []string
		}{{"", c.set}, {"> ", c.lines}, {"< ", c.replies}, {"| ", c.log}} {
			for _, line := range part.lines {
				b.WriteString(part.mark + line + "\n")
			}
		}
		b.WriteString("\n")
	}
	if err := os.WriteFile(restrictionsFile, []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// accessConfig is what all listeners share.
var accessConfig = []string{
	"myhostname = mx.example.com", "mydestination =", "mynetworks = 127.0.0.1/32", "virtual_alias_domains = virt.example",
	"virtual_alias_maps = inline:{ {a@virt.example=b@dest.example}, {c@virt.example=d@dest.example} }",
	"local_transport = error:local mail delivery is disabled", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
	"recipient_delimiter = +", "smtpd_peername_lookup = no", "smtpd_error_sleep_time = 0", "virtual_mailbox_domains =",
	"smtpd_restriction_classes = strict, loose, nested, withtable, fulltable", "strict = reject", "loose = permit",
	"nested = permit_mynetworks, strict", "withtable = check_sender_access inline:{ {bad.example=REJECT by class} }",
	"fulltable = inline:{ {a@virt.example=REJECT by bare table} }", "smtpd_authorized_xclient_hosts = 127.0.0.3",
	"smtpd_authorized_xforward_hosts = 127.0.0.3", "smtp_dns_support_level = disabled",
}

// services are the lines of master.cf.
func services(t *testing.T, cases []*accessCase) (text string, addrs []string) {
	t.Helper()
	var b strings.Builder
	for _, c := range cases {
		addr := freeAddr(t)
		addrs = append(addrs, addr)
		b.WriteString(addr + " inet n - n - - smtpd\n")
		for _, set := range c.set {
			b.WriteString("  -o { " + set + " }\n")
		}
	}
	return b.String(), addrs
}

// talk has a case's conversation and returns the replies.
func (c *accessCase) talk(t *testing.T, addr string) []string {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.client)}, Timeout: limit}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(conn)
	read := func() string {
		var lines []string
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return strings.Join(append(lines, "closed"), `\n`)
			}
			lines = append(lines, strings.TrimRight(line, "\r\n"))
			if len(line) < 4 || line[3] == ' ' {
				return strings.Replace(queueIDs.ReplaceAllString(strings.Join(lines, `\n`), "queued as ID"), " PORT LOGIN", " PORT", 1)
			}
		}
	}
	replies := []string{read()}
	for _, line := range c.lines {
		fmt.Fprintf(conn, "%s\r\n", strings.ReplaceAll(line, `\n`, "\r\n"))
		replies = append(replies, read())
	}
	if !strings.HasPrefix(replies[len(replies)-1], "354") {
		fmt.Fprint(conn, "QUIT\r\n")
		read()
	}
	return replies
}

var (
	queueIDs = regexp.MustCompile(`queued as [0-9A-Za-z]{8,20}`)
	logStart = regexp.MustCompile(`^.*postfix/(?:[\w.:-]*/)?smtpd\[\d+\]: `)
	logID    = regexp.MustCompile(`^[0-9A-Za-z]{8,20}: `)
	logPort  = regexp.MustCompile(`for service \S+`)
)

// said are the lines of smtpd about what was decided, in a log from a point on.
func said(log string) []string {
	var lines []string
	for line := range strings.Lines(log) {
		text := strings.TrimSpace(logStart.ReplaceAllString(line, ""))
		if text == strings.TrimSpace(line) || strings.HasPrefix(text, "connect from ") || strings.HasPrefix(text, "disconnect from ") {
			continue
		}
		text = logPort.ReplaceAllString(logID.ReplaceAllString(text, "ID: "), "for service X")
		if !strings.HasPrefix(text, "warning: ") && !strings.HasPrefix(text, "lost connection") { // their texts are our own
			lines = append(lines, text)
		}
	}
	return lines
}

// run has all conversations one after the other, log being what was logged so far.
func runAccessCases(t *testing.T, cases []*accessCase, addrs []string, log func() string) (replies, logs [][]string) {
	for i, c := range cases {
		before := len(log())
		replies = append(replies, c.talk(t, addrs[i]))
		want := "disconnect from "
		for end := time.Now().Add(limit); !strings.Contains(log()[before:], want) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		logs = append(logs, said(log()[before:]))
	}
	return replies, logs
}

// What the installed Postfix does is what was recorded.
func TestRestrictionsOfPostfix(t *testing.T) {
	t.Parallel()
	cases := loadAccessCases(t)
	text, addrs := services(t, cases)
	p := newPostfixWith(t, text, append([]string{"relayhost = [127.0.0.1]:9", "defer_transports = smtp", "inet_protocols = all"}, accessConfig...)...)
	waitListening(t, addrs, p.log)
	replies, logs := runAccessCases(t, cases, addrs, p.log)
	if *recordRestrictions {
		for i, c := range cases {
			c.replies, c.log = replies[i], logs[i]
		}
		writeAccessCases(t, cases)
		return
	}
	compareAccessCases(t, cases, replies, logs)
}

// We do what was recorded.
func TestRestrictionsAsPostfix(t *testing.T) {
	cases := loadAccessCases(t)
	sink := newSink(t)
	cf := base(sink)
	for _, line := range accessConfig {
		name, value, _ := strings.Cut(line, "=")
		cf[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	r := newRelay(t, cf, nil)
	text, addrs := services(t, cases)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+text)
	r.start()
	replies, logs := runAccessCases(t, cases, addrs, r.log)
	compareAccessCases(t, cases, replies, logs)
}

func compareAccessCases(t *testing.T, cases []*accessCase, replies, logs [][]string) {
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, want := strings.Join(replies[i], "\n"), strings.Join(c.replies, "\n"); got != want {
				t.Errorf("%s\nreplies:\n%s\nwant:\n%s", strings.Join(c.set, "\n"), got, want)
			}
			if got, want := strings.Join(logs[i], "\n"), strings.Join(c.log, "\n"); got != want {
				t.Errorf("%s\nlog:\n%s\nwant:\n%s", strings.Join(c.set, "\n"), got, want)
			}
		})
	}
}
