package maillog

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// dial makes a log to a socket that a test serves, with a clock that the test moves.
func dial(t *testing.T, socket string) (l *slog.Logger, h *Handler, errs *bytes.Buffer, advance func(time.Duration)) {
	t.Helper()
	now := time.Date(2025, 11, 2, 19, 9, 54, 0, time.UTC)
	errs = &bytes.Buffer{}
	o := options(nil)
	o.Out, o.Errors, o.Now = nil, errs, func() time.Time { return now }
	h, err := DialSyslog(SyslogOptions{Options: o, Facility: "mail", Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return slog.New(h).With(mail.KeyDaemon, "smtpd"), h, errs, func(d time.Duration) { now = now.Add(d) }
}

// listen serves datagrams.
func listen(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10_000)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSyslog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	server := listen(t, socket)
	l, h, errs, _ := dial(t, socket)
	wantDatagram := func(want string) {
		t.Helper()
		if got := receive(t, server); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	l.Info(mail.EventConnect, mail.KeyClient, "x[192.0.2.1]")
	wantDatagram("<22>Nov  2 19:09:54 postfix/smtpd[4711]: connect from x[192.0.2.1]")
	l.Warn("w")
	wantDatagram("<20>Nov  2 19:09:54 postfix/smtpd[4711]: warning: w")
	l.Error("e")
	wantDatagram("<19>Nov  2 19:09:54 postfix/smtpd[4711]: error: e")
	l.Info(mail.EventDelivery, mail.KeyTo, "a", mail.KeyReason, strings.Repeat("x", 5000))
	if got := receive(t, server); len(got) != syslogLine {
		t.Errorf("a datagram of %d bytes", len(got))
	}
	if h.Lost() != 0 || errs.Len() > 0 {
		t.Errorf("lost %d, errors %q", h.Lost(), errs)
	}
}

func TestSyslogJSON(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	server := listen(t, socket)
	o := options(nil)
	o.JSON = true
	h, err := DialSyslog(SyslogOptions{Options: o, Facility: "local7", Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	slog.New(h).Info("x")
	if got, want := receive(t, server), `<190>Nov  2 19:09:54 postfix/master[4711]: {"time":"`; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSyslogRestart: a syslog that is not there yet, or comes again under the same
// name, costs lines and nothing else.
func TestSyslogRestart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	l, h, errs, advance := dial(t, socket)
	l.Info("lost")
	l.Info("lost")
	server := listen(t, socket)
	l.Info("lost, too early to try again")
	if h.Lost() != 3 || !strings.Contains(errs.String(), "connect to syslog: ") || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("lost %d, errors %q", h.Lost(), errs)
	}
	advance(syslogRetry)
	l.Info("one")
	if got := receive(t, server); !strings.HasSuffix(got, "]: one") {
		t.Errorf("got %q", got)
	}
	if got := receive(t, server); !strings.HasSuffix(got, "]: warning: 3 lines of this log were lost") {
		t.Errorf("got %q", got)
	}

	server.Close()
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	again := listen(t, socket)
	l.Info("two")
	if got := receive(t, again); !strings.HasSuffix(got, "]: two") {
		t.Errorf("got %q", got)
	}
	if h.Lost() != 3 {
		t.Errorf("lost %d", h.Lost())
	}
}

// TestSyslogThatDoesNotRead: a full socket holds a line up no longer than it may, and
// the lines come again once it is read.
func TestSyslogThatDoesNotRead(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	server := listen(t, socket)
	l, h, _, _ := dial(t, socket)
	h.out.sink.(*syslogSink).patience = time.Millisecond
	for n := 0; h.Lost() == 0; n++ {
		if n > 100_000 {
			t.Fatal("the socket is never full")
		}
		l.Info(strings.Repeat("x", 1000))
	}
	for range 20 {
		l.Info("lost")
	}
	if h.Lost() < 20 {
		t.Errorf("lost %d", h.Lost())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for !strings.HasSuffix(receive(t, server), "lines of this log were lost") {
		}
	})
	for lost := h.Lost(); ; lost = h.Lost() {
		l.Info("at last")
		if h.Lost() == lost {
			break
		}
	}
	l.Warn("lines of this log were lost") // in case the one of the log found no room
	wg.Wait()
}

// TestSyslogStream: where the socket is a stream, lines have an end.
func TestSyslogStream(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l, _, _, _ := dial(t, socket)
	l.Info("one")
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l.Info("two")
	r := bufio.NewReader(conn)
	for _, want := range []string{"]: one\n", "]: two\n"} {
		if got, err := r.ReadString('\n'); err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestSyslogFacility(t *testing.T) {
	if _, err := DialSyslog(SyslogOptions{Facility: "post"}); err == nil || !strings.Contains(err.Error(), "mail") {
		t.Errorf("an unknown facility: %v", err)
	}
	if _, err := DialSyslog(SyslogOptions{Facility: "local0", Socket: "/nonexistent/log"}); err != nil {
		t.Errorf("a socket that is not there: %v", err)
	}
}
