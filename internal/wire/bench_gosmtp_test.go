package wire

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// The codec of DATA beside those of others, in one run, on the same bytes in memory:
//
//	go test ./internal/wire -run '^$' -bench Beside
//
// go-smtp's reader cannot be had by itself: its server serves a connection that is a
// recording, and the clock runs only while the session reads the content. The other peer is
// net/textproto, whose reader also turns CRLF into LF. x-go-smtp and x-textproto tell how
// many times as long they take.

// message1MiB is a message as messages are; every dotted lines one begins with a dot.
func message1MiB(dotted int) string {
	const line = "A line of text that is as long as lines of text in mail usually are: 72 x\r\n"
	var b strings.Builder
	b.WriteString("Subject: benchmark\r\n\r\n")
	for i := 0; b.Len() < 1<<20; i++ {
		if dotted > 0 && i%dotted == 0 {
			b.WriteString("." + line)
		} else {
			b.WriteString(line)
		}
	}
	return b.String()
}

// stuffed is a message on its way.
func stuffed(message string) string {
	return strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n"
}

// recording is a connection on which everything has been said.
type recording struct {
	io.Reader
	net.Conn
}

func (r *recording) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (*recording) Write(p []byte) (int, error)        { return len(p), nil }
func (*recording) Close() error                       { return nil }
func (*recording) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (*recording) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (*recording) SetDeadline(time.Time) error        { return nil }
func (*recording) SetReadDeadline(t time.Time) error  { return nil }
func (*recording) SetWriteDeadline(t time.Time) error { return nil }

// only is a listener with some connections.
type only struct{ conns chan net.Conn }

func (l only) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (only) Close() error   { return nil }
func (only) Addr() net.Addr { return &net.TCPAddr{} }

// stopwatch is a go-smtp session that tells how long it takes to read a content.
type stopwatch struct {
	took chan time.Duration
	size int64
}

func (w *stopwatch) NewSession(*smtp.Conn) (smtp.Session, error) { return w, nil }
func (*stopwatch) Reset()                                        {}
func (*stopwatch) Logout() error                                 { return nil }
func (*stopwatch) Mail(string, *smtp.MailOptions) error          { return nil }
func (*stopwatch) Rcpt(string, *smtp.RcptOptions) error          { return nil }
func (w *stopwatch) Data(r io.Reader) error {
	began := time.Now()
	n, err := io.Copy(io.Discard, r)
	took := time.Since(began)
	if err != nil || n != w.size {
		took = -1
	}
	w.took <- took
	return err
}

// goSMTPReader serves one message and returns how long go-smtp took to read its content.
func goSMTPReader(b *testing.B, message string) func(content string) time.Duration {
	w := &stopwatch{took: make(chan time.Duration), size: int64(len(message))}
	s := smtp.NewServer(w)
	s.Domain, s.ReadTimeout = "x.example", time.Minute
	l := only{make(chan net.Conn)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	b.Cleanup(func() { close(l.conns); s.Close(); <-served })
	return func(content string) time.Duration {
		l.conns <- &recording{Reader: strings.NewReader("EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n" + content + "QUIT\r\n")}
		took := <-w.took
		if took < 0 {
			b.Fatal("go-smtp read something else")
		}
		return took
	}
}

var dottings = []struct {
	name   string
	dotted int
}{{"no dots", 0}, {"a dot in 100 lines", 100}, {"only dots", 1}}

func BenchmarkReadDataBesideGoSMTP(b *testing.B) {
	for _, c := range dottings {
		b.Run(c.name, func(b *testing.B) {
			message := message1MiB(c.dotted)
			content := stuffed(message)
			readBySMTP := goSMTPReader(b, message)
			r := bufio.NewReaderSize(nil, bufferSize)
			var ours, theirs, texts time.Duration
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				began := time.Now()
				r.Reset(strings.NewReader(content))
				n, err := NewDotReader(r, BareLFNormalize, true).WriteTo(io.Discard)
				ours += time.Since(began)
				if err != nil || n != int64(len(message)) {
					b.Fatal(n, err)
				}
				b.StopTimer()
				theirs += readBySMTP(content)
				began = time.Now()
				r.Reset(strings.NewReader(content))
				if _, err := io.Copy(io.Discard, textproto.NewReader(r).DotReader()); err != nil {
					b.Fatal(err)
				}
				texts += time.Since(began)
				b.StartTimer()
			}
			b.ReportMetric(float64(theirs)/float64(ours), "x-go-smtp")
			b.ReportMetric(float64(texts)/float64(ours), "x-textproto")
			b.ReportMetric(float64(allocations(func() {
				r.Reset(strings.NewReader(content))
				NewDotReader(r, BareLFNormalize, true).WriteTo(io.Discard)
			})), "allocs/message")
		})
	}
}

// go-smtp's client writes DATA by net/textproto.
func BenchmarkWriteDataBesideGoSMTP(b *testing.B) {
	for _, c := range dottings {
		b.Run(c.name, func(b *testing.B) {
			message := []byte(message1MiB(c.dotted))
			w := bufio.NewWriterSize(io.Discard, bufferSize)
			var d DotWriter
			var check bytes.Buffer
			cw := bufio.NewWriter(&check)
			d.Reset(cw, 0)
			d.Write(message)
			d.Close()
			cw.Flush()
			if check.String() != stuffed(string(message)) {
				b.Fatal("that is not what should have been sent")
			}
			var ours, texts time.Duration
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				began := time.Now()
				d.Reset(w, 0)
				d.Write(message)
				d.Close()
				w.Flush()
				ours += time.Since(began)
				b.StopTimer()
				began = time.Now()
				t := textproto.NewWriter(w).DotWriter()
				t.Write(message)
				t.Close()
				w.Flush()
				texts += time.Since(began)
				b.StartTimer()
			}
			b.ReportMetric(float64(texts)/float64(ours), "x-go-smtp")
		})
	}
}

func allocations(f func()) float64 { return testing.AllocsPerRun(10, f) }
