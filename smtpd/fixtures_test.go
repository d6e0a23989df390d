package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/talks"
	"aliasmx/internal/mail"
)

// The rooms beside smtpd, as far as its tests need them.

// book is a Recipients over a text in the form of virtual(5).
type book struct {
	domains  []string // virtual_alias_domains
	aliases  map[string]string
	myOrigin string
	code     int    // unknown_virtual_alias_reject_code
	unknown  string // what is said of a user who is not there
	lax      bool   // smtpd_reject_unlisted_recipient = no
	dotted   bool   // append_dot_mydomain
	broken   bool   // the table cannot answer
	noDomain bool   // the list of domains cannot answer
}

func newBook(domains, virtual string) *book {
	b := &book{
		domains: strings.Fields(domains), aliases: make(map[string]string), myOrigin: "mx.example.com",
		code: 550, unknown: "User unknown in virtual alias table",
	}
	for line := range strings.Lines(virtual) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(key, "\"") {
			b.aliases[strings.ToLower(key)] = value
		} else if ok { // a quoted key, up to the @
			at := strings.LastIndex(line, "\"@")
			end := at + strings.IndexByte(line[at:], ' ')
			b.aliases[strings.ToLower(line[:end])] = strings.TrimSpace(line[end:])
		}
	}
	return b
}

func (b *book) Complete(a mail.Address) mail.Address {
	if a.IsNull() {
		return a
	}
	if site, user, ok := strings.Cut(a.Local, "!"); ok && a.Domain == "" {
		a = mail.Address{Local: user, Domain: site}
	}
	if i := strings.LastIndexByte(a.Local, '%'); i >= 0 && a.Domain == "" {
		a = mail.Address{Local: a.Local[:i], Domain: a.Local[i+1:]}
	}
	if a.Domain == "" {
		a.Domain = b.myOrigin
	}
	a.Domain = strings.TrimSuffix(a.Domain, ".")
	if b.dotted && !strings.Contains(a.Domain, ".") {
		a.Domain += ".example.com"
	}
	return a
}

func (b *book) Sender(_ context.Context, a mail.Address) (mail.Reverse, error) {
	return mail.Reverse{Path: b.Complete(a)}, nil
}

func (b *book) Class(_ context.Context, a mail.Address) (mail.Class, error) {
	if b.noDomain {
		return 0, errors.New("fail:oops: no answer")
	}
	switch {
	case strings.ContainsAny(a.Local, "@%!"):
		return mail.ClassDefault, nil
	case slices.ContainsFunc(b.domains, func(d string) bool { return strings.EqualFold(d, a.Domain) }):
		return mail.ClassVirtualAlias, nil
	case a.Domain == "[127.0.0.1]":
		return mail.ClassLocal, nil
	}
	return mail.ClassDefault, nil
}

// HeaderAddress knows no more than completing, and that "trouble" cannot be looked up.
func (b *book) HeaderAddress(_ context.Context, a mail.Address, sender bool, remoteDomain string) (mail.Address, error) {
	if a.Local == "trouble" {
		return a, errors.New("fail:oops: no answer")
	}
	if remoteDomain != "" && a.Domain == "" && !a.IsNull() {
		a.Domain = remoteDomain
	}
	return b.Complete(a), nil
}

func (b *book) Expand(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	if b.broken {
		return nil, errors.New("fail:oops: no answer")
	}
	a := b.Complete(r.Addr)
	rcpt := mail.Recipient{Orig: r.Addr, ORcpt: r.ORcpt, Notify: r.Notify}
	for _, key := range []string{a.String(), "@" + a.Domain} {
		value, found := b.aliases[strings.ToLower(key)]
		if !found {
			continue
		}
		var list []mail.Recipient
		for target := range strings.FieldsSeq(strings.ReplaceAll(value, ",", " ")) {
			rcpt.Final = mail.SplitAddress(target)
			if strings.HasPrefix(target, "@") {
				rcpt.Final = mail.Address{Local: a.Local, Domain: target[1:]}
			}
			rcpt.Dest = mail.MakeDest("smtp", rcpt.Final.Domain)
			list = append(list, rcpt)
		}
		return list, nil
	}
	rcpt.Final, rcpt.Dest = a, mail.MakeDest("smtp", a.Domain)
	class, err := b.Class(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case class == mail.ClassVirtualAlias && !b.lax:
		return nil, &mail.Status{Code: b.code, Enhanced: mail.Code(uint16(b.code/100), 1, 1), Text: "Recipient address rejected: " + b.unknown}
	case class == mail.ClassLocal:
		return nil, &mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "Recipient address rejected: local mail delivery is disabled"}
	}
	return []mail.Recipient{rcpt}, nil
}

