package cachefile

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeeper(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache")
	synctest.Test(t, func(t *testing.T) {
		var content, failed, cleaned atomic.Int64
		k := NewKeeper(KeeperOptions{
			File: file, Now: time.Now, Delay: func() time.Duration { return 10 * time.Second },
			Content: func() []byte { return []byte{'0' + byte(content.Load())} },
			Failed:  func(error) { failed.Add(1) },
			Clean:   func(time.Time) { cleaned.Add(1) }, CleanEvery: time.Minute,
		})
		is := func(when, want string) {
			t.Helper()
			synctest.Wait()
			got, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				got = nil
			}
			if string(got) != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		content.Store(1)
		k.Changed()
		time.Sleep(9 * time.Second)
		k.Changed()
		is("before the delay", "")
		time.Sleep(time.Second)
		is("after the first change's delay", "1")
		content.Store(2)
		time.Sleep(time.Minute)
		is("without a change", "1")
		if cleaned.Load() != 1 {
			t.Errorf("cleaned %d times in a minute", cleaned.Load())
		}
		// One that cannot be written is tried again.
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(file, 0o755); err != nil {
			t.Fatal(err)
		}
		k.Changed()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if failed.Load() != 1 {
			t.Errorf("failed %d times, want once", failed.Load())
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		is("after a failure", "2")
		content.Store(3)
		k.Changed()
		k.Close()
		is("at the end", "3")
		k.Close()
		k.Changed()
	})
}

// One that nothing was told of begins nothing, and writes nothing.
func TestKeeperUnused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache")
	k := NewKeeper(KeeperOptions{File: file, Now: time.Now})
	k.Close()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file: %v", err)
	}
}
