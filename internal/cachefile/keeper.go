package cachefile

import (
	"sync"
	"time"
)

// Keeper writes the file of a cache some time after it has changed, and has the cache
// cleaned. It begins to work with the first change, and ends with Close. It is safe for
// concurrent use.
type Keeper struct {
	o    KeeperOptions
	wake chan struct{}
	end  chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	began   bool
	ended   bool
	dirty   time.Time // since when the file lacks something; zero: it does not
	cleaned time.Time
}

// KeeperOptions are what a Keeper is made of. None of its functions is called with a lock
// of the Keeper held.
type KeeperOptions struct {
	File string // "": nothing is written
	Now  func() time.Time
	// Delay is how long after a change the file is written: what a crash may cost, against
	// what writing costs.
	Delay func() time.Duration
	// Content is what the file is to hold; Failed hears why it could not be written. It is
	// tried again after another Delay.
	Content func() []byte
	Failed  func(error)
	// Clean drops what has expired, each CleanEvery; nil: there is nothing to drop.
	Clean      func(now time.Time)
	CleanEvery time.Duration
}

// NewKeeper makes a Keeper.
func NewKeeper(o KeeperOptions) *Keeper {
	return &Keeper{o: o, wake: make(chan struct{}, 1), end: make(chan struct{})}
}

// Changed notes that the file lacks something.
func (k *Keeper) Changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || !k.dirty.IsZero() {
		return
	}
	k.dirty = k.o.Now()
	if !k.began {
		k.began, k.cleaned = true, k.dirty
		k.wg.Go(k.keep)
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Close writes what is not written yet, and ends. It may be called more than once.
func (k *Keeper) Close() {
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return
	}
	k.ended = true
	k.mu.Unlock()
	close(k.end)
	k.wg.Wait()
	k.save()
}

func (k *Keeper) keep() {
	for {
		timer := time.NewTimer(k.next())
		select {
		case <-k.end:
			timer.Stop()
			return
		case <-k.wake:
		case <-timer.C:
		}
		timer.Stop()
		save, clean := k.due()
		if clean {
			k.o.Clean(k.o.Now())
		}
		if save {
			k.save()
		}
	}
}

// idle is how long a Keeper sleeps that has nothing to do.
const idle = time.Hour

// next is how long there is nothing to do.
func (k *Keeper) next() time.Duration {
	delay := k.o.Delay()
	k.mu.Lock()
	defer k.mu.Unlock()
	now, wait := k.o.Now(), idle
	if !k.dirty.IsZero() {
		wait = min(wait, k.dirty.Add(delay).Sub(now))
	}
	if k.o.Clean != nil {
		wait = min(wait, k.cleaned.Add(k.o.CleanEvery).Sub(now))
	}
	return max(wait, 0)
}

func (k *Keeper) due() (save, clean bool) {
	delay := k.o.Delay()
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	save = !k.dirty.IsZero() && !now.Before(k.dirty.Add(delay))
	if k.o.Clean != nil && !now.Before(k.cleaned.Add(k.o.CleanEvery)) {
		clean, k.cleaned = true, now
	}
	return save, clean
}

// save writes the file if it lacks something.
func (k *Keeper) save() {
	k.mu.Lock()
	changed := !k.dirty.IsZero()
	k.dirty = time.Time{}
	k.mu.Unlock()
	if !changed || k.o.File == "" {
		return
	}
	if err := Write(k.o.File, k.o.Content()); err != nil {
		k.o.Failed(err)
		k.mu.Lock()
		k.dirty = k.o.Now()
		k.mu.Unlock()
	}
}
