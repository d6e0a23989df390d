package smtpd

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// filters are milters that note what they hear, and say what they are told to.
type filters struct {
	heard  []string
	says   map[string]mail.MilterReply // by the first word of what they hear
	edit   func(*mail.MilterMessage) error
	macros mail.MilterMacros
	seen   []string // macros that are known, at each event
}

func (f *filters) open(_ context.Context, client netip.Addr, _ *slog.Logger, macros mail.MilterMacros) MilterSession {
	f.heard = append(f.heard, "open "+client.String())
	f.macros = macros
	return f
}

func (f *filters) hear(words ...string) mail.MilterReply {
	f.heard = append(f.heard, strings.Join(words, " "))
	return f.says[words[0]]
}

func (f *filters) Connect(c mail.MilterClient) mail.MilterReply { return f.hear("connect", c.Name) }
func (f *filters) Helo(name string) mail.MilterReply            { return f.hear("helo", name) }
func (f *filters) Mail(args []string) mail.MilterReply {
	return f.hear(append([]string{"mail"}, args...)...)
}
func (f *filters) Rcpt(args []string, refused bool) mail.MilterReply {
	if refused {
		return f.hear(append([]string{"refused"}, args...)...)
	}
	return f.hear(append([]string{"rcpt"}, args...)...)
}
func (f *filters) Data() mail.MilterReply               { return f.hear("data") }
func (f *filters) Unknown(word string) mail.MilterReply { return f.hear("unknown", word) }
func (f *filters) Standing() mail.MilterReply           { return f.says["standing"] }
func (f *filters) Abort()                               { f.hear("abort") }
func (f *filters) Close()                               { f.hear("close") }
func (f *filters) Message(m *mail.MilterMessage) (mail.MilterReply, error) {
	if f.edit != nil {
		if err := f.edit(m); err != nil {
			return mail.MilterReply{}, err
		}
	}
	return f.hear("message"), nil
}

func refusing(text string) mail.MilterReply {
	return mail.MilterReply{Action: mail.MilterRefuse, Text: text}
}

// withMilters is a world with milters, and the replies to a dialogue in it.
func withMilters(t *testing.T, f *filters, change func(*Options), lines ...string) (*world, []string) {
	w := usual(t)
	w.o.Milters = f.open
	if change != nil {
		change(&w.o)
	}
	w.start()
	c := w.dial("192.0.2.1")
	replies := []string{c.reply()}
	for _, line := range lines {
		if replies[len(replies)-1] == "" {
			break
		}
		replies = append(replies, c.do(line))
	}
	c.hangUp()
	w.conns.Wait()
	return w, replies
}

const letterAtEnd = "Subject: x\r\n\r\nbody\r\n."

