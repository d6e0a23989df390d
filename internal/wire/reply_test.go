package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// fromServer is a connection on which a server has sent what r yields.
func fromServer(r io.Reader) *Conn { return NewConn(&readOnly{r: r}, time.Minute) }

type readOnly struct {
	net.Conn
	r io.Reader
}

func (c *readOnly) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c *readOnly) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (c *readOnly) SetReadDeadline(time.Time) error  { return nil }
func (c *readOnly) SetWriteDeadline(time.Time) error { return nil }

func TestReadReply(t *testing.T) {
	for _, c := range []struct {
		name     string
		sent     string
		code     int
		enhanced mail.Enhanced
		status   mail.Enhanced
		text     string
		garbage  bool
	}{
		{"one line", "250 2.1.0 Ok\r\n", 250, mail.Code(2, 1, 0), mail.Code(2, 1, 0), "250 2.1.0 Ok", false},
		{"code only", "250\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "250", false},
		{"bare LF", "250 Ok\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "250 Ok", false},
		{"several CR", "250 Ok\r\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "250 Ok", false},
		{"multi-line", "550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, mail.Code(5, 1, 1), mail.Code(5, 1, 1), "550-5.1.1 no such 550 5.1.1 user", false},
		{"code of the last line counts", "450-4.2.0 a\r\n550 5.2.0 b\r\n", 550, mail.Code(5, 2, 0), mail.Code(5, 2, 0), "450-4.2.0 a 550 5.2.0 b", false},
		{"no enhanced code", "550 no such user\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 no such user", false},
		{"enhanced code of another class", "550 4.1.1 hm\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 4.1.1 hm", false},
		{"enhanced code is an address", "550 5.1.1.1 hm\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 5.1.1.1 hm", false},
		{"enhanced code too long", "550 5.1.1000 hm\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 5.1.1000 hm", false},
		{"enhanced code alone", "421 4.3.2\r\n", 421, mail.Code(4, 3, 2), mail.Code(4, 3, 2), "421 4.3.2", false},
		{"enhanced code with 354", "354 3.0.0 go\r\n", 354, mail.Enhanced{}, mail.Code(5, 5, 0), "354 3.0.0 go", false},
		{"more spaces", "250   2.1.5 Ok\r\n", 250, mail.Code(2, 1, 5), mail.Code(2, 1, 5), "250   2.1.5 Ok", false},
		{"garbage before", "hello\r\n250 Ok\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "hello 250 Ok", true},
		{"two digits", "25 Ok\r\n250 Ok\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "25 Ok 250 Ok", true},
		{"no separator", "2500 Ok\r\n250 Ok\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "2500 Ok 250 Ok", true},
		{"empty line", "\r\n250 Ok\r\n", 250, mail.Enhanced{}, mail.Code(2, 0, 0), "250 Ok", true},
		{"control characters", "550 a\x00b\x1b[31mc\td\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 a?b?[31mc?d", false},
		{"CR inside", "550 a\rb\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 a?b", false},
		{"UTF-8 stays", "550 jösé nö\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 jösé nö", false},
		{"broken UTF-8, C1, bidi", "550 \xff\xc3 \u0085 \u202e\r\n", 550, mail.Enhanced{}, mail.Code(5, 0, 0), "550 ?? ? ?", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.sent), iotest.OneByteReader(strings.NewReader(c.sent))} {
				var got Reply
				if err := fromServer(r).ReadReply(&got); err != nil {
					t.Fatalf("%q: %v", c.sent, err)
				}
				if got.Code != c.code || got.Enhanced != c.enhanced || got.Status() != c.status || got.Text() != c.text || got.Garbage != c.garbage {
					t.Errorf("%q\n got %d %v %v %q garbage=%v\nwant %d %v %v %q garbage=%v", c.sent,
						got.Code, got.Enhanced, got.Status(), got.Text(), got.Garbage,
						c.code, c.enhanced, c.status, c.text, c.garbage)
				}
			}
		})
	}
}

func TestReadReplyEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		sent string
		want error
	}{
		{"nothing", "", io.EOF},
		{"half a line", "250 O", io.ErrUnexpectedEOF},
		{"half a reply", "250-a\r\n", io.EOF},
		{"one endless line", strings.Repeat("x", 1<<20), ErrReplyTooLong},
		{"endless continuation", strings.Repeat("250-x\r\n", 1<<17), ErrReplyTooLong},
		{"endless garbage", strings.Repeat("\r\n", 1<<17), ErrReplyTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := fromServer(strings.NewReader(c.sent))
			var r Reply
			if err := conn.ReadReply(&r); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err := conn.ReadReply(&r); err == nil {
				t.Errorf("read on after %v: %q", c.want, r.Text())
			}
		})
	}
}

// What is too long to be shown whole can be told; that is cut as Postfix cuts it.
func TestReplyTooLong(t *testing.T) {
	y, line := strings.Repeat("y", 1015), strings.Repeat("ü", 2000)
	for _, c := range []struct {
		name, sent, text string
		lines            []string
		reply            string
	}{
		{"short", "250-a\r\n250 b\r\n", "250-a 250 b", nil, ""},
		{"to the byte", "250-" + y + "\r\n250-" + y + y[:8] + "\r\n250 c\r\n", "250-" + y + " 250-" + y + y[:8] + " 250 c", nil, ""},
		{"one byte more", "250-" + y + "\r\n250-" + y + y[:9] + "\r\n250 c\r\n", "250-" + y + " 250-" + y + y[:9], nil, "250-" + y[:26]},
		{"a line", "550 " + line + "\r\n", "550 " + line[:2044], []string{"550 " + line[:26]}, ""},
		{"two lines", "550-x" + line + "\r\n550 " + line + "\r\n", "550-x" + line[:2042] + "?", []string{"550-x" + line[:24], "550 " + line[:26]}, "550-x" + line[:24]},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Reply
			if err := fromServer(strings.NewReader(c.sent)).ReadReply(&r); err != nil {
				t.Fatal(err)
			}
			lines, reply := r.TooLong()
			if got := r.Text(); got != c.text || !slices.Equal(lines, c.lines) || reply != c.reply {
				t.Errorf("text of %d bytes, want %d; lines %q, want %q; reply %q, want %q", len(got), len(c.text), lines, c.lines, reply, c.reply)
			}
		})
	}
}

