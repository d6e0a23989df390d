package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/memstore"
)

// rig is a queue on a memory store, with a next hop and a notifier to be played with.
// It lives in a synctest bubble: waiting costs nothing.
type rig struct {
	t     *testing.T
	store *memstore.Store
	q     *queue.Queue
	hop   *hop
	notes *notes
	log   *logbook
	ended chan error
	end   context.CancelFunc
}

// most are limits with at most n connections to a site.
func most(n int) queue.TransportParams {
	t := queue.DefaultTransportParams()
	t.ConcurrencyLimit = n
	return t
}

// in runs a test in a bubble with a running queue.
func in(t *testing.T, p queue.Params, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		defer store.Close()
		r := newRig(t, store, store, p)
		r.run()
		f(r)
		r.stop()
	})
}

// newRig builds a queue on a store, which may be wrapped.
func newRig(t *testing.T, store *memstore.Store, wrapped queue.Store, p queue.Params) *rig {
	return newRigWith(t, store, wrapped, queue.Options{Params: p})
}

// newRigWith has more options; what a rig is made of is filled in.
func newRigWith(t *testing.T, store *memstore.Store, wrapped queue.Store, o queue.Options) *rig {
	p := o.Params
	if p.MaximalQueueLifetime == 0 {
		p.MaximalQueueLifetime = 5 * 24 * time.Hour
	}
	if p.BounceQueueLifetime == 0 {
		p.BounceQueueLifetime = 5 * 24 * time.Hour
	}
	r := &rig{t: t, store: store, hop: newHop(), notes: &notes{}, log: &logbook{ids: map[string]string{}}}
	o.Store, o.Transport, o.Notifier, o.Log = wrapped, r.hop, r.notes, slog.New(r.log)
	o.Rand, o.Params = func() float64 { return 0.5 }, p
	q, err := queue.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.q = q
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	r.ended = make(chan error, 1)
	go func() { r.ended <- r.q.Run(ctx) }()
	synctest.Wait()
}

func (r *rig) stop() {
	r.t.Helper()
	r.end()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

// wait lets time pass.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send queues a message. A recipient is "final", or "original>final".
func (r *rig) send(sender string, rcpts ...string) mail.QueueID {
	r.t.Helper()
	return r.sendEnv(r.envelope(sender, rcpts...))
}

// envelope is one for such recipients.
func (r *rig) envelope(sender string, rcpts ...string) *mail.Envelope {
	env := &mail.Envelope{
		ID: r.q.NewID(), Arrived: time.Now(), Sender: mail.SplitAddress(sender),
		Prepend: []byte("Received: x\r\n"),
	}
	for _, s := range rcpts {
		orig, final, ok := strings.Cut(s, ">")
		if !ok {
			final = orig
		}
		r := mail.Recipient{Orig: mail.SplitAddress(orig), Final: mail.SplitAddress(final)}
		r.Dest = mail.MakeDest("smtp", r.Final.Domain)
		env.Rcpts = append(env.Rcpts, r)
	}
	return env
}

func (r *rig) sendEnv(env *mail.Envelope) mail.QueueID {
	r.t.Helper()
	d, err := r.q.Stage(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(d, "Subject: test\r\n\r\nHello.\r\n")
	if err := d.Commit(context.Background(), env); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return env.ID
}

// queued is the listing of the queue, one line a message: queue, sender, recipients
// with their reasons.
func (r *rig) queued() string {
	var b strings.Builder
	err := r.q.List(context.Background(), func(l mail.Listed) bool {
		fmt.Fprintf(&b, "%s <%s>", l.Queue, l.Sender)
		for _, rcpt := range l.Rcpts {
			fmt.Fprintf(&b, " %s", rcpt.Address)
			if rcpt.Reason != "" {
				fmt.Fprintf(&b, " (%s)", rcpt.Reason)
			}
		}
		b.WriteString("\n")
		return true
	})
	if err != nil {
		r.t.Error(err)
	}
	return b.String()
}

func (r *rig) wantQueued(want string) {
	r.t.Helper()
	if got := r.queued(); got != want {
		r.t.Errorf("queue:\n%swant:\n%s", got, want)
	}
}

// wantLog compares the log since the last look.
func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	got := r.log.take()
	if w := strings.Join(want, "\n"); strings.Join(got, "\n") != w {
		r.t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), w)
	}
}