func TestMilterEvents(t *testing.T) {
	hold, drop := mail.MilterReply{Action: mail.MilterHold}, mail.MilterReply{Action: mail.MilterDiscard}
	dialogue := []string{"EHLO c.example", "MAIL FROM:<s@c.example> SIZE=10", "RCPT TO:<a@virt.example>", "DATA", letterAtEnd}
	for _, tt := range []struct {
		name  string
		says  map[string]mail.MilterReply
		lines []string
		heard string
		last  string // the last reply
		taken int
	}{
		{name: "all", heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; rcpt <a@virt.example>; data; message; abort; abort; close", last: "250 2.0.0 Ok: queued as ", taken: 1},
		{name: "rset", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RSET", "RSET"},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example>; abort; abort; close", last: "250 2.0.0 Ok"},
		{name: "ehlo in a transaction", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "EHLO d.example"},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example>; helo d.example; abort; abort; abort; close", last: "250-mx.example.com\n"},
		{name: "refused recipient", lines: []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<none@virt.example>"},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example>; refused <none@virt.example>; abort; abort; close", last: "550 5.1.1"},
		{name: "refused at MAIL", says: map[string]mail.MilterReply{"mail": refusing("550 5.7.1 no")}, lines: dialogue[:2],
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; abort; abort; close", last: "550 5.7.1 no"},
		{name: "dropped at RCPT", says: map[string]mail.MilterReply{"rcpt": drop},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; rcpt <a@virt.example>; abort; abort; close", last: "250 2.0.0 Ok: queued as "},
		{name: "held at DATA", says: map[string]mail.MilterReply{"data": hold},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; rcpt <a@virt.example>; data; message; abort; abort; close", last: "250 2.0.0 Ok: queued as ", taken: 1},
		{name: "refused at the end", says: map[string]mail.MilterReply{"message": refusing("550-5.7.1 one\r\n550 5.7.1 two")},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; rcpt <a@virt.example>; data; message; abort; abort; close", last: "550-5.7.1 one\n550 5.7.1 two"},
		{name: "codes that differ", says: map[string]mail.MilterReply{"message": refusing("550-5.7.1 one\r\n550 two")},
			heard: "open 192.0.2.1; connect unknown; helo c.example; mail <s@c.example> SIZE=10; rcpt <a@virt.example>; data; message; abort; abort; close", last: "550-5.7.1 one\n550 two"},
		{name: "connect refused for good", says: map[string]mail.MilterReply{"connect": refusing("550 5.7.1 no")}, lines: []string{"QUIT"}, heard: "open 192.0.2.1; connect unknown; close", last: "221 2.0.0 Bye"},
		{name: "connection ended", says: map[string]mail.MilterReply{"helo": {Action: mail.MilterShutdown}}, lines: []string{"EHLO c.example", "NOOP"}, heard: "open 192.0.2.1; connect unknown; helo c.example; close", last: ""},
		{name: "standing", says: map[string]mail.MilterReply{"standing": refusing("550 5.7.1 no")}, lines: []string{"VRFY <a@virt.example>"}, heard: "open 192.0.2.1; connect unknown; close", last: "550 5.7.1 no"},
		{name: "unknown", says: map[string]mail.MilterReply{"unknown": refusing("502 5.5.1 no")}, lines: []string{"FOO bar"}, heard: "open 192.0.2.1; connect unknown; unknown FOO; close", last: "502 5.5.1 no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &filters{says: tt.says}
			if tt.lines == nil {
				tt.lines = dialogue
			}
			w, replies := withMilters(t, f, nil, tt.lines...)
			if got := strings.Join(f.heard, "; "); got != tt.heard {
				t.Errorf("heard\n%s, want\n%s", got, tt.heard)
			}
			if last := replies[len(replies)-1]; !strings.HasPrefix(last, tt.last) || tt.last == "" && last != "" {
				t.Errorf("replies %q, want the last to be %q", replies, tt.last)
			}
			if len(w.store.messages) != tt.taken {
				t.Errorf("%d messages taken, want %d", len(w.store.messages), tt.taken)
			}
			if tt.name == "held at DATA" && w.store.messages[0].env.Flags&mail.FlagHold == 0 {
				t.Error("not on hold")
			}
		})
	}
}

func TestNoMilters(t *testing.T) {
	f := &filters{}
	withMilters(t, f, func(o *Options) { o.NoMilters = true }, "QUIT")
	if len(f.heard) > 0 {
		t.Errorf("heard %q", f.heard)
	}
}

// What milters change in a message is what is queued.
func TestMilterChanges(t *testing.T) {
	address := mail.SplitAddress
	f := &filters{edit: func(m *mail.MilterMessage) error {
		if !strings.HasPrefix(string(m.Prepend), "Received: ") || m.Received != len(m.Prepend) {
			t.Errorf("above the message %q, %d bytes of it our own", m.Prepend, m.Received)
		}
		other, err := m.Stage()
		if err != nil {
			return err
		}
		other.Write([]byte("Subject: other\r\n\r\n"))
		m.Draft.Abort()
		m.Draft, m.Prepend = other, append([]byte("X: \xc3\xa4\r\n"), m.Prepend...)
		m.EightBitHeader = true
		m.Changes = []mail.EnvelopeChange{
			{Kind: mail.DeleteRecipient, Addr: address("a@virt.example")},
			{Kind: mail.AddRecipient, Addr: address("new@dest.example"), Notify: mail.NotifyNever, ORcpt: "rfc822;z"},
			{Kind: mail.AddRecipient, Addr: address("none@virt.example")},
			{Kind: mail.ChangeSender, Addr: address("other@c.example"), Ret: "HDRS", EnvID: "e"},
		}
		return nil
	}}
	w, replies := withMilters(t, f, nil, "EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", letterAtEnd)
	if len(w.store.messages) != 1 {
		t.Fatalf("replies %q", replies)
	}
	m := w.store.messages[0]
	var rcpts []string
	for _, r := range m.env.Rcpts {
		rcpts = append(rcpts, r.Final.String()+" "+string(r.Dest))
	}
	want := []string{"new@dest.example smtp:dest.example", "none@virt.example error:5.1.1 User unknown in virtual alias table"}
	if !slices.Equal(rcpts, want) || m.env.Rcpts[0].Notify != mail.NotifyNever || m.env.Rcpts[0].ORcpt != "rfc822;z" {
		t.Errorf("recipients %q, want %q", rcpts, want)
	}
	if m.env.Sender != address("other@c.example") || m.env.Ret != "HDRS" || m.env.EnvID != "e" || m.env.Flags&mail.FlagEightBit == 0 {
		t.Errorf("envelope %+v", m.env)
	}
	if !strings.HasPrefix(m.String(), "X: ä\nReceived: from c.example") || !strings.HasSuffix(m.String(), "\nSubject: other\n\n") {
		t.Errorf("message\n%s", m)
	}
}

// A message that milters leave without recipients is taken, and nobody gets it; one that
// they cannot be shown is refused for now.
func TestMilterLeavesNobody(t *testing.T) {
	f := &filters{edit: func(m *mail.MilterMessage) error {
		m.Changes = []mail.EnvelopeChange{{Kind: mail.DeleteRecipient, Addr: mail.SplitAddress("a@virt.example")}}
		return nil
	}}
	dialogue := []string{"EHLO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<a@virt.example>", "DATA", letterAtEnd}
	w, replies := withMilters(t, f, nil, dialogue...)
	if last := replies[len(replies)-1]; !strings.HasPrefix(last, "250 ") || len(w.store.messages) != 0 {
		t.Errorf("%q, %d messages", last, len(w.store.messages))
	}
	f = &filters{edit: func(*mail.MilterMessage) error { return context.DeadlineExceeded }}
	w, replies = withMilters(t, f, nil, dialogue...)
	if last := replies[len(replies)-1]; last != "451 4.3.0 Error: queue file write error" || len(w.store.messages) != 0 {
		t.Errorf("%q, %d messages", last, len(w.store.messages))
	}
}

// The values of macros, in the envelope and at the end of a message.
func TestMilterMacros(t *testing.T) {
	f := &filters{}
	f.edit = func(m *mail.MilterMessage) error {
		f.macros = m.Macros
		f.note()
		return nil
	}
	w := usual(t)
	w.o.Milters = func(ctx context.Context, a netip.Addr, l *slog.Logger, macros mail.MilterMacros) MilterSession {
		f.open(ctx, a, l, macros)
		return &noting{f}
	}
	w.o.Route = func(a mail.Address) mail.Dest { return mail.MakeDest("smtp", "["+a.Domain+"]") }
	w.start()
	c := w.dialAs(Peer{Addr: netip.MustParseAddr("2001:db8::1"), Port: 99, Name: "c.example", Reverse: "C.example"})
	c.reply()
	c.expect("EHLO c.example", "250-", "MAIL FROM:<>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ", letterAtEnd, "250 ")
	c.hangUp()
	w.conns.Wait()
	want := []string{
		"connect: _=C.example [2001:db8::1] client_addr=IPv6:2001:db8::1 client_name=c.example client_port=99 client_ptr=C.example client_resolve=OK client_connections=1",
		"rcpt: _=C.example [2001:db8::1] client_addr=IPv6:2001:db8::1 client_name=c.example client_port=99 client_ptr=C.example client_resolve=OK client_connections=1 mail_addr= mail_host=[] mail_mailer=smtp rcpt_addr=a@virt.example rcpt_host=[virt.example] rcpt_mailer=smtp",
		"message: i=000000000001 _=C.example [2001:db8::1] client_addr=2001:db8::1 client_name=c.example client_port=99 client_ptr=C.example",
	}
	if !slices.Equal(f.seen, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(f.seen, "\n"), strings.Join(want, "\n"))
	}
}

// noting notes the macros at connect and at RCPT.
type noting struct{ *filters }

func (n *noting) Connect(c mail.MilterClient) mail.MilterReply {
	n.heard = append(n.heard, "connect")
	n.note()
	return mail.MilterReply{}
}

func (n *noting) Rcpt([]string, bool) mail.MilterReply {
	n.heard = append(n.heard, "rcpt")
	n.note()
	return mail.MilterReply{}
}

func (f *filters) note() {
	line := f.heard[len(f.heard)-1] + ":"
	if f.heard[len(f.heard)-1] == "data" {
		line = "message:"
	}
	for _, name := range []string{"i", "_", "client_addr", "client_name", "client_port", "client_ptr", "client_resolve", "client_connections",
		"mail_addr", "mail_host", "mail_mailer", "rcpt_addr", "rcpt_host", "rcpt_mailer", "auth_authen", "tls_version", "nothing"} {
		if v, ok := f.macros(name); ok {
			line += " " + name + "=" + v
		}
	}
	f.seen = append(f.seen, line)
}
