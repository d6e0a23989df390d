package smtpd

import (
	"crypto/tls"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/integration/talks"
	"aliasmx/internal/mail"
)

// The conversations of testdata/conversations (docs/conversations.md) with our engine.

const conversationsDir = "testdata/conversations"

func loadConversations(t *testing.T) []*talks.Conversation {
	t.Helper()
	all, err := talks.Load(conversationsDir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// In memory, in virtual time.
func TestConversations(t *testing.T) {
	all := loadConversations(t)
	if len(all) < 220 {
		t.Errorf("%d conversations; there were 220 at least", len(all))
	}
	for _, c := range all {
		t.Run(c.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := conversationWorld(t, all, c)
				w.start()
				serve := func(nc net.Conn, p Peer) { w.conns.Go(func() { w.srv.ServeConn(nc, p) }) }
				w.converse(c, &talks.Player{
					Dial:   func(from string) (net.Conn, error) { return dialMemory(from, serve), nil },
					Pause:  func(d time.Duration) { <-time.After(d) },
					Settle: synctest.Wait,
				})
			})
		})
	}
}

// dialMemory connects from an address to whoever serves.
func dialMemory(from string, serve func(net.Conn, Peer)) net.Conn {
	local := from == "local"
	if local {
		from = "127.0.0.1"
	}
	near, far := talks.Pipe(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 40000)), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25})
	p := peerOf(far)
	if local {
		p = Peer{Local: true, UID: 1000}
	}
	serve(far, p)
	return near
}

// Over sockets: what differs there is how bytes arrive, and that time passes.
func TestConversationsOverSockets(t *testing.T) {
	all := loadConversations(t)
	for _, c := range all {
		if c.Only == talks.OnlyMemory {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel() // they wait for time-outs, mostly
			w := conversationWorld(t, all, c)
			addr := listen(t, w)
			w.converse(c, &talks.Player{
				Dial: func(from string) (net.Conn, error) {
					dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
					return dialer.Dial("tcp4", addr)
				},
				Pause:    func(d time.Duration) { <-time.After(d) },
				Closed:   w.waitOpen,
				Patience: patience,
			})
		})
	}
}

// patience is met only where a test fails.
const patience = 30 * time.Second

// converse has one conversation and compares what it left.
func (w *world) converse(c *talks.Conversation, p *talks.Player) {
	p.IDs = new(talks.IDs)
	if err := p.Play(c); err != nil {
		w.t.Error(err)
	}
	w.quiet(p.Settle)
	w.compare(c, p.IDs)
}

// quiet waits until every connection has ended.
func (w *world) quiet(settle func()) {
	if settle != nil {
		w.conns.Wait()
		return
	}
	w.waitOpen(0)
}

// waitOpen waits until only so many connections are left.
func (w *world) waitOpen(left int) {
	for end := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		log := strings.Join(w.log.all(), "\n")
		if strings.Count(log, "]: connect from ")-left == strings.Count(log, "]: disconnect from ") {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("connections are still open\n%s", log)
		}
	}
}

func (w *world) compare(c *talks.Conversation, ids *talks.IDs) {
	log := ids.Log(strings.Join(w.log.all(), "\n"))
	if diff := c.CompareLog(log, ids.Queued(), false); diff != "" {
		w.t.Error(diff)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var letters []talks.Letter
	for i := range w.store.messages {
		letters = append(letters, letterOf(&w.store.messages[i]))
	}
	if diff := c.CompareQueue(ids.Queue(letters), false); diff != "" {
		w.t.Error(diff)
	}
}

// What leaves as spaces (docs/differences.md: bytes stay as they came).
var nulsBeforeDot = regexp.MustCompile(`\n\x00+\.`)

// letterOf is a message as a next hop would get it.
func letterOf(m *message) talks.Letter {
	env := &m.env
	from := "<" + env.Sender.String() + ">"
	switch {
	case env.Flags&mail.FlagBody8BitMIME != 0:
		from += " BODY=8BITMIME"
	case env.Flags&mail.FlagBody7Bit != 0:
		from += " BODY=7BIT"
	}
	if env.EnvID != "" {
		from += " ENVID=" + xtext(env.EnvID)
	}
	if env.Ret != "" {
		from += " RET=" + env.Ret
	}
	if env.Flags&mail.FlagSMTPUTF8 != 0 {
		from += " SMTPUTF8"
	}
	data := nulsBeforeDot.ReplaceAllStringFunc(string(env.Prepend)+m.body, func(s string) string { return strings.ReplaceAll(s, "\x00", " ") })
	l := talks.Letter{From: from, Data: data}
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		to := "<" + r.Final.String() + ">"
		var notify []string
		for _, n := range []struct {
			flag mail.Notify
			word string
		}{{mail.NotifyNever, "NEVER"}, {mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
			if r.Notify&n.flag != 0 {
				notify = append(notify, n.word)
			}
		}
		if notify != nil {
			to += " NOTIFY=" + strings.Join(notify, ",")
		}
		if kind, addr, ok := strings.Cut(r.ORcpt, ";"); ok {
			to += " ORCPT=" + kind + ";" + xtext(addr)
		}
		if r.Dest.Transport() != "smtp" {
			to += " " + strings.ReplaceAll(string(r.Dest), " ", "_")
		}
		l.To = append(l.To, to)
	}
	return l
}

// xtext encodes as RFC 3461 section 4 has it.
func xtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c == '+' || c == '=' || c >= 0x7f {
			b.Write([]byte{'+', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// testCertificate is what STARTTLS shows.
func testCertificate(t *testing.T) *tls.Config {
	cert, _ := certificate(t, "mx.example.com")
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
