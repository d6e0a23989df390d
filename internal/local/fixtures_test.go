package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// rig is a Transport with a queue, a router and tables of a test's own. Local is
// mx.example.com; {dir} in aliases is the test's directory.
type rig struct {
	t    *testing.T
	dir  string
	o    Options
	q    *fakeQueue
	log  *lines
	tr   *Transport
	next mail.QueueID
}

const host = "mx.example.com"

func newRig(t *testing.T, aliases string, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), q: &fakeQueue{}, log: &lines{}, next: 100}
	for dir := r.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	r.o = Options{
		Router: router{}, Queue: r.q, MyHostname: host, QueueDirectory: r.dir,
		AllowCommands: []string{"alias", "forward"}, AllowFiles: []string{"alias", "forward"},
		PrependDelivered: []string{"command", "file", "forward"}, EnableOriginalRecipient: true,
		DefaultPrivs: User{Name: "nobody", UID: 65534, GID: 65534}, UserByID: account,
		Environment: []string{"LANG=C"}, ConfigDir: "/etc/test", LockDelay: time.Millisecond, LockAttempts: 3,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Now: func() time.Time { return time.Date(2026, 11, 22, 22, 32, 8, 523863000, time.UTC) },
	}
	r.o.Aliases = table.Maps{r.table("aliases", aliases)}
	for _, c := range change {
		c(&r.o)
	}
	r.start()
	return r
}

func (r *rig) start() {
	r.t.Helper()
	tr, err := New(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.tr = tr
	r.t.Cleanup(tr.Close)
}

// table builds and opens an alias table.
func (r *rig) table(name, text string) table.Table {
	r.t.Helper()
	path := r.write(name, text, 0o644)
	if err := table.Build("hash:"+path, table.BuildOptions{Aliases: true}); err != nil {
		r.t.Fatal(err)
	}
	t, err := table.Open("hash:"+path, table.Options{Aliases: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { t.Close() })
	return t
}

func (r *rig) write(name, text string, mode os.FileMode) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "{dir}", r.dir)), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) read(name string) string {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Error(err)
	}
	return string(b)
}

// open makes a directory that anybody may write to.
func (r *rig) open(name string) {
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(path, 0o777), os.Chmod(path, 0o777)); err != nil {
		r.t.Fatal(err)
	}
}

const letter = "Received: from client\r\nFrom: a@client.example\r\nMessage-Id: <x@client.example>\r\n\r\nbody\r\nFrom here\r\n.x\r\n"

// deliver delivers a letter to one local name, or to an address.
func (r *rig) deliver(name string) mail.Result { return r.deliverAs(name, letter, nil) }

func (r *rig) deliverAs(name, text string, change func(*mail.Attempt)) mail.Result {
	r.t.Helper()
	rcpt := mail.SplitAddress(name)
	if rcpt.Domain == "" {
		rcpt.Domain = host
	}
	r.next++
	a := &mail.Attempt{
		Env: &mail.Envelope{
			ID: r.next, Sender: mail.SplitAddress("sender@client.example"), Client: mail.Client{UID: -1},
			Prepend: []byte("Received: by mx.example.com (Postfix)\r\n\tid X; now\r\n"),
			Rcpts:   []mail.Recipient{{Final: rcpt, Orig: rcpt, ORcpt: "rfc822;" + rcpt.Internal()}},
		},
		Body: body(text), Rcpts: []int{0},
	}
	if change != nil {
		change(a)
	}
	src := &source1{a: a}
	r.tr.Work(context.Background(), "local:"+host, src)
	if len(src.results) != 1 {
		r.t.Fatalf("%d results", len(src.results))
	}
	return src.results[0]
}

// summary is what became of each target, in the words of the log.
func (r *rig) summary(res mail.Result) string {
	var b strings.Builder
	for _, t := range res.Targets {
		fmt.Fprintf(&b, "to=<%s>", t.To)
		if !t.Orig.IsNull() && t.Orig != t.To {
			fmt.Fprintf(&b, ", orig_to=<%s>", t.Orig)
		}
		state := map[mail.State]string{mail.Delivered: "sent", mail.Deferred: "deferred", mail.Failed: "bounced"}[t.State]
		fmt.Fprintf(&b, ", dsn=%s, status=%s (%s)\n", t.Status.Enhanced, state, t.Reason)
	}
	return strings.ReplaceAll(b.String(), r.dir, "{dir}")
}

