package verify

import (
	"fmt"
	"time"

	"aliasmx/internal/cachefile"
)

// Keeping the cache: its file, and that what has expired is dropped.

// saveDelay is how long what was learnt may be missing in the file. After a crash it is
// found out again.
const saveDelay = time.Minute

// load reads the file at start.
func (v *Verifier) load() {
	if v.file == "" {
		return
	}
	entries, cleaned, err := readFile(v.file)
	if err != nil {
		v.logVerify().Warn(fmt.Sprintf("address_verify_map %s: %v; starting with an empty cache", v.file, err))
		return
	}
	v.cleaned = cleaned
	for key, e := range entries {
		v.cache.put(key, e)
	}
}

// save writes the file if it lacks something.
func (v *Verifier) save() {
	v.mu.Lock()
	if v.dirty.IsZero() || v.file == "" {
		v.dirty = time.Time{}
		v.mu.Unlock()
		return
	}
	lines, cleaned := v.cache.list(), v.cleaned
	v.dirty = time.Time{}
	v.mu.Unlock()
	if err := cachefile.Write(v.file, encode(lines, cleaned)); err != nil {
		v.logVerify().Warn(fmt.Sprintf("address_verify_map: %v; what is known of addresses is kept in memory only", err))
		v.mu.Lock()
		v.dirty = v.now() // try again
		v.mu.Unlock()
	}
}

func (v *Verifier) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// keep saves and cleans when it is time, until Stop. What is left then Close saves.
func (v *Verifier) keep() {
	for {
		save, clean := v.due()
		var alarm <-chan time.Time
		var timer *time.Timer
		if next := earlier(save, clean); !next.IsZero() {
			timer = time.NewTimer(next.Sub(v.now()))
			alarm = timer.C
		}
		select {
		case <-v.ctx.Done():
		case <-v.wake:
		case <-alarm:
		}
		if timer != nil {
			timer.Stop()
		}
		if v.ctx.Err() != nil {
			return
		}
		now := v.now()
		if !clean.IsZero() && !now.Before(clean) {
			v.mu.Lock()
			v.clean(now)
			v.mu.Unlock()
		}
		if !save.IsZero() && !now.Before(save) {
			v.save()
		}
	}
}

// due is when to save and when to clean; zero: never.
func (v *Verifier) due() (save, clean time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.dirty.IsZero() && v.file != "" {
		save = v.dirty.Add(saveDelay)
	}
	if v.asked && v.params.CleanupInterval > 0 {
		clean = v.cleaned.Add(v.params.CleanupInterval)
	}
	return save, clean
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// cleanFirst cleans when the first question comes, if that is due: verify(8) is started by
// it. It tells whether it was the first. The caller holds v.mu.
func (v *Verifier) cleanFirst(now time.Time) bool {
	if v.asked {
		return false
	}
	v.asked = true
	if v.params.CleanupInterval > 0 && now.Sub(v.cleaned) >= v.params.CleanupInterval {
		v.clean(now)
	}
	return true
}

// clean drops what has expired. The caller holds v.mu.
func (v *Verifier) clean(now time.Time) {
	retained, dropped := v.cache.clean(&v.params, now)
	v.cleaned = now
	if v.dirty.IsZero() {
		v.dirty = now
	}
	v.logVerify().Info(fmt.Sprintf("cache %s full cleanup: retained=%d dropped=%d entries", v.name, retained, dropped))
}
