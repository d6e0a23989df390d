package integration

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Clients at the door, one listener and one client address for each case of
// testdata/screen.txt: what Debian's postscreen replied and logged, and that we do the
// same. The file is rewritten with
//
//	go test ./integration -run TestScreenOfPostfix -record-screen

var recordScreen = flag.Bool("record-screen", false, "rewrite testdata/screen.txt with what the installed postscreen does")

const screenFile = "testdata/screen.txt"

// screenCase is one listener and what a client does to it.
type screenCase struct {
	name    string
	set     []string // name = value
	dns     []string // LIST ADDRESS: the client is on it
	steps   []string
	replies []string
	log     []string
	client  string
	ours    []string // what the log of Postfix has, what ours has in its place

	connected int // how often the client has, when it has played
}

func loadScreenCases(t *testing.T) []*screenCase {
	t.Helper()
	text, err := os.ReadFile(screenFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []*screenCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, &screenCase{name: name, client: fmt.Sprintf("127.0.1.%d", len(cases)+1)})
			continue
		}
		c := cases[len(cases)-1]
		rest := line[min(2, len(line)):]
		switch {
		case strings.HasPrefix(line, "< "):
			c.replies = append(c.replies, rest)
		case strings.HasPrefix(line, "| "):
			c.log = append(c.log, rest)
		case strings.HasPrefix(line, "ours "):
			c.ours = strings.Fields(line[5:])
		case strings.HasPrefix(line, "dns "):
			c.dns = append(c.dns, line[4:])
		case (strings.Contains(line, " = ") || strings.HasSuffix(line, " =")) && !strings.HasPrefix(line, "> "):
			c.set = append(c.set, line)
		default:
			c.steps = append(c.steps, line)
		}
	}
	return cases
}

func writeScreenCases(t *testing.T, cases []*screenCase) {
	t.Helper()
	text, err := os.ReadFile(screenFile)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "== ")
	var b strings.Builder
	b.WriteString(head)
	for _, c := range cases {
		b.WriteString("== " + c.name + "\n")
		if c.ours != nil {
			b.WriteString("ours " + strings.Join(c.ours, " ") + "\n")
		}
		for _, part := range []struct {
			mark  string
			lines []string
		}{{"", c.set}, {"dns ", c.dns}, {"", c.steps}, {"< ", c.replies}, {"| ", c.log}} {
			for _, line := range part.lines {
				b.WriteString(part.mark + line + "\n")
			}
		}
		b.WriteString("\n")
	}
	if err := os.WriteFile(screenFile, []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// screenConfig is what all listeners share.
var screenConfig = []string{
	"myhostname = mx.example.com", "mydestination =", "mynetworks = 127.0.0.1/32", "virtual_alias_domains = virt.example",
	"virtual_alias_maps = inline:{ {a@virt.example=b@dest.example} }", "virtual_mailbox_domains =",
	"local_transport = error:local mail delivery is disabled", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
	"smtpd_peername_lookup = no", "smtpd_error_sleep_time = 0", "smtp_dns_support_level = disabled",
	"smtpd_forbid_unauth_pipelining = no", "postscreen_greet_wait = 5s", "smtpd_tls_security_level = none",
	"smtpd_forbidden_commands = CONNECT GET POST", "disable_vrfy_command = no",
}

// screenServices are the lines of master.cf. Postfix needs an allow list for each.
func screenServices(t *testing.T, cases []*screenCase) (text string, addrs []string) {
	t.Helper()
	var b strings.Builder
	for i, c := range cases {
		addrs = append(addrs, freeAddr(t))
		fmt.Fprintf(&b, "%s inet n - n - 1 postscreen\n  -o { postscreen_cache_map = btree:$data_directory/screen%d }\n", addrs[i], i)
		for _, set := range c.set {
			b.WriteString("  -o { " + set + " }\n")
		}
	}
	b.WriteString("smtpd pass - - n - - smtpd\n")
	return b.String(), addrs
}

// screenZone has the clients that are on lists.
func screenZone(cases []*screenCase) string {
	var b strings.Builder
	for _, c := range cases {
		part := strings.Split(c.client, ".")
		slices.Reverse(part)
		for _, line := range c.dns {
			list, answer, _ := strings.Cut(line, " ")
			fmt.Fprintf(&b, "%s.%s. 300 A %s\n", strings.Join(part, "."), list, answer)
		}
	}
	return b.String()
}

// newScreenDNS serves the lists on a port that every resolver knows.
func newScreenDNS(t *testing.T, cases []*screenCase) (dns *peers.DNS, host string) {
	t.Helper()
	var err error
	for n := 1; n < 100; n++ {
		host = fmt.Sprintf("127.53.%d.%d", os.Getpid()%250, n)
		if dns, err = peers.NewDNSAt(host+":53", screenZone(cases)); err == nil {
			t.Cleanup(dns.Close)
			return dns, host
		}
	}
	t.Fatal(err)
	return nil, ""
}

// runScreenCases has all clients come at a time. done tells from the log about a client
// whether all that it caused is over.
func runScreenCases(t *testing.T, cases []*screenCase, addrs []string, log func() string) (replies, logs [][]string) {
	replies, logs = make([][]string, len(cases)), make([][]string, len(cases))
	var all sync.WaitGroup
	for i, c := range cases {
		all.Go(func() {
			replies[i] = c.play(t, addrs[i])
			for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if logs[i] = c.said(log()); over(logs[i], c.connected) {
					break
				}
			}
		})
	}
	all.Wait()
	return replies, logs
}

