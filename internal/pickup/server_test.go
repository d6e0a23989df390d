package pickup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// A connection that breaks before the end of the message was said enqueues nothing.
func TestBrokenConnection(t *testing.T) {
	good := Request{Sender: mail.SplitAddress("s@x.example"), Rcpts: addresses("a@x.example")}
	whole := func(l *link) {
		encodeRcpts(good.Rcpts, func(b []byte) error { return l.write(kindRcpts, b) })
		l.write(kindData, []byte("Subject: x\n\nbody\n"))
	}
	for _, tc := range []struct {
		name string
		send func(l *link)
	}{
		{"after the request", func(*link) {}},
		{"after everything but the end", whole},
		{"in the middle of the end", func(l *link) { whole(l); l.conn.Write([]byte{byte(kindEnd), 0, 0}) }},
		{"in the middle of content", func(l *link) { whole(l); l.conn.Write([]byte{byte(kindData), 0, 0, 1, 0, 'x'}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, nil, nil)
			l := f.open(t, good)
			tc.send(l)
			l.conn.Close()
			f.Shutdown(t.Context())
			if msgs, open := f.queue.state(); len(msgs) != 0 || open != 0 {
				t.Errorf("%d messages in the queue, %d drafts open", len(msgs), open)
			}
		})
	}
}

// A client that hangs up as soon as it has said the end has said it.
func TestEndWithoutWaiting(t *testing.T) {
	f := start(t, nil, nil)
	l := f.open(t, Request{})
	encodeRcpts(addresses("a@x.example"), func(b []byte) error { return l.write(kindRcpts, b) })
	l.write(kindEnd, nil)
	l.conn.Close()
	f.Shutdown(t.Context())
	if msgs, _ := f.queue.state(); len(msgs) != 1 {
		t.Errorf("%d messages in the queue", len(msgs))
	}
}

func TestProtocolErrors(t *testing.T) {
	frame := func(k byte, content string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{k}, uint32(len(content))), content...)
	}
	var request Request
	good := frame('Q', string(request.encode(modeSubmit)))
	for _, tc := range []struct {
		name string
		send []byte
		want string // in the answer
	}{
		{"SMTP", []byte("EHLO x\r\n"), "protocol error: a frame of"},
		{"a frame that is too long", append([]byte{'Q'}, 0, 1, 0, 1), "protocol error: a frame of 65537 bytes"},
		{"no request", frame('E', ""), "protocol error: no request"},
		{"an empty request", frame('Q', ""), "protocol error: mode"},
		{"another version", frame('Q', "version=2\x00mode=submit\x00"), "different versions"},
		{"no version", frame('Q', "mode=submit\x00"), "different versions"},
		{"an unknown mode", frame('Q', "version=1\x00mode=vrfy\x00"), `mode "vrfy"`},
		{"an unknown field", frame('Q', "version=1\x00mode=submit\x00shell=sh\x00"), `field "shell"`},
		{"no NUL", frame('Q', "version=1\x00mode=submit"), `field "mode=submit"`},
		{"NOTIFY that contradicts itself", frame('Q', "version=1\x00mode=submit\x00notify=3\x00"), `field "notify"`},
		{"NOTIFY of a report", frame('Q', "version=1\x00mode=submit\x00notify=16\x00"), `field "notify"`},
		{"RET", frame('Q', "version=1\x00mode=submit\x00ret=NONE\x00"), "ret"},
		{"ENVID with a line end", frame('Q', "version=1\x00mode=submit\x00envid=a\r\nRCPT\x00"), "envelope ID"},
		{"a request again", append(bytes.Clone(good), good...), "frame of kind 'Q'"},
		{"half a recipient", append(bytes.Clone(good), frame('R', "local")...), "recipient"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, nil, nil)
			l := f.dial(t)
			l.conn.Write(tc.send)
			k, b, err := l.read()
			if k == kindGo {
				k, b, err = l.read()
			}
			if err != nil || k != kindAnswer {
				t.Fatalf("got frame %q, %v", byte(k), err)
			}
			reply, err := parseReply(b)
			if err != nil || reply.Status != ExitTempFail || !strings.Contains(reply.Text, tc.want) {
				t.Errorf("got %+v, %v; want %q", reply, err, tc.want)
			}
		})
	}
}