func TestReplyKeepsLittle(t *testing.T) {
	conn := fromServer(strings.NewReader(
		"250-" + strings.Repeat("ü", 5000) + "\r\n" + strings.Repeat("250-"+strings.Repeat("y", 400)+"\r\n", 120) + "250 2.0.0 end\r\n250 next\r\n"))
	var r Reply
	if err := conn.ReadReply(&r); err != nil {
		t.Fatal(err)
	}
	if r.Code != 250 || r.Enhanced != mail.Code(2, 0, 0) {
		t.Errorf("the last line counts: got %d %v", r.Code, r.Enhanced)
	}
	if n := len(r.Lines()); n != 122 {
		t.Errorf("kept %d lines, want %d", n, 122)
	}
	if text := r.Text(); len(text) != replyLineKept || !utf8.ValidString(text) {
		t.Errorf("text of %d bytes, valid %v", len(text), utf8.ValidString(text))
	}
	if err := conn.ReadReply(&r); err != nil || r.Text() != "250 next" {
		t.Errorf("the next reply: %q, %v", r.Text(), err)
	}
	if cap(r.text) > 4*replyTextKept {
		t.Errorf("%d bytes stay allocated", cap(r.text))
	}
}

func TestReplyLines(t *testing.T) {
	var r Reply
	sent := "250-mx.example.net\r\n250-SIZE 1000\r\n250\r\n"
	if err := fromServer(strings.NewReader(sent)).ReadReply(&r); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Lines(), "|"); got != "mx.example.net|SIZE 1000|" {
		t.Errorf("%q: got %q", sent, got)
	}
}

