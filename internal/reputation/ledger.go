package reputation

import (
	"slices"
	"time"
)

// Counts are what happened with the mail of an alias, or to a domain, in a day or in all.
type Counts struct {
	In         uint32 // messages that came, one for each alias of it
	Delivered  uint32 // that a next hop took, one for each target
	Refused    uint32 // that were given up, likewise: refused for good, or nowhere to go
	Policy     uint32 // of these with 5.7.x
	Complaints uint32 // feedback reports
	Returned   uint32 // failures that came back as notifications
}

func (c *Counts) add(o *Counts) {
	for _, p := range [...][2]*uint32{
		{&c.In, &o.In}, {&c.Delivered, &o.Delivered}, {&c.Refused, &o.Refused},
		{&c.Policy, &o.Policy}, {&c.Complaints, &o.Complaints}, {&c.Returned, &o.Returned},
	} {
		*p[0] += *p[1]
	}
}

// day is a day since 1970 in UTC.
type day int32

func dayOf(t time.Time) day { return day(t.Unix() / (24 * 60 * 60)) }

// keepDays is how many days are kept, with today.
const keepDays = 30

// How many are counted at a time.
const (
	maxAliases = 20_000
	maxDomains = 5_000
)

// ledger counts by key and day. Its user has the lock.
type ledger struct {
	max  int
	rows map[string]*row
}

// row is one key's days, oldest first.
type row struct{ days []dayCounts }

type dayCounts struct {
	day day
	Counts
}

func (r *row) last() day { return r.days[len(r.days)-1].day }

func (r *row) total(today day) (sum Counts) {
	for i := range r.days {
		if r.days[i].day > today-keepDays {
			sum.add(&r.days[i].Counts)
		}
	}
	return sum
}

// find is a day of a key; nil: there is none.
func (l *ledger) find(key string, on day) *Counts {
	r := l.rows[key]
	if r == nil {
		return nil
	}
	if i, found := slices.BinarySearchFunc(r.days, on, byDay); found {
		return &r.days[i].Counts
	}
	return nil
}

func byDay(c dayCounts, on day) int { return int(c.day) - int(on) }

// of is a day of a key, for something to be added.
func (l *ledger) of(key string, on day) *Counts {
	r := l.rows[key]
	if r == nil {
		l.room()
		if l.rows == nil {
			l.rows = make(map[string]*row)
		}
		r = &row{}
		l.rows[key] = r
	}
	i, found := slices.BinarySearchFunc(r.days, on, byDay)
	if !found {
		r.days = slices.Insert(r.days, i, dayCounts{day: on})
		if old := len(r.days) - keepDays; old > 0 {
			r.days = slices.Delete(r.days, 0, old)
			i = max(i-old, 0)
		}
	}
	return &r.days[i].Counts
}

// has tells whether a key is counted.
func (l *ledger) has(key string) bool { return l.rows[key] != nil }

// room makes room for one more key: of a few the one goes that nobody complained of, and that
// had mail least recently.
func (l *ledger) room() {
	if len(l.rows) < l.max {
		return
	}
	var least string
	var lc uint32
	var ld day
	seen := 0
	for key, r := range l.rows {
		c, d := r.total(r.last()).Complaints, r.last()
		if seen == 0 || c < lc || c == lc && d < ld {
			least, lc, ld = key, c, d
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(l.rows, least)
}

// clean drops the days that are over, and the keys that have no other.
func (l *ledger) clean(today day) (dropped int) {
	for key, r := range l.rows {
		r.days = slices.DeleteFunc(r.days, func(c dayCounts) bool { return c.day <= today-keepDays })
		if len(r.days) == 0 {
			delete(l.rows, key)
			dropped++
		}
	}
	return dropped
}
