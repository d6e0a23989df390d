package pebblestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// gate is a disk whose syncs of the log can be held up, and are counted.
type gate struct {
	vfs.FS
	mu    sync.Mutex // guards what follows
	cond  sync.Cond
	shut  bool
	held  int // syncs that wait
	syncs int // of the log that were done
}

func newGate() *gate {
	g := &gate{FS: vfs.NewMem()}
	g.cond.L = &g.mu
	return g
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.cond.Broadcast()
}

// waitHeld waits until a sync waits at the gate.
func (g *gate) waitHeld() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.held == 0 {
		g.cond.Wait()
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.syncs
}

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, c)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &gateFile{f, g}, nil
}

func (g *gate) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(old, name, c)
	if err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

type gateFile struct {
	vfs.File
	gate *gate
}

func (f *gateFile) Sync() error     { f.pass(); return f.File.Sync() }
func (f *gateFile) SyncData() error { f.pass(); return f.File.SyncData() }

func (f *gateFile) pass() {
	g := f.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held++
	g.cond.Broadcast()
	for g.shut {
		g.cond.Wait()
	}
	g.held--
	g.syncs++
}

func gated(t *testing.T, o pebblestore.Options) (*pebblestore.Store, *gate) {
	g := newGate()
	o.Dir, o.FS = "/queue", g
	s := mustOpen(t, o)
	t.Cleanup(func() { g.set(false) })
	return s, g
}