// A server that sends a byte now and then used to hold its client for as long as it
// liked: each byte came within the time-out of one wait.
func TestReplyInSmallBites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		var server sync.WaitGroup
		server.Go(func() {
			for range 1000 {
				<-time.After(50 * time.Second)
				if _, err := far.Write([]byte("2")); err != nil {
					return
				}
			}
		})
		conn := NewConn(near, time.Minute)
		began := time.Now()
		var r Reply
		err := conn.ReadReply(&r)
		if !IsTimeout(err) {
			t.Errorf("got %v, want a time-out", err)
		}
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("gave up after %v, want 2m", took)
		}
		if conn.timeout != time.Minute {
			t.Errorf("the time-out is %v afterwards", conn.timeout)
		}
		conn.Close()
		server.Wait()
	})
}

func TestReadRefusal(t *testing.T) {
	for _, c := range []struct {
		sent string
		ok   bool
	}{
		{"552 5.3.4 too big\r\n", true},
		{"451 4.3.0 later\r\n", true},
		{"250 2.0.0 queued\r\n", false}, // cannot be: it never got the end of the message
		{"354 go on\r\n", false},
		{"", false},
	} {
		conn := fromServer(strings.NewReader(c.sent))
		conn.WriteString("x")
		if conn.Flush() == nil {
			t.Fatal("the write is meant to fail")
		}
		var r Reply
		if err := conn.ReadReply(&r); err != io.ErrClosedPipe {
			t.Errorf("%q: read after a failed write: %v", c.sent, err)
		}
		if err := conn.ReadRefusal(&r); (err == nil) != c.ok {
			t.Errorf("%q: got %v, want ok=%v", c.sent, err, c.ok)
		}
		if conn.Err() == nil {
			t.Errorf("%q: the failure is forgotten", c.sent)
		}
	}
}

// FuzzReadReply compares with a naive reading of the same bytes, however they arrive.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"250 2.0.0 Ok\r\n", "250-a\r\n250-b=c\r\n250 d\r\n", "junk\r\n\r\n550 5.1.1 no\n", "421", "\x00\xff\r\n354\r\n",
		"999-\r\n000 x\r\n", "250 2.0.0.0\r\n", "550-5.7.1 " + strings.Repeat("é", 300) + "\r\n550 5.7.1 x\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		var whole, bytewise Reply
		conn := fromServer(bytes.NewReader(sent))
		err := conn.ReadReply(&whole)
		err2 := fromServer(iotest.OneByteReader(bytes.NewReader(sent))).ReadReply(&bytewise)
		if (err == nil) != (err2 == nil) || whole.Code != bytewise.Code || whole.Text() != bytewise.Text() || whole.Enhanced != bytewise.Enhanced {
			t.Fatalf("%q: whole %v %d %q, in bytes %v %d %q", sent, err, whole.Code, whole.Text(), err2, bytewise.Code, bytewise.Text())
		}
		code, rest, ok := naiveReply(sent)
		if ok != (err == nil) || (ok && code != whole.Code) {
			t.Fatalf("%q: got %d, %v; naive %d, %v", sent, whole.Code, err, code, ok)
		}
		text := whole.Text()
		if len(text) > replyTextKept+replyLineKept || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%q: unfit text %q", sent, text)
		}
		if ok {
			left, _ := io.ReadAll(conn.Reader())
			if !bytes.Equal(left, rest) {
				t.Fatalf("%q: left %q, want %q", sent, left, rest)
			}
		}
	})
}

func naiveReply(sent []byte) (code int, rest []byte, ok bool) {
	for total := 0; ; {
		line, after, found := bytes.Cut(sent, []byte("\n"))
		if total += len(line) + 1; !found || total > replyBytesMax {
			return 0, nil, false
		}
		sent = after
		l := strings.TrimRight(string(line), "\r")
		if len(l) > replyLineKept+2 {
			l = l[:replyLineKept+2]
		}
		if len(l) >= 3 && strings.Trim(l[:3], "0123456789") == "" && (len(l) == 3 || l[3] == ' ') {
			return int(l[0]-'0')*100 + int(l[1]-'0')*10 + int(l[2]-'0'), sent, true
		}
	}
}
