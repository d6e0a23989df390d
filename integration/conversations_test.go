package integration

import (
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
	"aliasmx/integration/talks"
)

// The conversations of smtpd/testdata/conversations (docs/conversations.md) with Debian's
// Postfix and with our binary: replies, what the next hop gets, and the log.

const conversationsDir = "../smtpd/testdata/conversations"

var recordConversations = flag.String("record-conversations", "", "write what Postfix says in conversations without any S: line into files of this directory")

// conversationConfig is what all conversations begin with (docs/conversations.md).
var conversationConfig = []string{
	"notify_classes =", "myhostname = mx.example.com", "mydestination =", "mynetworks = 127.0.0.1/32",
	"virtual_alias_domains = virt.example, all.example", "virtual_alias_maps = texthash:{dir}/virtual",
	"local_transport = error:local mail delivery is disabled", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
	"smtpd_peername_lookup = no", "smtpd_error_sleep_time = 0", "virtual_mailbox_domains =", "smtp_dns_support_level = disabled",
	"smtpd_forbid_bare_newline = normalize", "smtpd_forbid_unauth_pipelining = yes", "smtpd_hard_error_limit = 100",
	"disable_mime_output_conversion = yes", "smtp_line_length_limit = 0", "inet_protocols = all",
}

// conversationAliases is the one table, with the entries of all conversations.
func conversationAliases(all []*talks.Conversation) string {
	lines := []string{"a@virt.example b@dest.example", "c@virt.example d@dest.example", "@all.example @dest.example"}
	for _, c := range all {
		lines = append(lines, c.Virtual...)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

// portableConversations are those for servers that are not in this process: all, and
// those that concern everybody.
func portableConversations(t *testing.T, most talks.Audience) (all, chosen []*talks.Conversation) {
	t.Helper()
	all, err := talks.Load(conversationsDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Only <= most && len(c.DNS) == 0 {
			chosen = append(chosen, c)
		}
	}
	return all, chosen
}

// conversationServices is a listener for each set of settings; where a client's doings are
// counted, for each conversation. more adds what listener n needs.
func conversationServices(t *testing.T, list []*talks.Conversation, more func(n int, settings string) (options, services string)) (text string, addrs []string) {
	t.Helper()
	known := map[string]string{}
	var b strings.Builder
	for _, c := range list {
		key := settings(c)
		if strings.Contains(key, "_rate_limit") || strings.Contains(key, "_count_limit") {
			key += "# " + c.Name()
		}
		if known[key] == "" {
			known[key] = freeAddr(t)
			options, services := more(len(known), settings(c))
			b.WriteString(known[key] + " inet n - n - - smtpd\n" + settings(c) + options + services)
		}
		addrs = append(addrs, known[key])
	}
	return b.String(), addrs
}

func settings(c *talks.Conversation) string {
	var b strings.Builder
	for _, s := range c.Settings {
		fmt.Fprintf(&b, "  -o { %s = %s }\n", s.Name, s.Value)
	}
	return b.String()
}

// logins serves the users of the conversations.
func logins(t *testing.T) *peers.Dovecot {
	t.Helper()
	d, err := peers.NewDovecot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d
}

// ofCleanup are the settings of a listener that cleanup(8) has, too. It counts the envelope
// to the size of a message, and a limit of a hundred bytes is soon reached.
func ofCleanup(settings string) string {
	var b strings.Builder
	for line := range strings.Lines(settings) {
		if !strings.Contains(line, "message_size_limit") && !strings.Contains(line, "smtpd_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// checksOf are those settings of a listener that ours looks for at its cleanup service.
func checksOf(settings string) string {
	var b strings.Builder
	for line := range strings.Lines(settings) {
		if strings.Contains(line, "_checks = ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// cleanupFor is a cleanup service for listener n alone.
func cleanupFor(n int, settings string) (options, services string) {
	return fmt.Sprintf("  -o cleanup_service_name=cleanup%d\n", n), fmt.Sprintf("cleanup%d unix n - n - 0 cleanup\n%s", n, settings)
}

// house is a mail server that has conversations, and the next hop behind it.
type house struct {
	t         *testing.T
	log       func() string
	sink      *peers.Sink
	isPostfix bool
	taken     int // messages of the sink that were looked at
}

// converse has one conversation and compares what it left behind.
func (h *house) converse(t *testing.T, c *talks.Conversation, addr string) {
	before := len(h.log())
	p := h.player(addr)
	p.Closed = func(left int) { h.waitOpen(before, left) }
	if err := p.Play(c); err != nil {
		t.Error(err)
	}
	if diff := c.CompareLog(p.IDs.Log(h.wait(before)), p.IDs.Queued(), h.isPostfix); diff != "" {
		t.Error(diff)
	}
	if !h.isPostfix {
		c = onTheWayOut(c)
	}
	if diff := c.CompareQueue(p.IDs.Queue(h.letters(p.IDs.Queued())), h.isPostfix); diff != "" {
		t.Error(diff)
	}
}

// onTheWayOut is a conversation with what our client changes in what was taken: NULs before a
// dot at the beginning of a line leave as spaces (docs/differences.md).
func onTheWayOut(c *talks.Conversation) *talks.Conversation {
	changed := *c
	changed.Queue = slices.Clone(c.Queue)
	for i := range changed.Queue {
		changed.Queue[i].Text = strings.ReplaceAll(changed.Queue[i].Text, `\r\n\x00.`, `\r\n .`)
	}
	return &changed
}

// wait returns the log from a point on, when every connection has ended in it.
func (h *house) wait(from int) string { return h.waitOpen(from, 0) }

// waitOpen is wait for when all but so many connections have ended.
func (h *house) waitOpen(from, left int) string {
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		text := h.log()[from:]
		text = text[:strings.LastIndexByte(text, '\n')+1] // the last line may be under way
		n := strings.Count(text, "]: connect from ")
		if n > 0 && n-left == strings.Count(text, "]: disconnect from ") || time.Now().After(end) {
			return clockTalk.ReplaceAllString(text, "")
		}
	}
}

// clockTalk is what Postfix says of the clocks of a busy machine.
var clockTalk = regexp.MustCompile(`(?m)^.*: warning: (?:file system clock is \d+ seconds ahead of local clock|resetting file time stamps - this hurts performance)\n`)

func (h *house) player(addr string) *talks.Player {
	return &talks.Player{
		Dial: func(from string) (net.Conn, error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit}
			return dialer.Dial("tcp4", addr)
		},
		Pause: time.Sleep, Patience: limit, Postfix: h.isPostfix, IDs: new(talks.IDs),
	}
}

// letters waits for as many messages as the replies said were queued. Reports that the
// server itself makes of them are none.
func (h *house) letters(queued int) []talks.Letter {
	letters := []talks.Letter{}
	for end := time.Now().Add(limit); len(letters) < queued && h.sink.Wait(h.taken+1, time.Until(end)); {
		for _, m := range h.sink.Messages()[h.taken:] {
			if h.taken++; !strings.Contains(m.Data, "Content-Type: multipart/report;") {
				letters = append(letters, talks.Letter{From: m.From, To: m.Rcpts, Data: m.Data})
			}
		}
	}
	return letters
}

// record writes what the server says in conversations that are new, a file for each theme.
func (h *house) record(list []*talks.Conversation, addrs []string) {
	files := map[string]string{}
	for i, c := range list {
		if !c.IsNew() {
			continue
		}
		p := h.player(addrs[i])
		before := len(h.log())
		steps := p.Record(c)
		text := h.wait(before)
		log := p.IDs.Log(text)
		files[c.File] += c.Text(steps, p.IDs.Queue(h.letters(p.IDs.Queued())), log) + "\n"
		if err := os.WriteFile(filepath.Join(*recordConversations, c.File+".txt"), []byte(files[c.File]), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestConversationsNameRules: who differs from Postfix says by which rule.
func TestConversationsNameRules(t *testing.T) {
	page, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := talks.Rules(string(page))
	all, _ := portableConversations(t, talks.Portable)
	for _, c := range all {
		if c.Differs != "" && !slices.Contains(rules, c.Differs) {
			t.Errorf("%s: docs/differences.md has no rule %q", c.Name(), c.Differs)
		}
	}
}

// TestConversationsOfPostfix: what we expect is what Postfix does.
func TestConversationsOfPostfix(t *testing.T) {
	t.Parallel()
	all, list := portableConversations(t, talks.Portable)
	sink := newSink(t)
	_, port, _ := net.SplitHostPort(sink.Addr)
	// A cleanup(8) of its own for each: it has limits, too.
	text, addrs := conversationServices(t, list, func(n int, settings string) (options, services string) {
		return cleanupFor(n, ofCleanup(settings))
	})
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	if err := os.WriteFile(filepath.Join(dir, "virtual"), []byte(conversationAliases(all)), 0o644); err != nil {
		t.Fatal(err)
	}
	cert, key := certificateFiles(t, &relay{t: t, dir: dir}, "own", "mx.example.com")
	lines := []string{"relayhost = [127.0.0.1]:" + port, "enable_long_queue_ids = yes", "smtpd_tls_cert_file = " + cert, "smtpd_tls_key_file = " + key, "smtpd_tls_security_level = none", "notify_classes =",
		"smtpd_sasl_type = dovecot", "smtpd_sasl_path = inet:" + logins(t).Addr()}
	for _, l := range conversationConfig {
		lines = append(lines, strings.ReplaceAll(l, "{dir}", dir))
	}
	p := newPostfixWith(t, text, lines...)
	waitListening(t, addrs, p.log)
	h := &house{t: t, log: p.log, sink: sink, isPostfix: true}
	if *recordConversations != "" {
		h.record(list, addrs)
		return
	}
	h.test(list, addrs)
}

// TestConversationsOfBinary: what we expect is what the built binary does.
func TestConversationsOfBinary(t *testing.T) {
	t.Parallel()
	all, list := portableConversations(t, talks.OnlyOurs)
	sink := newSink(t)
	cf := base(sink)
	for _, line := range conversationConfig {
		name, value, _ := strings.Cut(line, "=")
		cf[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	cf["smtpd_tls_security_level"], cf["smtpd_sasl_type"], cf["smtpd_sasl_path"] = "none", "dovecot", "inet:"+logins(t).Addr()
	r := newRelay(t, cf, map[string]string{"virtual": conversationAliases(all)})
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.example.com")
	r.configure(cf)
	text, addrs := conversationServices(t, list, func(n int, settings string) (options, services string) {
		if settings = checksOf(settings); settings == "" {
			return "", ""
		}
		return cleanupFor(n, settings)
	})
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+text)
	r.start()
	(&house{t: t, log: r.log, sink: sink}).test(list, addrs)
}

// waitListening connects to the last of several servers, and returns when the log has told
// of the end of that connection: it is not to be taken for one of a test.
func waitListening(t testing.TB, addrs []string, log func() string) {
	t.Helper()
	const begin, over = "]: connect from ", "]: disconnect from "
	before := strings.Count(log(), begin)
	end := time.Now().Add(limit)
	for ; ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", addrs[len(addrs)-1]); err == nil {
			c.Close()
			break
		} else if time.Now().After(end) {
			t.Fatalf("nobody listens: %v\n%s", err, log())
		}
	}
	for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text := log()
		if n := strings.Count(text, begin); n > before && n == strings.Count(text, over) {
			return
		}
	}
	t.Fatalf("the log does not tell of a connection\n%s", log())
}

func (h *house) test(list []*talks.Conversation, addrs []string) {
	for i, c := range list {
		h.t.Run(c.Name(), func(t *testing.T) {
			h.converse(t, c, addrs[i])
		})
	}
}