// over tells whether so many connections are in a log, and each has come to its end: at the
// door, or behind it.
func over(lines []string, connections int) bool {
	begun, ended := 0, 0
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "postscreen: CONNECT from "):
			begun++
		case strings.HasPrefix(l, "postscreen: DISCONNECT "), strings.HasPrefix(l, "smtpd: disconnect from "):
			ended++
		}
	}
	return begun == connections && begun == ended
}

var (
	screenLine = regexp.MustCompile(`^.*postfix/(?:[\w.:-]*/)?(postscreen|dnsblog|smtpd)\[\d+\]: (.*)$`)
	screenPort = regexp.MustCompile(`\]:\d+`)
	screenTime = regexp.MustCompile(` after [0-9.]+ from`)
)

// said are the lines about a client: those of the door, then those of smtpd and, in no
// order of their own, those of the lists.
func (c *screenCase) said(log string) []string {
	var door, lists, smtpd []string
	for line := range strings.Lines(log) {
		m := screenLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil || !strings.Contains(m[2], "["+c.client+"]") && !strings.Contains(m[2], "addr "+c.client+" ") {
			continue
		}
		text := strings.ReplaceAll(m[1]+": "+m[2], c.client, "CLIENT")
		text = screenTime.ReplaceAllString(screenPort.ReplaceAllString(text, "]:PORT"), " after TIME from")
		switch m[1] {
		case "postscreen":
			door = append(door, text)
		case "dnsblog":
			lists = append(lists, text)
		default:
			text, _, _ = strings.Cut(text, "CLIENT]")
			smtpd = append(smtpd, text+"CLIENT]")
		}
	}
	slices.Sort(lists)
	return append(append(door, smtpd...), lists...)
}

func TestScreenOfPostfix(t *testing.T) {
	t.Parallel()
	cases := loadScreenCases(t)
	text, addrs := screenServices(t, cases)
	_, resolver := newScreenDNS(t, cases)
	p := newPostfixWith(t, text+"dnsblog unix - - y - 0 dnsblog\ntlsproxy unix - - n - 0 tlsproxy\n",
		append([]string{"relayhost = [127.0.0.1]:9", "defer_transports = smtp", "inet_protocols = all"}, screenConfig...)...)
	// dnsblog looks for it when it is first asked.
	etc := filepath.Join(filepath.Dir(p.dir), "queue", "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver "+resolver+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	replies, logs := runScreenCases(t, cases, addrs, p.log)
	if *recordScreen {
		for i, c := range cases {
			c.replies, c.log = replies[i], logs[i]
		}
		writeScreenCases(t, cases)
		return
	}
	compareScreenCases(t, cases, replies, logs)
}

func TestScreenAsPostfix(t *testing.T) {
	t.Parallel()
	cases := loadScreenCases(t)
	dns, _ := newScreenDNS(t, cases)
	cf := base(newSink(t))
	for _, line := range screenConfig {
		name, value, _ := strings.Cut(line, "=")
		cf[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	cf["dns_servers"] = dns.Addr
	r := newRelay(t, cf, nil)
	text, addrs := screenServices(t, cases)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+text)
	r.start()
	replies, logs := runScreenCases(t, cases, addrs, r.log)
	for _, c := range cases {
		for i := range c.log {
			c.log[i] = strings.NewReplacer(c.ours...).Replace(c.log[i])
		}
	}
	compareScreenCases(t, cases, replies, logs)
}

func compareScreenCases(t *testing.T, cases []*screenCase, replies, logs [][]string) {
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, want := strings.Join(replies[i], "\n"), strings.Join(c.replies, "\n"); got != want {
				t.Errorf("%s\nreplies:\n%s\nwant:\n%s", strings.Join(c.set, "\n"), got, want)
			}
			if slices.Contains(c.steps, "aside") { // of two connections that end at once
				slices.Sort(logs[i])
				slices.Sort(c.log)
			}
			if got, want := strings.Join(logs[i], "\n"), strings.Join(c.log, "\n"); got != want {
				t.Errorf("%s\nlog:\n%s\nwant:\n%s", strings.Join(c.set, "\n"), got, want)
			}
		})
	}
}
