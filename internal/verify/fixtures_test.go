package verify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// world is what a Verifier needs: tables that lead everybody from virt.example to
// dest.example, and next hops that answer after a second what the test says.
type world struct {
	t testing.TB

	mu      sync.Mutex // guards what follows
	says    map[string]string
	takes   time.Duration
	works   int // calls of Work under way
	most    int // and how many there were at most
	mostAt  map[mail.Dest]int
	at      map[mail.Dest]int
	probes  []string // recipients that were asked for
	senders []string
	lines   []string
	lastID  mail.QueueID
}

func newWorld(t testing.TB) *world {
	return &world{t: t, says: map[string]string{}, takes: time.Second, mostAt: map[mail.Dest]int{}, at: map[mail.Dest]int{}}
}

// options are those of postconf(5).
func (w *world) options() Options {
	return Options{
		Transport: w,
		NewID:     w.newID,
		Log:       slog.New(worldLog{w: w}),
		Name:      "btree:/verify_cache",
		Params: Params{
			Resolve: w.resolve, Complete: complete, MyHostname: "mx.example.com", MailName: "Postfix",
			Sender: "double-bounce", PollCount: 3, PollDelay: 3 * time.Second,
			PositiveExpire: 31 * day, PositiveRefresh: 7 * day, NegativeExpire: 3 * day, NegativeRefresh: 3 * time.Hour,
			NegativeCache: true, CleanupInterval: 12 * time.Hour, Backoff: 300 * time.Second,
		},
	}
}

const day = 24 * time.Hour

func complete(a mail.Address) mail.Address {
	if a.Domain == "" && a.Local != "" {
		a.Domain = "mx.example.com"
	}
	return a
}

func (w *world) newID() mail.QueueID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastID++
	return w.lastID
}

func (w *world) resolve(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error) {
	one := func(local, domain string, dest mail.Dest) []mail.Recipient {
		return []mail.Recipient{{Final: mail.Address{Local: local, Domain: domain}, Orig: r.Addr, Dest: dest}}
	}
	switch a := r.Addr; {
	case a.Local == "team":
		return append(one("one", "dest.example", "smtp:dest.example"), one("two", "dest.example", "smtp:dest.example")...), nil
	case a.Local == "unknown":
		return one("unknown", "virt.example", "error:5.1.1 User unknown in virtual alias table"), nil
	case a.Local == "loop":
		return nil, &mail.Status{Code: 451, Enhanced: mail.Code(4, 6, 0), Text: "Alias expansion error"}
	case a.Local == "malformed":
		return nil, &mail.Status{Code: 501, Enhanced: mail.Code(5, 1, 3), Text: "Bad recipient address syntax"}
	case a.Local == "panic":
		panic("a table")
	case a.Local == "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	case a.Domain == "virt.example":
		return one(a.Local, "dest.example", "smtp:dest.example"), nil
	default:
		return one(a.Local, a.Domain, mail.Dest("smtp:"+a.Domain)), nil
	}
}

// Work implements Transport: one second for each probe.
func (w *world) Work(ctx context.Context, dest mail.Dest, src mail.Source) {
	w.enter(dest, 1)
	defer w.enter(dest, -1)
	for {
		a, ok := src.Next(ctx, 0)
		if !ok {
			return
		}
		if !a.Probe || a.Body != nil || len(a.Rcpts) != 1 {
			w.t.Errorf("not a probe: %+v", a)
		}
		to := a.Env.Rcpts[a.Rcpts[0]].Final.String()
		w.mu.Lock()
		w.probes = append(w.probes, to)
		w.senders = append(w.senders, a.Env.Sender.String())
		says, takes := w.says[to], w.takes
		w.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			says = "down"
		}
		r := mail.Result{State: mail.Delivered, Agent: "smtp", Relay: dest.NextHop() + "[192.0.2.1]:25",
			Status: mail.Status{Code: 250, Enhanced: mail.Code(2, 1, 5), Text: "250 2.1.5 Ok"}, Reason: "250 2.1.5 Ok", Transmitted: takes}
		f := mail.FeedbackGood
		switch {
		case dest.Transport() == "error":
			r = decided(mail.Failed, "error", mail.Code(5, 1, 1), strings.TrimPrefix(dest.NextHop(), "5.1.1 "))
		case says == "no":
			r.State, r.Status = mail.Failed, mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1), Text: "550 5.1.1 no"}
			r.Reason = "host said: 550 5.1.1 no (in reply to RCPT TO command)"
		case says == "later":
			r.State, r.Status, r.Reason = mail.Deferred, mail.Status{Code: 450, Enhanced: mail.Code(4, 2, 0), Text: "450 4.2.0 later"}, "host said: 450 4.2.0 later"
		case says == "down":
			r.State, r.Status, r.Reason, f = mail.Deferred, mail.Status{Enhanced: mail.Code(4, 4, 1)}, "connect to h: Connection refused", mail.FeedbackBad
		case says == "silent": // a transport that forgets to report
			continue
		}
		src.Done(a, []mail.Result{r}, f)
	}
}

func (w *world) enter(dest mail.Dest, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.works += n
	w.at[dest] += n
	w.most, w.mostAt[dest] = max(w.most, w.works), max(w.mostAt[dest], w.at[dest])
}

func (w *world) say(to, what string) { w.mu.Lock(); w.says[to] = what; w.mu.Unlock() }

// asked returns whom the next hops were asked for since the last call.
func (w *world) asked() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.probes, " ")
	w.probes = nil
	return s
}

func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.lines, "\n")
	w.lines = nil
	return s
}

// worldLog keeps log records: "daemon message key=value ...".
type worldLog struct {
	w    *world
	with []slog.Attr
}

func (h worldLog) Enabled(context.Context, slog.Level) bool { return true }
func (h worldLog) WithGroup(string) slog.Handler            { return h }
func (h worldLog) WithAttrs(a []slog.Attr) slog.Handler {
	h.with = append(append([]slog.Attr{}, h.with...), a...)
	return h
}

func (h worldLog) Handle(_ context.Context, r slog.Record) error {
	daemon, text := "", r.Message
	add := func(a slog.Attr) bool {
		if a.Key == mail.KeyDaemon {
			daemon = a.Value.String()
		} else {
			text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	}
	for _, a := range h.with {
		add(a)
	}
	r.Attrs(add)
	h.w.mu.Lock()
	h.w.lines = append(h.w.lines, daemon+" "+text)
	h.w.mu.Unlock()
	return nil
}

// ask asks about an address and returns the answer in short: "deliverable 2.1.5 (reason)".
func ask(t testing.TB, v *Verifier, a string) string {
	t.Helper()
	verdict, err := v.VerifyRecipient(t.Context(), mail.SplitAddress(a))
	if err != nil {
		return "error: " + err.Error()
	}
	return short(verdict)
}

func short(v mail.Verdict) string {
	if v.State == mail.VerdictPending {
		return "pending"
	}
	return fmt.Sprintf("%s %s (%s)", stateNames[v.State], v.Status.Enhanced, v.Reason)
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

const (
	good    = "deliverable 2.1.5 (250 2.1.5 Ok)"
	refused = "refused 5.1.1 (host said: 550 5.1.1 no (in reply to RCPT TO command))"
)