// hop is a next hop for all destinations. What it says to a recipient is set by
// address; the default is to accept.
type hop struct {
	linger time.Duration

	mu       sync.Mutex // guards what follows
	says     map[string]string
	dice     func(a *mail.Attempt, n int) string // asked first, when set
	delay    map[string]time.Duration            // of an attempt for such a recipient
	hook     func(a *mail.Attempt)
	work     func(ctx context.Context, dest mail.Dest, src mail.Source) bool // true: it did it all
	dsn      bool
	got      []string // "time recipient" of each accepted
	attempts []time.Time
	conns    int // open
	most     map[mail.Dest]int
	now      map[mail.Dest]int
}

func newHop() *hop {
	return &hop{
		linger: 2 * time.Second,
		says:   map[string]string{}, delay: map[string]time.Duration{},
		most: map[mail.Dest]int{}, now: map[mail.Dest]int{},
	}
}

// answer sets what is said to a recipient: "250 ...", "450 ...", "550 ...", or "down".
func (h *hop) answer(rcpt, says string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.says[rcpt] = says
}

func (h *hop) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.got...)
}

// slow sets how long an attempt for a recipient takes.
func (h *hop) slow(rcpt string, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delay[rcpt] = d
}

// tried is when attempts were made.
func (h *hop) tried() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]time.Time(nil), h.attempts...)
}

// connections are those open now, and the most there ever were to dest.
func (h *hop) connections(dest mail.Dest) (now, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns, h.most[dest]
}

// set changes any of the rest.
func (h *hop) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *hop) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	h.mu.Lock()
	work := h.work
	h.conns++
	h.now[dest]++
	h.most[dest] = max(h.most[dest], h.now[dest])
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.conns--
		h.now[dest]--
		h.mu.Unlock()
	}()
	if work != nil && work(ctx, dest, src) {
		return
	}
	for use := 1; ; use++ {
		a, ok := src.Next(ctx, h.linger)
		if !ok {
			return
		}
		results, f := h.attempt(a, use)
		src.Done(a, results, f)
		if f == mail.FeedbackBad {
			return
		}
	}
}

func (h *hop) attempt(a *mail.Attempt, use int) ([]mail.Result, mail.Feedback) {
	h.mu.Lock()
	hook := h.hook
	h.attempts = append(h.attempts, time.Now())
	delay := time.Duration(0)
	for _, n := range a.Rcpts {
		delay = max(delay, h.delay[a.Env.Rcpts[n].Final.String()])
	}
	h.mu.Unlock()
	if hook != nil {
		hook(a)
	}
	time.Sleep(delay)
	h.mu.Lock()
	defer h.mu.Unlock()
	feedback := mail.FeedbackGood
	var results []mail.Result
	for _, n := range a.Rcpts {
		to := a.Env.Rcpts[n].Final.String()
		r := mail.Result{Rcpt: n, Agent: "smtp", Relay: "mx[192.0.2.1]:25", ConnUse: use, Transmitted: delay, DSNPassed: h.dsn, Relayed: true}
		says := h.says[to]
		if h.dice != nil {
			says = h.dice(a, n)
		}
		switch {
		case says == "":
			r.State, r.Reason, r.Status = mail.Delivered, "250 Ok", mail.Status{Code: 250, Enhanced: mail.Code(2, 0, 0)}
			h.got = append(h.got, to)
		case says == "down":
			r.State, r.Reason, r.Relay = mail.Deferred, "connect to mx: Connection refused", "none"
			r.Status = mail.Status{Enhanced: mail.Code(4, 4, 1)}
			feedback = mail.FeedbackBad
		case says[0] == '4':
			r.State, r.Reason, r.Status = mail.Deferred, "said: "+says, mail.Status{Code: 450, Enhanced: mail.Code(4, 2, 0)}
		default:
			r.State, r.Reason, r.Status = mail.Failed, "said: "+says, mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1)}
		}
		results = append(results, r)
	}
	return results, feedback
}

