package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// serverCase is a server of testdata/servers.txt.
type serverCase struct {
	name, via string
	to        []string
	letters   []string // recipients of a letter each, all handed in before the server greets
	fatesOnly bool     // what it heard is not compared
	password  bool
	server    peers.Scripted
	next      *peers.Scripted // the fallback relay, a friendly one
	twice     bool            // tried once more, when the message is old enough (patient)
	attempts  int             // that are waited for
}

// serverServices are the services of master.cf that cases name, beside smtp and lmtp.
var serverServices = []struct{ name, command, options string }{
	{"hurry", "smtp", hurried("smtp_", "helo mail rcpt data_init data_xfer data_done starttls rset xforward")},
	{"hurryencrypt", "smtp", hurried("smtp_", "helo starttls") + " -o smtp_tls_security_level=encrypt"},
	{"hurrylmtp", "lmtp", hurried("lmtp_", "lhlo mail rcpt data_init data_xfer data_done")},
	{"patient", "smtp", "-o minimal_backoff_time=6s"},
	{"hurrypatient", "smtp", hurried("smtp_", "helo mail rcpt data_init data_xfer data_done starttls rset") + " -o minimal_backoff_time=6s"},
	{"one", "smtp", ""},
	{"hurryone", "smtp", hurried("smtp_", "rset")},
	{"hard5xx", "smtp", "-o smtp_skip_5xx_greeting=no"},
	{"bybanner", "smtp", "-o smtp_always_send_ehlo=no"},
	{"heloonly", "smtp", "-o smtp_never_send_ehlo=yes -o smtp_helo_name=helo.example"},
	{"fewer", "smtp", "-o smtp_discard_ehlo_keywords=pipelining,DSN,silent-discard"},
	{"encrypt", "smtp", "-o smtp_tls_security_level=encrypt"},
	{"wrapper", "smtp", "-o smtp_tls_security_level=encrypt -o smtp_tls_wrappermode=yes"},
	{"hardauth", "smtp", "-o smtp_sasl_auth_soft_bounce=no"},
	{"crammd5", "smtp", "-o smtp_sasl_mechanism_filter=cram-md5"},
	{"noplaintext", "smtp", "-o smtp_sasl_security_options=noplaintext"},
	{"vouch", "smtp", "-o smtp_send_dummy_mail_auth=yes"},
	{"noauth", "smtp", "-o smtp_discard_ehlo_keywords=auth"},
	{"xforward", "smtp", "-o smtp_send_xforward_command=yes"},
	{"filtered", "smtp", "-o smtp_reply_filter=regexp:{dir}/filter"},
	{"lmtpauth", "lmtp", "-o lmtp_sasl_auth_enable=yes -o lmtp_sasl_password_maps=texthash:{dir}/sasl_passwd -o lmtp_sasl_security_options=noanonymous"},
	{"lmtpdiscard", "lmtp", "-o lmtp_discard_lhlo_keywords=size"},
}

// optionsOf are the options of a service.
func optionsOf(name string) string {
	for _, svc := range serverServices {
		if svc.name == name {
			return svc.options
		}
	}
	return ""
}

func hurried(prefix, steps string) string {
	var b strings.Builder
	for _, s := range strings.Fields(steps) {
		fmt.Fprintf(&b, "-o %s%s_timeout=2s ", prefix, s)
	}
	return strings.TrimSpace(b.String())
}

func loadServerCases(t *testing.T) []*serverCase {
	t.Helper()
	text, err := os.ReadFile("testdata/servers.txt")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := peers.SelfSigned("sink.example")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*serverCase
	var c *serverCase
	for line := range strings.SplitSeq(string(text), "\n") {
		name, isName := strings.CutPrefix(line, "== ")
		command, reply, isAnswer := strings.Cut(line, " => ")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case isName:
			c = &serverCase{name: name, via: "smtp", to: []string{"a"}}
			c.server.Offer = []string{"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"}
			c.server.Answers = map[string]string{}
			cases = append(cases, c)
		case isAnswer:
			c.server.Answers[command] = strings.ReplaceAll(reply, `\n`, "\n")
		case word == "via":
			c.via = rest
			c.server.LMTP = strings.Contains(rest, "lmtp")
		case word == "to":
			c.to = strings.Fields(rest)
		case word == "offer":
			c.server.Offer = []string{rest}
			if !strings.HasPrefix(rest, "AUTH") && !strings.HasPrefix(rest, "XFORWARD") && !strings.HasPrefix(rest, "SIZE") {
				c.server.Offer = strings.Fields(rest)
				if i := slices.Index(c.server.Offer, "XFORWARD"); i >= 0 {
					c.server.Offer = append(c.server.Offer[:i:i], strings.Join(c.server.Offer[i:], " "))
				}
			}
		case word == "tls", word == "wrapped":
			c.server.TLS, c.server.Wrapped = cert, word == "wrapped"
		case word == "password":
			c.password = true
		case word == "fallback":
			c.next = &peers.Scripted{Offer: []string{"PIPELINING", "8BITMIME"}}
		default:
			t.Fatalf("testdata/servers.txt: %q", line)
		}
	}
	return cases
}

