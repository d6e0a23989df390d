package pickup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

var arrival = time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC)

// fakeRecipients resolves by a map from address to targets or a *mail.Status. An
// address of virt.example that is not in it does not exist; any other leads to itself.
type fakeRecipients map[string]any

func (f fakeRecipients) Complete(a mail.Address) mail.Address {
	if a.Domain == "" && a.Local != "" {
		a.Domain = "mx.example.com"
	}
	return a
}

func (f fakeRecipients) Sender(_ context.Context, a mail.Address) (mail.Reverse, error) {
	return mail.Reverse{Path: f.Complete(a)}, nil
}

func (f fakeRecipients) HeaderAddress(_ context.Context, a mail.Address, sender bool, remoteDomain string) (mail.Address, error) {
	if a.Local == "trouble" {
		return a, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}
	}
	if remoteDomain != "" && a.Domain == "" && a.Local != "" {
		a.Domain = remoteDomain
	}
	return f.Complete(a), nil
}

func (f fakeRecipients) Expand(_ context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	addr := r.Addr
	if addr.IsNull() {
		addr = mail.Address{Local: "MAILER-DAEMON", Domain: "mx.example.com"}
	}
	targets := []string{addr.Internal()}
	switch v := f[addr.Internal()].(type) {
	case *mail.Status:
		return nil, v
	case string:
		if v == "panic" {
			panic("expand")
		}
		targets = strings.Fields(v)
	default:
		if addr.Domain == "virt.example" {
			return nil, &mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "Recipient address rejected: User unknown in virtual alias table"}
		}
	}
	var rcpts []mail.Recipient
	for _, t := range targets {
		final := mail.SplitAddress(t)
		rcpts = append(rcpts, mail.Recipient{Final: final, Orig: r.Addr, ORcpt: r.ORcpt, Notify: r.Notify, Dest: mail.MakeDest("smtp", final.Domain)})
	}
	return rcpts, nil
}

// fakeQueue keeps what is committed.
type fakeQueue struct {
	failures
	mu   sync.Mutex
	next mail.QueueID
	msgs []message
	open int // drafts neither committed nor aborted
}

// failures are what goes wrong, nil for what does not.
type failures struct{ admit, stage, write, commit error }

type message struct {
	env  *mail.Envelope
	body string
}

func (q *fakeQueue) Admit(int64) error { return q.admit }

func (q *fakeQueue) NewID() mail.QueueID {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next++
	return q.next
}

func (q *fakeQueue) Stage(context.Context) (mail.Draft, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stage != nil {
		return nil, q.stage
	}
	q.open++
	return &fakeDraft{q: q}, nil
}

func (q *fakeQueue) state() (msgs []message, open int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]message(nil), q.msgs...), q.open
}

type fakeDraft struct {
	q    *fakeQueue
	b    bytes.Buffer
	done bool
}

func (d *fakeDraft) Write(p []byte) (int, error) {
	if d.q.write != nil {
		return 0, d.q.write
	}
	return d.b.Write(p)
}

func (d *fakeDraft) Body() (mail.Body, error) { return staged(d.b.String()), nil }

// staged is the body of a draft.
type staged string

func (s staged) Size() int64                  { return int64(len(s)) }
func (s staged) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }

func (d *fakeDraft) Commit(_ context.Context, env *mail.Envelope) error {
	d.Abort()
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	if d.q.commit != nil {
		return d.q.commit
	}
	d.q.msgs = append(d.q.msgs, message{env, d.b.String()})
	return nil
}

func (d *fakeDraft) Abort() {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	if !d.done {
		d.done = true
		d.q.open--
	}
}

// fixture is a server on a socket of its own.
type fixture struct {
	*Server
	queue  *fakeQueue
	socket string
	served chan error

	mu  sync.Mutex
	log bytes.Buffer
}

func (f *fixture) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *fixture) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

func start(t *testing.T, aliases fakeRecipients, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{queue: &fakeQueue{}, socket: filepath.Join(t.TempDir(), "pickup"), served: make(chan error, 1)}
	o := Options{
		Recipients: aliases, Queue: f.queue, MyHostname: "mx.example.com", Now: func() time.Time { return arrival },
		MessageDropHeaders: []string{"bcc", "content-length", "resent-bcc", "return-path"}, EnableOriginalRecipient: true,
		SMTPUTF8Autodetect: true,
		Log: slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}})),
	}
	if change != nil {
		change(&o)
	}
	f.Server = NewServer(o)
	f.listen(t)
	t.Cleanup(func() {
		f.Shutdown(t.Context())
		if err := <-f.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, open := f.queue.state(); open != 0 {
			t.Errorf("%d drafts were neither committed nor aborted", open)
		}
	})
	return f
}

func (f *fixture) listen(t *testing.T) {
	l, err := sock.Listen(f.socket, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.served <- f.Serve(l) }()
}

// dial is a connection that the test speaks frames on.
func (f *fixture) dial(t *testing.T) *link {
	t.Helper()
	conn, err := sock.Dial(f.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &link{conn: conn, timeout: 10 * time.Second}
}

// open is the same with a request that was accepted.
func (f *fixture) open(t *testing.T, r Request) *link {
	t.Helper()
	l := f.dial(t)
	if reply, err := l.open(&r, modeSubmit); reply != nil || err != nil {
		t.Fatalf("open: %+v, %v", reply, err)
	}
	return l
}

func (f *fixture) submit(t *testing.T, r Request, body string) (Reply, error) {
	t.Helper()
	return Submit(t.Context(), f.socket, r, strings.NewReader(body))
}

func addresses(list ...string) []mail.Address {
	var out []mail.Address
	for _, s := range list {
		out = append(out, mail.SplitAddress(s))
	}
	return out
}

// show is a recipient in one line.
func show(rcpts []mail.Recipient) string {
	var b strings.Builder
	for i, r := range rcpts {
		fmt.Fprintf(&b, "%s orig_to=%s orcpt=%s notify=%d %s", r.Final, r.OrigTo(), r.ORcpt, r.Notify, r.Dest)
		if i < len(rcpts)-1 {
			b.WriteString("\n")
		}
	}
	return b.String()
}
