package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

const oldDir = "/old/store"

// portrait is all that is to be known of the messages of a store, without their IDs:
// two stores with the same mail look the same. Each is there with its ID.
func portrait(t *testing.T, s *pebblestore.Store) map[string]mail.QueueID {
	t.Helper()
	jobs := make(map[mail.QueueID][]string)
	heads, err := storetest.Heads(s)
	if err != nil {
		t.Fatal(err)
	}
	var claimed []queue.Job
	for _, h := range heads {
		more, _, err := s.Claim(t.Context(), h.Dest, testTime.AddDate(9, 0, 0), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		claimed = append(claimed, more...)
	}
	for _, j := range claimed {
		jobs[j.ID] = append(jobs[j.ID], fmt.Sprintf("job %d to %s for %v, %d attempts, due %d, expired %t", j.N, j.Dest, j.Rcpts, j.Attempts, j.Due.UnixMilli(), j.Expired))
	}
	s.Release(claimed)
	list, err := storetest.List(s)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]mail.QueueID)
	for _, l := range list {
		id := l.ID
		text := fmt.Sprintf("%s from %s, arrived %d, expired %t, rcpts %v\n", l.Queue, l.Sender, l.Arrived.UnixMilli(), l.Expired, l.Rcpts)
		if l.Queue != "corrupt" {
			env, body, err := s.Load(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			b, err := storetest.ReadBody(body)
			if err != nil {
				t.Fatal(err)
			}
			if env.ID != id {
				t.Errorf("%s has the envelope of %s", id, env.ID)
			}
			e := *env
			e.ID = 0
			text += fmt.Sprintf("%+v\n%d %x\n", e, len(b), crc32.ChecksumIEEE(b))
		}
		slices.Sort(jobs[id])
		text += strings.Join(jobs[id], "\n")
		if other, twice := all[text]; twice {
			t.Errorf("%s and %s are the same message", other, id)
		}
		all[text] = id
	}
	return all
}

func openAt(t *testing.T, disk vfs.FS, dir string, change func(*pebblestore.Options)) *pebblestore.Store {
	t.Helper()
	o := crashOptions(disk)
	o.Dir, o.Now = dir, func() time.Time { return testTime }
	if dir == "/var/queue" { // the other node has been dead for a while
		o.Now = laterClock
	}
	o.Log = (&logBook{}).logger()
	if change != nil {
		change(&o)
	}
	return mustOpen(t, o)
}

func laterClock() time.Time { return testTime.Add(time.Hour) }

