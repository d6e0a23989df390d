package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A real HAProxy in front of us, with version 1 of its protocol, and with version 2 and
// checksums: the client is its client, its health checks are its own, and a client for
// whom there is no room hears so through it.
func TestBehindHAProxy(t *testing.T) {
	const program = "/usr/sbin/haproxy"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("haproxy is missing: %v; integration/test installs it", err)
	}
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_upstream_proxy_protocol"] = "haproxy"
	cf["smtpd_upstream_proxy_hosts"] = "127.0.0.1"
	cf["smtpd_client_limit_total"] = "6"
	cf["stress"] = ""
	r := newRelay(t, cf, nil)
	r.start()
	v1, v2 := freeAddr(t), freeAddr(t)
	config := filepath.Join(r.top, "haproxy.cfg")
	text := fmt.Sprintf(`defaults
 mode tcp
 timeout connect 10s
 timeout client 30s
 timeout server 30s
listen one
 bind %s
 server us %s send-proxy
listen two
 bind %s
 option smtpchk EHLO check.example
 server us %s send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 500 check-send-proxy
`, v1, r.smtp, v2, r.smtp)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := new(lockedBuffer)
	proxy := exec.Command(program, "-db", "-f", config)
	proxy.Stdout, proxy.Stderr = out, out
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Process.Kill(); proxy.Wait() })
	// The health check speaks for the proxy itself.
	r.waitLog(`disconnect from unknown\[127\.0\.0\.1\] ehlo=1 quit=1 commands=2`)

	for from, addr := range map[string]string{"127.0.0.3": v1, "127.0.0.4": v2} {
		c := talk(t, addr, from)
		c.hears("220 ")
		c.says("HELO client.example", "250 ")
		c.says("MAIL FROM:<s@client.example>", "250 ")
		c.says("RCPT TO:<info@alias.example>", "250 ")
		c.says("DATA", "354 ")
		c.says("Subject: x\r\n\r\nx\r\n.", "250 ")
		c.says("QUIT", "221 ")
		r.waitLog(`client=unknown\[` + strings.ReplaceAll(from, ".", `\.`) + `\]`)
	}
	if !sink.Wait(2, limit) {
		t.Fatalf("%d messages arrived\n%s", sink.Count(), r.log())
	}
	for _, line := range []string{"haproxy read", "warning: "} {
		if strings.Contains(r.log(), line) {
			t.Errorf("the log has %q:\n%s", line, r.log())
		}
	}

	// Those that are served stay; health checks come and go between them.
	for range 20 {
		c := talk(t, v1, "127.0.0.5")
		line, err := c.r.ReadString('\n')
		if strings.HasPrefix(line, "421 4.7.0 mx.alias.example Error: too many connections") {
			return
		} else if !strings.HasPrefix(line, "220 ") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	t.Errorf("nobody is turned away")
}
