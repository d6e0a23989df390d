package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/sock"
	"aliasmx/queue"
)

// shelf is a queue in memory for operators' commands. What was done to it is in did.
type shelf struct {
	mu   sync.Mutex
	msgs []mail.Listed
	did  []string
	held []mail.HeldDest
	load func(id mail.QueueID) (*mail.Envelope, mail.Body, error)
	fail error
}

func (s *shelf) List(_ context.Context, yield func(mail.Listed) bool) error {
	for _, m := range s.msgs {
		if !yield(m) {
			break
		}
	}
	return s.fail
}

func (s *shelf) Find(_ context.Context, id mail.QueueID) (mail.Listed, error) {
	i := slices.IndexFunc(s.msgs, func(m mail.Listed) bool { return m.ID == id })
	if i < 0 {
		return mail.Listed{}, queue.ErrNotFound
	}
	return s.msgs[i], nil
}

func (s *shelf) Load(_ context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	if s.load == nil {
		return nil, nil, queue.ErrNotFound
	}
	return s.load(id)
}

func (s *shelf) act(what string, id mail.QueueID, states ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.msgs, func(m mail.Listed) bool { return m.ID == id && slices.Contains(states, m.Queue) })
	if i < 0 {
		return fmt.Errorf("%s: %w", what, queue.ErrNotFound)
	}
	s.did = append(s.did, fmt.Sprintf("%s %d", what, uint64(id)))
	return nil
}

func (s *shelf) Hold(_ context.Context, id mail.QueueID) error {
	return s.act("hold", id, "active", "incoming", "deferred")
}
func (s *shelf) Release(_ context.Context, id mail.QueueID) error {
	return s.act("release", id, "hold")
}
func (s *shelf) Delete(_ context.Context, id mail.QueueID) error {
	return s.act("delete", id, "active", "incoming", "deferred", "hold", "corrupt")
}
func (s *shelf) Requeue(_ context.Context, id mail.QueueID) error {
	return s.act("requeue", id, "active", "incoming", "deferred", "hold")
}
func (s *shelf) Expire(_ context.Context, id mail.QueueID) error {
	return s.act("expire", id, "active", "incoming", "deferred", "hold")
}
func (s *shelf) Flush(context.Context) error { return s.act2("flush") }
func (s *shelf) FlushID(_ context.Context, id mail.QueueID) error {
	return s.act2(fmt.Sprintf("flush %d", uint64(id)))
}
func (s *shelf) FlushDest(_ context.Context, site string, _ func(int)) error {
	return s.act2("flush " + site)
}
func (s *shelf) Counts(context.Context) (mail.QueueCounts, error) {
	return mail.QueueCounts{Deferred: int64(len(s.msgs))}, nil
}
func (s *shelf) HoldDest(_ context.Context, d mail.Dest, reason string) error {
	s.held = append(s.held, mail.HeldDest{Dest: d, Reason: reason, Since: time.Date(2026, 11, 22, 19, 39, 3, 0, time.Local)})
	return s.act2("hold " + string(d))
}
func (s *shelf) ReleaseDest(_ context.Context, d mail.Dest) error {
	i := slices.IndexFunc(s.held, func(h mail.HeldDest) bool { return h.Dest == d })
	if i < 0 {
		return queue.ErrNotFound
	}
	s.held = slices.Delete(s.held, i, i+1)
	return s.act2("release " + string(d))
}
func (s *shelf) HeldDests(context.Context) ([]mail.HeldDest, error) { return s.held, nil }
func (s *shelf) act2(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
	return s.fail
}