// variedQueue makes a queue with mail in every state there is, and closes it.
func variedQueue(t *testing.T, disk vfs.FS, dir string, node uint16, rng *rand.Rand, n int) map[string]mail.QueueID {
	t.Helper()
	o := func(o *pebblestore.Options) { o.Node = node }
	s := openAt(t, disk, dir, o)
	book := newLedger()
	(&traffic{ledger: book, store: s, rng: rng, large: 5000}).run(n, nil)
	list, err := storetest.List(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var spoilt []mail.QueueID
	for i, l := range list {
		var err error
		switch i % 6 {
		case 0:
			err = s.Hold(ctx, l.ID)
		case 1:
			_, err = s.ForceExpire(ctx, l.ID)
		case 2:
			if i%4 == 0 {
				if _, err = s.ForceExpire(ctx, l.ID); err == nil {
					err = s.Hold(ctx, l.ID)
				}
			}
		case 3:
			if l.Size < 2500 {
				spoilt = append(spoilt, l.ID)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pebblestore.Tamper(t, disk, dir+"/db", func(b *pebble.Batch) {
		for _, id := range spoilt {
			_ = b.Set(pebblestore.BodyKey(id), []byte("not what it was "+id.String()), nil)
		}
	})
	s = openAt(t, disk, dir, o)
	for _, id := range spoilt {
		if _, _, err := s.Load(ctx, id); !errors.Is(err, queue.ErrCorrupt) {
			t.Fatalf("Load of a spoilt message: %v", err)
		}
	}
	all := portrait(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func adopt(s *pebblestore.Store, dir string) (mail.Adoption, error) {
	return s.Adopt(context.Background(), dir, func(mail.Adoption, []queue.DestHead) {})
}

func difference(got, want map[string]mail.QueueID) string {
	var b strings.Builder
	for text, id := range want {
		if _, there := got[text]; !there {
			fmt.Fprintf(&b, "missing %s: %.300s\n", id, text)
		}
	}
	for text, id := range got {
		if _, there := want[text]; !there {
			fmt.Fprintf(&b, "too much %s: %.300s\n", id, text)
		}
	}
	return b.String()
}

// TestAdopt: all that a queue knows of its mail is known by the one that took it over, and
// the other is nobody's any more.
func TestAdopt(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes  [2]uint16
		change func(*pebblestore.Options)
		dir    string
	}{
		"two nodes":           {nodes: [2]uint16{0, 7}, dir: oldDir},
		"one number":          {nodes: [2]uint16{3, 3}, dir: oldDir},
		"the queue directory": {nodes: [2]uint16{0, 7}, dir: "/old"},
		"all in the database": {nodes: [2]uint16{0, 7}, dir: oldDir, change: func(o *pebblestore.Options) { o.InlineLimit, o.MemTableSize = 60_000, 1<<20 }},
		"all in files":        {nodes: [2]uint16{0, 7}, dir: oldDir, change: func(o *pebblestore.Options) { o.InlineLimit = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			disk, rng := vfs.NewMem(), rand.New(rand.NewPCG(1, 2))
			want := variedQueue(t, disk, oldDir, tt.nodes[1], rng, 120)
			states := make(map[string]int)
			for text := range want {
				state, _, _ := strings.Cut(text, " ")
				states[state]++
			}
			if states["hold"] < 5 || states["corrupt"] < 5 || states["deferred"] < 5 {
				t.Fatalf("too little of something: %v", states)
			}
			own := variedQueue(t, disk, "/var/queue", tt.nodes[0], rand.New(rand.NewPCG(5, 6)), 20)
			s := openAt(t, disk, "/var/queue", func(o *pebblestore.Options) {
				o.Node = tt.nodes[0]
				if tt.change != nil {
					tt.change(o)
				}
			})
			heads := make(map[mail.Dest]bool)
			last := mail.Adoption{}
			sofar, err := s.Adopt(t.Context(), tt.dir, func(a mail.Adoption, hs []queue.DestHead) {
				if a.Messages < last.Messages {
					t.Errorf("progress from %+v to %+v", last, a)
				}
				last = a
				for _, h := range hs {
					heads[h.Dest] = true
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			got := portrait(t, s)
			renamed := 0
			for text, id := range want {
				if got[text] != id {
					renamed++
				}
			}
			if diff := difference(got, merged(t, own, want)); diff != "" {
				t.Error(diff)
			}
			if tt.nodes[0] != tt.nodes[1] && renamed > 0 {
				t.Errorf("%d messages have another ID", renamed)
			}
			if wanted := (mail.Adoption{Messages: len(want), Corrupt: states["corrupt"], Renamed: renamed, Whole: true}); sofar != wanted {
				t.Errorf("adopted %+v, want %+v", sofar, wanted)
			}
			if len(heads) != 4 {
				t.Errorf("the scheduler was told of %v", heads)
			}
			o := crashOptions(disk)
			o.Dir = oldDir
			if _, err := pebblestore.Open(o); err == nil || !strings.Contains(err.Error(), "it was taken over whole by") {
				t.Errorf("the old queue was opened: %v", err)
			}
			again, err := adopt(s, tt.dir)
			if err != nil || again != (mail.Adoption{Whole: true}) {
				t.Errorf("once more: %+v, %v", again, err)
			}
			s = reopened(t, s, disk, tt.nodes[0])
			if diff := difference(portrait(t, s), merged(t, own, want)); diff != "" {
				t.Error("after a restart: " + diff)
			}
			if left := origins(t, s, disk); left > 0 {
				t.Errorf("%d keys of origin are left", left)
			}
		})
	}
}

func merged(t *testing.T, a, b map[string]mail.QueueID) map[string]mail.QueueID {
	t.Helper()
	all := maps.Clone(a)
	for text, id := range b {
		if _, twice := all[text]; twice {
			t.Errorf("%s is in both queues: %.300s", id, text)
		}
		all[text] = id
	}
	return all
}

func reopened(t *testing.T, s *pebblestore.Store, disk vfs.FS, node uint16) *pebblestore.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openAt(t, disk, "/var/queue", func(o *pebblestore.Options) { o.Node = node })
}

// origins closes a store and counts its keys of origin.
func origins(t *testing.T, s *pebblestore.Store, disk vfs.FS) (n int) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := pebble.Open("/var/queue/db", &pebble.Options{FS: disk, FormatMajorVersion: pebble.FormatNewest, Logger: quietLogger{}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	it, err := d.NewIter(&pebble.IterOptions{LowerBound: []byte("o"), UpperBound: []byte("p")})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n
}

type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// TestAdoptTakesNoID: the ID of a message that is on its way into this queue is not given
// to one that is taken over, and neither is one that is here.
func TestAdoptTakesNoID(t *testing.T) {
	disk := vfs.NewMem()
	old := openAt(t, disk, oldDir, nil)
	early := old.IDs().Next()
	s := openAt(t, disk, "/var/queue", nil)
	const same = 3 // messages that have the ID of one that is here, on its way, or in the future
	here, coming, future := early, s.IDs().Next(), s.IDs().Next()+1<<40
	free := early + 1
	commit := func(s *pebblestore.Store, id mail.QueueID, text string) {
		t.Helper()
		d, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.Write([]byte(text))
		jobs, err := d.Commit(t.Context(), storetest.Envelope(id, testTime, "smtp:a"))
		if err != nil {
			t.Fatal(err)
		}
		s.Release(jobs)
	}
	for _, id := range []mail.QueueID{here, coming, future, free} {
		commit(old, id, "old "+id.String())
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	commit(s, here, "new "+here.String())
	sofar, err := adopt(s, oldDir)
	if err != nil || sofar.Renamed != same || sofar.Messages != same+1 {
		t.Fatalf("adopted %+v, %v", sofar, err)
	}
	commit(s, coming, "new "+coming.String())
	texts := make(map[string]mail.QueueID)
	list, err := storetest.List(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		_, body, err := s.Load(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := storetest.ReadBody(body)
		texts[string(b)] = l.ID
	}
	for text, id := range map[string]mail.QueueID{
		"new " + here.String(): here, "new " + coming.String(): coming, "old " + free.String(): free,
	} {
		if texts[text] != id {
			t.Errorf("%q has ID %s, want %s", text, texts[text], id)
		}
	}
	if len(texts) != 6 {
		t.Errorf("messages: %v", texts)
	}
	if next := s.IDs().Next(); next.Time().After(testTime.Add(2 * time.Hour)) {
		t.Errorf("the IDs of this queue go on from %s", next.Time())
	}
}

// TestAdoptRefuses: what must not be taken over, is not, and is left as it was.
func TestAdoptRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, tt := range map[string]struct {
		make func(t *testing.T, disk vfs.FS, s *pebblestore.Store)
		dir  string
		want string
	}{
		"nothing": {nil, oldDir, "there is no queue of aliasmx"},
		"itself":  {nil, "/var/queue", "it is this very queue"},
		"one in use": {func(t *testing.T, disk vfs.FS, _ *pebblestore.Store) {
			openAt(t, disk, oldDir, nil)
		}, oldDir, "only the queue of a dead node"},
		"a newer one": {func(t *testing.T, disk vfs.FS, _ *pebblestore.Store) {
			variedQueue(t, disk, oldDir, 0, rng, 5)
			rewrite(t, disk, oldDir+"/format", func([]byte) []byte { return []byte("aliasmx queue format 99\n") })
		}, oldDir, "format is version 99"},
		"another's": {func(t *testing.T, disk vfs.FS, _ *pebblestore.Store) {
			variedQueue(t, disk, oldDir, 0, rng, 5)
			third := openAt(t, disk, "/third", nil)
			if _, err := adopt(third, oldDir); err != nil {
				t.Fatal(err)
			}
		}, oldDir, "another queue than this one"},
		"a damaged mark": {func(t *testing.T, disk vfs.FS, _ *pebblestore.Store) {
			variedQueue(t, disk, oldDir, 0, rng, 5)
			writeFile(t, disk, oldDir+"/adopted", "taken over by me\n")
		}, oldDir, "/adopted is damaged"},
		"a copy of one that was taken": {func(t *testing.T, disk vfs.FS, s *pebblestore.Store) {
			variedQueue(t, disk, "/copied", 0, rng, 5)
			if _, err := vfs.Clone(disk, disk, "/copied", oldDir); err != nil {
				t.Fatal(err)
			}
			if _, err := adopt(s, "/copied"); err != nil {
				t.Fatal(err)
			}
		}, oldDir, "it is a copy of a queue that was taken over before"},
		"a lost database": {func(t *testing.T, disk vfs.FS, _ *pebblestore.Store) {
			_ = disk.MkdirAll(oldDir, 0o700)
			writeFile(t, disk, oldDir+"/format", "aliasmx queue format 1\n")
		}, oldDir, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			s := openAt(t, disk, "/var/queue", nil)
			if tt.make != nil {
				tt.make(t, disk, s)
			}
			before := portrait(t, s)
			sofar, err := adopt(s, tt.dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.dir) || sofar.Whole {
				t.Errorf("%+v, %v; want it to say %q", sofar, err, tt.want)
			}
			if diff := difference(portrait(t, s), before); diff != "" {
				t.Error(diff)
			}
			if name == "nothing" {
				if _, err := disk.Stat("/old"); err == nil {
					t.Error("a directory was made")
				}
			}
		})
	}
}

func writeFile(t *testing.T, disk vfs.FS, path, text string) {
	t.Helper()
	f, err := disk.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte(text))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
