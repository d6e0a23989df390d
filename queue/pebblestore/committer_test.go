package pebblestore

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// script records what a committer does, in the order in which it does it.
type script struct {
	mu    sync.Mutex
	lines []string
}

func (s *script) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *script) of(prefix string) (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if len(l) > len(prefix) && l[:len(prefix)] == prefix {
			lines = append(lines, l[len(prefix):])
		}
	}
	return lines
}

// TestCommitterOrder: changes are written, settled and told in the order in which they
// were put, each only after the step before; and writing does not wait for the sync.
func TestCommitterOrder(t *testing.T) {
	var s script
	numbers := make(map[*change]int)
	gate := make(chan struct{})
	written := make(chan struct{}, 100)
	c := newCommitter(
		func(x *change) { s.add("write %d", numbers[x]); written <- struct{}{} },
		func(x *change) error {
			<-gate
			s.add("sync %d", numbers[x])
			if numbers[x] == 7 {
				return errors.New("no")
			}
			return nil
		},
		func(x *change) { s.add("tell %d %v", numbers[x], x.err) },
		func(error) { t.Error("fail was called") },
	)
	const n = 20
	var changes []*change
	for i := range n {
		x := &change{done: func() { s.add("done %d", i) }}
		numbers[x] = i
		changes = append(changes, x)
	}
	if !changes[3].withdraw() {
		t.Error("a change that was not put cannot be withdrawn")
	}
	for _, x := range changes {
		if !c.put(x) {
			t.Fatal("put failed")
		}
	}
	for range n - 1 {
		<-written // with not one synced
	}
	if changes[5].withdraw() {
		t.Error("a change that was written was withdrawn")
	}
	if got := s.of("tell "); len(got) != 0 {
		t.Errorf("told before the sync: %v", got)
	}
	close(gate)
	c.close()
	if c.put(&change{}) {
		t.Error("put after close")
	}
	var want, told []string
	for i := range n {
		if i == 3 {
			continue
		}
		want = append(want, fmt.Sprint(i))
		err := error(nil)
		if i == 7 {
			err = errors.New("no")
		}
		told = append(told, fmt.Sprint(i, err))
	}
	for prefix, want := range map[string][]string{"write ": want, "sync ": want, "done ": want} {
		if got := s.of(prefix); !slices.Equal(got, want) {
			t.Errorf("%s\n got %v\nwant %v", prefix, got, want)
		}
	}
	for i, got := range s.of("tell ") {
		if want := fmt.Sprintf("%s", told[i]); got != want && i != 6 {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestCommitterSurvivesPanic: a write that panics, or ends its goroutine, is told to
// the store and to who waits for it, and what comes after it is not stuck.
func TestCommitterSurvivesPanic(t *testing.T) {
	var s script
	numbers := make(map[*change]int)
	c := newCommitter(
		func(x *change) {
			if numbers[x] == 1 {
				panic("the log is gone")
			}
		},
		func(x *change) error { return nil },
		func(x *change) { s.add("tell %v", x.err) },
		func(err error) { s.add("fail %v", err) },
	)
	for i := range 4 {
		x := &change{}
		numbers[x] = i
		c.put(x)
	}
	c.close()
	if got := s.of("tell "); !slices.Equal(got, []string{"<nil>", "queue database: the log is gone", "<nil>", "<nil>"}) {
		t.Errorf("told %q", got)
	}
	if got := s.of("fail "); len(got) != 1 {
		t.Errorf("failed %q", got)
	}
}
