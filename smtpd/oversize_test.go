package smtpd

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Everything that a client may send, far too long. Each has its reply, and costs no more
// memory than it may.

// flood is a client that sends parts, each a number of times, and never waits.
type flood struct {
	tape
	parts []part
}

type part struct {
	text  string
	times int
}

// Read makes up what was to be sent as it goes: the test must not cost the memory that it
// measures.
func (f *flood) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && len(f.parts) > 0 {
		p := &f.parts[0]
		if f.size == 0 && (p.times == 0 || p.text == "") {
			f.parts = f.parts[1:]
			continue
		}
		k := copy(b[n:], p.text[f.size:])
		n += k
		if f.size += k; f.size == len(p.text) { // size is how much of the text has gone
			f.size = 0
			p.times--
		}
	}
	if n == 0 || f.shut {
		return 0, io.EOF
	}
	return n, nil
}

// allocated is what a function takes from the heap, what it has given back included.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestOversize(t *testing.T) {
	const hello, from, to = "EHLO client.example.net\r\n", "MAIL FROM:<s@example.net>\r\n", "RCPT TO:<a@virt.example>\r\n"
	const million, envelope = 1 << 20, hello + from + to
	x := strings.Repeat("x", 1024)
	once := func(s string) part { return part{s, 1} }
	end := once("\r\n.\r\nQUIT\r\n")
	for _, tt := range []struct {
		name  string
		parts []part
		codes string // of all replies; a trailing * is any number of the last
		most  int64  // bytes taken from the heap, given back or not: where it is many, 150 for each item
	}{
		{"command line", []part{once(hello), {x, 64 << 10}, once("\r\nNOOP\r\nQUIT\r\n")}, "220 250 500 250 221", million},
		{"command line without end", []part{once(hello), {x, 64 << 10}}, "220 250", million},
		{"spaces", []part{once(hello + "NOOP"), {strings.Repeat(" ", 1024), 64 << 10}, once("\r\nQUIT\r\n")}, "220 250 250 221", million},
		{"empty lines", []part{once(hello), {"\r\n", million}}, "220 250 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 500 421", million},
		{"commands that do nothing", []part{once(hello), {"NOOP\r\n", million}}, "220 250* 421", million},
		{"EHLO name", []part{once("EHLO "), {x, 1}, once("\r\n" + from + to + "DATA\r\nSubject: x\r\n"), end}, "220 250 250 250 354 250 221", million},
		{"EHLO name beyond the line", []part{once("EHLO "), {x, 64 << 10}, once("\r\n" + from + to + "DATA\r\nSubject: x\r\n"), end}, "220 250 250 250 354 250 221", million},
		{"address", []part{once(hello + "MAIL FROM:<"), {x, 1}, once("@example.net>\r\n" + "RCPT TO:<"), {x, 1}, once("@virt.example>\r\nQUIT\r\n")}, "220 250 250 550 221", million},
		{"address beyond the line", []part{once(hello + "MAIL FROM:<"), {x, 64 << 10}, once("@example.net>\r\nQUIT\r\n")}, "220 250 501 221", million},
		{"parameter", []part{once(hello + "MAIL FROM:<s@example.net> ENVID="), {x, 1}, once("\r\nQUIT\r\n")}, "220 250 250 221", million},
		{"parameters", []part{once(hello + "MAIL FROM:<s@example.net>"), {" SIZE=1", 250}, once("\r\nQUIT\r\n")}, "220 250 250 221", million},
		{"parameters beyond the line", []part{once(hello + "MAIL FROM:<s@example.net>"), {" SIZE=1", million}, once("\r\nQUIT\r\n")}, "220 250 250 221", million},
		{"AUTH initial response", []part{once(hello + "AUTH PLAIN "), {strings.Repeat("QUFB", 256), 64 << 10}, once("\r\nQUIT\r\n")}, "220 250 535 221", million},
		{"AUTH response", []part{once(hello + "AUTH LOGIN\r\n"), {strings.Repeat("QUFB", 256), 64 << 10}, once("\r\nQUIT\r\n")}, "220 250 334 500 221", million},
		{"recipients", []part{once(hello + from), {to, 20000}, once("QUIT\r\n")}, "220 250 250* 452* 421", 4 * million},
		{"header field", []part{once(envelope + "DATA\r\nSubject: "), {x, 9 << 10}, end}, "220 250 250 250 354 250 221", million},
		{"folded field", []part{once(envelope + "DATA\r\nTo: a"), {"\r\n " + x[:76], 100 << 10}, end}, "220 250 250 250 354 250 221", million},
		{"field name", []part{once(envelope + "DATA\r\n"), {x, 9 << 10}, once(": x"), end}, "220 250 250 250 354 250 221", million},
		{"number of fields", []part{once(envelope + "DATA\r\n"), {"X: y\r\n", million}, end}, "220 250 250 250 354 250 221", million},
		{"Message-ID fields", []part{once(envelope + "DATA\r\n"), {"Message-ID: <x@y>\r\n", 400 << 10}, end}, "220 250 250 250 354 250 221", 100 * million},
		{"Message-ID", []part{once(envelope + "DATA\r\nMessage-ID: <"), {x, 9 << 10}, once(">"), end}, "220 250 250 250 354 250 221", million},
		{"Received fields", []part{once(envelope + "DATA\r\n"), {"Received: x\r\n", 500 << 10}, end}, "220 250 250 250 354 554 221", million},
		{"body line", []part{once(envelope + "DATA\r\n\r\n"), {x, 9 << 10}, end}, "220 250 250 250 354 250 221", million},
		{"body", []part{once(envelope + "DATA\r\n\r\n"), {x, 12 << 10}, end}, "220 250 250 250 354 552 221", million},
		{"body far beyond", []part{once(envelope + "DATA\r\n\r\n"), {x, 64 << 10}, end}, "220 250 250 250 354 552", million},
		{"body of dots", []part{once(envelope + "DATA\r\n"), {"..\r\n", million}, end}, "220 250 250 250 354 250 221", million},
		{"body of bare LFs", []part{once(envelope + "DATA\r\n"), {"\n", 4 * million}, end}, "220 250 250 250 354 250 221", million},
		{"body of CRs", []part{once(envelope + "DATA\r\n"), {"\r", 4 * million}, end}, "220 250 250 250 354 250 221", million},
		{"chunk", []part{once(envelope + "BDAT 12000000 LAST\r\n"), {x[:1000], 12000}, once("QUIT\r\n")}, "220 250 250 250 552 221", million},
		{"chunk far beyond", []part{once(envelope + "BDAT 9000000000 LAST\r\n"), {x, 64 << 10}, once("QUIT\r\n")}, "220 250 250 250 552", million},
		{"chunks", []part{once(envelope), {"BDAT 1\r\nx", 100000}, once("BDAT 0 LAST\r\nQUIT\r\n")}, "220 250 250 250 250* 221", 40 * million},
		{"chunks of nobody", []part{{"BDAT 1000\r\n" + x[:1000], million}}, "220 503 551 551 551 551 551 551 551 551 551 551 551 551 551 551 551 551 551 551 551 421", million},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := usual(t)
			w.o.Log, w.o.Queue, w.o.ReplaceStrayCR = nil, new(bin), true
			w.o.Logins = &accounts{mechanisms: "PLAIN LOGIN"}
			w.o.MyNetworks, w.o.LocalClients = nil, nil
			w.start()
			f := &flood{parts: tt.parts}
			took := allocated(func() { w.srv.ServeConn(f, Peer{Addr: netip.MustParseAddr("127.0.0.2")}) })
			said := f.said.String()
			if got := codes(said); !matchesCodes(got, tt.codes) || malformed(said) != "" {
				t.Errorf("said %.200q ... %.200q: codes %.200s, want %s", said, said[max(0, len(said)-200):], got, tt.codes)
			}
			if took -= int64(4 * len(said)); took > tt.most {
				t.Errorf("%d bytes were taken from the heap, at most %d are allowed", took, tt.most)
			}
		})
	}
}

