package integration

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What the daemon bears: connections that do nothing, and clients that are slow. Each is
// one run that prints ratios; each fails where a bound is broken.
//
//	go test ./integration -run '^$' -bench IdleConnections -benchtime 1x -timeout 30m
//	go test ./integration -run '^$' -bench SlowClients -benchtime 1x -timeout 30m

const (
	idleConnections = 10000
	mostPerIdle     = 32 << 10 // bytes of resident memory for each
	slowClients     = 1000
	leastOfNormal   = 0.9 // of the throughput without slow clients
)

// loaded is a daemon without limits for one client, with TLS.
func loaded(b *testing.B, next string) *relay {
	cf := base(nil)
	_, port, _ := net.SplitHostPort(next)
	cf["relayhost"] = "[127.0.0.1]:" + port
	r := newRelay(b, cf, nil)
	cf["smtpd_client_connection_count_limit"], cf["smtpd_timeout"], cf["smtpd_tls_security_level"] = "0", "3600s", "may"
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(b, r, "own", "mx.alias.example")
	r.configure(cf)
	r.write("master.cf", r.smtp+" inet n - n - 0 smtpd\n") // no process limit
	r.start()
	return r
}

// raiseFileLimit lets this process, and those that it starts, have many connections.
func raiseFileLimit(b *testing.B, need uint64) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		b.Fatal(err)
	}
	if l.Cur < need {
		l.Cur, l.Max = need, max(need, l.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			b.Fatalf("%d open files are needed (ulimit -n): %v", need, err)
		}
	}
}

// dialFrom connects from one of many addresses of loopback, so that ports suffice.
func dialFrom(i int, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(10+i%20))}, Timeout: limit}
	return d.Dial("tcp", addr)
}

// resident is the resident memory of a process, in bytes.
func resident(b *testing.B, pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		b.Fatal(err)
	}
	return kb << 10
}

func BenchmarkIdleConnections(b *testing.B) {
	for name, secure := range map[string]bool{"clear": false, "starttls": true} {
		b.Run(name, func(b *testing.B) {
			raiseFileLimit(b, idleConnections+1000)
			for b.Loop() {
				r := loaded(b, newSink(b).Addr)
				// What the first connections bring with them is not theirs.
				for _, c := range openIdle(b, r.smtp, 100, secure) {
					c.Close()
				}
				before := resident(b, r.cmd.Process.Pid)
				began := time.Now()
				conns := openIdle(b, r.smtp, idleConnections, secure)
				b.ReportMetric(float64(idleConnections)/time.Since(began).Seconds(), "connections/s")
				each := float64(resident(b, r.cmd.Process.Pid)-before) / idleConnections
				b.ReportMetric(each/1024, "KiB/connection")
				if each > mostPerIdle {
					b.Errorf("an idle connection takes %.0f bytes, more than %d", each, mostPerIdle)
				}
				for i, c := range conns { // they are all there, and are served
					if i%100 == 0 {
						// So many connections are stress, under which a NOOP is one too many.
						if err := c.exchange("MAIL FROM:<>"); err != nil {
							b.Errorf("connection %d: %v", i, err)
						}
					}
					c.Close()
				}
				r.stop()
			}
		})
	}
}

// idle is a client that has said EHLO and waits.
type idle struct {
	net.Conn
}

