package integration

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// header_checks(5) and its relatives beside Debian's Postfix: replies, log, envelope and
// content of each case of testdata/checks.txt. What Postfix does is recorded with
//
//	go test ./integration -run TestChecksOfPostfix -record-checks

var recordChecks = flag.Bool("record-checks", false, "rewrite testdata/checks.txt with what the installed Postfix does")

// checksConfig is what both mail systems have.
var checksConfig = []string{
	"myhostname = mx.example.com", "mydestination =", "mynetworks = 127.0.0.0/8", "virtual_alias_domains = virt.example",
	"virtual_alias_maps = inline:{ {a@virt.example=b@dest.example}, {two@virt.example=c@dest.example d@dest.example} }",
	"virtual_mailbox_domains =", "local_transport = error:local mail delivery is disabled",
	"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination", "smtpd_peername_lookup = no",
	"smtpd_error_sleep_time = 0", "smtp_dns_support_level = disabled", "message_size_limit = 1000000",
	"local_header_rewrite_clients =", "smtp_line_length_limit = 0", "disable_mime_output_conversion = yes",
	"queue_run_delay = 300s", "enable_long_queue_ids = yes",
}

// system is one of the two mail systems.
type system struct {
	addrs    []string
	log      func() string
	sendmail func(stdin string, args ...string) (string, int)
}

// runChecks sends the message of each case and collects what came of it.
func runChecks(t *testing.T, cases []*checkCase, s system, sink, filter *peers.Sink) {
	t.Helper()
	ids := make([]string, len(cases))
	for i, c := range cases {
		reply, id := c.send(t, i, s)
		c.got = checkResult{replies: []string{reply}}
		ids[i] = id
	}
	log := s.settle(t, ids)
	for i, c := range cases {
		c.got.log = contentLog(log, ids[i], filter)
		for _, at := range []struct {
			name string
			sink *peers.Sink
		}{{"sink", sink}, {"filter", filter}} {
			for _, m := range at.sink.Messages() {
				if strings.HasPrefix(m.From, "<"+senderOf(i)) || m.From == "<>" && strings.HasPrefix(strings.Join(m.Rcpts, " "), "<"+senderOf(i)) {
					c.arrived(at.name, m)
				}
			}
		}
		slices.Sort(c.got.envelope)
	}
}

func senderOf(i int) string { return fmt.Sprintf("s%d@example.net", i) }

// send returns the reply at the end of the message and its queue ID.
func (c *checkCase) send(t *testing.T, i int, s system) (reply, id string) {
	t.Helper()
	if c.via == "sendmail" {
		before := len(s.log())
		out, code := s.sendmail(strings.ReplaceAll(c.message(), "\r\n", "\n"), append([]string{"-i", "-f", senderOf(i)}, c.rcpts...)...)
		picked := regexp.MustCompile(`: (\w+): uid=\d+ from=<` + senderOf(i))
		refused := regexp.MustCompile(`: (\w+): reject: .*from=<` + senderOf(i))
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			for _, re := range []*regexp.Regexp{picked, refused} {
				if m := re.FindStringSubmatch(s.log()[before:]); m != nil {
					return fmt.Sprintf("exit %d %s", code, strings.TrimSpace(out)), m[1]
				}
			}
		}
		t.Fatalf("%s: nothing is picked up: %d %s", c.name, code, out)
	}
	clients := func() [][]string { return clientEvent.FindAllStringSubmatch(s.log(), -1) }
	before := len(clients())
	conn, err := net.DialTimeout("tcp", s.addrs[i], limit)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(conn)
	read := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if len(line) < 4 || line[3] != '-' {
				return strings.TrimRight(line, "\r\n")
			}
		}
	}
	say := func(text string) string {
		fmt.Fprintf(conn, "%s\r\n", text)
		return read()
	}
	read()
	say("EHLO client.example.net")
	say("MAIL FROM:<" + senderOf(i) + ">")
	for _, rcpt := range c.rcpts {
		if reply := say("RCPT TO:<" + rcpt + ">"); reply[0] != '2' {
			t.Fatalf("%s: %s", c.name, reply)
		}
	}
	message := c.message()
	if c.via == "bdat" {
		half := len(message) / 2
		fmt.Fprintf(conn, "BDAT %d\r\n%s", half, message[:half])
		read()
		fmt.Fprintf(conn, "BDAT %d LAST\r\n%s", len(message)-half, message[half:])
	} else {
		say("DATA")
		fmt.Fprintf(conn, "%s.\r\n", strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:])
	}
	reply = read()
	say("QUIT")
	for end := time.Now().Add(limit); len(clients()) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: the log does not name the message", c.name)
		}
	}
	return queueIDs.ReplaceAllString(reply, "queued as ID"), clients()[before][1]
}

