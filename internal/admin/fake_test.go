package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

// errAbsent is how fakeQueue says that there is nothing to act on, in words of its own.
var errAbsent = errors.New("queue: absent")

// fakeQueue is a queue in memory. What was done to it is in log.
type fakeQueue struct {
	mu     sync.Mutex
	msgs   []mail.Listed
	bodies map[mail.QueueID]string
	log    []string
	held   []mail.HeldDest
	fail   error // of List, after the first message
}

func (q *fakeQueue) note(format string, args ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.log = append(q.log, fmt.Sprintf(format, args...))
}

func (q *fakeQueue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	q.mu.Lock()
	msgs := slices.Clone(q.msgs)
	q.mu.Unlock()
	for _, m := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(m) {
			return nil
		}
		if q.fail != nil {
			return q.fail
		}
	}
	return nil
}

func (q *fakeQueue) Find(_ context.Context, id mail.QueueID) (mail.Listed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.msgs {
		if m.ID == id {
			return m, nil
		}
	}
	return mail.Listed{}, fmt.Errorf("find: %w", errAbsent)
}

func (q *fakeQueue) Load(_ context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	content, ok := q.bodies[id]
	if !ok {
		return nil, nil, fmt.Errorf("load: %w", errAbsent)
	}
	return testEnvelope(id, int64(len(content))), memBody(content), nil
}

func (q *fakeQueue) act(what string, id mail.QueueID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.msgs, func(m mail.Listed) bool { return m.ID == id })
	if i < 0 {
		return fmt.Errorf("%s: %w", what, errAbsent)
	}
	if q.msgs[i].Queue == "corrupt" {
		return errors.New("disk on fire")
	}
	if what == "delete" {
		q.msgs = slices.Delete(q.msgs, i, i+1)
	}
	q.log = append(q.log, what+" "+id.String())
	return nil
}

func (q *fakeQueue) Hold(_ context.Context, id mail.QueueID) error    { return q.act("hold", id) }
func (q *fakeQueue) Release(_ context.Context, id mail.QueueID) error { return q.act("release", id) }
func (q *fakeQueue) Delete(_ context.Context, id mail.QueueID) error  { return q.act("delete", id) }
func (q *fakeQueue) Requeue(_ context.Context, id mail.QueueID) error { return q.act("requeue", id) }
func (q *fakeQueue) Expire(_ context.Context, id mail.QueueID) error  { return q.act("expire", id) }
func (q *fakeQueue) Flush(context.Context) error {
	q.note("flush")
	return nil
}
func (q *fakeQueue) FlushID(_ context.Context, id mail.QueueID) error {
	q.note("flush id %v", id)
	return nil
}
func (q *fakeQueue) FlushDest(_ context.Context, site string, progress func(int)) error {
	q.note("flush site %s", site)
	return nil
}
func (q *fakeQueue) Counts(context.Context) (c mail.QueueCounts, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.msgs {
		switch m.Queue {
		case "hold":
			c.Hold++
		case "corrupt":
			c.Corrupt++
		default:
			c.Deferred++
		}
	}
	return c, nil
}
func (q *fakeQueue) HoldDest(ctx context.Context, d mail.Dest, reason string) error {
	uid, _ := mail.User(ctx)
	q.note("hold %s for %d: %s", d, uid, reason)
	q.held = append(q.held, mail.HeldDest{Dest: d, Reason: reason, Since: time.Unix(1795376343, 0).UTC()})
	return nil
}
func (q *fakeQueue) ReleaseDest(_ context.Context, d mail.Dest) error {
	i := slices.IndexFunc(q.held, func(h mail.HeldDest) bool { return h.Dest == d })
	if i < 0 {
		return fmt.Errorf("release: %w", errAbsent)
	}
	q.held = slices.Delete(q.held, i, i+1)
	return nil
}
func (q *fakeQueue) HeldDests(context.Context) ([]mail.HeldDest, error) { return q.held, nil }

type memBody string

func (b memBody) Size() int64 { return int64(len(b)) }
func (b memBody) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(b))), nil
}

func testEnvelope(id mail.QueueID, size int64) *mail.Envelope {
	return &mail.Envelope{
		ID: id, Arrived: time.Unix(1795376343, 5000).UTC(), Sender: mail.Address{Local: "s\xff", Domain: "x.example"},
		EnvID: "e\x80", Ret: "HDRS", Flags: mail.FlagSubmitted,
		Client:  mail.Client{Name: "localhost", Helo: "h\xfe", Protocol: "ESMTP", UID: 1002, Port: 12},
		Prepend: []byte("Received: \xff\r\n"), Size: size, CRC: 7,
		Rcpts: []mail.Recipient{{
			Final: mail.Address{Local: "a@b", Domain: "c"}, Orig: mail.Address{Local: "bob"},
			ORcpt: "rfc822;bob", Notify: mail.NotifyDelay | mail.NotifyFailure, Dest: "smtp:c",
		}},
	}
}

func listed(id mail.QueueID, queue string, rcpts ...string) mail.Listed {
	m := mail.Listed{Queue: queue, ID: id, Arrived: time.Unix(1795376343, 0).UTC(), Size: 318, Sender: mail.SplitAddress("s@x.example")}
	for _, r := range rcpts {
		m.Rcpts = append(m.Rcpts, mail.ListedRcpt{Address: mail.SplitAddress(r), Orig: "o", Reason: "late <&> \"\xff\"", Dest: mail.MakeDest("smtp", mail.SplitAddress(r).Domain)})
	}
	return m
}

// serve runs a server on a socket of its own until the test ends.
func serve(t *testing.T, o Options) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control")
	l, err := sock.Listen(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if o.NotFound == nil {
		o.NotFound = errAbsent
	}
	s := NewServer(o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return Dial(path)
}
