package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// bin is an Enqueuer that throws messages away.
type bin struct{ id uint64 }

func (b *bin) Admit(int64) error                         { return nil }
func (b *bin) NewID() mail.QueueID                       { b.id++; return mail.QueueID(b.id) }
func (b *bin) Stage(context.Context) (mail.Draft, error) { return b, nil }
func (b *bin) Write(p []byte) (int, error)               { return len(p), nil }
func (b *bin) Abort()                                    {}
func (b *bin) Body() (mail.Body, error)                  { return nil, errors.New("nobody reads it back") }
func (b *bin) Commit(context.Context, *mail.Envelope) error {
	return nil
}

// benchmark sends the same bytes over and over on one TCP connection, each time waiting
// for so many reply lines.
func benchmark(b *testing.B, greeting, message string, replies int) {
	s := NewServer(Options{
		MyHostname: "mx.example.com", Queue: new(bin), Recipients: newBook("virt.example", "@virt.example @dest.example"),
		Relay: restrict("permit_mynetworks", "reject_unauth_destination"), ForbidUnauthPipelining: true, JunkCommandLimit: 1 << 40,
		MessageDropHeaders: []string{"bcc", "content-length", "resent-bcc", "return-path"}, ReplaceStrayCR: true,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReader(nc)
	lines := func(n int) {
		for range n {
			line, err := r.ReadSlice('\n')
			if err != nil || !bytes.ContainsAny(line[:1], "23") {
				b.Fatalf("%q, %v", line, err)
			}
		}
	}
	lines(1)
	io.WriteString(nc, "EHLO client.example.net\r\n")
	lines(9) // without SMTPUTF8
	first, rest := []byte(greeting), []byte(message)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if greeting != "" {
			nc.Write(first)
			lines(replies - 1)
			nc.Write(rest)
			lines(1)
			continue
		}
		nc.Write(rest)
		lines(replies)
	}
	nc.Close()
	s.Shutdown(context.Background())
	<-served
}

const envelopeOfOne = "MAIL FROM:<sender@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\n"

const headerOfBenchmarks = "Received: from a.example by b.example; Sat, 01 Nov 2025 10:00:00 +0000\r\nFrom: Sender <sender@example.net>\r\n" +
	"To: a@virt.example\r\nSubject: benchmark\r\nDate: Sat, 01 Nov 2025 10:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\n"

const lineOfBenchmarks = "A line of text that is as long as lines of text in mail usually are: 72 x\r\n"

func BenchmarkPipelinedRcpt(b *testing.B) {
	benchmark(b, "", "MAIL FROM:<sender@example.net>\r\n"+strings.Repeat("RCPT TO:<someone@virt.example>\r\n", 100)+"RSET\r\n", 102)
}

func BenchmarkSmallMessage(b *testing.B) {
	benchmark(b, envelopeOfOne, headerOfBenchmarks+strings.Repeat(lineOfBenchmarks, 45)+".\r\n", 4)
}

func BenchmarkData1MiB(b *testing.B) {
	benchmark(b, envelopeOfOne, headerOfBenchmarks+strings.Repeat(lineOfBenchmarks, 1<<20/len(lineOfBenchmarks))+".\r\n", 4)
}

func BenchmarkBdat1MiB(b *testing.B) {
	body := headerOfBenchmarks + strings.Repeat(lineOfBenchmarks, 1<<20/len(lineOfBenchmarks))
	benchmark(b, "", "MAIL FROM:<sender@example.net>\r\nRCPT TO:<a@virt.example>\r\nBDAT "+itoa(len(body))+" LAST\r\n"+body, 3)
}

// BenchmarkIdleConnection tells what a connection costs that waits for its next command.
func BenchmarkIdleConnection(b *testing.B) {
	s := NewServer(Options{MyHostname: "mx.example.com", Queue: new(bin), Recipients: newBook("virt.example", "")})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	const many = 400
	for b.Loop() {
		before := inUse()
		var open []net.Conn
		for range many {
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			r := bufio.NewReaderSize(nc, 256)
			r.ReadSlice('\n')
			io.WriteString(nc, "HELO x\r\n")
			r.ReadSlice('\n')
			open = append(open, nc)
		}
		b.ReportMetric(float64(inUse()-before)/many, "B/connection")
		for _, nc := range open {
			nc.Close()
		}
	}
	s.Shutdown(context.Background())
	<-served
}
