package integration

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// talker is a client that speaks line by line.
type talker struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func talk(t *testing.T, addr, from string) *talker {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(limit))
	return &talker{t, nc, bufio.NewReader(nc)}
}

// hears expects the beginning of a line.
func (c *talker) hears(want string) {
	c.t.Helper()
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		c.t.Fatalf("%q, %v; want %q", line, err, want)
	}
}

// ends expects the end of the connection.
func (c *talker) ends() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
		c.t.Fatalf("%q, %v; want the end", rest, err)
	}
}

func (c *talker) says(line, want string) {
	c.t.Helper()
	io.WriteString(c.nc, line+"\r\n")
	c.hears(want)
}

// The total is over all listeners; who is beyond it hears so at once.
func TestConnectionsInAll(t *testing.T) {
	cf := base(nil)
	cf["smtpd_client_limit_total"] = "3"
	r := newRelay(t, cf, nil)
	second := freeAddr(t)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+second+" inet n - n - - smtpd\n")
	r.start()
	first := talk(t, r.smtp, "127.0.0.2")
	first.hears("220 ")
	for range 2 {
		talk(t, second, "127.0.0.3").hears("220 ")
	}
	for range 3 {
		c := talk(t, r.smtp, "127.0.0.4")
		c.hears("421 4.7.0 mx.alias.example Error: too many connections\r\n")
		c.ends()
	}
	if n := len(regexp.MustCompile(`postfix/smtpd\[\d+\]: warning: smtpd_client_limit_total: all 3 connections are in use`).FindAllString(r.log(), -1)); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, r.log())
	}
	first.says("QUIT", "221 ")
	first.ends()
	r.waitLog(`disconnect from unknown\[127\.0\.0\.2\]`)
	talk(t, second, "127.0.0.5").hears("220 ")
	r.stop()
	mustMatch(t, "log", r.log(), `postfix/anvil\[\d+\]: statistics: max connection count 2 for \(`+regexp.QuoteMeta(second)+`:127\.0\.0\.3\) at [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\n`)
}

// When most connections are in use, new clients are served with stress=yes: Postfix's
// defaults for that, and what an operator has written.
func TestStressComesByItself(t *testing.T) {
	for name, own := range map[string]bool{"defaults": false, "own rules": true} {
		t.Run(name, func(t *testing.T) {
			cf := base(nil)
			cf["smtpd_client_limit_total"] = "5"
			if own {
				cf["smtpd_recipient_restrictions"] = "${stress?{reject}:{permit}}"
				cf["smtpd_hard_error_limit"] = "${stress?{2}:{20}}"
			}
			r := newRelay(t, cf, nil)
			r.start()
			var all []*talker
			for range 4 {
				c := talk(t, r.smtp, "127.0.0.2")
				c.hears("220 ")
				all = append(all, c)
			}
			calm, stressed := all[2], all[3]
			for _, c := range []*talker{calm, stressed} {
				c.says("HELO client.example", "250 ")
				c.says("MAIL FROM:<s@client.example>", "250 ")
			}
			calm.says("RCPT TO:<info@alias.example>", "250 ")
			if own {
				stressed.says("RCPT TO:<info@alias.example>", "554 5.7.1 ")
			}
			calm.says("FOO", "500 ")
			calm.says("NOOP", "250 ")
			stressed.says("FOO", "500 ")
			stressed.hears("421 4.7.0 mx.alias.example Error: too many errors")
			r.waitLog(`postfix/master\[\d+\]: warning: service "` + regexp.QuoteMeta(r.smtp) + `" has 4 of 5 connections in use`)
		})
	}
}

// A stress that the operator has set, or switched off, stays.
func TestStressSwitchedOff(t *testing.T) {
	cf := base(nil)
	cf["smtpd_client_limit_total"] = "2"
	cf["stress"] = ""
	r := newRelay(t, cf, nil)
	r.start()
	talk(t, r.smtp, "127.0.0.2").hears("220 ")
	c := talk(t, r.smtp, "127.0.0.2")
	c.hears("220 ")
	c.says("FOO", "500 ")
	c.says("NOOP", "250 ")
}

