package delivery

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// deaf is a server that says what it has to say, a line whenever somebody reads, or in
// packets as long as cuts says in turn, and never listens.
type deaf struct {
	net.Conn
	says  io.Reader
	cuts  []byte
	n     int
	lines *bufio.Reader // of says
	rest  []byte        // of a line
	told  bytes.Buffer
}

func (d *deaf) Read(p []byte) (int, error) {
	if d.lines == nil {
		d.lines = bufio.NewReader(d.says)
	}
	if len(d.rest) == 0 {
		var err error
		if d.rest, err = d.lines.ReadSlice('\n'); len(d.rest) == 0 {
			return 0, err
		}
	}
	if len(d.cuts) > 0 {
		p = p[:min(len(p), int(d.cuts[d.n%len(d.cuts)])+1)]
		d.n++
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *deaf) Write(p []byte) (int, error)      { return d.told.Write(p) }
func (d *deaf) Close() error                     { return nil }
func (d *deaf) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (d *deaf) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (d *deaf) SetDeadline(time.Time) error      { return nil }
func (d *deaf) SetReadDeadline(time.Time) error  { return nil }
func (d *deaf) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer: whatever a server says, in whatever packets, each recipient gets one result,
// nobody is taken for delivered before the server has had the end of the content and said
// 2xx, and nothing that it says can make us write anything but our commands, and content
// only where it has said 3xx or takes it in chunks.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 done\r\n",
		"220 x\r\n250-x\r\n250-SIZE 10\r\n250-DSN\r\n250 STARTTLS\r\n220 go\r\n",
		"554 no\r\n", "220-\r\n220\r\n502\r\n250\r\n250\r\n250\r\n250\r\n354\r\n250\r\n221\r\n",
		"220 x\r\n250 x\r\n250\r\n450\r\n450\r\n250\r\n", "junk\r\n220 x\r\n421 bye\r\n",
		"220 x\r\n250-x\r\n250 PIPELINING\r\n250\r\n550\r\n550\r\n354\r\n250\r\n250\r\n250\r\n250\r\n250\r\n354\r\n250 ok\r\n",
		"220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n550 no\r\n250 done\r\n250\r\n250\r\n250 ok\r\n",
		"220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n502 what\r\n221\r\n",
		"220 x\r\n250-x\r\n250-LIMITS RCPTMAX=1 MAILMAX=1\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 done\r\n",
	} {
		f.Add([]byte(s), false, []byte(nil))
		f.Add([]byte(s), true, []byte{0})
		f.Add([]byte(s), false, []byte{2, 30})
	}
	f.Fuzz(func(t *testing.T, says []byte, lmtp bool, cuts []byte) {
		var conns []*deaf
		c := New(Options{TLSLevel: "may", Dial: func(context.Context, string, string) (net.Conn, error) {
			conns = append(conns, &deaf{says: bytes.NewReader(says), cuts: cuts})
			return conns[len(conns)-1], nil
		}})
		defer c.Close()
		dest := mail.Dest("smtp:[192.0.2.1]")
		if lmtp {
			dest = "lmtp:[192.0.2.1]"
		}
		src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example", "two@dest.example"), letter("three@dest.example")}}
		c.Work(t.Context(), dest, src)
		if len(src.results) != 2 || len(conns) > 8 {
			t.Fatalf("%q: %d attempts done over %d connections", says, len(src.results), len(conns))
		}
		dots := 0
		for _, d := range conns {
			told := d.told.String()
			if i := strings.Index(told, "\x16\x03"); i >= 0 {
				told = told[:i] // it is TLS from here
			}
			dots += strings.Count(told, "\r\n.\r\n") + strings.Count(told, " LAST\r\n")
			if strings.ContainsAny(strings.ReplaceAll(told, "\r\n", ""), "\r\n") {
				t.Fatalf("%q: wrote %q", says, told)
			}
			if !onlyCommands(told, bytes.Count(says, []byte("3"))) {
				t.Fatalf("%q: said %q", says, told)
			}
		}
		delivered := 0
		for _, results := range src.results {
			for i, r := range results {
				if r.Reason == "" || r.Reason == "internal error" || strings.ContainsAny(r.Reason+r.RemoteReply, "\r\n\x00") {
					t.Fatalf("%q: reason %q", says, r.Reason)
				}
				if r.State == mail.Delivered && (i == 0 || results[0].State != mail.Delivered) {
					delivered++
				}
			}
		}
		if delivered > dots || delivered > 0 && !regexp.MustCompile(`(?m)^2\d\d`).Match(says) {
			t.Fatalf("%q: %d messages delivered with %d ends of content", says, delivered, dots)
		}
	})
}

// ourCommands are those that we have reasons to say.
var ourCommands = regexp.MustCompile(`^(EHLO|HELO|LHLO) localhost$|^STARTTLS$|^MAIL FROM:<sender@example\.net>( SIZE=\d+)?$|` +
	`^RCPT TO:<(one|two|three)@dest\.example>( ORCPT=rfc822;a@virt\.example)?$|^DATA$|^RSET$|^QUIT$|^$`)

// chunkCommand begins content of known length.
var chunkCommand = regexp.MustCompile(`^BDAT (\d{1,9}) LAST$`)

// onlyCommands tells whether what we said is commands, and content after DATA at most as
// often as a server can have asked for it.
func onlyCommands(told string, asked int) bool {
	for told != "" {
		line, rest, _ := strings.Cut(told, "\r\n")
		switch chunk := chunkCommand.FindStringSubmatch(line); {
		case chunk != nil:
			n, _ := strconv.Atoi(chunk[1])
			if !strings.HasPrefix(rest, "Received: "[:min(len(rest), 10)]) {
				return false
			}
			rest = rest[min(n, len(rest)):]
		case strings.HasPrefix(line, "Received: ") || line == ".":
			if asked--; asked < 0 {
				return false
			}
			for line != "." && rest != "" {
				line, rest, _ = strings.Cut(rest, "\r\n")
			}
		case !ourCommands.MatchString(line):
			return false
		}
		told = rest
	}
	return true
}