// store is an Enqueuer that keeps messages in memory.
type store struct {
	mu        sync.Mutex
	last      uint64
	messages  []message
	open      int   // drafts neither committed nor aborted
	admit     error // what Admit, Stage, Write and Commit say
	stage     error
	write     error
	commit    error
	onCommit  func()
	committed []mail.QueueID
}

type message struct {
	env  mail.Envelope
	body string
}

func (s *store) Admit(int64) error { return s.admit }

func (s *store) NewID() mail.QueueID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return mail.QueueID(s.last)
}

func (s *store) Stage(context.Context) (mail.Draft, error) {
	if s.stage != nil {
		return nil, s.stage
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return &draft{s: s}, nil
}

type draft struct {
	s    *store
	body bytes.Buffer
	done bool
}

func (d *draft) Write(p []byte) (int, error) {
	if d.s.write != nil {
		return 0, d.s.write
	}
	return d.body.Write(p)
}

func (d *draft) Body() (mail.Body, error) { return staged(d.body.String()), nil }

// staged is the body of a draft.
type staged string

func (s staged) Size() int64                  { return int64(len(s)) }
func (s staged) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }

func (d *draft) Commit(_ context.Context, env *mail.Envelope) error {
	if d.s.onCommit != nil {
		d.s.onCommit()
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.done {
		return errors.New("a draft was ended twice")
	}
	d.done = true
	d.s.open--
	if d.s.commit != nil {
		return d.s.commit
	}
	d.s.messages = append(d.s.messages, message{*env, d.body.String()})
	return nil
}

func (d *draft) Abort() {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if !d.done {
		d.done = true
		d.s.open--
	}
}

// journal is a log that looks like Postfix's, daemon and text.
type journal struct {
	mu    *sync.Mutex
	lines *[]string
	attrs []slog.Attr
}

func newJournal() *journal { return &journal{mu: new(sync.Mutex), lines: new([]string)} }

func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (j *journal) WithGroup(string) slog.Handler                { return j }
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{j.mu, j.lines, append(slices.Clone(j.attrs), attrs...)}
}

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	v := make(map[string]string)
	for _, a := range j.attrs {
		v[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool { v[a.Key] = a.Value.String(); return true })
	id := ""
	if q := v[mail.KeyQueueID]; q != "" {
		id = q + ": "
	}
	line := ""
	switch r.Message {
	case mail.EventConnect:
		line = "connect from " + v[mail.KeyClient]
	case mail.EventDisconnect:
		line = "disconnect from " + v[mail.KeyClient] + " " + v[mail.KeyCommands]
	case mail.EventClient:
		line = id + "client=" + v[mail.KeyClient]
		for _, key := range []string{"sasl_method", "sasl_username", "sasl_sender"} {
			if v[key] != "" {
				line += ", " + key + "=" + v[key]
			}
		}
		if from := v["orig_queue_id"]; from != "" {
			line += ", orig_queue_id=" + from
		}
		if from := v["orig_client"]; from != "" {
			line += ", orig_client=" + from
		}
	case mail.EventLost:
		line = v[mail.KeyReason] + " after " + v[mail.KeyStage] + " from " + v[mail.KeyClient]
	case mail.EventTLS:
		line = v[mail.KeyTLSLevel] + " TLS connection established from " + v[mail.KeyClient] + ": " + v[mail.KeyTLS]
	case mail.EventMessageID:
		line = id + "message-id=" + v[mail.KeyMessage]
	case mail.EventReject:
		if id == "" {
			id = "NOQUEUE: "
		}
		kind := v[mail.KeyKind]
		if kind == "" {
			kind = "reject"
		}
		line = id + kind + ": " + v[mail.KeyStage] + " from " + v[mail.KeyClient] + ": " + v[mail.KeyReason] + ";"
		if from, ok := v[mail.KeyFrom]; ok {
			line += " from=<" + from + ">"
		}
		if to, ok := v[mail.KeyTo]; ok {
			line += " to=<" + to + ">"
		}
		line += " proto=" + v[mail.KeyProto]
		if helo, ok := v[mail.KeyHelo]; ok {
			line += " helo=<" + helo + ">"
		}
	case mail.EventContent:
		line = id + v[mail.KeyKind] + ": " + v[mail.KeyStage] + " from " + v[mail.KeyClient] + "; from=<" + v[mail.KeyFrom] + "> to=<" + v[mail.KeyTo] +
			"> proto=" + v[mail.KeyProto] + " helo=<" + v[mail.KeyHelo] + ">"
		if v[mail.KeyReason] != "" {
			line += ": " + v[mail.KeyReason]
		}
	default:
		if r.Level >= slog.LevelWarn {
			line = "warning: "
		}
		line += id + r.Message
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	*j.lines = append(*j.lines, "postfix/"+v[mail.KeyDaemon]+"[PID]: "+line)
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(*j.lines)
}

// networks is mynetworks as a list of addresses.
type networks []netip.Addr

func (n networks) Match(_ context.Context, _ string, addr netip.Addr) (bool, error) {
	return slices.Contains(n, addr), nil
}

// world is a server with everything it needs.
type world struct {
	t     *testing.T
	o     Options
	store *store
	log   *journal
	srv   *Server
	conns sync.WaitGroup
}

// usual is the configuration that the recorded cases share.
func usual(t *testing.T) *world {
	w := &world{t: t, store: new(store), log: newJournal()}
	w.o = Options{
		MyHostname: "mx.example.com", Queue: w.store, Log: slog.New(w.log),
		Recipients:              newBook("virt.example", "a@virt.example b@dest.example\n"),
		MyNetworks:              networks{netip.MustParseAddr("127.0.0.1")},
		OwnAddr:                 func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") },
		LocalClients:            restrict("permit_inet_interfaces"),
		Relay:                   restrict("permit_mynetworks", "reject_unauth_destination"),
		MessageDropHeaders:      []string{"bcc", "content-length", "resent-bcc", "return-path"},
		ForbiddenCommands:       []string{"CONNECT", "GET", "POST"},
		AccessMatchesSubdomains: true, DelayReject: true, SMTPUTF8Enable: true, MessageSizeLimit: 10240000,
		Now:              func() time.Time { return time.Date(2025, 11, 22, 10, 0, 0, 0, time.UTC) },
		StatusUpdateTime: 24 * time.Hour,
	}
	return w
}

func restrict(names ...string) []Restriction {
	list, err := new(scene).newLanguage().Parse(names)
	if err != nil {
		panic(err)
	}
	return list
}

// start makes the server.
func (w *world) start() *world {
	w.srv = NewServer(w.o)
	w.t.Cleanup(func() {
		w.conns.Wait()
		if w.store.open != 0 {
			w.t.Errorf("%d drafts were neither committed nor aborted", w.store.open)
		}
		if n := w.srv.room.inMemory; n != 0 {
			w.t.Errorf("%d bytes of memory are still reserved", n)
		}
	})
	return w
}

// client is the other end of a connection to a world.
type client struct {
	t   *testing.T
	nc  net.Conn
	r   *bufio.Reader
	out chan string // what is to be written, in order
	end sync.Once
}

func (w *world) dial(addr string) *client {
	p := Peer{Addr: netip.MustParseAddr(addr)}
	return w.dialAs(p)
}

func (w *world) dialAs(p Peer) *client {
	// Not net.Pipe's: when TLS ends, each side tells the other, and waits five seconds for a reader.
	near, far := talks.Pipe(new(net.TCPAddr), new(net.TCPAddr))
	w.conns.Go(func() { w.srv.ServeConn(far, p) })
	c := &client{t: w.t, nc: near, r: bufio.NewReader(near), out: make(chan string, 1000)}
	w.t.Cleanup(c.hangUp)
	out := c.out // STARTTLS makes another
	w.conns.Go(func() {
		for s := range out {
			if _, err := io.WriteString(near, s); err != nil {
				for range out {
				}
			}
		}
	})
	return c
}

// send writes without waiting for anybody to read.
func (c *client) send(s string) { c.out <- s }

// hangUp closes the connection.
func (c *client) hangUp() {
	c.end.Do(func() {
		c.nc.Close()
		close(c.out)
	})
}

// reply reads one reply, its lines separated by "\n", "" when the connection has ended.
func (c *client) reply() string {
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if len(lines) > 0 || line != "" {
				c.t.Errorf("connection ended in the reply %q %q", lines, line)
			}
			return ""
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) < 4 {
			c.t.Errorf("bad reply line %q", line)
		}
		lines = append(lines, line)
		if line[3] == ' ' {
			return strings.Join(lines, "\n")
		}
	}
}

// do sends a line and returns the reply.
func (c *client) do(line string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.reply()
}

// expect sends lines and compares the beginning of each reply.
func (c *client) expect(pairs ...string) {
	c.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := c.do(pairs[i]); !strings.HasPrefix(got, pairs[i+1]) || got == "" {
			c.t.Fatalf("%q: %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func (c *client) greeting() *client {
	c.t.Helper()
	if got := c.reply(); got != "220 mx.example.com ESMTP Postfix" {
		c.t.Fatalf("greeting %q", got)
	}
	return c
}

// crlf makes a text a message as it goes over the wire, with its dots and its end.
func crlf(s string) string {
	s = strings.ReplaceAll("\n"+s, "\n.", "\n..")[1:]
	return strings.ReplaceAll(s, "\n", "\r\n") + ".\r\n"
}

func (m message) String() string {
	return strings.ReplaceAll(string(m.env.Prepend)+m.body, "\r\n", "\n")
}

func rcptString(r *mail.Recipient) string {
	return fmt.Sprintf("<%s> ORCPT=%s", r.Final.String(), r.ORcpt)
}
