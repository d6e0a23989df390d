package smtpd

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"aliasmx/integration/talks"
)

// The same sessions under go-smtp's server: the codes of replies, and what is taken. What
// it cannot do stands in testdata/conversations-gosmtp.list, and nothing else may fail, or succeed. What
// goes one way or the other by chance is not tried.
func TestConversationsUnderGoSMTP(t *testing.T) {
	unable := loadUnable(t)
	all := loadConversations(t)
	for _, c := range all {
		why, listed := unable[c.Name()]
		delete(unable, c.Name())
		if strings.HasPrefix(why, "by chance: ") || raceDetector && hasChunk(c) {
			continue // around BDAT go-smtp calls a session from two goroutines
		}
		if c.Only != talks.Portable {
			if listed {
				t.Errorf("%s: testdata/conversations-gosmtp.list lists it, but it is not for every server", c.Name())
			}
			continue
		}
		failure := ""
		synctest.Test(t, func(t *testing.T) { failure = underGoSMTP(t, all, c) })
		switch {
		case failure != "" && !listed:
			t.Errorf("%s fails, and testdata/conversations-gosmtp.list does not list it:\n%s", c.Name(), failure)
		case failure == "" && listed:
			t.Errorf("%s succeeds, but testdata/conversations-gosmtp.list has a reason why not: %s", c.Name(), why)
		}
	}
	for name := range unable {
		t.Errorf("testdata/conversations-gosmtp.list lists %s, which is no conversation", name)
	}
}

func hasChunk(c *talks.Conversation) bool {
	return slices.ContainsFunc(c.Steps, func(s talks.Step) bool { return strings.Contains(strings.ToUpper(s.Text), "BDAT") })
}

// loadUnable reads "NUMBER reason" and "theme/title: NUMBER" lines.
func loadUnable(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/conversations-gosmtp.list")
	if err != nil {
		t.Fatal(err)
	}
	reasons, unable := make(map[string]string), make(map[string]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if number, reason, ok := strings.Cut(line, " "); ok && !strings.Contains(number, "/") {
			reasons[number] = reason
			continue
		}
		i := strings.LastIndex(line, ": ")
		if i < 0 || reasons[line[i+2:]] == "" {
			t.Fatalf("testdata/conversations-gosmtp.list: %q names no reason", line)
		}
		unable[line[:i]] = reasons[line[i+2:]]
	}
	return unable
}

// underGoSMTP has a conversation with smtp.Server and tells how it failed.
func underGoSMTP(t *testing.T, all []*talks.Conversation, c *talks.Conversation) string {
	w := conversationWorld(t, all, c)
	w.start()
	o := w.srv.options.Load()
	l := talks.NewListener(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25})
	s := smtp.NewServer(w.srv.Backend())
	s.Domain, s.EnableDSN, s.EnableSMTPUTF8 = o.MyHostname, true, o.SMTPUTF8Enable
	s.MaxMessageBytes, s.MaxRecipients = o.MessageSizeLimit, o.RecipientLimit
	s.ReadTimeout, s.WriteTimeout, s.MaxLineLength = o.Timeout, o.Timeout, o.LineLengthLimit
	s.ErrorLog, s.AllowInsecureAuth = discardLog{}, true
	if o.TLS != nil {
		s.TLSConfig = o.TLS.Config
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	p := &talks.Player{
		Dial: func(from string) (net.Conn, error) {
			return l.Dial(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 40000)))
		},
		Pause:  func(d time.Duration) { <-time.After(d) },
		Settle: synctest.Wait, IDs: new(talks.IDs),
		Codes: true, Patience: 10 * time.Minute,
	}
	failure := ""
	if err := p.Play(c); err != nil {
		failure = err.Error()
	}
	synctest.Wait() // its Close ends sessions from outside, whatever they are doing
	s.Close()
	<-served
	synctest.Wait()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.open = 0 // how go-smtp ends a session is its own business
	w.srv.room.mu.Lock()
	w.srv.room.inMemory = 0
	w.srv.room.mu.Unlock()
	if failure == "" {
		var letters []talks.Letter
		for i := range w.store.messages {
			letters = append(letters, letterOf(&w.store.messages[i]))
		}
		failure = c.CompareQueue(p.IDs.Queue(letters), false)
	}
	return failure
}

type discardLog struct{}

func (discardLog) Printf(string, ...any) {}
func (discardLog) Println(...any)        {}
