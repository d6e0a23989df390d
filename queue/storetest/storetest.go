// Package storetest is what every queue.Store must pass. A store's own tests call
//
//	storetest.Run(t, func(t *testing.T, o storetest.Options) queue.Store { ... })
//
// once; Compare then plays random operations on two stores side by side and demands
// equal answers. What only a store on disk can show, that what was acknowledged
// outlives a crash, is for that store's own tests.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Options are what a store under test is to be opened with.
type Options struct {
	Now            func() time.Time
	RecipientLimit int // 0: the default
}

// Opener opens an empty store and closes it when the test ends.
type Opener func(t *testing.T, o Options) queue.Store

// Run puts a store to the test.
func Run(t *testing.T, open Opener) {
	tests := []struct {
		name string
		f    func(*fixture)
	}{
		{"commit and load", testCommit},
		{"bodies", testBodies},
		{"body flags", testFlags},
		{"commit refused", testCommitRefused},
		{"abort", testAbort},
		{"read back", testReadBack},
		{"jobs", testJobs},
		{"ids", testIDs},
		{"delivered", testDelivered},
		{"deferred", testDeferred},
		{"outcome in parts", testParts},
		{"outcome twice", testTwice},
		{"outcome of strangers", testStrangers},
		{"emission", testEmission},
		{"release", testRelease},
		{"claim in order", testClaimOrder},
		{"claim and claim again", testClaimAgain},
		{"heads", testHeads},
		{"hold", testHold},
		{"hold on arrival", testHoldOnArrival},
		{"hold while claimed", testHoldClaimed},
		{"remove", testRemove},
		{"make due", testMakeDue},
		{"force expire", testForceExpire},
		{"requeue", testRequeue},
		{"requeue while claimed", testRequeueClaimed},
		{"hold a destination", testHoldDest},
		{"counts", testCounts},
		{"list", testList},
		{"list while changing", testListChanging},
		{"nothing there", testNotFound},
		{"woken", testWoken},
		{"woken, tried or not", testWokenFresh},
		{"bulk", testBulk},
		{"closed", testClosed},
		{"many at once", testConcurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.store = open(t, Options{Now: f.clock.Now, RecipientLimit: 3})
			tt.f(f)
		})
	}
}

// Clock is a clock that stands still until it is moved. It is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock makes a clock that shows t.
func NewClock(t time.Time) *Clock { return &Clock{t: t} }

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fixture is a store under test with short ways to use it.
type fixture struct {
	*testing.T
	store queue.Store
	clock *Clock
}

func newFixture(t *testing.T) *fixture {
	return &fixture{T: t, clock: NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
}

// Envelope makes an envelope with everything filled in and a recipient at each
// destination.
func Envelope(id mail.QueueID, arrived time.Time, dests ...mail.Dest) *mail.Envelope {
	env := &mail.Envelope{
		ID:      id,
		Arrived: arrived,
		Sender:  mail.Address{Local: "list", Domain: "sender.example"},
		EnvID:   "QQ314159",
		Ret:     "HDRS",
		Flags:   mail.FlagBody8BitMIME,
		Client:  mail.Client{Name: "out.sender.example", Port: 12345, Helo: "out", Protocol: "ESMTPS", UID: -1},
		Prepend: []byte("Received: from out (out.sender.example [192.0.2.1])\r\n"),
	}
	for i, d := range dests {
		env.Rcpts = append(env.Rcpts, mail.Recipient{
			Final:  mail.Address{Local: fmt.Sprintf("user%d", i), Domain: d.NextHop()},
			Orig:   mail.Address{Local: fmt.Sprintf("alias%d", i), Domain: "alias.example"},
			ORcpt:  fmt.Sprintf("rfc822;alias%d@alias.example", i),
			Notify: mail.NotifyFailure,
			Dest:   d,
		})
	}
	return env
}

// commit puts a message with a small body into the store.
func (f *fixture) commit(dests ...mail.Dest) (*mail.Envelope, []queue.Job) {
	f.Helper()
	env := Envelope(f.store.IDs().Next(), f.clock.Now(), dests...)
	return env, f.commitBody(env, []byte("Subject: test\r\n\r\n"+env.ID.String()+"\r\n"))
}

func (f *fixture) commitBody(env *mail.Envelope, body []byte) []queue.Job {
	f.Helper()
	d, err := f.store.Stage(f.Context())
	if err != nil {
		f.Fatalf("Stage: %v", err)
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 7000)
		if k, err := d.Write(rest[:n]); err != nil || k != n {
			f.Fatalf("Write: %d, %v", k, err)
		}
		rest = rest[n:]
	}
	jobs, err := d.Commit(f.Context(), env)
	if err != nil {
		f.Fatalf("Commit: %v", err)
	}
	d.Abort() // does nothing after Commit
	return jobs
}

// apply records an outcome and waits for it.
func (f *fixture) apply(o queue.Outcome) queue.Applied {
	f.Helper()
	a := Apply(f.store, o)
	if a.Err != nil {
		f.Fatalf("Apply: %v", a.Err)
	}
	return a
}

// Apply records an outcome and waits until it is done.
func Apply(s queue.Store, o queue.Outcome) queue.Applied {
	c := make(chan queue.Applied, 1)
	s.Apply(o, func(a queue.Applied) { c <- a })
	return <-c
}

