package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// postfix is a Debian Postfix of a test's own: configuration, queue and port apart
// from the system's.
type postfix struct {
	dir, addr string
}

// newPostfix starts one with the given lines of main.cf. Mail to inbox.example is
// kept in the file that inbox names.
func newPostfix(t testing.TB, lines ...string) *postfix { return newPostfixWith(t, "", lines...) }

// newPostfixWith is newPostfix with more services in master.cf. A line replaces an earlier
// one about the same parameter.
func newPostfixWith(t testing.TB, services string, lines ...string) *postfix {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/postfix"); err != nil {
		t.Fatalf("postfix is missing: %v; integration/test installs it", err)
	}
	top, err := os.MkdirTemp("/var/tmp", "postfix-peer")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(top, 0o755)
	p := &postfix{dir: filepath.Join(top, "etc"), addr: freeAddr(t)}
	_, port, _ := net.SplitHostPort(p.addr)
	for _, d := range []string{"etc", "queue", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(top, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, "chown", "postfix", filepath.Join(top, "data"))
	mustExec(t, "chown", "nobody", filepath.Join(top, "mail"))
	main := append([]string{
		"compatibility_level = 3.6", "myhostname = peer.example", "mydestination =", "inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4", "mynetworks = 127.0.0.0/8", "smtp_host_lookup = native", "smtp_dns_support_level = disabled",
		"queue_directory = " + top + "/queue", "data_directory = " + top + "/data", "maillog_file = " + top + "/log",
		"maillog_file_prefixes = " + top, "alias_maps =", "alias_database =", "virtual_mailbox_domains = inbox.example, dest.example",
		"virtual_mailbox_base = " + top + "/mail", "virtual_mailbox_maps = static:all", "virtual_uid_maps = static:65534",
		"virtual_gid_maps = static:65534", "smtpd_peername_lookup = no",
	}, lines...)
	last := map[string]int{}
	for i, line := range main {
		name, _, _ := strings.Cut(line, " ")
		last[name] = i
	}
	for i := range main {
		// Warnings about lines that say the same twice would fill the log's socket.
		if name, _, _ := strings.Cut(main[i], " "); last[name] != i {
			main[i] = "# " + main[i]
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "main.cf"), []byte(strings.Join(main, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	master, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(master), "smtp      inet  n       -       y       -       -       smtpd",
		fmt.Sprintf("127.0.0.1:%s inet n - n - - smtpd", port), 1)
	text = strings.ReplaceAll(text, "       y       ", "       n       ") + "\npostlog unix-dgram n - n - 1 postlogd\n" + services
	if err := os.WriteFile(filepath.Join(p.dir, "master.cf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("/usr/sbin/postfix", "-c", p.dir, "abort").Run()
		os.RemoveAll(top)
	})
	mustExec(t, "/usr/sbin/postfix", "-c", p.dir, "start")
	waitListening(t, []string{p.addr}, p.log)
	return p
}

func (p *postfix) log() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(p.dir), "log"))
	return string(b)
}

func (p *postfix) inbox() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(p.dir), "mail", "all"))
	return string(b)
}

func mustExec(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// Postfix sends to us, we send to Postfix: the letter arrives in the mailbox there.
func TestPostfixOnBothSides(t *testing.T) {
	t.Parallel()
	next := newPostfix(t)
	cf := base(nil)
	_, port, _ := net.SplitHostPort(next.addr)
	cf["relayhost"] = "[127.0.0.1]:" + port
	r := newRelay(t, cf, nil)
	r.start()
	_, ours, _ := net.SplitHostPort(r.smtp)
	sender := newPostfix(t, "relayhost = [127.0.0.1]:"+ours)

	const letter = "From: someone@client.example\nTo: info@alias.example\nSubject: through both\n.*\n\nä letter with 8-bit\n.\nand a lone dot above\n"
	out, code := runProgram(t, letter, "/usr/sbin/sendmail", "-C", sender.dir, "-i", "-f", "someone@client.example", "info@alias.example")
	if code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	for end := time.Now().Add(limit); !strings.Contains(next.inbox(), "and a lone dot above"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing arrived\nsender:\n%s\nours:\n%s\nnext hop:\n%s", sender.log(), r.log(), next.log())
		}
	}
	got := next.inbox()
	mustMatch(t, "mailbox", got, `(?s)Return-Path: <someone@client\.example>.*Subject: through both\n.*\n\nä letter with 8-bit\n\.\nand a lone dot above\n`)
	mustMatch(t, "sender's log", sender.log(), `to=<info@alias\.example>.*status=sent \(250 2\.0\.0 Ok: queued as \w{12}\)`)
	r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, .*status=sent \(250 2\.0\.0 Ok: \d+ bytes queued as \w+\)`)
}

// An address that does not exist: the sending Postfix hears it and bounces there.
func TestPostfixHearsTheRefusal(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	_, ours, _ := net.SplitHostPort(r.smtp)
	sender := newPostfix(t, "relayhost = [127.0.0.1]:"+ours)
	out, code := runProgram(t, "Subject: x\n\nx\n", "/usr/sbin/sendmail", "-C", sender.dir, "-f", "someone@inbox.example", "nobody@alias.example")
	if code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	for end := time.Now().Add(limit); !strings.Contains(sender.log(), "status=bounced"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no bounce\n%s", sender.log())
		}
	}
	mustMatch(t, "sender's log", sender.log(), `dsn=5\.1\.1, status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 550 5\.1\.1 <nobody@alias\.example>: Recipient address rejected: User unknown in virtual alias table \(in reply to RCPT TO command\)\)`)
}