// notes is a notifier whose reports are one line long.
type notes struct {
	mu     sync.Mutex // guards what follows
	fail   error
	copies bool
	sent   []string
}

func (n *notes) Notify(_ context.Context, r mail.Report) (*mail.Envelope, []byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return nil, nil, n.fail
	}
	if r.Env.Sender.IsNull() {
		return nil, nil, nil
	}
	if body, err := r.Body.Open(); err != nil {
		return nil, nil, err
	} else if content, err := io.ReadAll(body); err != nil || !bytes.Contains(content, []byte("Hello.")) {
		return nil, nil, errors.New("the body is not there")
	}
	kind := []string{"failed", "delayed", "delivered", "relayed", "expanded"}[r.Kind]
	line := kind
	for _, result := range r.Results {
		to := r.Env.Rcpts[result.Rcpt]
		if r.Kind == mail.ReportExpanded {
			line += " " + to.Orig.String()
		} else {
			line += " " + to.Final.String()
		}
		line += " " + result.Status.Enhanced.String()
	}
	n.sent = append(n.sent, line)
	to := mail.Recipient{Final: r.Env.Sender, Orig: r.Env.Sender, Dest: mail.MakeDest("smtp", r.Env.Sender.Domain)}
	env := &mail.Envelope{ID: r.NewID, Arrived: r.Now, Rcpts: []mail.Recipient{to}, Prepend: []byte("Received: y\r\n")}
	return env, []byte("Subject: " + kind + "\r\nMessage-Id: <note@mx>\r\n\r\n" + line + "\r\n"), nil
}

func (n *notes) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *notes) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.sent, "; ")
}

// Copy implements queue.Copier for those who want copies.
func (n *notes) Copy(_ context.Context, r mail.Report) (*mail.Envelope, []byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.copies {
		return nil, nil, nil
	}
	n.sent = append(n.sent, "copy")
	pm := mail.SplitAddress("pm@dest.example")
	env := &mail.Envelope{
		Sender: mail.SplitAddress("double-bounce@mx"),
		Rcpts:  []mail.Recipient{{Final: pm, Orig: pm, Dest: "smtp:dest.example"}},
	}
	return env, []byte("Message-Id: <copy@mx>\r\n\r\n"), nil
}

// logbook is the log, a line an event, with queue IDs as Q1, Q2, ...
type logbook struct {
	mu    sync.Mutex // guards what follows
	ids   map[string]string
	lines []string
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }

func (l *logbook) Handle(_ context.Context, rec slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var daemon, id, rest string
	rec.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case mail.KeyDaemon:
			daemon = a.Value.String()
		case mail.KeyQueueID:
			id = l.id(a.Value.String())
		case mail.KeyNewID:
			rest += " new_id=" + l.id(a.Value.String())
		case mail.KeyDelays:
			var parts []string
			for _, d := range a.Value.Any().([4]time.Duration) {
				parts = append(parts, fmt.Sprint(d.Seconds()))
			}
			rest += " delays=" + strings.Join(parts, "/")
		case mail.KeyDelay:
			rest += fmt.Sprintf(" delay=%v", a.Value.Duration().Seconds())
		case "stack":
		default:
			rest += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	line := strings.TrimSpace(fmt.Sprintf("%s %s: %s%s", daemon, id, rec.Message, rest))
	l.lines = append(l.lines, line)
	return nil
}

func (l *logbook) id(s string) string {
	if l.ids[s] == "" {
		l.ids[s] = fmt.Sprintf("Q%d", len(l.ids)+1)
	}
	return l.ids[s]
}

func (l *logbook) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// count is how many lines since the last look contain s.
func (l *logbook) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, s) {
			n++
		}
	}
	return n
}
