package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

func TestListOverTheSocket(t *testing.T) {
	want := []mail.Listed{
		listed(1, "deferred", "a@b.example", "odd, one@dest.example"),
		listed(2, "active", "\xfc@latin.example"),
		{Queue: "hold", ID: 3, Arrived: time.Unix(1, 0).UTC(), Expired: true, Rcpts: []mail.ListedRcpt{}},
	}
	c := serve(t, Options{Queue: &fakeQueue{msgs: want}})
	var got []mail.Listed
	if err := c.List(t.Context(), func(m mail.Listed) bool { got = append(got, m); return true }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, m := range want {
		if l, err := c.Find(t.Context(), m.ID); err != nil || !reflect.DeepEqual(l, m) {
			t.Errorf("found %+v, %v; want %+v", l, err, m)
		}
	}
	if _, err := c.Find(t.Context(), 99); err != ErrNotFound {
		t.Errorf("found what is not there: %v", err)
	}
	n := 0
	if err := c.List(t.Context(), func(mail.Listed) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("stopped at the first: %d, %v", n, err)
	}
}

func TestListErrorIsNotAShortQueue(t *testing.T) {
	c := serve(t, Options{Queue: &fakeQueue{msgs: []mail.Listed{listed(1, "active"), listed(2, "active")}, fail: errors.New("cannot read")}})
	err := c.List(t.Context(), func(mail.Listed) bool { return true })
	if err == nil || err.Error() != "cannot read" {
		t.Errorf("got %v", err)
	}
}

func TestListCutOff(t *testing.T) {
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(toListed(listed(1, "active")))
	}))
	path := filepath.Join(t.TempDir(), "s")
	l, err := sock.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ts.Listener.Close()
	ts.Listener = l
	ts.Start()
	defer ts.Close()
	if err := Dial(path).List(t.Context(), func(mail.Listed) bool { return true }); !errors.Is(err, errCut) {
		t.Errorf("got %v, want %v", err, errCut)
	}
}

// A listing is a stream: neither side holds the queue.
func TestLongListingInBoundedMemory(t *testing.T) {
	const n = 20000
	q := &endlessQueue{n: n, m: listed(1, "deferred", "a@b.example", "c@d.example")}
	c := serve(t, Options{Queue: q})
	var before, after runtime.MemStats
	got, peak := 0, uint64(0)
	runtime.GC()
	runtime.ReadMemStats(&before)
	err := c.List(t.Context(), func(m mail.Listed) bool {
		if got++; got%5000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapAlloc)
		}
		return true
	})
	if err != nil || got != n {
		t.Fatalf("%d messages, %v; want %d", got, err, n)
	}
	if peak > before.HeapAlloc+2<<20 {
		t.Errorf("%d bytes in use in the middle of the listing, %d before it", peak, before.HeapAlloc)
	}
}

type endlessQueue struct {
	fakeQueue
	n int
	m mail.Listed
}

func (q *endlessQueue) List(_ context.Context, yield func(mail.Listed) bool) error {
	for i := range q.n {
		m := q.m
		m.ID = mail.QueueID(i + 1)
		if !yield(m) {
			break
		}
	}
	return nil
}

