package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// source is a mail.Source with a list of attempts.
type source struct {
	t        testing.TB
	attempts []*mail.Attempt
	// idle says what happens when a worker waits and the list is empty: nil, nothing.
	idle func(ctx context.Context, d time.Duration) *mail.Attempt

	waited   []time.Duration
	results  [][]mail.Result // by attempt, in order of recipients
	feedback []mail.Feedback
	out      *mail.Attempt
}

func (s *source) Next(ctx context.Context, idle time.Duration) (*mail.Attempt, bool) {
	if s.out != nil {
		s.t.Errorf("Next before Done of %s", s.out.Env.ID)
	}
	if len(s.attempts) > 0 {
		s.out, s.attempts = s.attempts[0], s.attempts[1:]
		return s.out, true
	}
	s.waited = append(s.waited, idle)
	if s.idle != nil && idle > 0 {
		s.out = s.idle(ctx, idle)
	}
	return s.out, s.out != nil
}

func (s *source) Done(a *mail.Attempt, results []mail.Result, f mail.Feedback) {
	if a != s.out {
		s.t.Errorf("Done of an attempt that is not out")
	}
	s.out = nil
	var has []int
	for _, r := range results {
		has = append(has, r.Rcpt)
	}
	slices.Sort(has)
	want := slices.Clone(a.Rcpts)
	slices.Sort(want)
	if !slices.Equal(has, want) {
		s.t.Errorf("results for recipients %v, want %v", has, want)
	}
	results = slices.Clone(results)
	slices.SortFunc(results, func(x, y mail.Result) int { return x.Rcpt - y.Rcpt })
	s.results = append(s.results, results)
	s.feedback = append(s.feedback, f)
}

// body is a message in memory.
type body []byte

func (b body) Size() int64                  { return int64(len(b)) }
func (b body) Open() (io.ReadCloser, error) { return bodyReader{bytes.NewReader(b)}, nil }

type bodyReader struct{ *bytes.Reader }

func (bodyReader) Close() error { return nil }

const testBody = "Subject: test\r\n\r\nHello.\r\n.hidden\r\n"

// letter is an attempt from sender@example.net to some recipients.
func letter(to ...string) *mail.Attempt {
	env := &mail.Envelope{
		ID:      mail.QueueID(12345),
		Arrived: time.Unix(1_800_000_000, 0),
		Sender:  mail.SplitAddress("sender@example.net"),
		Prepend: []byte("Received: from x\r\n\tby mx.example.com\r\n"),
	}
	a := &mail.Attempt{Env: env, Body: body(testBody), Active: env.Arrived, Started: env.Arrived}
	for i, addr := range to {
		final := mail.SplitAddress(addr)
		env.Rcpts = append(env.Rcpts, mail.Recipient{Final: final, Orig: mail.SplitAddress("a@virt.example")})
		a.Rcpts = append(a.Rcpts, i)
	}
	return a
}

// logged keeps log records as lines: "daemon message key=value ...".
type logged struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (l *logged) handler() slog.Handler { return logHandler{l: l} }

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

type logHandler struct {
	l    *logged
	with []slog.Attr
}

func (h logHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h logHandler) WithGroup(string) slog.Handler            { return h }
func (h logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	h.with = append(slices.Clone(h.with), a...)
	return h
}

func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if r.Level != slog.LevelInfo {
		fmt.Fprintf(&b, "%s: ", r.Level)
	}
	b.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		if a.Key != mail.KeyDaemon {
			fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		}
		return true
	}
	r.Attrs(add)
	h.l.mu.Lock()
	h.l.lines = append(h.l.lines, b.String())
	h.l.mu.Unlock()
	return nil
}

// setup is a Client, its network and its log.
type setup struct {
	*Client
	t       testing.TB
	net     *network
	log     *logged
	options Options
}

// newSetup makes a Client for peers; o may be changed by the test before.
func newSetup(t testing.TB, peers map[string]any, o Options) *setup {
	n := newNetwork(t, peers)
	l := &logged{}
	o.MyHostname = "mx.example.com"
	o.Dial, o.Log = n.dial, slog.New(l.handler())
	if o.Resolver == nil {
		o.Resolver = fakeDNS{}
	}
	s := &setup{Client: New(o), t: t, net: n, log: l, options: o}
	t.Cleanup(s.Close)
	return s
}

// send delivers attempts to a destination with one worker.
func (s *setup) send(dest string, attempts ...*mail.Attempt) *source {
	src := &source{t: s.t, attempts: attempts}
	s.Work(s.t.Context(), mail.Dest(dest), src)
	return src
}

// fate is a result in short: "sent 2.0.0 relay (reason)".
func fate(r mail.Result) string {
	state := [...]string{mail.Deferred: "deferred", mail.Delivered: "sent", mail.Failed: "bounced"}[r.State]
	return fmt.Sprintf("%s %s %s (%s)", state, r.Status.Enhanced, r.Relay, r.Reason)
}

func fates(results []mail.Result) string {
	var b strings.Builder
	for _, r := range results {
		b.WriteString(fate(r) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
