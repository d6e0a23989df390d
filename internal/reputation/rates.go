package reputation

import "time"

// Rates, counted as anvil(8) counts clients: in units of time that are fixed, not sliding.
// Over the border of two units an alias may get twice its limit.

// maxRated is how many aliases and domains are counted at a time.
const maxRated = 100_000

// rates are counts by key. Its user has the lock.
type rates struct {
	max   int
	units map[string]*unit
	swept time.Time // when those that are over were last dropped
}

// unit is what came for a key in its current unit of time.
type unit struct {
	began time.Time
	lasts time.Duration
	n     int
	told  bool // that it was too much
}

func (u *unit) over(now time.Time) bool { return now.Sub(u.began) >= u.lasts }

// of is the unit of a key that is under way.
func (r *rates) of(key string, now time.Time, length time.Duration) *unit {
	u := r.units[key]
	if u == nil {
		r.room(now, length)
		u = &unit{began: now, lasts: length}
		if r.units == nil {
			r.units = make(map[string]*unit)
		}
		r.units[key] = u
	}
	if u.lasts = length; u.over(now) {
		*u = unit{began: now, lasts: length}
	}
	return u
}

// sampled is how many entries are looked at when one must go.
const sampled = 16

// room makes room for one more key: first those go whose unit is over, then of a few the one
// that has had least.
func (r *rates) room(now time.Time, length time.Duration) {
	if now.Sub(r.swept) >= length {
		r.swept = now
		for key, u := range r.units {
			if u.over(now) {
				delete(r.units, key)
			}
		}
	}
	if len(r.units) < r.max {
		return
	}
	least, seen := "", 0
	for key, u := range r.units {
		if seen == 0 || u.n < r.units[least].n {
			least = key
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(r.units, least)
}
