package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DANE from end to end: a validating resolver, signed zones and the servers of daneCases.
// What Debian's Postfix logs of each is in testdata/dane.txt; it is rewritten with
//
//	go test ./integration -run TestDANEOfPostfix -record-dane

var recordDANE = flag.Bool("record-dane", false, "rewrite testdata/dane.txt with what the installed Postfix does")

const daneFile = "testdata/dane.txt"

const daneHead = `# What Postfix (3.7.11) logs of the next hops of daneCases.
# Written by: go test ./integration -run TestDANEOfPostfix -record-dane
`

var daneConfig = []string{
	"smtp_tls_loglevel = 1", "smtp_host_lookup = dns", "smtp_dns_support_level = dnssec", "mynetworks = 127.0.0.0/8",
	"inet_protocols = ipv4", "smtp_tls_security_level = dane", "transport_maps = texthash:{dir}/transport",
}

// What the installed Postfix does is what was recorded.
func TestDANEOfPostfix(t *testing.T) {
	t.Parallel()
	cases := daneCases()
	w := newDANEWorld(t, cases)
	dir, err := os.MkdirTemp("/var/tmp", "dane")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	master, transport := w.services()
	writeFile(t, dir, "transport", transport)
	writeFile(t, dir, "resolv.conf", "nameserver "+resolverAt53(t, w.lab.Resolver)+"\noptions trust-ad timeout:5 attempts:1\n")
	var config []string
	for _, line := range daneConfig {
		config = append(config, strings.ReplaceAll(line, "{dir}", dir))
	}
	p := newPostfixWith(t, master, config...)
	// It asks the servers of resolv.conf, and so gets one of its own.
	mustExec(t, "/usr/sbin/postfix", "-c", p.dir, "abort")
	mustExec(t, "unshare", "--mount", "sh", "-ec", "mount --make-rprivate /; mount --bind "+filepath.Join(dir, "resolv.conf")+
		" /etc/resolv.conf; exec /usr/sbin/postfix -c "+p.dir+" start")
	waitListening(t, []string{p.addr}, p.log)
	said := w.send(t, p.addr, p.log)
	if *recordDANE {
		var b strings.Builder
		b.WriteString(daneHead)
		for i, c := range cases {
			fmt.Fprintf(&b, "\n== %s\n", c.name)
			for _, line := range said[i] {
				fmt.Fprintf(&b, "| %s\n", line)
			}
		}
		if err := os.WriteFile(daneFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	recorded := loadDANELog(t)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.compare(t, said[i], recorded[c.name]) })
	}
}

// We do what was recorded, or what we do on purpose.
func TestDANEAsPostfix(t *testing.T) {
	t.Parallel()
	cases := daneCases()
	w := newDANEWorld(t, cases)
	cf := base(nil)
	for _, line := range daneConfig {
		name, value, _ := strings.Cut(line, " = ")
		cf[name] = value
	}
	cf["dns_servers"] = w.lab.Resolver
	r := newRelay(t, cf, nil)
	master, transport := w.services()
	r.write("transport", transport)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+master)
	r.start()
	said := w.send(t, r.smtp, r.log)
	recorded := loadDANELog(t)
	for i, c := range cases {
		want := recorded[c.name]
		if c.ours != nil {
			want = c.ours(want)
		}
		t.Run(c.name, func(t *testing.T) { c.compare(t, said[i], want) })
	}
	r.stop()
}

// send sends one message to all next hops and gives what the log says of each.
func (w *daneWorld) send(t *testing.T, addr string, log func() string) [][]string {
	t.Helper()
	var to []string
	for i := range w.cases {
		to = append(to, fmt.Sprintf("x@case%d.example", i))
	}
	if err := smtp.SendMail(addr, nil, "s@client.example", to, []byte("Subject: over TLS\r\n\r\nhello\r\n")); err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	for end := time.Now().Add(2 * limit); strings.Count(log(), ", status=") < len(w.cases); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not all are delivered or deferred\n%s\n%s", log(), w.lab.Said())
		}
	}
	return w.said(log())
}

func (c *daneCase) compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("%s\nlog:\n%s\nwant:\n%s", c.zone, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// resolverAt53 is a resolver at the port that resolv.conf knows alone; it gives its address.
func resolverAt53(t *testing.T, upstream string) string {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	var host string
	var err error
	for range 50 {
		host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
		if udp, err = net.ListenPacket("udp", host+":53"); err != nil {
			continue
		}
		if tcp, err = net.Listen("tcp", host+":53"); err == nil {
			break
		}
		udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		client := dns.Client{Net: []string{"udp", "tcp"}[i], Timeout: limit, UDPSize: 4096}
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			if m, _, err := client.Exchange(q, upstream); err == nil {
				w.WriteMsg(m)
			}
		})
		go s.ActivateAndServe() // ends with Shutdown
		t.Cleanup(func() { s.Shutdown() })
	}
	return host
}
