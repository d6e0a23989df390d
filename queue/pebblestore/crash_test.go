package pebblestore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue/pebblestore"
)

const queueDir = "/var/queue"

// crashOptions make everything small: bodies go to files, and memtables are flushed.
func crashOptions(disk vfs.FS) pebblestore.Options {
	return pebblestore.Options{
		Dir: queueDir, FS: disk, InlineLimit: 4000, MemTableSize: 1,
	}
}

// TestCrash cuts the power, opens the queue again, and holds it against what was
// acknowledged: nothing lost, nothing altered, no outcome without its report and no report
// without its outcome, and nothing half done. Five thousand times a run, at least: at every
// sync boundary of some lives, at random instants of others, beside several sessions at
// once. Each failure names a seed.
func TestCrash(t *testing.T) {
	var cycles atomic.Int64
	least := int64(5000)
	t.Run("parts", func(t *testing.T) {
		lives, lines, births := uint64(4), uint64(16), 1
		if testing.Short() {
			lives, lines, births, least = 1, 2, 7, 500
		}
		for seed := range lives {
			t.Run(fmt.Sprintf("boundaries %d", seed), func(t *testing.T) {
				t.Parallel()
				count(t, &cycles)(boundaries(seed, 3, nil))
			})
		}
		t.Run("birth", func(t *testing.T) {
			t.Parallel()
			count(t, &cycles)(birth(births, nil))
		})
		t.Run("bucket", func(t *testing.T) {
			t.Parallel()
			count(t, &cycles)(bucket(nil))
		})
		for seed := range lines {
			t.Run(fmt.Sprintf("line %d", seed), func(t *testing.T) {
				t.Parallel()
				count(t, &cycles)(line(100+seed, 12))
			})
			t.Run(fmt.Sprintf("sessions %d", seed), func(t *testing.T) {
				t.Parallel()
				count(t, &cycles)(sessions(200+seed, 10))
			})
		}
	})
	t.Logf("%d power cuts", cycles.Load())
	if !t.Failed() && cycles.Load() < least {
		t.Errorf("only %d power cuts, want %d", cycles.Load(), least)
	}
}

func count(t *testing.T, cycles *atomic.Int64) func(n int, err error) {
	return func(n int, err error) {
		t.Helper()
		cycles.Add(int64(n))
		if err != nil {
			t.Error(err)
		}
	}
}

// boundaries lives a queue through some generations, with a picture before and after each
// sync for each percentage, and judges them all. Each generation goes on from where the
// one before was killed. lie, if any, tells which syncs are swallowed.
func boundaries(seed uint64, generations int, lie func(path string) bool) (cycles int, err error) {
	l := newLife(seed, seed%2 == 1)
	l.look = atSyncs(lie)
	steps := 60
	if l.flushes {
		steps = 140
	}
	for g := range generations {
		if err := l.live(steps, seed*100+uint64(g)); err != nil {
			return cycles, fmt.Errorf("life %d, generation %d: %w", seed, g, err)
		}
		n, err := l.verifyAll()
		if cycles += n; err != nil {
			return cycles, fmt.Errorf("generation %d: %w", g, err)
		}
		l.goOn()
	}
	return cycles, nil
}

// birth kills a queue at every one of so many boundaries of its first opening, opens it
// again, works on it, and cuts the power.
func birth(every int, lie func(path string) bool) (cycles int, err error) {
	first := newLife(1000, false)
	var killed []*disk
	first.look = func(l *life, o op, after bool) verdict {
		if o.changes() && !after && len(killed) < 400 {
			killed = append(killed, l.disk.killed())
		}
		return verdict{swallow: lie != nil && o.kind == "sync" && lie(o.path)}
	}
	if err := first.live(0, 1); err != nil {
		return 0, err
	}
	for i := 0; i < len(killed); i += every {
		l := newLife(uint64(1000+i), false)
		l.disk = killed[i]
		l.look = func(l *life, o op, after bool) verdict {
			if l.begun() && o.kind == "sync" && after {
				l.shoot(l.disk, 0, uint64(i), "after "+o.String())
			}
			return verdict{swallow: lie != nil && o.kind == "sync" && lie(o.path)}
		}
		if err := l.live(6, uint64(i)); err != nil {
			return cycles, fmt.Errorf("killed before operation %d of the first opening: %w", i, err)
		}
		n, err := l.verifyAll()
		if cycles += n; err != nil {
			return cycles, fmt.Errorf("killed before operation %d of the first opening: %w", i, err)
		}
	}
	return cycles, nil
}

// line is a queue that lives through power cuts at random instants.
func line(seed uint64, generations int) (cycles int, err error) {
	l := newLife(seed, seed%3 == 0)
	l.look = atRandom(120)
	for g := range generations {
		if err := l.live(40, seed*100+uint64(g)); err != nil {
			return cycles, fmt.Errorf("life %d, generation %d: %w", seed, g, err)
		}
		n, err := l.verifyAll()
		if cycles += n; err != nil {
			return cycles, fmt.Errorf("generation %d: %w", g, err)
		}
		l.goOn()
	}
	return cycles, nil
}
