package delivery

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// drain is a server that accepts everything as fast as it can, over loopback.
func drain(nc net.Conn) {
	defer nc.Close()
	r, w := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriter(nc)
	w.WriteString("220 x\r\n")
	w.Flush()
	data := false
	for {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return
		}
		switch {
		case data:
			if data = string(line) != ".\r\n"; !data {
				w.WriteString("250 2.0.0 Ok: queued\r\n")
			}
		case line[0] == 'E':
			w.WriteString("250-x\r\n250-PIPELINING\r\n250-SIZE\r\n250 DSN\r\n")
		case line[0] == 'D':
			data = true
			w.WriteString("354 go\r\n")
		default:
			w.WriteString("250 2.1.0 Ok\r\n")
		}
		if r.Buffered() == 0 {
			w.Flush()
		}
	}
}

// benchSource hands out the same attempt n times.
type benchSource struct {
	b *testing.B
	a *mail.Attempt
	n int
}

func (s *benchSource) Next(context.Context, time.Duration) (*mail.Attempt, bool) {
	s.n--
	return s.a, s.n >= 0
}

func (s *benchSource) Done(_ *mail.Attempt, r []mail.Result, _ mail.Feedback) {
	if r[0].State != mail.Delivered {
		s.b.Fatal(fates(r))
	}
}

// Messages over one connection that is reused, with what they cost in allocations.
func BenchmarkDeliver(b *testing.B) {
	line := strings.Repeat("x", 70) + "\r\n"
	for _, c := range []struct {
		name  string
		size  int
		rcpts int
		body  func(body) mail.Body
	}{
		{"3.6KB", 3600, 1, func(b body) mail.Body { return b }},
		{"3.6KB/10rcpts", 3600, 10, func(b body) mail.Body { return b }},
		{"1MB", 1 << 20, 1, func(b body) mail.Body { return b }},
		{"1MB/reader", 1 << 20, 1, func(b body) mail.Body { return reader{b} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			near, far := tcpPair(b)
			var server sync.WaitGroup
			server.Go(func() { drain(far) })
			client := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
			var to []string
			for range c.rcpts {
				to = append(to, "recipient@dest.example")
			}
			a := letter(to...)
			a.Body = c.body(body(bytes.Repeat([]byte(line), c.size/len(line))))
			b.SetBytes(a.Body.Size())
			b.ReportAllocs()
			b.ResetTimer()
			client.Work(context.Background(), "smtp:[192.0.2.1]", &benchSource{b: b, a: a, n: b.N})
			b.StopTimer()
			client.Close()
			server.Wait()
		})
	}
}