// TestGroupCommit: what is committed while a sync runs is covered by the next one.
func TestGroupCommit(t *testing.T) {
	s, g := gated(t, pebblestore.Options{})
	g.set(true)
	before := g.count()
	const sessions = 100
	var done sync.WaitGroup
	for i := range sessions {
		done.Go(func() {
			if _, err := put(s, rand.New(rand.NewPCG(uint64(i), 1)), 1000); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "commit of every session", func() bool { return s.Stats().Messages == sessions })
	g.set(false)
	done.Wait()
	if n := g.count() - before; n > 3 {
		t.Errorf("%d syncs for %d messages that came together", n, sessions)
	}
}

// TestNothingIsToldBeforeTheSync: neither by Commit nor by Apply, and nobody can claim
// what is on its way.
func TestNothingIsToldBeforeTheSync(t *testing.T) {
	s, g := gated(t, pebblestore.Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	jobs, err := put(s, rng, 100)
	if err != nil {
		t.Fatal(err)
	}
	g.set(true)
	committed := make(chan []queue.Job, 1)
	go func() {
		j, err := put(s, rng, 100)
		if err != nil {
			t.Error(err)
		}
		committed <- j
	}()
	g.waitHeld()
	applied := make(chan queue.Applied, 1)
	o := queue.Outcome{Job: jobs[0], NextDue: testTime, Results: []mail.Result{{Rcpt: 0, Reason: "busy"}}}
	s.Apply(o, func(a queue.Applied) { applied <- a })
	waitFor(t, "the outcome in the log", func() bool { return s.Stats().Outcomes == 1 })

	if got, next, err := s.Claim(t.Context(), "smtp:a.example", testTime, 10); len(got) != 0 || !next.IsZero() || err != nil {
		t.Errorf("claimed before the sync: %+v, next %v, %v", got, next, err)
	}
	if heads, err := storetest.Heads(s); len(heads) != 0 || err != nil {
		t.Errorf("heads before the sync: %+v, %v", heads, err)
	}
	select {
	case j := <-committed:
		t.Errorf("Commit returned before the sync: %+v", j)
	case a := <-applied:
		t.Errorf("Apply was done before the sync: %+v", a)
	default:
	}
	g.set(false)
	if a := <-applied; a.Err != nil {
		t.Error(a.Err)
	}
	if j := <-committed; len(j) != 1 {
		t.Errorf("jobs %+v", j)
	}
	if got, _, err := s.Claim(t.Context(), "smtp:a.example", testTime, 10); len(got) != 1 || err != nil {
		t.Errorf("claimed %+v, %v", got, err)
	}
}

// TestCommitGivesUp: a commit that nobody waits for any more leaves no message behind,
// whether its body is in the log or in a file.
func TestCommitGivesUp(t *testing.T) {
	for name, o := range map[string]pebblestore.Options{
		"the client":  {},
		"the timeout": {CommitTimeout: time.Millisecond},
	} {
		for _, size := range []int{100, 200_000} {
			s, g := gated(t, o)
			rng := rand.New(rand.NewPCG(1, 1))
			ctx, cancel := context.WithCancel(t.Context())
			d, err := s.Stage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = d.Write(make([]byte, size))
			g.set(true)
			id := s.IDs().Next()
			failed := make(chan error, 1)
			go func() {
				_, err := d.Commit(ctx, storetest.Envelope(id, testTime, "smtp:a.example"))
				failed <- err
			}()
			g.waitHeld()
			if o.CommitTimeout == 0 {
				cancel()
			}
			if err := <-failed; err == nil {
				t.Errorf("%s: a commit without sync succeeded", name)
			} else if o.CommitTimeout == 0 && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			g.set(false)
			s.Stats()
			if _, err := put(s, rng, 10); err != nil && o.CommitTimeout == 0 { // is behind it
				t.Error(err)
			}
			waitFor(t, "end of the message", func() bool {
				_, _, err := s.Load(t.Context(), id)
				return errors.Is(err, queue.ErrNotFound)
			})
			waitFor(t, "end of its file", func() bool { return len(files(t, g.FS, "/queue/big")) == 0 })
			if heads, err := storetest.Heads(s); len(heads) != 0 || err != nil {
				t.Errorf("%s: heads %+v, %v", name, heads, err)
			}
			cancel()
		}
	}
}

// TestReleaseBesideOutcome: jobs that are released while an outcome of their message is
// on its way to the disk can be claimed as soon as Release has returned, and Release
// does not wait for the disk.
func TestReleaseBesideOutcome(t *testing.T) {
	s, g := gated(t, pebblestore.Options{})
	d, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := d.Commit(t.Context(), storetest.Envelope(s.IDs().Next(), testTime, "smtp:a", "smtp:b"))
	if err != nil {
		t.Fatal(err)
	}
	g.set(true)
	applied := make(chan queue.Applied, 1)
	s.Apply(queue.Outcome{Job: jobs[0], NextDue: testTime}, func(a queue.Applied) { applied <- a })
	g.waitHeld()
	s.Release(jobs[1:])
	if got, _, err := s.Claim(t.Context(), "smtp:b", testTime.AddDate(9, 0, 0), 10); len(got) != 1 || err != nil {
		t.Errorf("claimed %+v, %v", got, err)
	}
	if got, _, err := s.Claim(t.Context(), "smtp:a", testTime.AddDate(9, 0, 0), 10); len(got) != 0 || err != nil {
		t.Errorf("claimed before its outcome was on disk: %+v, %v", got, err)
	}
	g.set(false)
	<-applied
}

// TestCloseWaits: what was given to the store before Close is on disk after it.
func TestCloseWaits(t *testing.T) {
	s, g := gated(t, pebblestore.Options{})
	jobs, err := put(s, rand.New(rand.NewPCG(1, 1)), 100)
	if err != nil {
		t.Fatal(err)
	}
	g.set(true)
	applied := make(chan queue.Applied, 1)
	o := queue.Outcome{Job: jobs[0], Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}}}
	s.Apply(o, func(a queue.Applied) { applied <- a })
	g.waitHeld()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	g.set(false)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if a := <-applied; a.Err != nil || !a.Removed {
		t.Errorf("applied %+v", a)
	}
	if list, err := storetest.List(mustOpen(t, pebblestore.Options{Dir: "/queue", FS: g.FS})); len(list) != 0 || err != nil {
		t.Errorf("listed %+v, %v", list, err)
	}
}

// TestFileOutlivesItsMessage: the file of a body is there until the end of its message
// is on stable storage. Otherwise a power cut in between leaves a message without body.
func TestFileOutlivesItsMessage(t *testing.T) {
	for name, end := range map[string]func(s *pebblestore.Store, j queue.Job){
		"delivered": func(s *pebblestore.Store, j queue.Job) {
			storetest.Apply(s, queue.Outcome{Job: j, Results: []mail.Result{{Rcpt: 0, State: mail.Delivered}}})
		},
		"removed": func(s *pebblestore.Store, j queue.Job) {
			if err := s.Remove(context.Background(), j.ID); err != nil {
				t.Error(err)
			}
		},
	} {
		s, g := gated(t, pebblestore.Options{})
		jobs, err := put(s, rand.New(rand.NewPCG(1, 1)), 200_000)
		if err != nil {
			t.Fatal(err)
		}
		before := s.Stats().Batches
		g.set(true)
		ended := make(chan struct{})
		go func() {
			end(s, jobs[0])
			close(ended)
		}()
		g.waitHeld()
		waitFor(t, "batch", func() bool { return s.Stats().Batches > before })
		if n := len(files(t, g.FS, "/queue/big")); n != 1 {
			t.Errorf("%s: %d files before the sync", name, n)
		}
		g.set(false)
		<-ended
		if n := len(files(t, g.FS, "/queue/big")); n != 0 {
			t.Errorf("%s: %d files after the sync", name, n)
		}
	}
}
