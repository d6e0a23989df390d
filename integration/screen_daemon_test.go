package integration

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// screened is a relay whose clients are tested.
func screened(t *testing.T, change map[string]string) *relay {
	cf := base(newSink(t))
	cf["postscreen_enable"] = "yes"
	cf["postscreen_greet_wait"] = "1s"
	for name, value := range change {
		cf[name] = value
	}
	return newRelay(t, cf, nil)
}

// greetedAs connects from an address and returns the greeting.
func greetedAs(t *testing.T, r *relay, client string) (net.Conn, string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: limit}
	conn, err := d.Dial("tcp", r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(limit))
	return conn, (&screenCase{client: client}).reply(bufio.NewReader(conn))
}

// One parameter turns the tests on. Who has passed is known after a reload, a restart and
// a crash, and to all listeners.
func TestScreenKeepsItsList(t *testing.T) {
	t.Parallel()
	r := screened(t, nil)
	other := freeAddr(t)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+other+" inet n - n - - smtpd -o smtpd_banner=other\n")
	r.start()
	const teased = `220-mx.alias.example ESMTP Postfix\n220 mx.alias.example ESMTP Postfix`
	plain := "220 mx.alias.example ESMTP Postfix"
	expect := func(when, client, want string) {
		t.Helper()
		conn, got := greetedAs(t, r, client)
		if got != want {
			t.Errorf("%s: greeted by %q, want %q", when, got, want)
		}
		conn.Close()
	}
	expect("the first time", "127.0.2.1", teased)
	r.waitLog(`postfix/postscreen\[\d+\]: PASS NEW \[127\.0\.2\.1\]:\d+`)
	expect("the second time", "127.0.2.1", plain)
	r.mustRun("reload", "-c", r.dir)
	expect("after a reload", "127.0.2.1", plain)
	r.stop()
	r.start()
	expect("after a restart", "127.0.2.1", plain)
	smtp := r.smtp
	r.smtp = other
	expect("at the other listener", "127.0.2.1", "220 other")
	r.smtp = smtp
	expect("another client", "127.0.2.2", teased)
	r.kill()
	r.start()
	expect("after a crash", "127.0.2.1", plain)
	r.stop()

	file := filepath.Join(r.top, "data", "postscreen_cache")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.waitLog(`postfix/postscreen\[\d+\]: warning: postscreen_cache_map .*/data/postscreen_cache: not as it was written; starting with an empty allow list`)
	expect("with a damaged file", "127.0.2.1", teased)
}

// A message of a client that has passed arrives, and nothing of the tests is left for others.
func TestScreenedMessage(t *testing.T) {
	r := screened(t, nil)
	r.start()
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("swaks: %s", out)
	}
	r.waitLog(`to=<target@dest\.example>, .*status=sent`)
	r.waitLog(`postfix/smtpd\[\d+\]: connect from unknown\[127\.0\.0\.1\]`)
}

// Stopping does not wait for clients that wait.
func TestScreenStops(t *testing.T) {
	r := screened(t, map[string]string{"postscreen_greet_wait": "600s"})
	r.start()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.2.1")}, Timeout: limit}
	conn, err := d.Dial("tcp", r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); line != "220-mx.alias.example ESMTP Postfix\r\n" {
		t.Fatalf("greeted by %q, %v", line, err)
	}
	r.stop()
	if line, err := in.ReadString('\n'); line != "421 4.3.2 mx.alias.example Service shutting down\r\n" {
		t.Errorf("told %q, %v", line, err)
	}
}

// Reload turns the tests on and off; what cannot work is refused.
func TestScreenReload(t *testing.T) {
	cf := base(newSink(t))
	r := newRelay(t, cf, nil)
	r.start()
	configure := func(change map[string]string) (string, int) {
		now := map[string]string{}
		for name, value := range cf {
			now[name] = value
		}
		for name, value := range change {
			now[name] = value
		}
		r.configure(now)
		return r.run("reload", "-c", r.dir)
	}
	if _, got := greetedAs(t, r, "127.0.2.1"); !strings.HasPrefix(got, "220 ") {
		t.Errorf("off: %q", got)
	}
	on := map[string]string{"postscreen_enable": "yes", "postscreen_greet_wait": "1s"}
	if out, code := configure(on); code != 0 {
		t.Fatalf("reload: %s", out)
	}
	if _, got := greetedAs(t, r, "127.0.2.1"); !strings.HasPrefix(got, "220-") {
		t.Errorf("on: %q", got)
	}
	for _, c := range []struct{ name, value, wants string }{
		{"postscreen_dnsbl_sites", "bl.example*x", "bad DNSBL weight factor"},
		{"postscreen_access_list", "permit_everybody", "is no rule"},
		{"postscreen_access_list", "cidr:/no/such/file", "/no/such/file"},
		{"postscreen_greet_action", "kill", "postscreen_greet_action"},
		{"postscreen_cache_map", "btree:{top}/other", "takes a restart"},
		{"postscreen_tls_security_level", "encrypt", "smtpd has none"},
	} {
		if out, code := configure(map[string]string{"postscreen_enable": "yes", c.name: c.value}); code == 0 || !strings.Contains(out+r.log(), c.wants) {
			t.Errorf("%s = %s: exit status %d\n%s", c.name, c.value, code, out)
		}
	}
	if out, code := configure(nil); code != 0 {
		t.Fatalf("reload: %s", out)
	}
	if _, got := greetedAs(t, r, "127.0.2.2"); !strings.HasPrefix(got, "220 ") {
		t.Errorf("off again: %q", got)
	}
}