// openIdle opens connections, several at a time.
func openIdle(b *testing.B, addr string, n int, secure bool) []*idle {
	conns := make([]*idle, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				c, err := openOne(i, addr, secure)
				if err != nil {
					b.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return conns
}

func openOne(i int, addr string, secure bool) (*idle, error) {
	nc, err := dialFrom(i, addr)
	if err != nil {
		return nil, err
	}
	c := &idle{nc}
	c.SetDeadline(time.Now().Add(10 * limit))
	if err = c.hear(); err == nil {
		err = c.exchange("EHLO client.example")
	}
	if secure && err == nil {
		if err = c.exchange("STARTTLS"); err == nil {
			c.Conn = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			err = c.exchange("EHLO client.example")
		}
	}
	return c, err
}

func (c *idle) exchange(line string) error {
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		return err
	}
	return c.hear()
}

// hear reads a reply without keeping a buffer for more.
func (c *idle) hear() error {
	var b [512]byte
	for n := 0; ; {
		k, err := c.Read(b[n:])
		if err != nil {
			return err
		}
		n += k
		text := string(b[:n])
		last := strings.TrimSuffix(text, "\r\n")
		last = last[strings.LastIndexByte(last, '\n')+1:]
		if len(text) > len(last) && strings.HasSuffix(text, "\r\n") && len(last) > 3 && last[3] == ' ' {
			if last[0] != '2' {
				return fmt.Errorf("the server says %q", text)
			}
			return nil
		}
	}
}

// Normal mail beside a thousand clients that send a byte every few seconds, one half of
// them in a command, the other in the content of a message.
func BenchmarkSlowClients(b *testing.B) {
	raiseFileLimit(b, 2*slowClients+1000)
	const letters, rounds = 4000, 9
	for b.Loop() {
		sink := newSink(b)
		sink.CountOnly()
		r := loaded(b, sink.Addr)
		arrived := 0
		normal := func() time.Duration {
			began := time.Now()
			sendNormal(b, r.smtp, letters)
			arrived += letters
			for end := time.Now().Add(10 * limit); sink.Count() < arrived; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					b.Fatalf("%d of %d arrived", sink.Count(), arrived)
				}
			}
			return time.Since(began)
		}
		normal() // to warm up
		var without, with time.Duration
		ratios := make([]float64, 0, rounds)
		for range rounds { // in turn, so that what else happens on the machine meets both
			alone := normal()
			slow := startSlow(b, r.smtp)
			beside := normal()
			slow.stop(b)
			without, with = without+alone, with+beside
			ratios = append(ratios, float64(alone)/float64(beside))
		}
		slices.Sort(ratios)
		ratio := ratios[rounds/2] // the median: a round that somebody disturbed does not count
		b.ReportMetric(letters*rounds/without.Seconds(), "msg/s-without")
		b.ReportMetric(letters*rounds/with.Seconds(), "msg/s-with")
		b.ReportMetric(ratio, "of-normal")
		if ratio < leastOfNormal {
			b.Errorf("beside %d slow clients mail has %.2f of its throughput, less than %.2f", slowClients, ratio, leastOfNormal)
		}
		r.stop()
	}
}

func sendNormal(b *testing.B, addr string, letters int64) {
	letter := "From: sender@client.example\r\nSubject: normal\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", benchSize/64) + ".\r\n"
	var next atomic.Int64
	var wg sync.WaitGroup
	for range benchSessions {
		wg.Go(func() {
			if err := benchSession(addr, letter, &next, letters, true); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// slowlings are clients that drip.
type slowlings struct {
	conns []net.Conn
	quit  chan struct{}
	done  sync.WaitGroup
}

// startSlow connects them all, and has each send a byte every three seconds.
func startSlow(b *testing.B, addr string) *slowlings {
	s := &slowlings{quit: make(chan struct{})}
	for i := range slowClients {
		nc, err := dialFrom(i, addr)
		if err != nil {
			b.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * limit))
		s.conns = append(s.conns, nc)
		r := bufio.NewReaderSize(nc, 512)
		lines := []string{"", "EHLO slow.example"}
		if i%2 == 0 {
			lines = append(lines, "MAIL FROM:<slow@client.example>", "RCPT TO:<info@alias.example>", "DATA")
		}
		for _, line := range lines {
			if line != "" {
				io.WriteString(nc, line+"\r\n")
			}
			for last := "   -"; len(last) > 3 && last[3] == '-'; {
				if last, err = r.ReadString('\n'); err != nil || last[0] != '2' && last[0] != '3' {
					b.Fatalf("slow client: %q: %q, %v", line, last, err)
				}
			}
		}
	}
	const every, slices = 3 * time.Second, 30
	s.done.Go(func() {
		tick := time.NewTicker(every / slices)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
			for i := n % slices; i < len(s.conns); i += slices {
				s.conns[i].Write([]byte("N"))
			}
		}
	})
	return s
}

// stop takes them away, after a look whether they were there all the time.
func (s *slowlings) stop(b *testing.B) {
	close(s.quit)
	s.done.Wait()
	for i, c := range s.conns {
		if i < 2 {
			c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == io.EOF {
				b.Errorf("slow client %d was answered, or has been cut off: %v", i, err)
			}
		}
		c.Close()
	}
}
