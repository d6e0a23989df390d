package table

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a table that takes a second, and counts its lookups.
type slow struct {
	mu     sync.Mutex
	n      int
	answer func(key string, n int) (string, bool, error)
}

func (s *slow) Lookup(ctx context.Context, key string) (string, bool, error) {
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
	return s.answer(key, n)
}

func (s *slow) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *slow) Name() string { return "slow:x" }
func (s *slow) Close() error { return nil }

func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := true
		s := &slow{answer: func(key string, n int) (string, bool, error) {
			switch key {
			case "unknown":
				return "", false, nil
			case "away":
				if away {
					return "", false, errors.New("away")
				}
			}
			return fmt.Sprint(key, n), true, nil
		}}
		c := Cached(s, Options{RemoteCacheTime: 10 * time.Second})
		want := func(key, value string, asked int) {
			t.Helper()
			got, found, err := c.Lookup(context.Background(), key)
			if got != value || found != (value != "") || (err != nil) != (key == "away" && away) || s.asked() != asked {
				t.Errorf("%s: %q, %v, %v after %d lookups; want %q after %d", key, got, found, err, s.asked(), value, asked)
			}
		}
		want("a", "a1", 1)
		want("a", "a1", 1)
		want("unknown", "", 2)
		want("unknown", "", 2)
		want("away", "", 3)
		want("away", "", 4)
		away = false
		want("away", "away5", 5)
		time.Sleep(11 * time.Second)
		want("a", "a6", 6)
		want("unknown", "", 7)
		if c.Name() != "slow:x" {
			t.Errorf("name %s", c.Name())
		}
	})
}

func TestCachedOffIsTheTableItself(t *testing.T) {
	s := &slow{}
	if c := Cached(s, Options{}); c != Table(s) {
		t.Errorf("%T", c)
	}
}

func TestCachedSharesQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: func(key string, n int) (string, bool, error) {
			if key == "away" {
				return "", false, errors.New("away")
			}
			return "v", true, nil
		}}
		c := Cached(s, Options{RemoteCacheTime: time.Second})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if v, ok, err := c.Lookup(context.Background(), "k"); v != "v" || !ok || err != nil {
					t.Errorf("%q, %v, %v", v, ok, err)
				}
			})
			wg.Go(func() {
				if _, _, err := c.Lookup(context.Background(), "away"); err == nil {
					t.Error("no error")
				}
			})
		}
		wg.Wait()
		if n := s.asked(); n != 2 {
			t.Errorf("%d lookups, want one for each key", n)
		}
	})
}

// Who asks first goes away: those who wait for the same answer ask themselves.
func TestCachedAskerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: func(string, int) (string, bool, error) { return "v", true, nil }}
		c := Cached(s, Options{RemoteCacheTime: time.Minute})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := c.Lookup(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("first: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, ok, err := c.Lookup(context.Background(), "k"); v != "v" || !ok || err != nil {
				t.Errorf("second: %q, %v, %v", v, ok, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		// One that waits may go away as well.
		go c.Lookup(context.Background(), "other")
		synctest.Wait()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if _, _, err := c.Lookup(gone, "other"); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v", err)
		}
		time.Sleep(2 * time.Second)
	})
}

func TestCachedIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := answers(func(key string) (string, bool, error) { return key, true, nil })
	c := Cached(s, Options{RemoteCacheTime: time.Minute, Now: func() time.Time { return now }}).(*cached)
	for i := range 3 * maxCachedResults {
		c.Lookup(context.Background(), fmt.Sprint(i))
	}
	if len(c.results) != maxCachedResults || len(c.oldest) != maxCachedResults {
		t.Errorf("%d results kept, want %d", len(c.results), maxCachedResults)
	}
	c.Lookup(context.Background(), string(make([]byte, maxCachedBytes)))
	if len(c.results) != maxCachedResults {
		t.Error("a very long one is kept")
	}
	now = now.Add(2 * time.Minute)
	c.Lookup(context.Background(), "x")
	if len(c.results) != 1 || len(c.asked) != 0 {
		t.Errorf("%d results and %d questions after all have ended, want the new one", len(c.results), len(c.asked))
	}
}

// answers is a table made of a function.
type answers func(key string) (string, bool, error)

func (a answers) Lookup(_ context.Context, key string) (string, bool, error) { return a(key) }
func (a answers) Name() string                                               { return "answers:" }
func (a answers) Close() error                                               { return nil }

// BenchmarkCached is a result that is kept.
func BenchmarkCached(b *testing.B) {
	c := Cached(answers(func(key string) (string, bool, error) { return key, true, nil }), Options{RemoteCacheTime: time.Hour})
	b.ReportAllocs()
	for b.Loop() {
		c.Lookup(context.Background(), "info@alias.example")
	}
}
