package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// otherServer is a mail server of somebody else as the next hop. It refuses
// bad@dest.example and keeps what comes for everybody else.
type otherServer struct {
	addr     string
	chunking bool
	mail     func() string // all that came, one after the other
	log      func() string
}

// newNextHop starts one by name, without TLS.
func newNextHop(t *testing.T, name string) *otherServer { return newNextHopWith(t, name, "") }

// nextHopLimit is how large a message the servers of newNextHopWith take.
const nextHopLimit = 5000000

// newNextHopWith starts one whose certificate and key are cert.pem and key.pem in a folder;
// without one it has no TLS.
func newNextHopWith(t *testing.T, name, certs string) *otherServer {
	t.Helper()
	if name == "postfix" {
		lines := []string{"smtpd_recipient_restrictions = check_recipient_access inline:{{bad@dest.example=REJECT no}}, permit_mynetworks, reject",
			fmt.Sprintf("message_size_limit = %d", nextHopLimit)}
		if certs != "" {
			lines = append(lines, "smtpd_tls_security_level = may", "smtpd_tls_cert_file = "+certs+"/cert.pem", "smtpd_tls_key_file = "+certs+"/key.pem")
		}
		p := newPostfix(t, lines...)
		return &otherServer{addr: p.addr, chunking: true, mail: p.inbox, log: p.log}
	}
	unpacked := peers.Unpacked(t)
	program := filepath.Join(unpacked, "usr/sbin", map[string]string{"exim": "exim4", "opensmtpd": "smtpd"}[name])
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%s is missing: %v; integration/test unpacks it", name, err)
	}
	top, err := os.MkdirTemp("/var/tmp", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	os.Chmod(top, 0o755)
	s := &otherServer{addr: freeAddr(t)}
	_, port, _ := net.SplitHostPort(s.addr)
	var script, users string
	tls := "tls_advertise_hosts =\n"
	listen := "listen on 127.0.0.1 port " + port + "\n"
	if certs != "" {
		tls = "tls_advertise_hosts = *\ntls_certificate = " + certs + "/cert.pem\ntls_privatekey = " + certs + "/key.pem\n"
		listen = "pki peer cert \"" + certs + "/cert.pem\"\npki peer key \"" + certs + "/key.pem\"\nlisten on 127.0.0.1 port " + port + " tls pki peer\n"
	}
	switch name {
	case "exim":
		s.chunking = true
		s.mail = func() string { return filesIn(filepath.Join(top, "spool/input"), "*-[HD]") }
		writeFile(t, top, "exim.conf", "keep_environment =\nprimary_hostname = exim.example\nspool_directory = "+top+"/spool\nlog_file_path = "+top+"/spool/%slog\n"+
			tls+fmt.Sprintf("message_size_limit = %d\n", nextHopLimit)+"dsn_advertise_hosts = *\nchunking_advertise_hosts = *\nqueue_only\nacl_smtp_rcpt = rcpt\n"+
			"begin acl\nrcpt:\n deny local_parts = bad\n accept\n")
		users = "Debian-exim:990"
		script = "mkdir " + top + "/spool && chown 990:990 " + top + "/spool\n" +
			"exec " + program + " -C " + top + "/exim.conf -bdf -oX 127.0.0.1." + port
	case "opensmtpd":
		s.mail = func() string { return filesIn(filepath.Join(top, "mail/new"), "*") }
		writeFile(t, top, "smtpd.conf", listen+fmt.Sprintf("smtp max-message-size %d\n", nextHopLimit)+"action keep maildir \""+top+"/mail\" virtual { \"@\" = nobody }\n"+
			"match from any for rcpt-to \"bad@dest.example\" reject\nmatch from any for any action keep\n")
		users = "opensmtpd:991 opensmtpq:992"
		script = "mount -t tmpfs none /var/lib && mkdir -p -m 755 /var/lib/opensmtpd/empty\n" +
			"mount -t tmpfs none /var/spool && mkdir -m 711 /var/spool/smtpd\n" +
			"mount -t tmpfs none /usr/libexec && cp -r " + unpacked + "/usr/libexec/opensmtpd /usr/libexec/\n" +
			"mkdir " + top + "/mail && chown nobody " + top + "/mail\n" +
			"exec " + program + " -d -f " + top + "/smtpd.conf"
	}
	// The users that they are built for exist for them alone.
	before := "set -e\nmount --make-rprivate /\n"
	for _, file := range []string{"passwd", "group"} {
		text, err := os.ReadFile("/etc/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for user := range strings.FieldsSeq(users) {
			who, id, _ := strings.Cut(user, ":")
			if file == "group" {
				text = fmt.Appendf(text, "%s:x:%s:\n", who, id)
			} else {
				text = fmt.Appendf(text, "%s:x:%s:%s::/nonexistent:/usr/sbin/nologin\n", who, id, id)
			}
		}
		writeFile(t, top, file, string(text))
		before += "mount --bind " + top + "/" + file + " /etc/" + file + "\n"
	}
	out := new(lockedBuffer)
	s.log = func() string { return out.String() + filesIn(filepath.Join(top, "spool"), "*log") }
	cmd := exec.Command("unshare", "-m", "-p", "--mount-proc", "--kill-child", "--fork", "sh", "-c", before+script)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		// The first process of the namespace takes all others with it. It has other rights than
		// it began with, and so does not end with unshare.
		id := strconv.Itoa(cmd.Process.Pid)
		children, _ := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
		for child := range strings.FieldsSeq(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		cmd.Process.Kill()
		<-done
	})
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return s
		} else if time.Now().After(end) {
			t.Fatalf("%s does not come up: %v\n%s", name, err, s.log())
		}
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// filesIn is the text of all files that a pattern names.
func filesIn(dir, pattern string) string {
	names, _ := filepath.Glob(filepath.Join(dir, pattern))
	var b strings.Builder
	for _, name := range names {
		text, _ := os.ReadFile(name)
		b.Write(text)
	}
	return b.String()
}