// The proxy's client is the client: for relaying, in the log, in Received; also with TLS
// right behind the header, in the same packet.
func TestBehindProxy(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_upstream_proxy_protocol"] = "haproxy"
	cf["smtpd_upstream_proxy_hosts"] = "127.0.0.2"
	r := newRelay(t, cf, nil)
	cert, key := certificateFiles(t, r, "proxied", "mx.alias.example")
	smtps, screened := freeAddr(t), freeAddr(t)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+
		smtps+" inet n - n - - smtpd\n -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file="+cert+" -o smtpd_tls_key_file="+key+"\n"+
		screened+" inet n - n - 1 postscreen\n -o postscreen_upstream_proxy_protocol=haproxy\nsmtpd pass - - n - - smtpd\n")
	r.start()

	c := talk(t, r.smtp, "127.0.0.2")
	io.WriteString(c.nc, "PROXY TCP4 127.0.0.9 127.0.0.8 12345 25\r\n")
	c.hears("220 ")
	c.says("HELO client.example", "250 ")
	c.says("MAIL FROM:<s@client.example>", "250 ")
	c.says("RCPT TO:<x@elsewhere.example>", "250 ") // 127.0.0.9 is in mynetworks
	c.says("DATA", "354 ")
	c.says("Subject: x\r\n\r\nx\r\n.", "250 ")
	c.says("QUIT", "221 ")
	r.waitLog(`client=unknown\[127\.0\.0\.9\]$`)
	r.waitEmpty()
	if got := sink.Messages(); len(got) != 1 || !strings.Contains(string(got[0].Data), "Received: from client.example (unknown [127.0.0.9])") {
		t.Errorf("%d messages at the next hop: %v", len(got), got)
	}

	c = talk(t, smtps, "127.0.0.2")
	secured := tls.Client(&together{Conn: c.nc, first: []byte("PROXY TCP6 2001:db8::1 2001:db8::2 12345 465\r\n")}, &tls.Config{InsecureSkipVerify: true})
	if err := secured.Handshake(); err != nil {
		t.Fatalf("%v\n%s", err, r.log())
	}
	c.nc, c.r = secured, bufio.NewReader(secured)
	c.hears("220 ")
	c.says("QUIT", "221 ")
	r.waitLog(`disconnect from unknown\[2001:db8::1\] quit=1 commands=1`)

	r.waitLog(`warning: ignoring non-empty smtpd_upstream_proxy_protocol setting behind postscreen`)
	c = talk(t, screened, "127.0.0.2")
	io.WriteString(c.nc, "PROXY TCP4 192.0.2.77 127.0.0.8 12345 25\r\n")
	r.waitLog(`connect from unknown\[192\.0\.2\.77\]`)

	stranger := talk(t, r.smtp, "127.0.0.3")
	stranger.hears("421 4.3.0 mx.alias.example Server local error")
	stranger.ends()
	r.waitLog(`warning: haproxy read: 127\.0\.0\.3 is not in smtpd_upstream_proxy_hosts`)
}

// together sends some bytes in one packet with what is written first.
type together struct {
	net.Conn
	first []byte
}

func (c *together) Write(p []byte) (int, error) {
	if c.first == nil {
		return c.Conn.Write(p)
	}
	first := append(c.first, p...)
	c.first = nil
	_, err := c.Conn.Write(first)
	return len(p), err
}

// Without the proxies' addresses anybody could say that he is anybody: nothing starts.
func TestProxyNeedsHosts(t *testing.T) {
	for _, tt := range []struct{ cf, master, want string }{
		{"smtpd_upstream_proxy_protocol", " smtpd\n", `smtpd_upstream_proxy_protocol \(.*main\.cf, line \d+\): whoever connects could say that he is somebody else; set smtpd_upstream_proxy_hosts`},
		{"postscreen_upstream_proxy_protocol", " postscreen\nsmtpd pass - - n - - smtpd\n", `postscreen_upstream_proxy_protocol \(.*\): whoever connects`},
	} {
		cf := base(nil)
		cf[tt.cf] = "haproxy"
		r := newRelay(t, cf, nil)
		r.write("master.cf", r.smtp+" inet n - n - -"+tt.master)
		out, code := r.run("start", "-c", r.dir)
		if code != 78 {
			t.Errorf("%s: exit status %d\n%s", tt.cf, code, out)
		}
		mustMatch(t, tt.cf, out, tt.want)
	}
}

// The highest counts of any client are in the log after a while, as anvil(8) writes them.
func TestAnvilStatistics(t *testing.T) {
	cf := base(nil)
	cf["anvil_status_update_time"] = "1s"
	cf["smtpd_client_message_rate_limit"] = "5"
	r := newRelay(t, cf, nil)
	r.start()
	c := talk(t, r.smtp, "127.0.0.2")
	c.hears("220 ")
	c.says("MAIL FROM:<s@client.example>", "250 ")
	at := regexp.QuoteMeta(r.smtp) + `:127\.0\.0\.2\) at [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d$`
	for _, what := range []string{"connection rate 1/60s", "connection count 1", "message rate 1/60s"} {
		r.waitLog(`postfix/anvil\[\d+\]: statistics: max ` + what + ` for \(` + at)
	}
	r.waitLog(`postfix/anvil\[\d+\]: statistics: max cache size 1 at `)
}

// Every parameter has its place in the configuration that is shown.
func TestLimitsInPostconf(t *testing.T) {
	r := newRelay(t, base(nil), nil)
	page, err := os.ReadFile(filepath.Join("..", "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile("`((?:smtpd|anvil|postscreen)_[a-z0-9_]+[a-z0-9])`").FindAllStringSubmatch(string(page), -1) {
		if out, code := r.run("postconf", "-c", r.dir, "-d", name[1]); code != 0 || !strings.HasPrefix(out, name[1]+" =") {
			t.Errorf("docs/limits.md names %s; postconf: %d %s", name[1], code, out)
		}
	}
}