type source1 struct {
	a       *mail.Attempt
	results []mail.Result
}

func (s *source1) Next(context.Context, time.Duration) (*mail.Attempt, bool) {
	a := s.a
	s.a = nil
	return a, a != nil
}
func (s *source1) Done(_ *mail.Attempt, results []mail.Result, _ mail.Feedback) { s.results = results }

type body string

func (b body) Size() int64                  { return int64(len(b)) }
func (b body) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(b))), nil }

// fakeQueue keeps what is forwarded.
type fakeQueue struct {
	mu   sync.Mutex
	last mail.QueueID
	fail error
	sent []sentMessage
}

type sentMessage struct {
	env  mail.Envelope
	body string
}

func (q *fakeQueue) NewID() mail.QueueID {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	return q.last
}

func (q *fakeQueue) Stage(context.Context) (mail.Draft, error) {
	if q.fail != nil {
		return nil, q.fail
	}
	return &fakeDraft{q: q}, nil
}

type fakeDraft struct {
	bytes.Buffer
	q *fakeQueue
}

func (d *fakeDraft) Abort()                   {}
func (d *fakeDraft) Body() (mail.Body, error) { return nil, errors.New("nobody reads it back") }
func (d *fakeDraft) Commit(_ context.Context, env *mail.Envelope) error {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	d.q.sent = append(d.q.sent, sentMessage{*env, d.String()})
	return nil
}

// recipients of a forwarded message, "from -> to to".
func (m sentMessage) String() string {
	var to []string
	for _, r := range m.env.Rcpts {
		to = append(to, r.Final.String())
	}
	return m.env.Sender.String() + " -> " + strings.Join(to, " ")
}

func (q *fakeQueue) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []string
	for _, m := range q.sent {
		all = append(all, m.String())
	}
	return strings.Join(all, "; ")
}

// router knows mx.example.com as local, and expands nothing but virtual@dest.example.
type router struct{}

func (router) Complete(a mail.Address) mail.Address {
	if a.Local == "" {
		a.Local = "MAILER-DAEMON"
	}
	if a.Domain == "" {
		a.Domain = host
	}
	return a
}

func (router) Local(_ context.Context, a mail.Address) (bool, error) {
	if a.Domain == "broken.example" {
		return false, errors.New("table is away")
	}
	return strings.EqualFold(a.Domain, host), nil
}

func (router) Expand(_ context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	rcpt := mail.Recipient{Final: r.Addr, Orig: r.Addr, ORcpt: r.ORcpt, Notify: r.Notify, Dest: "smtp:x"}
	switch r.Addr.Local {
	case "later":
		return nil, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}
	case "refused":
		return nil, &mail.Status{Code: 501, Enhanced: mail.Code(5, 1, 3), Text: "Bad recipient address syntax"}
	case "virtual":
		a, b := rcpt, rcpt
		a.Final.Local, b.Final.Local = "v1", "v2"
		return []mail.Recipient{a, b}, nil
	}
	return []mail.Recipient{rcpt}, nil
}

func account(uid int) (User, error) {
	switch uid {
	case 0:
		return User{Name: "root", Home: "/root"}, nil
	case 5:
		return User{Name: "games", UID: 5, GID: 60, Home: "/usr/games", Shell: "/usr/sbin/nologin"}, nil
	}
	return User{}, fmt.Errorf("unknown userid %d", uid)
}

// lines keeps a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// needRoot fails a test that cannot be run by anybody else: a test that is left out is
// taken for one that passes.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test acts as several users and has to be run by root")
	}
}

// reopen opens a table again.
func (r *rig) reopen(name string) table.Table {
	r.t.Helper()
	t, err := table.Open("hash:"+filepath.Join(r.dir, name), table.Options{Aliases: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { t.Close() })
	return t
}