// all is an outcome with one state for all recipients of a job.
func all(j queue.Job, state mail.State, reason string, next time.Time) queue.Outcome {
	o := queue.Outcome{Job: j, NextDue: next}
	for _, r := range j.Rcpts {
		o.Results = append(o.Results, mail.Result{Rcpt: r, State: state, Reason: reason})
	}
	return o
}

func (f *fixture) claim(d mail.Dest, limit int) ([]queue.Job, time.Time) {
	f.Helper()
	jobs, next, err := f.store.Claim(f.Context(), d, f.clock.Now(), limit)
	if err != nil {
		f.Fatalf("Claim %s: %v", d, err)
	}
	return jobs, next
}

// claimOne claims the only due job of a destination.
func (f *fixture) claimOne(d mail.Dest) queue.Job {
	f.Helper()
	jobs, _ := f.claim(d, 10)
	if len(jobs) != 1 {
		f.Fatalf("Claim %s: %d jobs, want 1: %+v", d, len(jobs), jobs)
	}
	return jobs[0]
}

func (f *fixture) wantNoClaim(d mail.Dest) {
	f.Helper()
	if jobs, _ := f.claim(d, 10); len(jobs) != 0 {
		f.Fatalf("Claim %s: %+v, want none", d, jobs)
	}
}

// Heads collects what Heads yields, ordered by destination.
func Heads(s queue.Store) ([]queue.DestHead, error) {
	var heads []queue.DestHead
	err := s.Heads(context.Background(), func(h queue.DestHead) bool {
		heads = append(heads, h)
		return true
	})
	SortHeads(heads)
	return heads, err
}

// SortHeads orders heads by destination.
func SortHeads(heads []queue.DestHead) {
	slices.SortFunc(heads, func(a, b queue.DestHead) int { return strings.Compare(string(a.Dest), string(b.Dest)) })
}

// wantHeads wants exactly these destinations, each due at the time given.
func (f *fixture) wantHeads(want ...queue.DestHead) {
	f.Helper()
	got, err := Heads(f.store)
	if err != nil {
		f.Fatalf("Heads: %v", err)
	}
	f.sameHeads(got, want)
}

func (f *fixture) sameHeads(got, want []queue.DestHead) {
	f.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	SortHeads(got)
	SortHeads(want)
	if !slices.EqualFunc(got, want, func(a, b queue.DestHead) bool { return a.Dest == b.Dest && a.NextDue.Equal(b.NextDue) }) {
		f.Fatalf("heads\n got %v\nwant %v", got, want)
	}
}

// List collects what List yields.
func List(s queue.Store) ([]mail.Listed, error) {
	var l []mail.Listed
	err := s.List(context.Background(), func(m mail.Listed) bool {
		l = append(l, m)
		return true
	})
	return l, err
}

// wantQueues wants the messages of the store to be in these queues, oldest first.
func (f *fixture) wantQueues(want ...string) []mail.Listed {
	f.Helper()
	l, err := List(f.store)
	if err != nil {
		f.Fatalf("List: %v", err)
	}
	var got []string
	for _, m := range l {
		got = append(got, m.Queue)
	}
	if !slices.Equal(got, want) {
		f.Fatalf("queues %q, want %q", got, want)
	}
	return l
}

// ReadBody reads a body to its end.
func ReadBody(b mail.Body) ([]byte, error) {
	r, err := b.Open()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	_, err = io.Copy(&buf, r)
	return buf.Bytes(), errors.Join(err, r.Close())
}

// wantMessage loads a message and compares it.
func (f *fixture) wantMessage(want *mail.Envelope, body []byte) {
	f.Helper()
	env, b, err := f.store.Load(f.Context(), want.ID)
	if err != nil {
		f.Fatalf("Load: %v", err)
	}
	if err := SameEnvelope(env, want); err != nil {
		f.Fatalf("Load: %v", err)
	}
	got, err := ReadBody(b)
	if err != nil || !bytes.Equal(got, body) {
		f.Fatalf("body of %d bytes, %v; want %d bytes", len(got), err, len(body))
	}
	if b.Size() != int64(len(body)) {
		f.Fatalf("body says it has %d bytes, it has %d", b.Size(), len(body))
	}
}

// SameEnvelope tells how two envelopes differ.
func SameEnvelope(got, want *mail.Envelope) error {
	if !got.Arrived.Equal(want.Arrived) {
		return fmt.Errorf("arrived %v, want %v", got.Arrived, want.Arrived)
	}
	if !bytes.Equal(got.Prepend, want.Prepend) {
		return fmt.Errorf("prepended %q, want %q", got.Prepend, want.Prepend)
	}
	if !slices.Equal(got.Rcpts, want.Rcpts) {
		return fmt.Errorf("recipients\n got %+v\nwant %+v", got.Rcpts, want.Rcpts)
	}
	if got.ID != want.ID || got.Sender != want.Sender || got.EnvID != want.EnvID || got.Ret != want.Ret ||
		got.Flags != want.Flags || got.Client != want.Client || got.Auth != want.Auth || got.Size != want.Size || got.CRC != want.CRC {
		return fmt.Errorf("envelope\n got %+v\nwant %+v", got, want)
	}
	return nil
}