var (
	clientEvent  = regexp.MustCompile(`: (\w+): client=\S+\[127\.0\.0\.1\]`)
	contentEvent = regexp.MustCompile(`^(?:reject|warning|info|filter|pass|discard|hold|prepend|replace|redirect|bcc|strip): (?:header|body|mime-error) `)
	bounceEvent  = regexp.MustCompile(`^to=<(\S+)>,.* (dsn=\S+), (status=bounced .*)$`)
	kept         = regexp.MustCompile(`: (?:discard|hold|reject): |: removed|non-delivery notification: `)
)

// settle waits until each message is where it ends, and returns the log.
func (s system) settle(t *testing.T, ids []string) string {
	t.Helper()
	log := ""
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		log = s.log()
		if !slices.ContainsFunc(ids, func(id string) bool { return !settled(log, id) }) {
			return log
		}
	}
	t.Fatalf("a message does not settle; log:\n%s", log)
	return ""
}

// settled tells whether a message has been removed, or refused, or is on hold; and so for
// a report about it.
func settled(log, id string) bool {
	if id == "" {
		return true
	}
	done, report := false, ""
	for line := range strings.Lines(log) {
		if !strings.Contains(line, ": "+id+": ") {
			continue
		}
		done = done || kept.MatchString(line) || strings.Contains(line, "lookup problem")
		if _, after, ok := strings.Cut(line, "notification: "); ok {
			report = strings.TrimSpace(after)
		}
	}
	if strings.Contains(log, id+": reject:") && strings.Contains(log, id+": uid=") && report == "" && !strings.Contains(log, id+": reject: header Subject: later") {
		return false // to be returned
	}
	return done && (report == "" || settled(log, report))
}

// contentLog are the lines about what a message holds, and about its return.
func contentLog(log, id string, filter *peers.Sink) (lines []string) {
	for line := range strings.Lines(log) {
		_, text, ok := strings.Cut(line, ": "+id+": ")
		text = strings.TrimSpace(text)
		if !ok || id == "" {
			continue
		}
		if contentEvent.MatchString(text) && !strings.Contains(line, ": warning: "+id) {
			lines = append(lines, shorten(noIDs(strings.ReplaceAll(text, strings.Replace(filter.Addr, "127.0.0.1", "smtp:[127.0.0.1]", 1), "{filter}"), id)))
		}
		if m := bounceEvent.FindStringSubmatch(text); m != nil {
			lines = append(lines, "to="+m[1]+" "+m[2]+" "+m[3])
		}
	}
	return lines
}

func noIDs(s, id string) string {
	if id != "" {
		s = strings.ReplaceAll(s, id, "ID")
	}
	return date.ReplaceAllString(withoutSender.ReplaceAllString(s, "sender@example.net"), "DATE")
}

var (
	withoutSender = regexp.MustCompile(`\bs\d+@example\.net`)
	sinkOptions   = regexp.MustCompile(` (?:SIZE|BODY|ORCPT|ENVID|RET|NOTIFY)=\S+`)
	ourReceived   = regexp.MustCompile(`^Received: (?:from|by) (?:.*\n)(?:\t.*\n)*`)
	contentID     = regexp.MustCompile(`\bid \w+|; \w{3}, .*\)$`)
)

// arrived takes a message from a sink. Our Received field is only said to be there.
func (c *checkCase) arrived(where string, m peers.Message) {
	clean := func(s string) string { return noIDs(sinkOptions.ReplaceAllString(s, ""), "") }
	rcpts := slices.Clone(m.Rcpts)
	slices.Sort(rcpts)
	c.got.envelope = append(c.got.envelope, clean(where+" "+m.From+" "+strings.Join(rcpts, " ")))
	if m.From == "<>" {
		return // a report is told of by its envelope
	}
	data := strings.ReplaceAll(m.Data, "\r\n", "\n")
	c.got.content = nil
	for i := strings.Index(data, "Received: "); i >= 0 && strings.Contains(data[i:min(len(data), i+300)], "mx.example.com"); i = -1 {
		rest := data[i:]
		data = data[:i] + "(Received)\n" + rest[len(ourReceived.FindString(rest)):]
	}
	for line := range strings.Lines(data) {
		line = contentID.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
		c.got.content = append(c.got.content, shorten(line))
	}
}

