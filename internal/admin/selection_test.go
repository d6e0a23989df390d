package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		yes, no string // words
	}{
		{"a@b.example", "a@b.example A@B.Example", "xa@b.example a@b.example.com a@bxexample"},
		{"*@spam.example", "a@spam.example @spam.example a/b@spam.example", "a@spam.example.com spam.example a@notspam.example"},
		{"*", "x @ a/b", ""},
		{"a?c", "abc a.c aßc", "ac abbc"},
		{"[a-c]x", "ax Bx [a-c]x", "dx x"},
		{"[!a-c]x", "dx", "ax"},
		{"[^a]x", "bx", "ax"},
		{`[\^]x`, `\x ^x`, "ax"},
		{"[192.0.2.1]:25", "[192.0.2.1]:25 1:25", "192.0.2.1:25"},
		{"smtp:[[]192.0.2.*", "smtp:[192.0.2.1] smtp:[192.0.2.77]:25", "smtp:192.0.2.1"},
		{`a\*b`, "a*b", "axb"},
		{"/^a+@/", "aa@b A@c", "xa@b"},
		{"/spam/", "xSPAMx", "ham"},
		{"/", "/", "x //"},
		{"a+b@c", "a+b@c", "aab@c"},
		{"müller@*", "müller@x MÜLLER@x", "muller@x"},
	} {
		p, err := compilePattern(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		for _, s := range strings.Fields(tc.yes) {
			if !p.matches(s) {
				t.Errorf("%s does not match %s", tc.pattern, s)
			}
		}
		for _, s := range strings.Fields(tc.no) {
			if p.matches(s) {
				t.Errorf("%s matches %s", tc.pattern, s)
			}
		}
	}
	for pattern, want := range map[string]string{
		"[abc":                    "a [ has no ]",
		"a[]":                     "a [ has no ]",
		"[z-a]":                   "invalid character class range: `z-a`",
		`a\`:                      "nothing follows the backslash at its end",
		"/(/":                     "missing closing ): `(`",
		strings.Repeat("x", 2000): "longer than 1000 bytes",
	} {
		if _, err := compilePattern(pattern); err == nil || err.Error() != want {
			t.Errorf("%.20s: %v, want %s", pattern, err, want)
		}
	}
}

// FuzzGlob: a pattern without special characters matches itself and nothing else that
// differs by more than case, and a compiled one never panics.
func FuzzGlob(f *testing.F) {
	f.Add("a@b", "a@b")
	f.Add("*[!x-z]?\\", "\xff")
	f.Add("[]", "]")
	f.Fuzz(func(t *testing.T, text, other string) {
		p, err := compilePattern(text)
		if err != nil {
			return
		}
		if text != "" && !(len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/') {
			if !p.matches(text) {
				t.Errorf("%q does not match itself", text)
			}
			if !strings.ContainsAny(text, `*?[\`) && p.matches(other) != strings.EqualFold(text, other) {
				t.Errorf("%q matches %q: %v", text, other, p.matches(other))
			}
		}
		p.matches(other)
	})
}

// crowd is a queue with a message of each kind.
func crowd(now time.Time) []mail.Listed {
	m := func(id mail.QueueID, queue, sender string, age time.Duration, size int64, rcpts ...mail.ListedRcpt) mail.Listed {
		return mail.Listed{Queue: queue, ID: id, Arrived: now.Add(-age), Size: size, Sender: mail.SplitAddress(sender), Rcpts: rcpts}
	}
	r := func(to, dest, reason string) mail.ListedRcpt {
		return mail.ListedRcpt{Address: mail.SplitAddress(to), Orig: "alias@our.example", Dest: mail.Dest(dest), Reason: reason}
	}
	return []mail.Listed{
		m(1, "deferred", "a@spam.example", 3*time.Hour, 100, r("x@one.example", "smtp:one.example", "timed out")),
		m(2, "deferred", "B@Spam.Example", time.Minute, 100, r("x@one.example", "smtp:one.example", "refused"), r("y@two.example", "smtp:[192.0.2.1]:25", "timed out")),
		m(3, "hold", "a@spam.example", 3*time.Hour, 5000, r("y@two.example", "smtp:[192.0.2.1]:25", "")),
		m(4, "active", "", 2*time.Hour, 100, r("z@three.example", "relay:three.example", "")),
		m(5, "corrupt", "", 3*time.Hour, 0),
	}
}

func TestSelection(t *testing.T) {
	now := time.Now()
	q := &fakeQueue{msgs: crowd(now)}
	c := serve(t, Options{Queue: q})
	for _, tc := range []struct {
		name   string
		queues []string
		sel    Selection
		want   string
	}{
		{"all", nil, Selection{}, "1 2 3 4 5"},
		{"of a queue", []string{"deferred", "hold"}, Selection{}, "1 2 3"},
		{"sender", nil, Selection{Sender: "*@spam.example"}, "1 2 3"},
		{"null sender", nil, Selection{Sender: "<>"}, "4 5"},
		{"null sender as it is shown", nil, Selection{Sender: "mailer-daemon"}, "4 5"},
		{"recipient", nil, Selection{Recipient: "?@two.example"}, "2 3"},
		{"recipient as it was given", nil, Selection{Recipient: "alias@our.example"}, "1 2 3 4"},
		{"recipient domain as destination", nil, Selection{Destination: "two.example"}, "2 3"},
		{"next hop", nil, Selection{Destination: "[192.0.2.1]:25"}, "2 3"},
		{"transport and next hop", nil, Selection{Destination: "relay:*"}, "4"},
		{"reason", nil, Selection{Reason: "*timed*"}, "1 2"},
		{"reason of the very recipient", nil, Selection{Reason: "timed out", Recipient: "x@*"}, "1"},
		{"older", nil, Selection{Older: 150 * time.Minute}, "1 3 5"},
		{"younger", nil, Selection{Younger: time.Hour}, "2"},
		{"between", nil, Selection{Older: time.Hour, Younger: 150 * time.Minute}, "4"},
		{"size", nil, Selection{SizeOver: 100}, "3"},
		{"all together", []string{"deferred"}, Selection{Sender: "/@spam/", Older: time.Hour, Recipient: "x@*"}, "1"},
		{"none", nil, Selection{Sender: "nobody"}, ""},
	} {
		for how, list := range map[string]func(func(mail.Listed) bool) error{
			"directly":        func(y func(mail.Listed) bool) error { return Select(t.Context(), q, tc.queues, tc.sel, nil, y) },
			"over the socket": func(y func(mail.Listed) bool) error { return c.Select(t.Context(), tc.queues, tc.sel, nil, y) },
		} {
			var got []string
			err := list(func(m mail.Listed) bool { got = append(got, fmt.Sprint(uint64(m.ID))); return true })
			if s := strings.Join(got, " "); s != tc.want || err != nil {
				t.Errorf("%s, %s: got %q, %v; want %q", tc.name, how, s, err, tc.want)
			}
		}
	}
}

// What is done to all that is selected is done to nothing else, and the log says what was
// asked for and by whom.
func TestApplySelected(t *testing.T) {
	var out bytes.Buffer
	q := &fakeQueue{msgs: crowd(time.Now())}
	c := serve(t, Options{Queue: q, Log: slog.New(slog.NewTextHandler(&out, nil))})
	var did []string
	err := c.Apply(t.Context(), Request{Action: ActionDelete, All: true, Select: Selection{Sender: "*@spam.example", Older: time.Hour}}, func(r Result) bool {
		did = append(did, fmt.Sprint(uint64(r.ID)))
		return r.Err == nil
	})
	if got := strings.Join(did, " "); got != "1 3" || err != nil || len(q.msgs) != 3 {
		t.Errorf("deleted %s, %v; %d are left", got, err, len(q.msgs))
	}
	if want := fmt.Sprintf("reason=\"Deleted: 2 messages (delete ALL --sender *@spam.example --older 1h)\" uid=%d", os.Getuid()); !strings.Contains(out.String(), want) {
		t.Errorf("log: %s, want %s", &out, want)
	}
}

func TestSelectionRefused(t *testing.T) {
	c := serve(t, Options{Queue: &fakeQueue{msgs: crowd(time.Now())}})
	for _, req := range []Request{
		{Action: ActionDelete, All: true, Select: Selection{Sender: "["}},
		{Action: ActionDelete, All: true, Select: Selection{Older: -1}},
		{Action: ActionDelete, IDs: []mail.QueueID{1}, Select: Selection{Sender: "x"}},
	} {
		err := c.Apply(t.Context(), req, func(Result) bool { t.Errorf("%+v was carried out", req); return true })
		if err == nil || !strings.Contains(err.Error(), "bad request") {
			t.Errorf("%+v: %v", req, err)
		}
	}
	// A restriction that the server does not know must not widen an action.
	err := c.ask(t.Context(), http.MethodPost, "queue/actions", map[string]any{"action": "delete", "all": true, "only_on_sundays": true}, nil)
	if err == nil || !strings.Contains(err.Error(), "only_on_sundays") {
		t.Errorf("unknown restriction: %v", err)
	}
}

// A daemon of an earlier version would take a selection for all messages.
func TestSelectionAtAnEarlierDaemon(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/queue/actions", func(http.ResponseWriter, *http.Request) { t.Error("asked for everything") })
	ts := httptest.NewUnstartedServer(mux)
	path := filepath.Join(t.TempDir(), "s")
	l, err := sock.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ts.Listener.Close()
	ts.Listener = l
	ts.Start()
	defer ts.Close()
	err = Dial(path).Apply(t.Context(), Request{Action: ActionDelete, All: true, Select: Selection{Sender: "x"}}, func(Result) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("got %v", err)
	}
}

// tickingQueue lists one message after the other while time passes, and ends when the
// client has gone.
type tickingQueue struct {
	fakeQueue
	tick func()
	n    int
}

func (q *tickingQueue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	for i := range q.n {
		q.tick()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(listed(mail.QueueID(i+1), "deferred", "a@b.example")) {
			return nil
		}
	}
	return nil
}

func (q *tickingQueue) Counts(context.Context) (mail.QueueCounts, error) {
	return mail.QueueCounts{Deferred: int64(q.n)}, nil
}

// Long work tells its client every second and the log every minute how far it is.
func TestProgress(t *testing.T) {
	clock := time.Now()
	q := &tickingQueue{n: 200, tick: func() { clock = clock.Add(time.Second) }}
	var out bytes.Buffer
	c := serve(t, Options{Queue: q, Now: func() time.Time { return clock }, Log: slog.New(slog.NewTextHandler(&out, nil))})
	var seen []int64
	req := Request{Action: ActionHold, All: true, Select: Selection{Sender: "nobody"}}
	req.Progress = func(done, total int64) {
		if total != 200 {
			t.Errorf("%d of %d", done, total)
		}
		seen = append(seen, done)
	}
	if err := c.Apply(t.Context(), req, func(Result) bool { t.Error("something was held"); return false }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 200 || !slices.IsSorted(seen) {
		t.Errorf("progress: %v", seen)
	}
	for _, want := range []string{`reason="hold ALL --sender nobody: 60 of 200"`, `reason="hold ALL --sender nobody: 180 of 200"`, `reason="Placed on hold: 0 messages (hold ALL --sender nobody)"`} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("log lacks %s:\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines in the log, want 4:\n%s", n, &out)
	}
}

// The first messages of a listing come at once, not when a buffer is full; when the client
// goes the listing ends.
func TestFirstLineAtOnce(t *testing.T) {
	ended := make(chan struct{})
	q := &pausingQueue{ended: ended}
	c := serve(t, Options{Queue: q})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.List(ctx, func(mail.Listed) bool { cancel(); return true })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

type pausingQueue struct {
	fakeQueue
	ended chan struct{}
}

func (q *pausingQueue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	defer close(q.ended)
	yield(listed(1, "deferred", "a@b.example"))
	<-ctx.Done() // the first line is with the client, else it would wait for ever
	return ctx.Err()
}

func TestFlushWatched(t *testing.T) {
	begun := make(chan func(int), 1)
	end := make(chan error)
	c := serve(t, Options{Queue: &longFlush{begun: begun, end: end}})
	seen := make(chan int, 100)
	result := make(chan error, 1)
	go func() {
		result <- c.FlushDest(t.Context(), "one.example", func(n int) { seen <- n })
	}()
	(<-begun)(1234)
	for n := range seen {
		if n == 1234 {
			break
		}
	}
	end <- errors.New("disk on fire")
	if err := <-result; err == nil || err.Error() != "disk on fire" {
		t.Errorf("got %v", err)
	}
}

type longFlush struct {
	fakeQueue
	begun chan func(int)
	end   chan error
}

func (q *longFlush) FlushDest(_ context.Context, _ string, progress func(int)) error {
	q.begun <- progress
	return <-q.end
}

func TestHeldDestinations(t *testing.T) {
	q := &fakeQueue{}
	c := serve(t, Options{Queue: q})
	if err := errors.Join(c.HoldDest(t.Context(), "smtp:a", "they\xff asked"), c.HoldDest(t.Context(), "b", "")); err != nil {
		t.Fatal(err)
	}
	held, err := c.HeldDests(t.Context())
	if err != nil || !slices.Equal(held, q.held) || len(held) != 2 {
		t.Errorf("held %+v, %v; want %+v", held, err, q.held)
	}
	if want := fmt.Sprintf("hold smtp:a for %d: they\xff asked", os.Getuid()); q.log[0] != want {
		t.Errorf("log %q, want %q", q.log[0], want)
	}
	if err := c.ReleaseDest(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	if err := c.ReleaseDest(t.Context(), "b"); err != ErrNotFound {
		t.Errorf("released twice: %v", err)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 12000: "12,000", 1000000: "1,000,000", -1234: "-1,234"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestAgeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s", 10 * time.Minute: "10m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 36 * time.Hour: "36h",
		time.Hour + time.Second: "1h0m1s", 10*time.Minute + 10*time.Second: "10m10s", 20 * time.Hour: "20h",
	} {
		if got := ageText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