// serversConfig is main.cf, for either mail system.
func serversConfig() map[string]string {
	return map[string]string{
		"compatibility_level":        "3.6",
		"myhostname":                 "mx.alias.example",
		"mydestination":              "",
		"mynetworks":                 "127.0.0.0/8",
		"smtpd_relay_restrictions":   "permit_mynetworks, reject_unauth_destination",
		"smtpd_peername_lookup":      "no",
		"inet_interfaces":            "127.0.0.1",
		"inet_protocols":             "ipv4",
		"smtp_dns_support_level":     "disabled",
		"lmtp_dns_support_level":     "disabled",
		"lmtp_quit_timeout":          "2s",
		"transport_maps":             "texthash:{dir}/transport",
		"smtp_tls_security_level":    "may",
		"smtp_sasl_auth_enable":      "yes",
		"smtp_sasl_password_maps":    "texthash:{dir}/sasl_passwd",
		"smtp_sasl_security_options": "noanonymous",
		"maillog_file":               "{top}/mail.log",
		"queue_directory":            "{top}/queue",
		"data_directory":             "{top}/data",
		"notify_classes":             "",
		"smtpd_error_sleep_time":     "0",

		"disable_mime_output_conversion": "yes",

		"one_destination_concurrency_limit":        "1",
		"one_initial_destination_concurrency":      "1",
		"hurryone_destination_concurrency_limit":   "1",
		"hurryone_initial_destination_concurrency": "1",
	}
}