// What the installed Postfix does is what was recorded.
func TestChecksOfPostfix(t *testing.T) {
	t.Parallel()
	cases := loadCheckCases(t)
	sink, filter := newSink(t), newSink(t)
	_, next, _ := net.SplitHostPort(sink.Addr)
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	_, port, _ := net.SplitHostPort(filter.Addr)
	master, addrs, main := checkServices(t, cases, dir, "smtp:[127.0.0.1]:"+port)
	p := newPostfixWith(t, master, append(append(main, "relayhost = [127.0.0.1]:"+next), checksConfig...)...)
	for _, addr := range addrs {
		if strings.Contains(master, addr) {
			waitListens(t, addr)
		}
	}
	runChecks(t, cases, system{addrs: addrs, log: p.log, sendmail: func(stdin string, args ...string) (string, int) {
		return runProgram(t, stdin, "/usr/sbin/sendmail", append([]string{"-C", p.dir}, args...)...)
	}}, sink, filter)
	if *recordChecks {
		writeCheckCases(t, cases)
		return
	}
	compareChecks(t, cases, false)
}

// We do what was recorded.
func TestChecksAsPostfix(t *testing.T) {
	t.Parallel()
	cases := loadCheckCases(t)
	sink, filter := newSink(t), newSink(t)
	cf := base(sink)
	r := newRelay(t, cf, nil)
	_, port, _ := net.SplitHostPort(filter.Addr)
	master, addrs, main := checkServices(t, cases, r.dir, "smtp:[127.0.0.1]:"+port)
	master = seenAtRunTime(t, master)
	for _, line := range append(main, checksConfig...) {
		name, value, _ := strings.Cut(line, "=")
		cf[strings.TrimSpace(name)] = seenAtRunTime(t, strings.TrimSpace(value))
	}
	r.configure(cf)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+master)
	r.start()
	runChecks(t, cases, system{addrs: addrs, log: r.log, sendmail: func(stdin string, args ...string) (string, int) {
		return r.runWith(stdin, append([]string{"sendmail", "-C", r.dir}, args...)...)
	}}, sink, filter)
	compareChecks(t, cases, true)
}

// seenAtRunTime hides tables with an action that makes no sense inside another one: we
// would not start with them by themselves, and what happens when a message meets such an
// action, in an index for one, is to be what Postfix does.
func seenAtRunTime(t *testing.T, options string) string {
	return patternTable.ReplaceAllStringFunc(options, func(spec string) string {
		file := strings.TrimPrefix(spec, "regexp:")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sending := strings.Contains(filepath.Base(file), "sent")
		if nonsense.Match(text) || sending && refusing.Match(text) {
			return "pipemap:{" + spec + "}"
		}
		return spec
	})
}

var (
	patternTable = regexp.MustCompile(`regexp:/\S+`)
	nonsense     = regexp.MustCompile(`(?m)/ (FROBNICATE|(PREPEND|REPLACE)( no field| nothing)?|BCC archive|REDIRECT boss|FILTER( smtp)?)$`)
	refusing     = regexp.MustCompile(`(?m)/ (REJECT|REDIRECT)\b`)
)

func compareChecks(t *testing.T, cases []*checkCase, ours bool) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if ours && c.differ != "" {
				want = c.ours
			}
			for i, p := range want.parts() {
				if got, want := strings.Join(trimmed(*c.got.parts()[i].lines), "\n"), strings.Join(*p.lines, "\n"); got != want {
					t.Errorf("%s\n%s\ngot:\n%s\nwant:\n%s", strings.Join(c.rules, "\n"), p.mark, got, want)
				}
			}
		})
	}
}

// trimmed are lines as the file has them.
func trimmed(lines []string) (list []string) {
	for _, line := range lines {
		list = append(list, strings.TrimRight(line, " "))
	}
	return list
}

func waitListens(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
	}
	t.Fatalf("nobody listens on %s", addr)
}
