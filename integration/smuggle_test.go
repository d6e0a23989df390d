package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/mail"
	"aliasmx/queue/pebblestore"
)

// SMTP smuggling end to end: letters with something in them that is not their end, and
// commands of another letter behind it, go through the binary by DATA and by BDAT, and lie
// in its queue from older times. A next hop, however lax, gets as many letters as were sent.

const smuggledLetter = "MAIL FROM:<evil@client.example>\r\nRCPT TO:<evil@dest.example>\r\nDATA\r\nSubject: evil\r\n\r\nsmuggled\r\n"

func carrier(how string, n int, s smuggle.Sequence) string {
	return fmt.Sprintf("Subject: %s %d\r\n\r\nbefore%s%s", how, n, s.Bytes, smuggledLetter)
}

// sendCarriers brings all letters and returns how many.
func sendCarriers(t *testing.T, r *relay, nextHop string) int {
	t.Helper()
	list := smuggle.Own()
	layInQueue(t, r, nextHop, list)
	r.start()
	d := dialSMTP(t, r.smtp)
	d.say("EHLO client.example")
	begin := func() {
		for _, line := range []string{"MAIL FROM:<good@client.example>", "RCPT TO:<info@alias.example>"} {
			if got := d.say(line); !strings.HasPrefix(got, "250 2.1.") {
				t.Fatalf("%s: %s", line, got)
			}
		}
	}
	taken := func(s smuggle.Sequence) {
		if got := d.read(); !strings.HasPrefix(got, "250 2.0.0 Ok:") {
			t.Fatalf("%s: %s", s.Name, got)
		}
		if got := d.say("NOOP"); got != "250 2.0.0 Ok" {
			t.Fatalf("after %s: %s", s.Name, got)
		}
	}
	for i, s := range list {
		begin()
		d.say("DATA")
		io.WriteString(d.Conn, carrier("by DATA", i, s)+".\r\n")
		taken(s)
		begin()
		letter := carrier("by BDAT", i, s)
		fmt.Fprintf(d.Conn, "BDAT %d LAST\r\n%s", len(letter), letter)
		taken(s)
	}
	d.say("QUIT")
	return 3 * len(list)
}

// layInQueue puts letters into the queue as no daemon of ours would: with line ends that
// are none, and without its end.
func layInQueue(t *testing.T, r *relay, nextHop string, list []smuggle.Sequence) {
	t.Helper()
	store, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(r.top, "queue", "store")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	_, port, _ := net.SplitHostPort(nextHop)
	for i, s := range list {
		draft, err := store.Stage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(draft, carrier("from the queue", i, s))
		id := store.IDs().Next()
		if _, err := draft.Commit(context.Background(), &mail.Envelope{
			ID: id, Arrived: time.Now(), Sender: mail.SplitAddress("good@client.example"),
			Rcpts: []mail.Recipient{{
				Final: mail.SplitAddress("target@dest.example"), Orig: mail.SplitAddress("info@alias.example"),
				Dest: mail.MakeDest("smtp", "[127.0.0.1]:"+port),
			}},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// smuggler is a relay that sends everything to a next hop.
func smuggler(t *testing.T, nextHop string) *relay {
	cf := base(nil)
	_, port, _ := net.SplitHostPort(nextHop)
	cf["relayhost"] = "[127.0.0.1]:" + port
	cf["smtpd_junk_command_limit"] = "10000"
	return newRelay(t, cf, nil)
}

// tap is a next hop that keeps the bytes of each message as they came.
type tap struct {
	net.Listener
	mu       sync.Mutex // guards what follows
	messages []string
	commands []string
}

func newTap(t *testing.T) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{Listener: l}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { tp.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return tp
}

func (tp *tap) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * limit))
	r := bufio.NewReader(c)
	io.WriteString(c, "220 tap.example ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tp.mu.Lock()
		tp.commands = append(tp.commands, line)
		tp.mu.Unlock()
		switch reply := "250 2.0.0 Ok"; strings.TrimSpace(line) {
		case "DATA":
			io.WriteString(c, "354 go\r\n")
			content := ""
			for !strings.HasSuffix("\r\n"+content, "\r\n.\r\n") {
				b, err := r.ReadByte()
				if err != nil {
					return
				}
				content += string(rune(b))
			}
			tp.mu.Lock()
			tp.messages = append(tp.messages, content)
			tp.mu.Unlock()
			fallthrough
		default:
			io.WriteString(c, reply+"\r\n")
		}
	}
}

func TestSmugglingEndToEnd(t *testing.T) {
	tp := newTap(t)
	r := smuggler(t, tp.Addr().String())
	sent := sendCarriers(t, r, tp.Addr().String())
	r.waitEmpty()
	r.stop()
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if len(tp.messages) != sent {
		t.Errorf("%d letters arrived of %d", len(tp.messages), sent)
	}
	for _, line := range tp.commands {
		if strings.Contains(line, "evil") {
			t.Errorf("as a command: %q", line)
		}
	}
	for _, content := range tp.messages {
		for _, s := range append(smuggle.Lax(), smuggle.Strict()) {
			if _, rest, ended := s.Split(content); !ended || strings.Trim(rest, "\r\n") != "" {
				t.Errorf("a server that %s takes %q for commands of %q", s.Name, rest, content)
			}
		}
	}
}

// Debian's Postfix takes LF.LF for the end of a message, which is shown first.
func TestSmugglingToPostfix(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	_, port, _ := net.SplitHostPort(sink.Addr)
	next := newPostfix(t, "relayhost = [127.0.0.1]:"+port, "virtual_mailbox_domains =")
	smuggleThrough(t, sink, next.addr, next.log, "\n.\n")
}

// smuggleThrough sends all letters by way of a next hop that relays to sink, and counts.
// lax is a sequence that the next hop itself is known to be taken in by, or "".
func smuggleThrough(t *testing.T, sink interface {
	Wait(int, time.Duration) bool
	Count() int
}, nextHop string, log func() string, lax string) {
	t.Helper()
	before := 0
	if lax != "" {
		d := dialSMTP(t, nextHop)
		for _, line := range []string{"EHLO client.example", "MAIL FROM:<x@client.example>", "RCPT TO:<x@dest.example>", "DATA"} {
			d.say(line)
		}
		io.WriteString(d.Conn, "Subject: lax\r\n\r\nx"+lax+strings.ReplaceAll(smuggledLetter, "evil", "shown")+".\r\n")
		if before = 2; !sink.Wait(before, limit) {
			t.Fatalf("the next hop is not as lax as it should be:\n%s", log())
		}
	}
	r := smuggler(t, nextHop)
	sent := sendCarriers(t, r, nextHop)
	r.waitEmpty()
	if !sink.Wait(before+sent, limit) {
		t.Errorf("%d letters arrived of %d\n%s", sink.Count()-before, sent, log())
	}
	r.stop()
	if strings.Contains(log(), "evil") {
		t.Errorf("the next hop has taken a smuggled letter:\n%s", log())
	}
	if n := sink.Count() - before; n != sent {
		t.Errorf("%d letters arrived of %d", n, sent)
	}
}