// startControl runs a daemon's control socket on the machine.
func (m *machine) startControl(t *testing.T, q *shelf, change func(*admin.Options)) {
	t.Helper()
	o := admin.Options{Queue: q, NotFound: queue.ErrNotFound}
	if change != nil {
		change(&o)
	}
	s := admin.NewServer(o)
	l, err := sock.Listen(m.control, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// offline opens q in place of a daemon's queue.
func offline(q *shelf) openOffline {
	return func(*postconf.Config) (admin.Queue, func(), error) { return q, func() {}, nil }
}

func noQueue(*postconf.Config) (admin.Queue, func(), error) {
	return nil, nil, errors.New("queue /x: no such directory")
}

const refused = "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"

func listedRcpts(reason string, addrs ...string) []mail.ListedRcpt {
	var out []mail.ListedRcpt
	for _, a := range addrs {
		out = append(out, mail.ListedRcpt{Address: mail.SplitAddress(a), Reason: reason})
	}
	return out
}

// sample is a queue with one message of each kind.
func sample() []mail.Listed {
	at := time.Date(2026, 11, 22, 19, 39, 3, 0, time.Local)
	return []mail.Listed{
		{Queue: "deferred", ID: 1, Arrived: at, Size: 318, Sender: mail.SplitAddress("s2@x.example"),
			Rcpts: listedRcpts(refused, "odd, one@dest.example", "one@dest.example", "two@dest.example")},
		{Queue: "active", ID: 2, Arrived: at, Size: 2002, Rcpts: listedRcpts("", "root@mx.example.com")},
		{Queue: "hold", ID: 3, Arrived: at.AddDate(0, 0, -20), Size: 12345678, Expired: true, Sender: mail.SplitAddress("bad@x@y"),
			Rcpts: append(listedRcpts("first reason that is rather long and goes on for many columns until it would not fit on a line", "v@r1.example"),
				append(listedRcpts("second \"quoted\" \\ ü reason\n", "y@r2.example"),
					append(listedRcpts("first reason that is rather long and goes on for many columns until it would not fit on a line", "z@r1.example"),
						listedRcpts("", "fresh@x.example")...)...)...)},
		{Queue: "deferred", ID: 4, Arrived: at, Size: 99999999999, Expired: true, Sender: mail.Address{Local: "\xff\x1b", Domain: "x.example"}},
	}
}

// As Postfix prints it; the columns of queue ID and size share what a longer ID takes.
const sampleTable = `-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
000000000001    318 Sun Nov 22 19:39:03  s2@x.example
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                         "odd, one"@dest.example
                                         one@dest.example
                                         two@dest.example

000000000002*  2002 Sun Nov 22 19:39:03  MAILER-DAEMON
                                         root@mx.example.com

000000000003! 12345678 Mon Nov  2 19:39:03  "bad@x"@y
                                         fresh@x.example
(first reason that is rather long and goes on for many columns until it would not fit on a line)
                                         v@r1.example
                                         z@r1.example
                                                 (second "quoted" \ ü reason?)
                                         y@r2.example

000000000004# 99999999999 Sun Nov 22 19:39:03  "??"@x.example

-- 97668308 Kbytes in 4 Requests.
`

func TestPostqueueTable(t *testing.T) {
	m := newMachine(t, "")
	m.startControl(t, &shelf{msgs: sample()}, nil)
	for name, run := range map[string]func(environ) int{
		"postqueue -p": func(env environ) int { return postqueueCommand([]string{"-p"}, env) },
		"mailq":        func(env environ) int { return mailqCommand(nil, env) },
		"sendmail -bp": func(env environ) int { return sendmailCommand([]string{"-bp"}, env) },
	} {
		if status := run(m.env("")); status != exitOK || m.stdout.String() != sampleTable || m.stderr.Len() > 0 {
			t.Errorf("%s: status %d, %q\ngot\n%swant\n%s", name, status, m.stderr.String(), m.stdout.String(), sampleTable)
		}
	}
}

func TestPostqueueSums(t *testing.T) {
	one := []mail.Listed{{Queue: "incoming", ID: 1, Size: 2123, Sender: mail.SplitAddress("a@b")}}
	for _, tc := range []struct {
		msgs []mail.Listed
		want string
	}{
		{nil, "Mail queue is empty\n"},
		{one, "-- 2 Kbytes in 1 Request.\n"},
		{append(one, one...), "-- 4 Kbytes in 2 Requests.\n"},
	} {
		m := newMachine(t, "")
		m.startControl(t, &shelf{msgs: tc.msgs}, nil)
		if postqueueCommand([]string{"-p"}, m.env("")); !strings.HasSuffix(m.stdout.String(), tc.want) {
			t.Errorf("got %q, want %q", m.stdout.String(), tc.want)
		}
	}
}

func TestPostqueueJSON(t *testing.T) {
	m := newMachine(t, "")
	msgs := sample()
	m.startControl(t, &shelf{msgs: msgs}, nil)
	status := postqueueCommand([]string{"-j"}, m.env(""))
	lines := strings.SplitAfter(strings.TrimSuffix(m.stdout.String(), "\n"), "\n")
	if status != exitOK || len(lines) != len(msgs) {
		t.Fatalf("status %d, %d lines, %q", status, len(lines), m.stderr.String())
	}
	want := fmt.Sprintf(`{"queue_name": "deferred", "queue_id": "000000000001", "arrival_time": %d, "message_size": 318, "forced_expire": false, "sender": "s2@x.example", `+
		`"recipients": [{"address": "\"odd, one\"@dest.example", "delay_reason": "%s"}, {"address": "one@dest.example", "delay_reason": "%s"}, {"address": "two@dest.example", "delay_reason": "%s"}]}`+"\n",
		msgs[0].Arrived.Unix(), refused, refused, refused)
	if lines[0] != want {
		t.Errorf("got  %swant %s", lines[0], want)
	}
	for i, line := range lines {
		var got struct {
			QueueName    string `json:"queue_name"`
			QueueID      string `json:"queue_id"`
			ArrivalTime  int64  `json:"arrival_time"`
			MessageSize  int64  `json:"message_size"`
			ForcedExpire bool   `json:"forced_expire"`
			Sender       string
			Recipients   []struct {
				Address     string
				DelayReason *string `json:"delay_reason"`
			}
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		m := msgs[i]
		if got.QueueName != m.Queue || got.QueueID != m.ID.String() || got.ArrivalTime != m.Arrived.Unix() || got.MessageSize != m.Size ||
			got.ForcedExpire != m.Expired || len(got.Recipients) != len(m.Rcpts) {
			t.Errorf("got %+v from %+v", got, m)
		}
		for k, r := range m.Rcpts {
			if g := got.Recipients[k]; g.Address != r.Address.String() || (g.DelayReason == nil) != (r.Reason == "") || g.DelayReason != nil && *g.DelayReason != r.Reason {
				t.Errorf("got %+v from %+v", g, r)
			}
		}
	}
	if !strings.Contains(lines[1], `"sender": "MAILER-DAEMON"`) {
		t.Errorf("the null sender: %s", lines[1])
	}
}

// What appendJSON writes is JSON, and means what it was made of.
func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/", "\x00\x1f\x7f\b\f\n\r\t", "ü€😀\u2028", "<&>", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := appendJSON(nil, s)
		if err := json.Unmarshal(b, &got); err != nil || got != strings.ToValidUTF8(s, "\uFFFD") && got != string([]rune(s)) {
			t.Errorf("%q became %s, which is %q, %v", s, b, got, err)
		}
	})
}

