package queue

import "sync"

// tasks counts goroutines. Unlike with a sync.WaitGroup, more may be started while
// somebody waits for the end of all: mail can come in until the very end.
type tasks struct {
	mu      sync.Mutex // guards what follows
	running int
	waiting []chan struct{}
}

// Go runs f in a goroutine.
func (t *tasks) Go(f func()) {
	t.mu.Lock()
	t.running++
	t.mu.Unlock()
	go func() {
		defer t.done()
		f()
	}()
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running > 0 {
		return
	}
	for _, w := range t.waiting {
		close(w)
	}
	t.waiting = nil
}

// ended returns a channel that is closed once no goroutine is left.
func (t *tasks) ended() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := make(chan struct{})
	if t.running == 0 {
		close(w)
	} else {
		t.waiting = append(t.waiting, w)
	}
	return w
}