func TestServeSMTP(t *testing.T) {
	f := start(t, nil, func(o *Options) {
		o.ServeSMTP = func(conn net.Conn, uid int) {
			fmt.Fprintf(conn, "220 hello %d\r\n", uid)
			line, _ := bufio.NewReader(conn).ReadString('\n')
			fmt.Fprintf(conn, "221 you said %s", line)
		}
	})
	conn, err := DialSMTP(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "QUIT\r\n")
	got, err := io.ReadAll(conn)
	if want := fmt.Sprintf("220 hello %d\r\n221 you said QUIT\r\n", os.Geteuid()); string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestSMTPRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Options)
		want   int
	}{
		"no service":  {nil, ExitUnavailable},
		"not allowed": {func(o *Options) { o.Authorized = func(int) bool { return false } }, ExitNoPerm},
	} {
		f := start(t, nil, tc.change)
		_, err := DialSMTP(t.Context(), f.socket)
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Reply.Status != tc.want {
			t.Errorf("%s: got %v, want status %d", name, err, tc.want)
		}
	}
}

// When patience ends, a submission under way is cut off and told so.
func TestShutdownCutsOff(t *testing.T) {
	f := start(t, nil, nil)
	l := f.open(t, Request{})
	l.write(kindData, []byte("Subject: x\n"))
	smtp := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() {
		f.Shutdown(ctx)
		close(smtp)
	}()
	reply, err := l.answer()
	if err != nil || reply.Status != ExitTempFail || reply.Text != "the mail system is shutting down" {
		t.Errorf("got %+v, %v", reply, err)
	}
	<-smtp
	if _, err := f.submit(t, Request{Rcpts: addresses("a@x.example")}, ""); !errors.Is(err, ErrDown) {
		t.Errorf("after the end: %v", err)
	}
}

// A submission that is being sent when the daemon ends comes to its end.
func TestShutdownWaits(t *testing.T) {
	f := start(t, nil, nil)
	l := f.open(t, Request{})
	l.write(kindData, []byte("Subject: x\n"))
	ended := make(chan struct{})
	go func() {
		f.Shutdown(t.Context())
		close(ended)
	}()
	for !f.isClosed() {
		runtime.Gosched()
	}
	encodeRcpts(addresses("a@x.example"), func(b []byte) error { return l.write(kindRcpts, b) })
	l.write(kindEnd, nil)
	if reply, err := l.answer(); err != nil || reply.Status != ExitOK {
		t.Errorf("got %+v, %v", reply, err)
	}
	<-ended
}

// hurry shortens the wait under way and those after it, and never lengthens one.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		l := &link{conn: server, timeout: time.Hour}
		begun := time.Now()
		time.AfterFunc(time.Minute, func() { l.hurry(2 * time.Second) })
		if _, _, err := l.read(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 62*time.Second {
			t.Errorf("read ended after %v: %v", time.Since(begun), err)
		}
		l.hurry(time.Hour)
		begun = time.Now()
		if _, _, err := l.read(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 2*time.Second {
			t.Errorf("the next one after %v: %v", time.Since(begun), err)
		}
	})
}

// A silent client is waited for as long as Timeout, anew for each frame.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		q := &fakeQueue{}
		o := Options{Recipients: fakeRecipients{}, Queue: q, Timeout: time.Minute}.withDefaults()
		s := &session{Options: o, ctx: t.Context(), log: o.Log, link: &link{conn: server, timeout: time.Minute}}
		go func() {
			c := &link{conn: client, timeout: time.Hour}
			c.open(&Request{}, modeSubmit)
			for range 5 {
				<-time.After(59 * time.Second)
				c.write(kindData, []byte("x"))
			}
		}()
		begun := time.Now()
		_, err := s.run()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 5*59*time.Second+time.Minute {
			t.Errorf("ended after %v: %v", time.Since(begun), err)
		}
		if _, open := q.state(); open != 0 {
			t.Errorf("%d drafts open", open)
		}
	})
}

func TestUpdate(t *testing.T) {
	f := start(t, nil, nil)
	req := Request{Rcpts: addresses("a@x.example")}
	if reply, err := f.submit(t, req, "x\n"); err != nil || reply.Status != ExitOK {
		t.Fatalf("%+v, %v", reply, err)
	}
	f.Update(Options{Recipients: fakeRecipients{}, Queue: f.queue, Authorized: func(int) bool { return false }})
	if reply, err := f.submit(t, req, "x\n"); err != nil || reply.Status != ExitNoPerm {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestManyRecipientsInSeveralFrames(t *testing.T) {
	f := start(t, nil, nil)
	req := Request{Sender: mail.SplitAddress("s@x.example")}
	for i := range 5000 {
		req.Rcpts = append(req.Rcpts, mail.Address{Local: fmt.Sprintf("user-%d-%s", i, strings.Repeat("x", 50)), Domain: "dest.example"})
	}
	if reply, err := f.submit(t, req, "x\n"); err != nil || reply.Status != ExitOK {
		t.Fatalf("%+v, %v", reply, err)
	}
	msgs, _ := f.queue.state()
	if n := len(msgs[0].env.Rcpts); n != 5000 {
		t.Errorf("%d recipients", n)
	}
}