func TestPostqueueDown(t *testing.T) {
	m := newMachine(t, "")
	socket := m.control
	why := "connect to " + socket + ": no such file or directory"
	for _, tc := range []struct {
		name   string
		args   []string
		open   openOffline
		status int
		stdout string
		stderr string
	}{
		{"-p looks itself", []string{"-p"}, offline(&shelf{msgs: sample()}), exitOK, sampleTable,
			"postqueue: warning: Mail system is down -- accessing queue directly (" + why + ")\n"},
		{"-p cannot", []string{"-p"}, noQueue, exitUnavailable, "",
			"postqueue: warning: cannot access the queue directly: queue /x: no such directory\npostqueue: fatal: Queue report unavailable - mail system is down\n"},
		{"-j cannot", []string{"-j"}, noQueue, exitUnavailable, "",
			"postqueue: warning: cannot access the queue directly: queue /x: no such directory\npostqueue: fatal: Queue report unavailable - mail system is down\n"},
		{"-f needs a daemon", []string{"-f"}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - mail system is down\n"},
		{"-i as well", []string{"-i", mail.QueueID(1).String()}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - mail system is down\n"},
		{"-i of an ID of Postfix", []string{"-i", "ABC"}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - mail system is down\n"},
		{"-s of nothing", []string{"-s", ""}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - invalid destination: \"\"\n"},
		{"-s of two words", []string{"-s", "a b"}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - invalid destination: \"a b\"\n"},
		{"-s as well", []string{"-s", "x.example"}, offline(&shelf{}), exitUnavailable, "", "postqueue: fatal: Cannot flush mail queue - mail system is down\n"},
	} {
		status := postqueue(tc.args, m.env(""), tc.open)
		if status != tc.status || m.stdout.String() != tc.stdout || m.stderr.String() != tc.stderr {
			t.Errorf("%s: status %d, %q, %q", tc.name, status, m.stdout.String(), m.stderr.String())
		}
	}
}

func TestPostqueueFlush(t *testing.T) {
	id := mail.QueueID(7)
	for _, tc := range []struct {
		args []string
		run  func([]string, environ) int
		want string
	}{
		{[]string{"-f"}, postqueueCommand, "flush"},
		{[]string{"-i", id.String()}, postqueueCommand, "flush 7"},
		{[]string{"-i", "8B721984073"}, postqueueCommand, ""},
		{[]string{"-s", "[192.0.2.1]"}, postqueueCommand, "flush [192.0.2.1]"},
		{[]string{"-s", "dest.example."}, postqueueCommand, "flush dest.example"},
		{[]string{"-q"}, sendmailCommand, "flush"},
		{[]string{"-qI" + id.String()}, sendmailCommand, "flush 7"},
		{[]string{"-qRdest.example"}, sendmailCommand, "flush dest.example"},
	} {
		m := newMachine(t, "")
		q := &shelf{}
		m.startControl(t, q, nil)
		status := tc.run(tc.args, m.env(""))
		if got := strings.Join(q.did, ", "); got != tc.want || status != exitOK || m.stderr.Len() > 0 {
			t.Errorf("%v: status %d, did %q, %q; want %q", tc.args, status, got, m.stderr.String(), tc.want)
		}
	}
}

func TestPostqueueErrors(t *testing.T) {
	usage := "postqueue: fatal: usage: " + postqueueUsage + "\n"
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, usage},
		{[]string{"-p", "-f"}, usage},
		{[]string{"-p", "foo"}, usage},
		{[]string{"-z"}, "postqueue: invalid option -- 'z'\n" + usage},
		{[]string{"-i"}, "postqueue: option requires an argument -- 'i'\n" + usage},
		{[]string{"-i", ""}, "postqueue: fatal: Cannot flush queue ID - invalid name: \"\"\n"},
		{[]string{"-i", "bad id"}, "postqueue: fatal: Cannot flush queue ID - invalid name: \"bad id\"\n"},
		{[]string{"-f"}, "postqueue: fatal: disk on fire\n"},
		{[]string{"-j"}, "postqueue: fatal: disk on fire\n"},
	} {
		m := newMachine(t, "")
		m.startControl(t, &shelf{fail: errors.New("disk on fire")}, nil)
		if status := postqueueCommand(tc.args, m.env("")); status != exitUnavailable || m.stderr.String() != tc.want {
			t.Errorf("%v: status %d, %q", tc.args, status, m.stderr.String())
		}
	}
}

// A listing that nobody reads any more, as of "postqueue -p | head", ends.
func TestPostqueueBrokenPipe(t *testing.T) {
	m := newMachine(t, "")
	q := &shelf{}
	for range 10000 {
		q.msgs = append(q.msgs, sample()[0])
	}
	m.startControl(t, q, nil)
	env := m.env("")
	env.stdout = &limitedWriter{left: 10000}
	if status := postqueueCommand([]string{"-j"}, env); status != exitUnavailable || !strings.Contains(m.stderr.String(), io.ErrClosedPipe.Error()) {
		t.Errorf("status %d, %q", status, m.stderr.String())
	}
}

type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}
