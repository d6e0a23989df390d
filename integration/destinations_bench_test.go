package integration

import (
	"fmt"
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

const manyDestinations = 10_000

// destinations serves the zone of many domains with one MX each: host i of them all.
func destinations(b *testing.B, domains int, host func(i int) (name, addr string)) *peers.DNS {
	var zone strings.Builder
	seen := map[string]bool{}
	for i := range domains {
		name, addr := host(i)
		fmt.Fprintf(&zone, "d%d.example. MX 10 %s.\n", i, name)
		if !seen[name] {
			seen[name] = true
			fmt.Fprintf(&zone, "%s. A %s\n", name, addr)
		}
	}
	dns, err := peers.NewDNS(zone.String())
	if err != nil {
		b.Fatal(err)
	}
	return dns
}

// manyAliases is a relay whose alias aN leads to domain N.
func manyAliases(b *testing.B, dns *peers.DNS, port string, domains int, more map[string]string) *relay {
	cf := base(nil)
	delete(cf, "relayhost")
	cf["smtp_dns_support_level"], cf["dns_servers"], cf["smtp_tcp_port"] = "enabled", dns.Addr, port
	cf["smtpd_client_connection_count_limit"], cf["inet_protocols"] = "0", "ipv4"
	for k, v := range more {
		cf[k] = v
	}
	var table strings.Builder
	for i := range domains {
		fmt.Fprintf(&table, "a%d@alias.example to@d%d.example\n", i, i)
	}
	r := newRelay(b, cf, map[string]string{"virtual": table.String()})
	r.start()
	return r
}

// toEach sends a letter to each alias.
func toEach(b *testing.B, addr string, n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	letter := []byte(benchLetter())
	for range benchSessions {
		all.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			l := &leanTalk{Conn: c}
			if err := l.expect("220"); err != nil {
				b.Error(err)
				return
			}
			fmt.Fprint(c, "EHLO client.example\r\n")
			l.expect("250")
			for {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				fmt.Fprintf(c, "MAIL FROM:<s@client.example>\r\nRCPT TO:<a%d@alias.example>\r\nDATA\r\n", i)
				if err := l.expect("250", "250", "354"); err != nil {
					b.Error(err)
					return
				}
				c.Write(letter)
				if err := l.expect("250"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// One letter for each of ten thousand domains at once: with hosts of their own, and with
// one host for all, whose connections they share.
//
//	go test ./integration -run '^$' -bench ManyDestinations -benchtime 1x
func BenchmarkManyDestinations(b *testing.B) {
	for _, c := range []struct {
		name string
		host func(i int) (string, string)
	}{
		{"own-hosts", func(i int) (string, string) {
			return fmt.Sprintf("mx%d.hosts.example", i), fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250)
		}},
		{"one-host", func(int) (string, string) { return "mx.hosts.example", "127.1.0.1" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				sink, err := peers.NewCountSink("0.0.0.0:0", nil)
				if err != nil {
					b.Fatal(err)
				}
				_, port, _ := net.SplitHostPort(sink.Addr)
				r := manyAliases(b, destinations(b, manyDestinations, c.host), port, manyDestinations, nil)
				most := watchFiles(r.cmd.Process.Pid)
				began := time.Now()
				toEach(b, r.smtp, manyDestinations)
				for end := time.Now().Add(10 * limit); sink.Count() < manyDestinations; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						b.Fatalf("%d of %d arrived\n%s", sink.Count(), manyDestinations, tail(r.log(), 10))
					}
				}
				b.ReportMetric(manyDestinations/time.Since(began).Seconds(), "msg/s")
				b.ReportMetric(1000*float64(sink.Conns())/manyDestinations, "conns/1000msg")
				b.ReportMetric(float64(sink.Most()), "most-conns")
				b.ReportMetric(float64(most()), "most-files")
				b.ReportMetric(float64(peakMemory(b, r.cmd.Process.Pid))/(1<<20), "peak-MiB")
				r.stop()
				sink.Stop()
			}
		})
	}
}

// watchFiles looks how many files a process has open, until it is asked.
func watchFiles(pid int) (most func() int) {
	var top atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if files, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd")); err == nil {
					top.Store(max(top.Load(), int64(len(files))))
				}
			}
		}
	}()
	return func() int {
		close(stop)
		<-done
		return int(top.Load())
	}
}

// peakMemory is the most that a process has had resident.
func peakMemory(b *testing.B, pid int) int {
	status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	b.Fatal("no VmHWM")
	return 0
}

// A next hop comes back after an outage: how long until the first letter of the backlog is
// there, and until all are.
//
//	go test ./integration -run '^$' -bench Return -benchtime 1x
func BenchmarkReturn(b *testing.B) {
	const letters = 5000
	for b.Loop() {
		addr := freeAddr(b)
		cf := base(&peers.Sink{Addr: addr})
		cf["smtpd_client_connection_count_limit"] = "0"
		cf["minimal_backoff_time"], cf["maximal_backoff_time"] = "10s", "40s"
		r := newRelay(b, cf, nil)
		r.start()
		backlog(b, r.smtp, letters)
		time.Sleep(30 * time.Second) // the outage
		sink, err := peers.NewCountSink(addr, nil)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		first := time.Duration(0)
		for end := began.Add(10 * limit); sink.Count() < letters; time.Sleep(time.Millisecond) {
			if first == 0 && sink.Count() > 0 {
				first = time.Since(began)
			}
			if time.Now().After(end) {
				b.Fatalf("%d of %d arrived\n%s", sink.Count(), letters, tail(r.log(), 10))
			}
		}
		b.ReportMetric(first.Seconds(), "s-to-first")
		b.ReportMetric((time.Since(began) - first).Seconds(), "s-first-to-last")
		b.ReportMetric(float64(sink.Most()), "most-conns")
		sink.Stop()
		r.stop()
	}
}
