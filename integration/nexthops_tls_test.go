package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Mail systems of others as the next hop, with TLS and without: many recipients, of whom one
// is refused; 8-bit; what the sender asked about reports; a message that is too large for
// them, which none of them sees; and letters that come together, over the same connections.
func TestOtherServersWithTLS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postfix", "exim", "opensmtpd"} {
		for _, secured := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " with TLS"}[secured], func(t *testing.T) {
				certs := ""
				if secured {
					certs = t.TempDir()
					os.Chmod(certs, 0o755)
					os.Chmod(filepath.Dir(certs), 0o755)
					writePair(t, certs, "peer.example")
					if name == "exim" { // reads them as the user that it is then
						os.Chown(certs+"/cert.pem", 990, 990)
						os.Chown(certs+"/key.pem", 990, 990)
					}
				}
				next := newNextHopWith(t, name, certs)
				if secured && name == "opensmtpd" {
					toBrokenTLS(t, next)
					return
				}
				toOtherServer(t, next, secured)
			})
		}
	}
}

// toBrokenTLS is for OpenSMTPD 6.8 of Debian 12: with OpenSSL 3 it offers STARTTLS and cannot
// use its key, so that no client gets through the handshake. TLS that only may be is given up
// for a message that is old enough, and mail arrives in the clear.
func toBrokenTLS(t *testing.T, next *otherServer) {
	cf := base(nil)
	_, port, _ := net.SplitHostPort(next.addr)
	cf["relayhost"] = "[127.0.0.1]:" + port
	cf["minimal_backoff_time"], cf["maximal_backoff_time"], cf["queue_run_delay"] = "3s", "3s", "1s"
	r := newRelay(t, cf, nil)
	r.start()
	if err := handIn(r.smtp, "", []string{"info@alias.example"}, "Subject: in the clear\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	r.waitLog(`SSL_connect error to 127\.0\.0\.1\[127\.0\.0\.1\]:`)
	r.waitLog(`to=<target@dest\.example>, .*dsn=4\.7\.5, status=deferred \(Cannot start TLS: handshake failure\)`)
	r.waitLog(`\w{12}: Cannot start TLS: handshake failure`)
	r.waitLog(`to=<target@dest\.example>, .*status=sent \(250 2\.0\.0`)
	r.waitEmpty()
	for end := time.Now().Add(limit); !strings.Contains(next.mail(), "Subject: in the clear"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing arrived\n%s", next.log())
		}
	}
	r.stop()
}

func toOtherServer(t *testing.T, next *otherServer, secured bool) {
	const many, together = 120, 15
	var table strings.Builder
	table.WriteString("info@alias.example target@dest.example\nmany@alias.example bad@dest.example")
	for i := range many {
		fmt.Fprintf(&table, ", r%d@dest.example", i)
	}
	cf := base(nil)
	_, port, _ := net.SplitHostPort(next.addr)
	cf["relayhost"] = "[127.0.0.1]:" + port
	cf["smtp_tls_loglevel"] = "1"
	cf["smtpd_client_connection_count_limit"] = "0"
	cf["smtp_destination_concurrency_limit"] = "1"
	r := newRelay(t, cf, map[string]string{"virtual": table.String() + "\n"})
	r.start()
	send := func(options, to, subject, body string) {
		t.Helper()
		if err := handIn(r.smtp, options, []string{to}, "Subject: "+subject+"\r\n\r\n"+body); err != nil {
			t.Fatal(err)
		}
	}
	send("", "many@alias.example", "many", "x\r\n")
	r.waitLog(`to=<r119@dest\.example>`)
	if log := r.log(); strings.Contains(log, "status=deferred") {
		t.Fatalf("the next hop's log:\n%s\nours:\n%.2000s", next.log(), log)
	}
	r.waitEmpty()
	if n := strings.Count(r.log(), ", orig_to=<many@alias.example>, "); n != many+1 || strings.Count(r.log(), "status=sent") != many {
		t.Errorf("%d fates, want %d, one of them not sent\n%s", n, many+1, r.log())
	}
	mustMatch(t, "log", r.log(), `to=<bad@dest\.example>, .*dsn=5\.\d\.\d, status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 5\d\d .* \(in reply to RCPT TO command\)\)`)
	send(" BODY=8BITMIME RET=HDRS ENVID=abc", "info@alias.example", "8-bit", "caf\xe9 \xc3\xa9\r\n")
	send("", "info@alias.example", "too large", strings.Repeat("0123456789abcdef0123456789abcdef\r\n", nextHopLimit/32))
	r.waitEmpty()
	mustMatch(t, "log", r.log(), fmt.Sprintf(`status=bounced \(message size \d+ exceeds size limit %d of server 127\.0\.0\.1\[127\.0\.0\.1\]\)`, nextHopLimit))
	for i := range together {
		send("", "info@alias.example", fmt.Sprintf("together %d", i), "y\r\n")
	}
	r.waitEmpty()
	log := r.log()
	mustMatch(t, "log", log, `conn_use=\d+, .*status=sent`)
	if strings.Contains(log, "status=deferred") || strings.Contains(log, "warning: ") {
		t.Errorf("the next hop's log:\n%s\nours:\n%s", next.log(), log)
	}
	if trust := strings.Count(log, "Untrusted TLS connection established to 127.0.0.1[127.0.0.1]:"+port); secured != (trust > 0) {
		t.Errorf("%d TLS connections; the next hop's log:\n%s", trust, next.log())
	}
	want := []string{"caf\xe9 \xc3\xa9\n"}
	for i := range together {
		want = append(want, fmt.Sprintf("Subject: together %d\n", i))
	}
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		mail, missing := next.mail(), ""
		for _, w := range want {
			if !strings.Contains(mail, w) {
				missing += fmt.Sprintf(" %q", w)
			}
		}
		if missing == "" {
			if strings.Contains(mail, "Subject: too large") {
				t.Errorf("the message that is too large arrived")
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("did not arrive:%s\n%s", missing, next.log())
		}
	}
	r.stop()
}
