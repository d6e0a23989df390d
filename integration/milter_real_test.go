package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// The milters that people run, from Debian: OpenDKIM, OpenDMARC and rspamd, each a child of
// the test, without a network.

// runMilter starts a milter with a configuration of its own and waits for its socket. {dir}
// in the configuration is its directory.
func runMilter(t *testing.T, dir, network, addr, config string, command ...string) *os.Process {
	t.Helper()
	conf := filepath.Join(dir, filepath.Base(command[0])+strings.NewReplacer(":", "-", "/", "-").Replace(addr)+".conf")
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(config, "{dir}", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := new(lockedBuffer)
	cmd := exec.Command(command[0], append(command[1:], conf)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; integration/test installs what the tests need", err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-done
		}
	})
	for end := time.Now().Add(2 * limit); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			return cmd.Process
		}
		select {
		case <-done:
			t.Fatalf("%s ended:\n%s", command[0], out)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come up:\n%s", command[0], out)
		}
	}
}

// realDir is a directory that other users may look into.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "milter")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return dir
}

// dkimKey makes a key, and the file of public keys that takes the place of the DNS.
func dkimKey(t *testing.T, dir string) {
	t.Helper()
	mustExec(t, "opendkim-genkey", "-b", "2048", "-s", "s1", "-d", "client.example", "-D", dir)
	record, err := os.ReadFile(filepath.Join(dir, "s1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var key strings.Builder
	for _, part := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(string(record), -1) {
		key.WriteString(part[1])
	}
	if err := os.WriteFile(filepath.Join(dir, "keys"), []byte("s1._domainkey.client.example "+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	signerConf = `Mode s
Domain client.example
Selector s1
KeyFile {dir}/s1.private
RequireSafeKeys no
Canonicalization simple/simple
Syslog no
PidFile {dir}/sign.pid
Socket local:{dir}/sign
UMask 000
`
	verifierConf = `Mode v
AuthservID mx.alias.example
TestPublicKeys {dir}/keys
RequireSafeKeys no
On-BadSignature reject
Syslog no
PidFile {dir}/verify.pid
`
)

const signedLetter = "From: Sender <sender@client.example>\r\nTo: info@alias.example\r\nSubject:  two  spaces\r\n\tand a fold \r\n" +
	"Message-ID: <1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nbody \xc3\xa4 \r\n.\r\n\r\nend\r\n"

// One OpenDKIM signs, by a unix socket, another one behind the next relay verifies: simple
// canonicalization, so that not one byte may have changed on the way.
func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	dir, verifier := realDir(t), freeAddr(t)
	dkimKey(t, dir)
	runMilter(t, dir, "unix", filepath.Join(dir, "sign"), signerConf, "/usr/sbin/opendkim", "-f", "-x")
	host, port, _ := net.SplitHostPort(verifier)
	runMilter(t, dir, "tcp", verifier, verifierConf+"Socket inet:"+port+"@"+host+"\n", "/usr/sbin/opendkim", "-f", "-x")

	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_milters"] = "inet:" + verifier
	cf["virtual_alias_domains"], cf["virtual_alias_maps"] = "alias.example", "inline:{info@alias.example=target@dest.example}"
	second := newRelay(t, cf, map[string]string{})
	second.start()
	cf = base(nil)
	_, port, _ = net.SplitHostPort(second.smtp)
	cf["relayhost"] = "[127.0.0.1]:" + port
	cf["smtpd_milters"], cf["non_smtpd_milters"] = "unix:"+filepath.Join(dir, "sign"), "unix:"+filepath.Join(dir, "sign")
	cf["virtual_alias_domains"], cf["virtual_alias_maps"] = "", ""
	cf["mynetworks"] = "127.0.0.0/8"
	first := newRelay(t, cf, map[string]string{})
	first.start()

	send := []string{"EHLO client.example", "MAIL FROM:<sender@client.example> BODY=8BITMIME", "RCPT TO:<info@alias.example>", "DATA", "~" + strings.ReplaceAll(signedLetter, "\n.", "\n.."), "QUIT"}
	if got := playClient(t, first.smtp, send); !strings.HasPrefix(got[5], "250 ") {
		t.Fatalf("%q", got)
	}
	checkSigned(t, sink, 1, first, second)
	out, code := first.runWith(strings.ReplaceAll(signedLetter, "\r\n", "\n"), "sendmail", "-C", first.dir, "-i", "-f", "sender@client.example", "info@alias.example")
	if code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	checkSigned(t, sink, 2, first, second)

	// A message that somebody changed does not get in.
	text := sink.Messages()[0].Data
	forged := strings.Replace(text[strings.Index(text, "DKIM-Signature: "):], "body ", "bodi ", 1)
	send[4] = "~" + strings.ReplaceAll(forged, "\n.", "\n..")
	if got := playClient(t, second.smtp, send); !strings.HasPrefix(got[5], "550 5.7.0 bad DKIM signature data") && !strings.HasPrefix(got[5], "550 5.7.1") {
		t.Errorf("a changed message: %q", got[5])
	}
	second.waitLog(`milter-reject: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: 5\.7\.\d .*; from=<sender@client\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.example>`)
}

func checkSigned(t *testing.T, sink *peers.Sink, n int, relays ...*relay) {
	t.Helper()
	if !sink.Wait(n, limit) {
		for _, r := range relays {
			t.Log(r.log())
		}
		t.Fatal("nothing arrived")
	}
	text := sink.Messages()[n-1].Data
	mustMatch(t, "message", text, `(?m)^Authentication-Results: mx\.alias\.example;\r?\n?\s+dkim=pass `)
	mustMatch(t, "message", text, `(?m)^DKIM-Signature: v=1; `)
	if !strings.HasSuffix(text, signedLetter) {
		t.Errorf("other bytes than were sent:\n%q", text)
	}
}

// Three in a row: one OpenDKIM signs, another verifies what the first has added, OpenDMARC
// adds its own result.
func TestOpenDMARC(t *testing.T) {
	t.Parallel()
	dir, dkim, dmarc := realDir(t), freeAddr(t), freeAddr(t)
	dkimKey(t, dir)
	at := func(addr string) string {
		host, port, _ := net.SplitHostPort(addr)
		return "Socket inet:" + port + "@" + host + "\n"
	}
	runMilter(t, dir, "unix", filepath.Join(dir, "sign"), signerConf, "/usr/sbin/opendkim", "-f", "-x")
	runMilter(t, dir, "tcp", dkim, verifierConf+at(dkim), "/usr/sbin/opendkim", "-f", "-x")
	if err := os.WriteFile(filepath.Join(dir, "nobody"), []byte("192.0.2.1\n"), 0o644); err != nil { // its default is this machine
		t.Fatal(err)
	}
	runMilter(t, dir, "tcp", dmarc, "AuthservID mx.alias.example\nTrustedAuthservIDs mx.alias.example\nSPFIgnoreResults true\nIgnoreHosts {dir}/nobody\nSyslog false\nPidFile {dir}/dmarc.pid\n"+at(dmarc),
		"/usr/sbin/opendmarc", "-f", "-c")
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_milters"] = "unix:" + filepath.Join(dir, "sign") + " inet:" + dkim + ", { inet:" + dmarc + ", default_action=accept }"
	r := newRelay(t, cf, nil)
	r.start()
	got := playClient(t, r.smtp, []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<info@alias.example>", "DATA", "~" + strings.ReplaceAll(signedLetter, "\n.", "\n.."), "QUIT"})
	if !strings.HasPrefix(got[5], "250 ") || !sink.Wait(1, limit) {
		t.Fatalf("%q\n%s", got, r.log())
	}
	text := sink.Messages()[0].Data
	mustMatch(t, "message", text, `(?m)^Authentication-Results: mx\.alias\.example; dmarc=\w+ .*header\.from=client\.example`)
	mustMatch(t, "message", text, `(?m)^Authentication-Results: mx\.alias\.example;\r?\n?\s+dkim=pass `)
	if !strings.HasSuffix(text, signedLetter) {
		t.Errorf("other bytes than were sent:\n%q", text)
	}
}

const rspamdConf = `options {
  pidfile = "{dir}/rspamd.pid"; tempdir = "{dir}"; control_socket = "{dir}/control mode=0600";
  hs_cache_dir = "{dir}"; cache_file = "{dir}/symbols"; dynamic_conf = "{dir}/dynamic"; url_tld = "{dir}/tld";
  filters = ""; dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "warning"; }
lua = "{dir}/own.lua";
modules { path = "/usr/share/rspamd/plugins/milter_headers.lua"; }
metric { name = "default"; actions { reject = 15; add_header = 6; } }
milter_headers { use = ["x-spam-status"]; skip_local = false; skip_authenticated = false; }
worker "rspamd_proxy" {
  milter = yes; count = 1; timeout = 20s;
  upstream "local" { default = yes; self_scan = yes; }
  bind_socket = "{addr}";
}
`

// A rule of our own, since those of rspamd take long to compile and want the DNS.
const rspamdRule = `rspamd_config:register_symbol{
  name = "TEST_WORD", type = "normal", score = 7.0,
  callback = function(task)
    local subject = task:get_subject()
    return subject ~= nil and subject:find("dubious", 1, true) ~= nil
  end,
}
`

// rspamd as a milter: it lets mail pass, marks it, and refuses it.
func TestRspamd(t *testing.T) {
	dir, addr := realDir(t), freeAddr(t)
	for name, text := range map[string]string{"tld": "example\norg\n", "own.lua": rspamdRule} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runMilter(t, dir, "tcp", addr, strings.ReplaceAll(rspamdConf, "{addr}", addr), "/usr/bin/rspamd", "-f", "-i", "-u", "root", "-g", "root", "-c")
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_milters"] = "inet:" + addr
	cf["milter_mail_macros"] = "i {mail_addr} {client_addr} {client_name} {auth_authen}"
	r := newRelay(t, cf, nil)
	r.start()
	letter := func(subject, body string) []string {
		return []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<info@alias.example>", "DATA",
			"~From: sender@client.example\r\nTo: info@alias.example\r\nSubject: " + subject + "\r\nMessage-ID: <1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n" + body + "\r\n", "QUIT"}
	}
	for i, tt := range []struct{ subject, want string }{{"plain", `(?m)^X-Spam-Status: No`}, {"dubious", `(?m)^X-Spam-Status: Yes`}} {
		if got := playClient(t, r.smtp, letter(tt.subject, "hello")); !strings.HasPrefix(got[5], "250 ") || !sink.Wait(i+1, limit) {
			t.Fatalf("%s: %q\n%s", tt.subject, got, r.log())
		}
		text := sink.Messages()[i].Data
		mustMatch(t, tt.subject, text, tt.want)
		mustMatch(t, tt.subject, text, `Subject: `+tt.subject+`\r\n(?s:.*)\r\n\r\nhello\r\n$`)
	}
	const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	if got := playClient(t, r.smtp, letter("gtube", gtube)); !strings.HasPrefix(got[5], "554 5.7.1 ") {
		t.Errorf("GTUBE: %q", got[5])
	}
	r.waitLog(`cleanup\[\d+\]: \w{12}: milter-reject: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: 5\.7\.1 Gtube pattern; from=<sender@client\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.example>`)
}
