package tlsrpt

import (
	"context"
	"sync"
	"time"
)

// The work beside counting: asking who wants reports, sending those that are due, and
// keeping the file.

const (
	maxActive = 4                // reports under way at a time
	maxAge    = 3 * day          // after the end of its day nobody wants a report any more
	soon      = 2 * time.Second  // after what must not be done twice the file is written
	idle      = 10 * time.Minute // to look again in any case: the clock may have been set
)

// Run works until ctx ends, and writes the file once more.
func (r *Reporter) Run(ctx context.Context) {
	var working sync.WaitGroup
	for range askers {
		working.Go(func() { r.answer(ctx) })
	}
	for ctx.Err() == nil {
		now := r.o.Now()
		for _, t := range r.takeDue(now) {
			working.Go(func() { r.send(ctx, t) })
		}
		if r.mustSave(now) {
			r.save()
		}
		timer := time.NewTimer(r.next(r.o.Now()))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	working.Wait()
	r.save()
}

// takeDue are the tallies whose report is to be sent now, marked busy. Those that nobody
// wants, or not any more, are dropped.
func (r *Reporter) takeDue(now time.Time) (list []*tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for day := range r.beyond {
		if day < dayOf(now) {
			delete(r.beyond, day)
			r.mark(now.Add(saveDelay))
		}
	}
	for _, t := range r.tallies {
		over := now.Sub(t.end())
		switch {
		case t.busy || over < 0:
		case t.wish == unwanted && over >= settle || over >= maxAge:
			r.drop(t)
			r.mark(now.Add(saveDelay))
		case !now.Before(t.due) && r.active < maxActive:
			t.busy = true
			r.active++
			list = append(list, t)
		}
	}
	return list
}

// next is how long there is nothing to do.
func (r *Reporter) next(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.Add(idle)
	if !r.unsaved.IsZero() && r.unsaved.Before(at) {
		at = r.unsaved
	}
	for _, t := range r.tallies {
		if !t.busy && r.active < maxActive && t.due.Before(at) {
			at = t.due
		}
	}
	return max(at.Sub(now), 0)
}

func (r *Reporter) mustSave(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.unsaved.IsZero() && !now.Before(r.unsaved)
}
