package integration

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// writePair writes cert.pem and key.pem.
func writePair(t *testing.T, dir, name string) {
	t.Helper()
	cfg, err := peers.SelfSigned(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cfg.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cfg.Certificates[0].Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// newMailboxes is a Dovecot of the test's own with its LMTP service, on a Unix socket and a
// port. It has the mailboxes ann, bob and full, which is, in any domain.
func newMailboxes(t *testing.T) (d *dovecot, port string) {
	t.Helper()
	d = newDovecot(t)
	d.socket = d.dir + "/run/lmtp"
	_, port, _ = net.SplitHostPort(freeAddr(t))
	writePair(t, d.dir, "mailboxes.example")
	for name, text := range map[string]string{
		"passwd": "ann:x:65534:65534::/nonexistent::\nbob:x:65534:65534::/nonexistent::\n" +
			"full:x:65534:65534::/nonexistent::userdb_quota_rule=*:bytes=10\n",
		"dovecot.conf": strings.NewReplacer("DIR", d.dir, "PORT", port).Replace(`base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
hostname = mailboxes.example
login_greeting = ready
protocols = lmtp
ssl = yes
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
default_internal_user = root
default_internal_group = root
default_login_user = root
first_valid_uid = 1
mail_location = maildir:DIR/mail/%u
mail_plugins = quota
plugin {
  quota = maildir:User quota
}
passdb {
  driver = passwd-file
  args = username_format=%n DIR/passwd
}
userdb {
  driver = passwd-file
  args = username_format=%n DIR/passwd
}
service lmtp {
  user = root
  chroot =
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
}
service auth {
  user = root
  chroot =
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`)} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(d.dir+"/mail", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(d.dir+"/mail", 65534, 65534); err != nil {
		t.Fatal(err)
	}
	d.start()
	return d, port
}

// mailboxes is all that arrived.
func (d *dovecot) mailboxes() string { return filesIn(d.dir+"/mail", "*/new/*") }

// mailboxLetters are handed in one after the other: to "ann" of each of the domains, of which
// each is one way to the mailboxes.
var mailboxLetters = []struct {
	name, options string
	to            []string
	body          string
}{
	{"by the socket", "", []string{"ann@socket.example"}, "one\r\n"},
	{"by the port", "", []string{"ann@port.example"}, "two\r\n"},
	{"by the host", "", []string{"ann@host.example"}, "three\r\n"},
	{"by the address", "", []string{"ann@address.example"}, "four\r\n"},
	{"several, by the socket", "", []string{"ann@socket.example", "nobody@socket.example", "full@socket.example", "bob@socket.example"}, "five\r\n"},
	{"several, by the port", "", []string{"full@port.example", "ann@port.example", "nobody@port.example", "bob@port.example"}, "six\r\n"},
	{"nobody at all", "", []string{"nobody@socket.example", "none@socket.example"}, "seven\r\n"},
	{"two ways at once", "", []string{"ann@socket.example", "bob@port.example"}, "eight\r\n"},
	{"8-bit", " BODY=8BITMIME", []string{"ann@socket.example"}, "caf\xe9 \xc3\xa9\r\n"},
	{"dots", "", []string{"ann@port.example"}, "..\r\n...\r\n..nine\r\n"},
	{"needs SMTPUTF8: \u00e9", " SMTPUTF8", []string{"ann@socket.example"}, "ten\r\n"},
	{"over TLS", "", []string{"ann@tls.example", "nobody@tls.example", "full@tls.example"}, "eleven\r\n"},
	{"over TLS, by the socket", "", []string{"ann@sockettls.example"}, "twelve\r\n"},
	{"no socket there", "", []string{"ann@nosocket.example"}, "thirteen\r\n"},
	{"no server there", "", []string{"ann@noport.example"}, "fourteen\r\n"},
}

// toMailboxes hands the letters to a mail system whose mailboxes are Dovecot's, and tells
// what it logs about each.
func toMailboxes(t *testing.T, services string, start func(cf map[string]string) subject) map[string]string {
	d, port := newMailboxes(t)
	_, closed, _ := net.SplitHostPort(freeAddr(t))
	s := start(serversConfig())
	tls := " unix - - n - - lmtp -o lmtp_tls_security_level=encrypt -o lmtp_tls_loglevel=1\n"
	s.write("master.cf", s.address()+services+"tls"+tls)
	s.write("sasl_passwd", "")
	s.write("transport", "socket.example lmtp:unix:"+d.socket+"\nport.example lmtp:inet:[127.0.0.1]:"+port+
		"\nhost.example lmtp:[127.0.0.1]:"+port+"\naddress.example lmtp:127.0.0.1:"+port+
		"\ntls.example tls:inet:[127.0.0.1]:"+port+"\nsockettls.example tls:unix:"+d.socket+
		"\nnosocket.example lmtp:unix:"+d.dir+"/none\nnoport.example lmtp:inet:127.0.0.1:"+closed+"\n")
	s.start()
	defer s.stop()
	plain := strings.NewReplacer("]:"+port, "]:PORT", "]:"+closed, "]:CLOSED", d.dir, "DIR")
	outcomes := map[string]string{}
	before := len(s.log())
	since := func(name string, to ...string) {
		t.Helper()
		for _, who := range to {
			for end := time.Now().Add(limit); !strings.Contains(s.log()[before:], "to=<"+who+">"); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: nothing of %s in the log\n%s", name, who, s.log()[before:])
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
		log := s.log()
		outcomes[name] = mailboxLog(plain.Replace(log[before:]))
		before = len(log)
	}
	for _, l := range mailboxLetters {
		if err := handIn(s.address(), l.options, l.to, "Subject: "+l.name+"\r\n\r\n"+l.body); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		since(l.name, l.to...)
	}
	arrived := d.mailboxes()
	for _, l := range mailboxLetters {
		want := strings.Count(outcomes[l.name], " sent (")
		if got := strings.Count(arrived, "\nSubject: "+l.name+"\n"); got != want {
			t.Errorf("%s: %d copies arrived, want %d\n%s", l.name, got, want, outcomes[l.name])
		}
		text := strings.ReplaceAll(strings.ReplaceAll("\r\n"+l.body, "\r\n.", "\r\n"), "\r\n", "\n")
		if want > 0 && !strings.Contains(arrived, "\nSubject: "+l.name+"\n"+text) {
			t.Errorf("%s: did not arrive as it was sent\n%s", l.name, arrived)
		}
	}

	// Dovecot goes while there is mail, and comes back.
	d.stop()
	os.Remove(d.socket)
	for _, to := range []string{"bob@socket.example", "bob@port.example"} {
		if err := handIn(s.address(), "", []string{to}, "Subject: later\r\n\r\nlater\r\n"); err != nil {
			t.Fatal(err)
		}
		since("away: "+to, to)
	}
	d.start()
	dir, _ := s.places()
	if out, code := s.run("postqueue", "-c", dir, "-f"); code != 0 {
		t.Fatalf("postqueue -f: exit status %d\n%s", code, out)
	}
	since("back", "bob@socket.example", "bob@port.example")
	return outcomes
}

var (
	savedReply = regexp.MustCompile(`(250 2\.0\.0 <[^>]*>) \S+ Saved`)
	tlsDetails = regexp.MustCompile(`(TLS connection established to \S+?): .*`)
)

// mailboxLog is what lmtp(8) says in a part of a log, without what is another each time.
func mailboxLog(log string) string {
	var fates, notes []string
	for line := range strings.SplitSeq(log, "\n") {
		m := clientLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if f := regexp.MustCompile(`^to=<([^>]*)>, relay=(.*?), (?:conn_use=\d+, )?delay=.*dsn=([\d.]+), status=(\w+) (.*)$`).FindStringSubmatch(m[2]); f != nil {
			fates = append(fates, fmt.Sprintf("%s: %s %s %s %s", f[1], f[2], f[3], f[4], savedReply.ReplaceAllString(f[5], "$1 ID Saved")))
			continue
		}
		text := m[2]
		if m[1] != "" && len(m[1]) < 9 {
			text = m[1] + ": " + text // no queue ID
		}
		notes = append(notes, "log: "+tlsDetails.ReplaceAllString(text, "$1"))
	}
	return strings.Join(append(sorted(fates), notes...), "\n") + "\n"
}

// handIn sends a message by SMTP. Nobody is told what becomes of it.
func handIn(addr, options string, to []string, content string) error {
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
	say(250, "MAIL FROM:<>"+options)
	for _, who := range to {
		say(250, "RCPT TO:<"+who+">")
	}
	say(354, "DATA")
	say(250, "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-Id: <1@x>\r\nFrom: x@x.example\r\n"+content+".")
	say(221, "QUIT")
	return err
}

// Letters that come together go over few connections, and one to which Dovecot has put an end
// meanwhile costs nothing.
func TestLMTPConnectionsToDovecot(t *testing.T) {
	t.Parallel()
	d, port := newMailboxes(t)
	cf := serversConfig()
	cf["transport_maps"] = "inline:{port.example=lmtp:inet:[127.0.0.1]:" + port + ", socket.example=lmtp:unix:" + d.socket + "}"
	cf["lmtp_destination_concurrency_limit"], cf["initial_destination_concurrency"] = "1", "1"
	cf["lmtp_destination_recipient_limit"] = "2"
	r := newRelay(t, cf, map[string]string{"virtual": "", "sasl_passwd": ""})
	r.start()
	const letters = 20
	for _, domain := range []string{"port.example", "socket.example"} {
		before := strings.Count(d.log(), "Connect from")
		for i := range letters {
			to := []string{"ann@" + domain, "nobody@" + domain, "bob@" + domain}
			if err := handIn(r.smtp, "", to, fmt.Sprintf("Subject: letter %d\r\n\r\nx\r\n", i)); err != nil {
				t.Fatal(err)
			}
		}
		r.waitEmpty()
		if n := strings.Count(d.log(), "Connect from") - before; n > letters {
			t.Errorf("%s: %d connections for %d letters of two transactions each\n%s", domain, n, letters, r.log())
		}
		mustMatch(t, "log", r.log(), `to=<ann@`+domain+`>, relay=\S+, conn_use=\d+, `)
		d.stop()
		os.Remove(d.socket)
		d.start()
		if err := handIn(r.smtp, "", []string{"ann@" + domain}, "Subject: afterwards\r\n\r\nx\r\n"); err != nil {
			t.Fatal(err)
		}
		r.waitEmpty()
	}
	if log := r.log(); strings.Contains(log, "status=deferred") {
		t.Errorf("log:\n%s", log)
	}
	if n := strings.Count(d.mailboxes(), "\nSubject: "); n != 2*(2*letters+1) {
		t.Errorf("%d copies arrived, want %d", n, 2*(2*letters+1))
	}
	r.stop()
}

// Dovecot has the mailboxes: what lmtp(8) of Debian's Postfix makes of its answers is what
// we make of them, and what was sent is what lies in the mailboxes.
func TestLMTPWithDovecot(t *testing.T) {
	t.Parallel()
	theirs := toMailboxes(t, recorderMaster, func(cf map[string]string) subject { return newRecorder(t, cf, freeAddr(t)) })
	ours := toMailboxes(t, " inet n - n - - smtpd\n", func(cf map[string]string) subject {
		return newRelay(t, cf, map[string]string{"virtual": ""})
	})
	for name, want := range theirs {
		if got := ours[name]; got != want {
			t.Errorf("%s\ngot\n%swant\n%s", name, got, want)
		}
	}
}