// Small mail and large, by BDAT where the server has it: what arrives is what was sent,
// and the content of a message that nobody is to get is nowhere taken for commands.
func TestOtherServersAsNextHops(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postfix", "exim", "opensmtpd"} {
		t.Run(name, func(t *testing.T) {
			next := newNextHop(t, name)
			cf := base(nil)
			_, port, _ := net.SplitHostPort(next.addr)
			cf["relayhost"] = "[127.0.0.1]:" + port
			r := newRelay(t, cf, map[string]string{"virtual": "info@alias.example target@dest.example\nbad@alias.example bad@dest.example\nboth@alias.example bad@dest.example good@dest.example\n"})
			r.start()
			send := func(to, subject, body string) {
				t.Helper()
				letter := "From: s@client.example\nTo: " + to + "\nMessage-ID: <" + subject + "@client.example>\nSubject: " + subject + "\n\n" + body
				if out, code := r.runWith(letter, "sendmail", "-C", r.dir, "-i", "-f", "<>", to); code != 0 {
					t.Fatalf("sendmail: exit status %d\n%s", code, out)
				}
			}
			dots := ".\n..\n.begins with a dot\nends with one.\n"
			big := strings.Repeat("a line of a large message\n.and one with a dot\n", 20000)
			commands := "RSET\nMAIL FROM:<evil@client.example>\nRCPT TO:<target@dest.example>\nDATA\nSubject: smuggled\n\nx\n.\nQUIT\n"
			send("bad@alias.example", "refused", commands)
			r.waitLog(`to=<bad@dest\.example>, orig_to=<bad@alias\.example>, .*status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 5\d\d.* \(in reply to RCPT TO command\)\)`)
			for _, m := range []struct{ to, subject, body string }{
				{"info@alias.example", "small", dots}, {"info@alias.example", "large", big}, {"both@alias.example", "half", commands}, {"info@alias.example", "last", dots},
			} {
				send(m.to, m.subject, m.body)
			}
			for end := time.Now().Add(limit); strings.Count(r.log(), "to=<target@dest.example>") < 3 || !strings.Contains(r.log(), "to=<good@dest.example>"); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("ours:\n%s\nthe next hop's:\n%s", r.log(), next.log())
				}
			}
			if log := r.log(); strings.Contains(log, "deferred") || strings.Contains(log, "in reply to end of DATA") || strings.Contains(log, "refuses BDAT") {
				t.Errorf("log:\n%s", log)
			}
			var mail string
			for end := time.Now().Add(4 * limit); ; time.Sleep(50 * time.Millisecond) {
				if mail = next.mail(); strings.Count(mail, "Subject: ") == 4 && strings.Contains(mail, "Subject: last\n") || time.Now().After(end) {
					break
				}
			}
			for _, want := range []string{dots, big, commands} {
				if !strings.Contains(mail, want) {
					t.Errorf("content of %d bytes did not arrive as it was sent\n%s", len(want), next.log())
				}
			}
			if n := strings.Count(mail, "\nMAIL FROM:<evil@client.example>\n"); n != 1 {
				t.Errorf("the commands arrived %d times, want once, as content", n)
			}
			if strings.Contains(mail, "evil@client.example>\nX-") || strings.Contains(next.log(), "evil@client.example") {
				t.Errorf("a command was taken from content\n%s", next.log())
			}
			if next.chunking && name == "postfix" {
				mustMatch(t, "the next hop's log", next.log(), `disconnect from .* bdat=`)
			}
			r.stop()
		})
	}
}
