package integration

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// Delivery alone: letters of 4 KiB wait in the queue while their next hop is down, and the
// clock runs from the moment when all are to be sent at once until the last has arrived,
// over connections that are kept, in the clear and with TLS. Postfix does the same, once
// as it is and, with TLS, once more with smtp_tls_connection_reuse.
//
//	go test ./integration -run '^$' -bench NextHop -benchtime 5000x
func BenchmarkNextHop(b *testing.B) {
	for _, secure := range []bool{false, true} {
		name, level := "plain", "none"
		var offers *tls.Config
		if secure {
			name, level = "tls", "encrypt"
			cfg, err := peers.SelfSigned("sink.example")
			if err != nil {
				b.Fatal(err)
			}
			offers = cfg
		}
		b.Run(name+"/aliasmx", func(b *testing.B) {
			addr := freeAddr(b)
			cf := base(&peers.Sink{Addr: addr})
			cf["smtpd_client_connection_count_limit"], cf["smtp_tls_security_level"] = "0", level
			r := newRelay(b, cf, nil)
			r.start()
			backlog(b, r.smtp, b.N)
			drain(b, addr, offers, func() { r.mustRun("postqueue", "-c", r.dir, "-f") },
				func() time.Duration { return cpuTime(b, r.cmd.Process.Pid) }, r.log)
		})
		for _, reuse := range []string{"no", "yes"} {
			if !secure && reuse == "yes" {
				continue
			}
			variant := "/postfix"
			if reuse == "yes" {
				variant += "-reuse"
			}
			b.Run(name+variant, func(b *testing.B) {
				addr := freeAddr(b)
				_, port, _ := net.SplitHostPort(addr)
				table := filepath.Join(b.TempDir(), "virtual")
				os.Chmod(filepath.Dir(table), 0o755)
				os.Chmod(filepath.Dir(filepath.Dir(table)), 0o755)
				if err := os.WriteFile(table, []byte(virtualTable), 0o644); err != nil {
					b.Fatal(err)
				}
				mustExec(b, "/usr/sbin/postmap", "hash:"+table)
				p := newPostfixWith(b, "tlsproxy unix - - n - 0 tlsproxy\n", "virtual_alias_domains = alias.example", "virtual_alias_maps = hash:"+table,
					"relayhost = [127.0.0.1]:"+port, "virtual_mailbox_domains =", "smtpd_client_connection_count_limit = 0",
					"smtp_tls_security_level = "+level, "smtp_tls_connection_reuse = "+reuse)
				backlog(b, p.addr, b.N)
				drain(b, addr, offers, func() { mustExec(b, "/usr/sbin/postqueue", "-c", p.dir, "-f") },
					func() time.Duration { return cpuOf(b, p.processes(b)) }, p.log)
			})
		}
	}
}

// backlog leaves letters with a relay whose next hop is down.
func backlog(b *testing.B, addr string, n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range benchSessions {
		all.Go(func() {
			if err := leanSession(addr, benchLetter(), &next, int64(n), true); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	time.Sleep(3 * time.Second) // the last attempts to connect
}

func benchLetter() string {
	return "From: sender@client.example\r\nSubject: benchmark\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", benchSize/64) + ".\r\n"
}

// drain brings the next hop up and measures.
func drain(b *testing.B, addr string, offers *tls.Config, flush func(), cpu func() time.Duration, log func() string) {
	sink, err := peers.NewCountSink(addr, offers)
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Stop()
	before := cpu()
	b.ResetTimer()
	flush()
	for end := time.Now().Add(2 * limit); sink.Count() < b.N; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d arrived\n%s", sink.Count(), b.N, tail(log(), 20))
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/msg")
	b.ReportMetric(1000*float64(sink.Conns())/float64(b.N), "conns/1000msg")
	b.ReportMetric(float64(sink.Most()), "most-conns")
}
