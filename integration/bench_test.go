package integration

import (
	"bufio"
	"crypto/tls"
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

// The whole way of a message as a benchmark: many SMTP sessions send letters of
// 4 KiB to one alias, and the clock stops when the last has arrived at the next hop.
// Generator, relay and next hop share the machine; ratios between two runs of one
// session mean something, single figures do not.
//
//	go test ./integration -run '^$' -bench WholeWay -benchtime 20000x

const (
	benchSessions = 50
	benchSize     = 4 << 10
)

func BenchmarkWholeWay(b *testing.B) {
	for _, mode := range []struct {
		name string
		keep bool
	}{{"kept", true}, {"one-message-per-connection", false}} {
		b.Run(mode.name+"/aliasmx", func(b *testing.B) {
			sink := countSink(b, nil)
			cf := base(&peers.Sink{Addr: sink.Addr})
			cf["smtpd_client_connection_count_limit"] = "0"
			r := newRelay(b, cf, nil)
			r.start()
			run(b, r.smtp, sink.Count, mode.keep, func() time.Duration { return cpuTime(b, r.cmd.Process.Pid) })
		})
		b.Run(mode.name+"/postfix", func(b *testing.B) {
			sink := countSink(b, nil)
			_, port, _ := net.SplitHostPort(sink.Addr)
			table := filepath.Join(b.TempDir(), "virtual")
			os.Chmod(filepath.Dir(table), 0o755)
			os.Chmod(filepath.Dir(filepath.Dir(table)), 0o755)
			if err := os.WriteFile(table, []byte(virtualTable), 0o644); err != nil {
				b.Fatal(err)
			}
			mustExec(b, "/usr/sbin/postmap", "hash:"+table)
			p := newPostfix(b, "virtual_alias_domains = alias.example", "virtual_alias_maps = hash:"+table,
				"relayhost = [127.0.0.1]:"+port, "virtual_mailbox_domains =", "smtpd_client_connection_count_limit = 0", "smtpd_peername_lookup = no")
			run(b, p.addr, sink.Count, mode.keep, func() time.Duration { return cpuOf(b, p.processes(b)) })
		})
	}
}

// countSink is a next hop that only counts.
func countSink(b *testing.B, offers *tls.Config) *peers.CountSink {
	sink, err := peers.NewCountSink("127.0.0.1:0", offers)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sink.Stop)
	return sink
}

// run sends b.N letters and waits for them at the far end.
func run(b *testing.B, addr string, arrived func() int, keep bool, cpu func() time.Duration) {
	letter := "From: sender@client.example\r\nSubject: benchmark\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", benchSize/64) + ".\r\n"
	var next atomic.Int64
	var wg sync.WaitGroup
	before := cpu()
	b.SetBytes(int64(len(letter)))
	b.ResetTimer()
	for range benchSessions {
		wg.Go(func() {
			for next.Load() < int64(b.N) {
				if err := leanSession(addr, letter, &next, int64(b.N), keep); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(10 * limit); arrived() < b.N; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d arrived", arrived(), b.N)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/msg")
}

// benchSession sends letters over one connection, pipelined as far as SMTP allows.
func benchSession(addr, letter string, next *atomic.Int64, end int64, keep bool) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	expect := func(code string, replies int) error {
		for replies > 0 {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if !strings.HasPrefix(line, code) {
				return fmt.Errorf("got %q, want %s", line, code)
			}
			if line[3] == ' ' {
				replies--
			}
		}
		return nil
	}
	if err := expect("220", 1); err != nil {
		return err
	}
	fmt.Fprint(c, "EHLO client.example\r\n")
	if err := expect("250", 1); err != nil {
		return err
	}
	for next.Add(1) <= end {
		fmt.Fprint(c, "MAIL FROM:<sender@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\n")
		if err := expect("250", 2); err != nil {
			return err
		}
		if err := expect("354", 1); err != nil {
			return err
		}
		if _, err := c.Write([]byte(letter)); err != nil {
			return err
		}
		if err := expect("250", 1); err != nil {
			return err
		}
		if !keep {
			break
		}
	}
	fmt.Fprint(c, "QUIT\r\n")
	return expect("221", 1)
}
