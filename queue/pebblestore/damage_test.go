package pebblestore_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue/pebblestore"
)

// files lists all files below a directory.
func files(t *testing.T, disk vfs.FS, dir string) (paths []string) {
	t.Helper()
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := disk.PathJoin(dir, name)
		info, err := disk.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			paths = append(paths, files(t, disk, path)...)
		} else {
			paths = append(paths, path)
		}
	}
	return paths
}

// rewrite replaces a file by what change makes of it; nil removes it.
func rewrite(t *testing.T, disk vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b = change(b); b == nil {
		if err := disk.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if f, err = disk.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// contents is what is in a file; nil: there is none.
func contents(t *testing.T, disk vfs.FS, path string) []byte {
	t.Helper()
	f, err := disk.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// damage is one way to damage a file.
type damage struct {
	what   string
	change func(b []byte) []byte // nil: remove it
}

// damages are the ways in which a file is damaged: removed, cut at several lengths, a bit
// flipped in every byte of a small file, and at many places of a large one.
func damages(size int, rng *rand.Rand) (all []damage) {
	all = append(all, damage{"removed", nil})
	for _, n := range []int{0, 1, size / 2, size - 1, rng.IntN(size + 1), rng.IntN(size + 1), rng.IntN(size + 1)} {
		n = max(0, min(n, size))
		all = append(all, damage{fmt.Sprintf("cut to %d of %d bytes", n, size), func(b []byte) []byte { return append([]byte{}, b[:n]...) }})
	}
	const small, many = 600, 120
	for k := range min(size, max(many, small)) {
		at := k
		if size > small {
			if k == many {
				break
			}
			at = rng.IntN(size)
		}
		bit := rng.IntN(8)
		all = append(all, damage{fmt.Sprintf("bit %d of byte %d of %d flipped", bit, at, size), func(b []byte) []byte {
			b = bytes.Clone(b)
			b[at] ^= 1 << bit
			return b
		}})
	}
	return all
}

// TestDamage damages every file of three closed queues, in every way. The queue refuses to
// open, or it says what is wrong; it never gives out a message that is not the one that was
// stored, and never loses or changes one without a word.
func TestDamage(t *testing.T) {
	var refused, told, harmless atomic.Int64
	t.Run("queues", func(t *testing.T) {
		for seed := range uint64(3) {
			l := newLife(20+seed, false) // Pebble looks very long at a large block that is damaged
			for g := range uint64(3) {
				if err := l.live(80, 50+g); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range files(t, l.disk, queueDir) {
				switch path.Base(file) {
				case "lock", "LOCK", "ballast":
					continue // nothing is in there
				}
				t.Run(strings.TrimPrefix(file, queueDir), func(t *testing.T) {
					t.Parallel()
					was := contents(t, l.disk, file)
					rng := rand.New(rand.NewPCG(uint64(len(was)), seed))
					for k, d := range damages(len(was), rng) {
						if testing.Short() && k%10 > 0 {
							continue
						}
						broken := l.disk.killed()
						if d.change == nil {
							_ = broken.Remove(file)
						} else if is := d.change(was); !bytes.Equal(is, was) {
							rewrite(t, broken, file, func([]byte) []byte { return is })
						} else {
							continue
						}
						outcome, err := judgeDamage(l, broken)
						if err != nil {
							t.Errorf("%s: %v", d.what, err)
						}
						outcome.Add(1, &refused, &told, &harmless)
					}
				})
			}
		}
	})
	sum := refused.Load() + told.Load() + harmless.Load()
	t.Logf("%d damages: %d times it did not open, %d times it said what is wrong, %d times nothing was lost or changed",
		sum, refused.Load(), told.Load(), harmless.Load())
	if least := int64(2000); !testing.Short() && sum < least || refused.Load() == 0 || told.Load() == 0 || harmless.Load() == 0 {
		t.Errorf("%d damages, want %d, of each outcome some", sum, least)
	}
}

type outcome int

const (
	wasRefused outcome = iota
	wasTold
	wasHarmless
)

// Add counts an outcome.
func (o outcome) Add(n int64, of ...*atomic.Int64) { of[o].Add(n) }

// judgeDamage opens a damaged queue and reads all of it.
func judgeDamage(l *life, d *disk) (outcome, error) {
	o, log, died := l.options(d)
	s, err := pebblestore.Open(o)
	if err != nil {
		return wasRefused, nil
	}
	found, err := l.history.Compare(s, l.history.Asked())
	told := err != nil || died.cause() != nil || s.Stats().Corrupt > 0 || strings.Contains(log.String(), "level=ERROR")
	_ = died.close(s)
	if len(found.Altered) > 0 {
		return wasTold, fmt.Errorf("altered mail was given out: %+v", found)
	}
	if told {
		return wasTold, nil
	}
	if len(found.Lost)+len(found.Refused)+len(found.Changed) > 0 {
		return wasHarmless, fmt.Errorf("without a word: %+v", found)
	}
	return wasHarmless, nil
}