func TestLoad(t *testing.T) {
	content := strings.Repeat("line\r\n", 50000)
	c := serve(t, Options{Queue: &fakeQueue{bodies: map[mail.QueueID]string{5: content}}})
	env, body, err := c.Load(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if want := testEnvelope(5, int64(len(content))); !reflect.DeepEqual(env, want) {
		t.Errorf("got  %+v\nwant %+v", env, want)
	}
	r, err := body.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != content || body.Size() != int64(len(content)) {
		t.Errorf("content: %d bytes, %v; want %d", len(got), err, len(content))
	}
	if _, _, err := c.Load(t.Context(), 6); err != ErrNotFound {
		t.Errorf("a message that is not there: %v", err)
	}
}

func TestActions(t *testing.T) {
	msgs := []mail.Listed{listed(1, "deferred"), listed(2, "hold"), listed(3, "active"), listed(4, "corrupt"), listed(5, "incoming")}
	for _, tc := range []struct {
		name string
		req  Request
		want string // results, then what was done
	}{
		{"by ID, in order", Request{Action: ActionDelete, IDs: []mail.QueueID{3, 9, 1}},
			"3:ok 9:no such message in the queue 1:ok / delete 1, delete 3"},
		{"one that fails", Request{Action: ActionHold, IDs: []mail.QueueID{4, 1}}, "4:disk on fire 1:ok / hold 1"},
		{"all", Request{Action: ActionDelete, All: true}, "1:ok 2:ok 3:ok 5:ok / delete 1, delete 2, delete 3, delete 5"},
		{"all, hold leaves out what is held", Request{Action: ActionHold, All: true}, "1:ok 3:ok 5:ok / hold 1, hold 3, hold 5"},
		{"all, release takes only what is held", Request{Action: ActionRelease, All: true}, "2:ok / release 2"},
		{"all of one queue", Request{Action: ActionRequeue, All: true, Queues: []string{"deferred", "incoming"}}, "1:ok 5:ok / requeue 1, requeue 5"},
		{"all of the corrupt queue, named", Request{Action: ActionDelete, All: true, Queues: []string{"corrupt"}}, "4:disk on fire / "},
		{"IDs of one queue", Request{Action: ActionExpire, IDs: []mail.QueueID{1, 2, 3}, Queues: []string{"hold"}}, "2:ok / expire 2"},
		{"none", Request{Action: ActionDelete}, " / "},
	} {
		q := func() *fakeQueue { return &fakeQueue{msgs: slices.Clone(msgs)} }
		check := func(how string, q *fakeQueue, apply func(Request, func(Result) bool) error) {
			t.Helper()
			var results []string
			err := apply(tc.req, func(r Result) bool {
				s := "ok"
				if r.Err != nil {
					s = r.Err.Error()
				}
				results = append(results, fmt.Sprintf("%d:%s", uint64(r.ID), s))
				return true
			})
			var did []string
			for _, l := range q.log {
				what, id, _ := strings.Cut(l, " ")
				n, _ := mail.ParseQueueID(id)
				did = append(did, fmt.Sprintf("%s %d", what, uint64(n)))
			}
			slices.Sort(did)
			if got := strings.Join(results, " ") + " / " + strings.Join(did, ", "); got != tc.want || err != nil {
				t.Errorf("%s, %s:\ngot  %s, %v\nwant %s", tc.name, how, got, err, tc.want)
			}
		}
		direct := q()
		check("directly", direct, func(r Request, yield func(Result) bool) error {
			return Apply(t.Context(), direct, errAbsent, r, yield)
		})
		remote := q()
		c := serve(t, Options{Queue: remote})
		check("over the socket", remote, func(r Request, yield func(Result) bool) error { return c.Apply(t.Context(), r, yield) })
	}
}

func TestManyIDsInSeveralRequests(t *testing.T) {
	q := &fakeQueue{}
	var ids []mail.QueueID
	for i := range 2*MaxIDs + 7 {
		q.msgs = append(q.msgs, listed(mail.QueueID(i+1), "deferred"))
		ids = append(ids, mail.QueueID(i+1))
	}
	c := serve(t, Options{Queue: q})
	var got []mail.QueueID
	if err := c.Apply(t.Context(), Request{Action: ActionDelete, IDs: ids}, func(r Result) bool { got = append(got, r.ID); return r.Err == nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, ids) || len(q.msgs) != 0 {
		t.Errorf("%d results, %d messages left", len(got), len(q.msgs))
	}
}

func TestClientIsAQueue(t *testing.T) {
	q := &fakeQueue{msgs: []mail.Listed{listed(1, "deferred")}}
	var c Queue = serve(t, Options{Queue: q})
	ctx := t.Context()
	for _, f := range []func(context.Context, mail.QueueID) error{c.Hold, c.Release, c.Requeue, c.Expire, c.FlushID, c.Delete} {
		if err := f(ctx, 1); err != nil {
			t.Error(err)
		}
	}
	if err := c.Delete(ctx, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if err := errors.Join(c.Flush(ctx), c.FlushDest(ctx, "[2001:db8::1] & more", nil)); err != nil {
		t.Error(err)
	}
	id := mail.QueueID(1).String()
	want := []string{"hold " + id, "release " + id, "requeue " + id, "expire " + id, "flush id " + id, "delete " + id, "flush", "flush site [2001:db8::1] & more"}
	if !slices.Equal(q.log, want) {
		t.Errorf("got  %q\nwant %q", q.log, want)
	}
}

func TestDaemonVerbs(t *testing.T) {
	var stopped bool
	var sick, broken error
	started := time.Unix(1795376343, 0).UTC()
	c := serve(t, Options{
		Queue: &fakeQueue{}, Stop: func() { stopped = true },
		Reload: func() error { return broken }, Health: func() error { return sick },
		Status: func() Status {
			return Status{Version: "1", PID: 7, Started: started, Queues: map[string]int64{"hold": 2}}
		},
	})
	ctx := t.Context()
	if err := errors.Join(c.Health(ctx), c.Reload(ctx)); err != nil {
		t.Error(err)
	}
	sick, broken = errors.New("no room on disk"), errors.New("/etc/main.cf, line 3: unclosed brace")
	if err := c.Health(ctx); err == nil || err.Error() != "no room on disk" {
		t.Errorf("Health: %v", err)
	}
	if err := c.Reload(ctx); err == nil || err.Error() != broken.Error() {
		t.Errorf("Reload: %v", err)
	}
	st, err := c.Status(ctx)
	if want := (Status{Version: "1", PID: 7, Started: started, Queues: map[string]int64{"hold": 2}}); err != nil || !reflect.DeepEqual(st, want) {
		t.Errorf("Status: %+v, %v; want %+v", st, err, want)
	}
	if err := c.Stop(ctx); err != nil || !stopped {
		t.Errorf("Stop: %v, stopped %v", err, stopped)
	}
}

func TestDown(t *testing.T) {
	err := Dial(filepath.Join(t.TempDir(), "control")).Health(t.Context())
	if !errors.Is(err, ErrDown) || !strings.HasSuffix(err.Error(), "control: no such file or directory)") {
		t.Errorf("got %v", err)
	}
}

// Who may do what, by the uid that the kernel tells.
func TestAuthorization(t *testing.T) {
	paths := []string{"GET health", "GET status", "GET queue", "POST queue/flush", "POST queue/actions",
		"POST queue/select", "POST queue/actions/selected", "GET destinations/held", "POST destinations/hold", "POST destinations/release",
		"GET messages/00000000001x", "GET messages/00000000001x/content", "POST stop", "POST reload"}
	for _, tc := range []struct {
		name  string
		uid   int
		mailq func(int) bool
		flush func(int) bool
		want  int // how many of paths are allowed
	}{
		{"root", 0, func(int) bool { return false }, func(int) bool { return false }, 14},
		{"the daemon's own user", 102, func(int) bool { return false }, func(int) bool { return false }, 14},
		{"anyone, by default", 1000, nil, nil, 6},
		{"anyone, flush forbidden", 1000, nil, func(int) bool { return false }, 5},
		{"anyone, all forbidden", 1000, func(int) bool { return false }, func(int) bool { return false }, 1},
		{"unknown", nobody, nil, nil, 1},
	} {
		s := NewServer(Options{Queue: &fakeQueue{}, OwnUID: 102, AuthorizedMailq: tc.mailq, AuthorizedFlush: tc.flush})
		allowed := 0
		for _, p := range paths {
			method, path, _ := strings.Cut(p, " ")
			r := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(`{"action":"hold"}`))
			r = r.WithContext(context.WithValue(r.Context(), credKey{}, sock.Cred{UID: tc.uid}))
			w := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden {
				allowed++
			}
		}
		if allowed != tc.want {
			t.Errorf("%s: %d of %d allowed, want %d", tc.name, allowed, len(paths), tc.want)
		}
	}
}

func TestForbiddenAtTheClient(t *testing.T) {
	s := NewServer(Options{Queue: &fakeQueue{}, OwnUID: 102})
	r := httptest.NewRequest("POST", "/v1/stop", nil) // no credentials at all
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	if err := refusal(w.Result()); err != ErrForbidden {
		t.Errorf("got %v, want %v", err, ErrForbidden)
	}
}

func TestBadRequests(t *testing.T) {
	c := serve(t, Options{Queue: &fakeQueue{}})
	for _, tc := range []struct {
		name   string
		method string
		path   string
		body   any
		want   string
	}{
		{"unknown action", "POST", "queue/actions", Request{Action: "eat"}, `unknown action "eat"`},
		{"unknown queue", "POST", "queue/actions", Request{Action: ActionHold, Queues: []string{"maildrop"}}, `unknown queue "maildrop"`},
		{"too many", "POST", "queue/actions", Request{Action: ActionHold, IDs: make([]mail.QueueID, MaxIDs+1)}, "1001 queue IDs"},
		{"too large", "POST", "queue/actions", strings.Repeat("x", maxRequest+1), "too large"},
		{"not JSON of a request", "POST", "queue/actions", []int{1}, "bad request"},
		{"a name that no message has", "GET", "messages/xyz", nil, "not a queue ID"},
		{"the same for its content", "GET", "messages/..%2f..%2fetc/content", nil, "not a queue ID"},
		{"flush of no ID", "POST", "queue/flush?id=", nil, "not a queue ID"},
	} {
		err := c.ask(t.Context(), tc.method, tc.path, tc.body, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestAllIsSummedUpInTheLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	q := &fakeQueue{msgs: []mail.Listed{listed(1, "deferred"), listed(2, "deferred"), listed(3, "deferred")}}
	c := serve(t, Options{Queue: q, Log: log})
	ignore := func(Result) bool { return true }
	if err := c.Apply(t.Context(), Request{Action: ActionDelete, IDs: []mail.QueueID{1, 9}}, ignore); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), Request{Action: ActionDelete, All: true}, ignore); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("msg=operator daemon=postsuper reason=\"Deleted: 2 messages\" uid=%d\n", os.Getuid())
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// A client that stops reading does not hold a listing for ever.
func TestSlowReader(t *testing.T) {
	q := &endlessQueue{n: 1 << 30, m: listed(1, "deferred", "a@b.example")}
	ended := make(chan struct{})
	s := NewServer(Options{Queue: signalQueue{q, ended}, Timeout: 100 * time.Millisecond})
	path := filepath.Join(t.TempDir(), "control")
	l, err := sock.Listen(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := sock.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /v1/queue HTTP/1.1\r\nHost: x\r\n\r\n")
	<-ended // without anything having been read
	s.Shutdown(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}

type signalQueue struct {
	*endlessQueue
	ended chan struct{}
}

func (q signalQueue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	defer close(q.ended)
	return q.endlessQueue.List(ctx, yield)
}

// A flush of a large queue goes on when its client has gone; there cannot be any number
// of them, and the end of the server is their end.
func TestFlushWithoutItsClient(t *testing.T) {
	q := &stuckQueue{begun: make(chan struct{}, maxFlushes)}
	s := NewServer(Options{Queue: q})
	flush := func(ctx context.Context) int {
		ctx = context.WithValue(ctx, credKey{}, sock.Cred{})
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/queue/flush", nil).WithContext(ctx))
		return w.Code
	}
	for range maxFlushes {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-q.begun
			cancel()
		}()
		flush(ctx)
	}
	if code := flush(t.Context()); code != http.StatusInternalServerError {
		t.Errorf("one more: %d", code)
	}
	s.Shutdown(t.Context())
	if n := q.ended.Load(); n != maxFlushes {
		t.Errorf("%d flushes ended, want %d", n, maxFlushes)
	}
}

type stuckQueue struct {
	fakeQueue
	begun chan struct{}
	ended atomic.Int32
}

func (q *stuckQueue) Flush(ctx context.Context) error {
	q.begun <- struct{}{}
	<-ctx.Done()
	q.ended.Add(1)
	return ctx.Err()
}

// What a Request is taken for, it also means when written back; nothing panics.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"action":"delete","ids":[1,2]}`))
	f.Add([]byte(`{"action":"hold","all":true,"queues":["deferred"]}`))
	f.Add([]byte(`{"action":"x"}`))
	f.Add([]byte(`{"action":"delete","all":true,"select":{"sender":"*@[a-z]","older":5,"reason":"/x/"}}`))
	parse := func(body []byte) (req Request, err error) {
		if err = decode(bytes.NewReader(body), &req); err == nil {
			err = req.check()
		}
		return req, err
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := parse(body)
		if err != nil {
			return
		}
		b, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(b)
		if err != nil || again.Select != req.Select || again.Action != req.Action || again.All != req.All || !slices.Equal(again.IDs, req.IDs) || !slices.Equal(again.Queues, req.Queues) {
			t.Errorf("%q: got %+v, then %+v, %v", body, req, again, err)
		}
	})
}

func TestTextKeepsEveryByte(t *testing.T) {
	for _, s := range []string{"", "plain", "ü", "\xff\x00", `{"base64":"eA=="}`, "a\u2028b", "\"\\<&>"} {
		b, err := json.Marshal(text(s))
		if err != nil {
			t.Fatal(err)
		}
		var got text
		if err := json.Unmarshal(b, &got); err != nil || string(got) != s {
			t.Errorf("%q as %s came back as %q, %v", s, b, got, err)
		}
	}
}