// matchesCodes compares reply codes; one with an asterisk may come any number of times.
func matchesCodes(got, want string) bool {
	list := strings.Fields(got)
	for code := range strings.FieldsSeq(want) {
		code, many := strings.CutSuffix(code, "*")
		if len(list) == 0 || list[0] != code {
			return false
		}
		for list = list[1:]; many && len(list) > 0 && list[0] == code; list = list[1:] {
		}
	}
	return len(list) == 0
}

// TLS records and handshake messages that are too long end the connection.
func TestOversizeTLS(t *testing.T) {
	for name, c := range map[string]struct {
		send  string
		times int
	}{
		"a record longer than there are":  {"\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 0xffff), 100},
		"a handshake message of 16 MB":    {"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + strings.Repeat("\x00", 0x4000-4), 1024},
		"empty records":                   {"\x16\x03\x01\x00\x00", 1 << 20},
		"alerts":                          {"\x15\x03\x01\x00\x02\x01\x5a", 1 << 20},
		"change cipher spec, again":       {"\x14\x03\x01\x00\x01\x01", 1 << 20},
		"application data from the start": {"\x17\x03\x03\x40\x00" + strings.Repeat("\x00", 0x4000), 1024},
	} {
		t.Run(name, func(t *testing.T) {
			cert, _ := certificate(t, "mx.example.com")
			w := usual(t)
			w.o.TLS = &TLS{Config: &tls.Config{Certificates: []tls.Certificate{cert}}, Wrapper: true, Timeout: time.Minute}
			w.start()
			f := &flood{parts: []part{{c.send, c.times}}}
			took := allocated(func() { w.srv.ServeConn(f, Peer{Addr: netip.MustParseAddr("127.0.0.2")}) })
			if took > 2<<20 {
				t.Errorf("%d bytes were taken from the heap", took)
			}
			if !f.shut || len(f.parts) == 0 || strings.Contains(f.said.String(), "220") {
				t.Errorf("%d parts were left, said %q", len(f.parts), f.said.String())
			}
		})
	}
}

// What a connection holds while a message is under way does not grow with the message.
func TestHeldMemory(t *testing.T) {
	held := func(kilobytes int) int64 {
		w := usual(t)
		w.o.Log, w.o.Queue, w.o.MessageSizeLimit = nil, new(bin), 0
		w.start()
		at := &measuring{}
		at.parts = []part{{"EHLO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nA: b\r\n\r\n", 1}, {strings.Repeat("y", 1022) + "\r\n", kilobytes}}
		w.srv.ServeConn(at, Peer{Addr: netip.MustParseAddr("127.0.0.2")})
		return at.held
	}
	small, large := held(64), held(16<<10)
	if large > small+256<<10 {
		t.Errorf("%s are held in a message of 64 KB, %s in one of 16 MB", kb(small), kb(large))
	}
}

func kb(n int64) string { return fmt.Sprintf("%d KB", n>>10) }

// measuring looks at the heap when everything has been sent.
type measuring struct {
	flood
	held int64
}

func (m *measuring) Read(b []byte) (int, error) {
	n, err := m.flood.Read(b)
	if err != nil && m.held == 0 {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		m.held = int64(now.HeapAlloc)
	}
	return n, err
}
