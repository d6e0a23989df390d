package screen

import "sync"

// lookups asks lists in the DNS, a bounded number at a time: a flood of clients makes a
// queue of questions, not a flood of them. The zero value is usable.
type lookups struct {
	mu      sync.Mutex // guards what follows
	queue   []func()
	running int
	wg      sync.WaitGroup
}

// maxLookups is how many questions are under way at a time.
const maxLookups = 1000

// add has a question asked.
func (l *lookups) add(ask func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, ask)
	if l.running < maxLookups {
		l.running++
		l.wg.Go(l.work)
	}
}

// work asks until nothing is left to ask.
func (l *lookups) work() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.queue = nil
			l.running--
			l.mu.Unlock()
			return
		}
		ask := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.mu.Unlock()
		ask()
	}
}

func (l *lookups) wait() { l.wg.Wait() }
