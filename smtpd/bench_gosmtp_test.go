package smtpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// The server beside go-smtp's, in one run, each with a backend that takes everything and
// keeps nothing, over TCP on loopback, with the same client, in turn:
//
//	go test ./smtpd -run '^$' -bench BesideGoSMTP
//
// x-go-smtp tells how many times as long go-smtp takes. Ours does more meanwhile: it looks
// at addresses and header, makes a Received field and writes a log that nobody reads.

// anybody is a Recipients that knows everybody.
type anybody struct{}

func (anybody) Complete(a mail.Address) mail.Address { return a }
func (anybody) Sender(_ context.Context, a mail.Address) (mail.Reverse, error) {
	return mail.Reverse{Path: a}, nil
}
func (anybody) Class(context.Context, mail.Address) (mail.Class, error) {
	return mail.ClassVirtualAlias, nil
}
func (anybody) HeaderAddress(_ context.Context, a mail.Address, _ bool, _ string) (mail.Address, error) {
	return a, nil
}
func (anybody) Expand(_ context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	return []mail.Recipient{{Final: r.Addr, Orig: r.Addr, Dest: "smtp:dest.example"}}, nil
}

// nobody is go-smtp's side of it.
type nobody struct{}

func (nobody) NewSession(*smtp.Conn) (smtp.Session, error) { return nobody{}, nil }
func (nobody) Reset()                                      {}
func (nobody) Logout() error                               { return nil }
func (nobody) Mail(string, *smtp.MailOptions) error        { return nil }
func (nobody) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (nobody) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// bothServers starts both and returns where they are.
func bothServers(b *testing.B) (ours, theirs string) {
	s := NewServer(Options{
		MyHostname: "mx.example.com", Queue: new(bin), Recipients: anybody{}, MessageSizeLimit: 10240000,
		Relay: restrict("permit_mynetworks", "reject_unauth_destination"), ForbidUnauthPipelining: true, JunkCommandLimit: 1 << 40,
		MessageDropHeaders: []string{"bcc", "content-length", "resent-bcc", "return-path"}, ReplaceStrayCR: true,
	})
	g := smtp.NewServer(nobody{})
	g.Domain, g.MaxMessageBytes = "mx.example.com", 10240000
	g.ReadTimeout, g.WriteTimeout = 5*time.Minute, 5*time.Minute
	var addrs []string
	for _, serve := range []func(net.Listener) error{s.Serve, g.Serve} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- serve(l) }()
		b.Cleanup(func() { <-served })
		addrs = append(addrs, l.Addr().String())
	}
	b.Cleanup(func() { g.Close(); s.Shutdown(context.Background()) })
	return addrs[0], addrs[1]
}

// bencher is the client of both.
type bencher struct {
	b  *testing.B
	nc net.Conn
	r  *bufio.Reader
}

func (c *bencher) dial(addr string) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		c.b.Fatal(err)
	}
	c.nc = nc
	if c.r == nil {
		c.r = bufio.NewReader(nc)
	}
	c.r.Reset(nc)
	c.replies(1)
	c.send("EHLO client.example.net\r\n", 1)
}

// send writes commands and reads so many replies, which must all be good.
func (c *bencher) send(s string, replies int) {
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.b.Fatal(err)
	}
	c.replies(replies)
}

func (c *bencher) replies(n int) {
	for n > 0 {
		line, err := c.r.ReadSlice('\n')
		if err != nil || line[0] != '2' && line[0] != '3' {
			c.b.Fatalf("%q, %v", line, err)
		}
		if line[3] == ' ' {
			n--
		}
	}
}

func (c *bencher) message(content string) {
	c.send("MAIL FROM:<sender@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\n", 3)
	c.send(content, 1)
}

func (c *bencher) quit() {
	c.send("QUIT\r\n", 1)
	c.nc.Close()
}

// beside measures both with the same steps. each is done once for each run, and counts as
// so many of what the allocations are told for.
func beside(b *testing.B, keep bool, each func(c *bencher, addr string), unit string, many float64) {
	ours, theirs := bothServers(b)
	us, them := &bencher{b: b}, &bencher{b: b}
	if keep {
		us.dial(ours)
		them.dial(theirs)
		defer us.nc.Close()
		defer them.nc.Close()
	}
	each(us, ours)
	each(them, theirs)
	var usTook, themTook time.Duration
	for b.Loop() {
		began := time.Now()
		each(us, ours)
		usTook += time.Since(began)
		b.StopTimer()
		began = time.Now()
		each(them, theirs)
		themTook += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(themTook)/float64(usTook), "x-go-smtp")
	b.ReportMetric(mallocs(func() { each(us, ours) })/many, "allocs/"+unit)
	b.ReportMetric(mallocs(func() { each(them, theirs) })/many, "go-smtp-allocs/"+unit)
}

// mallocs is how many allocations the process makes for a run, client included.
func mallocs(f func()) float64 {
	const runs = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs
}

const fourKiB = 4 << 10

func contentOf(size int) string {
	return headerOfBenchmarks + strings.Repeat(lineOfBenchmarks, (size-len(headerOfBenchmarks))/len(lineOfBenchmarks)) + ".\r\n"
}

// 100 RCPT in one packet, and RSET.
func BenchmarkRcptBesideGoSMTP(b *testing.B) {
	const rcpts = 100
	send := "MAIL FROM:<sender@example.net>\r\n" + strings.Repeat("RCPT TO:<someone@virt.example>\r\n", rcpts) + "RSET\r\n"
	beside(b, true, func(c *bencher, _ string) { c.send(send, rcpts+2) }, "rcpt", rcpts)
}

// Messages of 4 KiB over a connection that is kept open.
func BenchmarkMessageBesideGoSMTP(b *testing.B) {
	content := contentOf(fourKiB)
	beside(b, true, func(c *bencher, _ string) { c.message(content) }, "message", 1)
}

// Whole sessions: connect, EHLO, MAIL, RCPT, DATA with 4 KiB, QUIT.
func BenchmarkSessionBesideGoSMTP(b *testing.B) {
	content := contentOf(fourKiB)
	beside(b, false, func(c *bencher, addr string) {
		c.dial(addr)
		c.message(content)
		c.quit()
	}, "message", 1)
}

// Messages of 1 MiB over a connection that is kept open.
func BenchmarkLargeBesideGoSMTP(b *testing.B) {
	content := contentOf(1 << 20)
	beside(b, true, func(c *bencher, _ string) { c.message(content) }, "message", 1)
}