// runServerCases sends each case's server its message, all at once, and tells what became
// of it. services is master.cf without those of the cases.
func runServerCases(t *testing.T, cases []*serverCase, services string, start func(cf map[string]string) subject) map[string]string {
	var transports, passwords, fallbacks strings.Builder
	for i, c := range cases {
		via := c.via
		for _, server := range []*peers.Scripted{&c.server, c.next} {
			if server == nil {
				continue
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
		}
		if c.next != nil {
			_, port, _ := net.SplitHostPort(c.next.Addr)
			via = fmt.Sprintf("fallback%d", i)
			fmt.Fprintf(&fallbacks, "%s unix - - n - - smtp -o smtp_fallback_relay=[127.0.0.1]:%s %s\n", via, port, optionsOf(c.via))
		}
		_, port, _ := net.SplitHostPort(c.server.Addr)
		hop := "[127.0.0.1]:" + port
		if c.server.LMTP {
			hop = "inet:127.0.0.1:" + port
		}
		fmt.Fprintf(&transports, "c%d.example %s:%s\n", i, via, hop)
		if c.password {
			fmt.Fprintf(&passwords, "%s joe:Secret:12\n", strings.TrimPrefix(hop, "inet:"))
		}
	}
	s := start(serversConfig())
	dir, _ := s.places()
	for _, svc := range serverServices {
		services += fmt.Sprintf("%s unix - - n - - %s %s\n", svc.name, svc.command, strings.ReplaceAll(svc.options, "{dir}", dir))
	}
	s.write("master.cf", s.address()+services+fallbacks.String())
	s.write("transport", transports.String())
	s.write("sasl_passwd", passwords.String())
	s.write("filter", "/^550 5\\.1\\.1 no such user/ 450 4.1.1 perhaps later\n/^250 fine/ 250 2.1.0 finer\n")
	s.start()
	defer s.stop()
	var submitting sync.WaitGroup
	for first := range submitters {
		submitting.Go(func() {
			for i := first; i < len(cases); i += submitters {
				if err := cases[i].submit(s.address(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	submitting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	awaitCases(t, cases, s)
	if tryAgain(t, cases, s) {
		awaitCases(t, cases, s)
	}
	time.Sleep(100 * time.Millisecond) // what is logged after the connection has ended
	outcomes := map[string]string{}
	lines := linesByCase(cases, s.log())
	for i, c := range cases {
		outcomes[c.name] = c.outcome(i, strings.Join(lines[i], "\n"))
	}
	return outcomes
}

var fateOf = regexp.MustCompile(` to=<(\w+@c\d+\.example)>, `)

// awaitCases waits until everybody's fate is in the log, and no connection is open.
func awaitCases(t *testing.T, cases []*serverCase, s subject) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		fates := map[string]int{}
		for _, m := range fateOf.FindAllStringSubmatch(s.log(), -1) {
			fates[m[1]]++
		}
		open, missing := "", ""
		for i, c := range cases {
			if c.server.Open() > 0 || c.next != nil && c.next.Open() > 0 {
				open += fmt.Sprintf(" %q", c.name)
			}
			for _, to := range c.to {
				if fates[fmt.Sprintf("%s@c%d.example", to, i)] < max(c.attempts, 1) {
					missing += fmt.Sprintf(" %q", c.name)
				}
			}
		}
		if missing == "" && open == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not done:%s, connections open:%s", missing, open)
		}
	}
}

var deferredID = regexp.MustCompile(`: (\w+): to=<\w+@c(\d+)\.example>, .*status=deferred`)

// tryAgain has the messages that are to have a second attempt, and were deferred, tried once
// more. Until then they have grown older than minimal_backoff_time of "patient"; a busy machine
// may take its time for the first.
func tryAgain(t *testing.T, cases []*serverCase, s subject) (any bool) {
	t.Helper()
	if !slices.ContainsFunc(cases, func(c *serverCase) bool { return c.twice }) {
		return false
	}
	time.Sleep(7 * time.Second)
	dir, _ := s.places()
	for _, m := range deferredID.FindAllStringSubmatch(s.log(), -1) {
		number, _ := strconv.Atoi(m[2])
		if c := cases[number]; c.twice && c.attempts == 0 {
			c.attempts, any = 2, true
			if out, code := s.run("postqueue", "-c", dir, "-i", m[1]); code != 0 {
				t.Fatalf("postqueue -i: exit status %d\n%s", code, out)
			}
		}
	}
	return any
}

const submitters = 4

// submit hands in what there is for a case.
func (c *serverCase) submit(addr string, number int) error {
	if c.letters == nil {
		return submit(addr, number, c.to)
	}
	defer close(c.server.Gate)
	for _, to := range c.letters {
		if err := submit(addr, number, strings.Split(to, "+")); err != nil {
			return err
		}
	}
	return nil
}

// submit hands in a message for recipients of a case. Its sender is null: nobody is told.
func submit(addr string, number int, to []string) error {
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	say := func(code int, line string) {
		if err != nil {
			return
		}
		if line != "" {
			c.PrintfLine("%s", line)
		}
		if _, _, err = c.ReadResponse(code); err != nil {
			err = fmt.Errorf("%s: %w", line, err)
		}
	}
	say(220, "")
	say(250, "EHLO client.example")
	say(250, "MAIL FROM:<>")
	for _, who := range to {
		say(250, fmt.Sprintf("RCPT TO:<%s@c%d.example>", who, number))
	}
	say(354, "DATA")
	say(250, "Subject: x\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-Id: <1@x>\r\nFrom: x@x.example\r\n\r\nbody\r\n.")
	say(221, "QUIT")
	return err
}

var (
	ofCase      = regexp.MustCompile(`: (\w+): to=<\w+@c(\d+)\.example>`)
	portInLine  = regexp.MustCompile(`\]:(\d+)`)
	clientLine  = regexp.MustCompile(`^\S+ +\d+ \S+ \S+ postfix/(?:smtp|lmtp)\[\d+\]: (?:(\w+): )?(.*)$`)
	statusLine  = regexp.MustCompile(`^to=<(\w+)@[^>]*>, relay=([^,]*), .*dsn=([\d.]+), status=(\w+) (.*)$`)
	changing    = regexp.MustCompile(`\b(SIZE=|PORT=|message size )\d+`)
	handshakes  = regexp.MustCompile(`SSL_connect error to (\S+):.*`)
	recordedFor = regexp.MustCompile(`(?m)^== (.*)\n((?:.+\n)*)`)
)

// linesByCase are the lines of a log that may be about each case: those with the queue ID of its
// message or the port of its server.
func linesByCase(cases []*serverCase, log string) [][]string {
	byID, byPort := map[string]int{}, map[string]int{}
	for i, c := range cases {
		_, port, _ := net.SplitHostPort(c.server.Addr)
		byPort[port] = i
	}
	for _, m := range ofCase.FindAllStringSubmatch(log, -1) {
		byID[m[1]], _ = strconv.Atoi(m[2])
	}
	lines := make([][]string, len(cases))
	for line := range strings.SplitSeq(log, "\n") {
		m := clientLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if i, ok := byID[m[1]]; ok {
			lines[i] = append(lines[i], line)
		} else if p := portInLine.FindStringSubmatch(line); p != nil {
			if i, ok := byPort[p[1]]; ok {
				lines[i] = append(lines[i], line)
			}
		}
	}
	return lines
}

// outcome is what the log and the server tell of a case: what became of each recipient,
// what else was logged of it, and what the server heard.
func (c *serverCase) outcome(number int, log string) string {
	domain := fmt.Sprintf("@c%d.example>", number)
	_, port, _ := net.SplitHostPort(c.server.Addr)
	nextPort := "none"
	if c.next != nil {
		_, nextPort, _ = net.SplitHostPort(c.next.Addr)
	}
	plain := strings.NewReplacer("127.0.0.1[127.0.0.1]:"+nextPort, "NEXT:PORT", "127.0.0.1[127.0.0.1]:"+port, "HOST:PORT", "127.0.0.1[127.0.0.1]", "HOST", fmt.Sprintf("c%d.example", number), "case.example")
	id := ""
	for line := range strings.SplitSeq(log, "\n") {
		if !strings.Contains(line, domain) {
			continue
		}
		if m := clientLine.FindStringSubmatch(line); m != nil {
			id = m[1]
		}
	}
	var fates, notes []string
	for line := range strings.SplitSeq(log, "\n") {
		if !strings.Contains(line, "]:"+port) && (id == "" || !strings.Contains(line, id)) {
			continue
		}
		m := clientLine.FindStringSubmatch(line)
		if m == nil || (id == "" || m[1] != id) && !strings.Contains(line, "]:"+port) {
			continue
		}
		if s := statusLine.FindStringSubmatch(m[2]); s != nil {
			fates = append(fates, fmt.Sprintf("%s: %s %s %s %s", s[1], plain.Replace(s[2]), s[3], s[4],
				changing.ReplaceAllString(plain.Replace(s[5]), "${1}n")))
			continue
		}
		text := m[2]
		if m[1] != "" && m[1] != id {
			text = m[1] + ": " + text // the word before the colon is no queue ID
		}
		text = strings.Replace(text, id+": ", "", 1)
		notes = append(notes, "log: "+handshakes.ReplaceAllString(plain.Replace(text), "SSL_connect error to $1"))
	}
	slices.Sort(fates)
	if c.fatesOnly {
		return strings.Join(fates, "\n") + "\n"
	}
	talks := c.server.Talks()
	if c.next != nil {
		talks = append(talks, append([][]string{{"(the next)"}}, c.next.Talks()...)...)
	}
	for _, talk := range talks {
		for i, cmd := range talk {
			talk[i] = changing.ReplaceAllString(plain.Replace(cmd), "${1}n")
		}
		// Postfix says RSET before QUIT where a transaction came to nothing; we say that only
		// if there is more to come.
		heard := strings.Replace(strings.Join(talk, " / "), " / RSET / QUIT", " / QUIT", 1)
		notes = append(notes, "heard: "+heard)
	}
	return strings.Join(append(fates, notes...), "\n") + "\n"
}

// readOutcomes reads a file of outcomes by the names of cases.
func readOutcomes(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]string{}
	for _, m := range recordedFor.FindAllSubmatch(text, -1) {
		outcomes[string(m[1])] = string(m[2])
	}
	return outcomes
}

func writeOutcomes(file, head string, cases []*serverCase, outcomes map[string]string) error {
	var b bytes.Buffer
	b.WriteString(head)
	for _, c := range cases {
		fmt.Fprintf(&b, "\n== %s\n%s", c.name, outcomes[c.name])
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
