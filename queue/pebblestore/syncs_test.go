package pebblestore_test

import (
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// place is one place in the code where something is synced.
type place struct {
	function string // who asks for it
	what     string // what is synced
}

func (p place) String() string { return p.function + " syncs " + p.what }

// placeOf tells where the sync of a path, which is under way, was asked for: the nearest
// caller that is neither the disk nor one of those that everything goes through.
func placeOf(name string) place {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		f, more := frames.Next()
		fn := f.Function[strings.LastIndex(f.Function, "/")+1:]
		through := strings.HasPrefix(fn, "runtime.") || strings.HasPrefix(fn, "pebblestore_test.") || strings.HasPrefix(fn, "vfs.") ||
			fn == "pebblestore.syncDir" || strings.HasPrefix(fn, "pebblestore.engineDir.") || strings.HasPrefix(fn, "pebblestore.engineFile.") ||
			strings.HasPrefix(fn, "record.")
		if !more || !through {
			fn, _, _ = strings.Cut(fn, ".func")
			if strings.HasSuffix(name, ".log") {
				fn = "record.LogWriter" // its goroutines have no caller
			}
			return place{fn, kindOf(name)}
		}
	}
}

// kindOf is what a path is.
func kindOf(name string) string {
	base := path.Base(name)
	switch {
	case name == "/" || name == "/var":
		return "a directory above the queue"
	case name == queueDir:
		return "the queue directory"
	case strings.HasPrefix(name, queueDir+"/big/new/"):
		return "a body"
	case strings.HasPrefix(name, queueDir+"/big/"):
		return "a directory of bodies"
	case strings.HasPrefix(name, queueDir+"/db/"): // MANIFEST-000001, 000002.sst, temporary.000003.dbtmp
		base, _, _ = strings.Cut(base, "-")
		base, _, _ = strings.Cut(strings.TrimLeft(base, "0123456789."), ".")
	}
	return base
}

// twins are places that do the same thing: each alone is enough.
var twins = map[place]place{
	{"pebblestore.makeDirs", "the queue directory"}:           {"v2.mkdirAllAndSyncParents", "the queue directory"},
	{"pebblestore.(*Store).takeClean", "the queue directory"}: {"v2.mkdirAllAndSyncParents", "the queue directory"},
}

// notNeeded are the places, all of them Pebble's, whose sync could be left out, and why.
var notNeeded = map[place]string{
	{"v2.mkdirAllAndSyncParents", "the queue directory"}: "the store has done it just before",
	{"atomicfs.(*Marker).Move", "db"}:                    "the store does it earlier, before the old marker is removed",
	{"v2.Open", "db"}:                                    "it keeps the name of the OPTIONS file, which is written anew when it is missing",
}

// TestEverySyncIsNeeded swallows, one place in the code after the other, all syncs that are
// asked for there: the crash proof must fail. It runs over all places that it finds, so
// that one that is new has to be needed too, or to say here why it is not.
func TestEverySyncIsNeeded(t *testing.T) {
	var mu sync.Mutex // guards found
	found := make(map[place]bool)
	note := func(name string) bool {
		mu.Lock()
		defer mu.Unlock()
		found[placeOf(name)] = true
		return false
	}
	for seed := range uint64(2) {
		l := newLife(seed, seed == 1)
		l.look = func(_ *life, o op, after bool) verdict {
			return verdict{swallow: o.kind == "sync" && !after && note(o.path)}
		}
		for g := range uint64(2) {
			if err := l.live(140, g); err != nil {
				t.Fatal(err)
			}
		}
	}
	for p := range notNeeded {
		if !found[p] {
			t.Errorf("there is no such place: %v", p)
		}
	}
	if testing.Short() && len(found) > 0 {
		return // the proof itself takes half a minute
	}
	red := 0
	t.Run("places", func(t *testing.T) {
		for _, p := range slices.SortedFunc(maps.Keys(found), func(a, b place) int { return strings.Compare(a.String(), b.String()) }) {
			if why := notNeeded[p]; why != "" {
				t.Logf("%v: not needed: %s", p, why)
				continue
			}
			red++
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				twin := twins[p]
				cycles, err := withLie(func(name string) bool {
					here := placeOf(name)
					return here == p || here == twin
				})
				if err == nil {
					t.Errorf("%d power cuts, and nothing was lost without %v", cycles, p)
				} else {
					t.Logf("red after %d power cuts: %.300v", cycles, fmt.Sprint(err))
				}
			})
		}
	})
	t.Logf("%d places, %d of them needed", len(found), red)
	if red < 17 {
		t.Errorf("only %d places were found where something is synced that is needed", red)
	}
}

// withLie runs the crash proof until it fails.
func withLie(lie func(name string) bool) (cycles int, err error) {
	for _, proof := range []func() (int, error){
		func() (int, error) { return bucket(lie) },
		func() (int, error) { return boundaries(0, 2, lie) },
		func() (int, error) { return boundaries(1, 2, lie) },
		func() (int, error) { return birth(1, lie) },
		func() (int, error) { return boundaries(2, 3, lie) },
		func() (int, error) { return boundaries(3, 3, lie) },
	} {
		n, err := proof()
		if cycles += n; err != nil {
			return cycles, err
		}
	}
	return cycles, nil
}
