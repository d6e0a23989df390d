package queue

import (
	"time"

	"aliasmx/internal/mail"
)

// How fast a site may be given mail, apart from how many connections it may have: the
// pause after a delivery that an operator wants (default_destination_rate_delay,
// default_transport_rate_delay), a rate, and what a provider asks for by its replies.

// pace is one site's.
type pace struct {
	at   time.Time // no delivery begins before
	gate *gate     // shared by all sites of a transport

	last time.Time     // when one began
	mean time.Duration // between two, of late

	tokens float64 // deliveries that may begin at once, of a rate
	filled time.Time
	full   time.Time // when as many may as ever, if none does before

	// spacing is the pause that replies have asked for; eased is when it is shortened, if
	// none has asked since. calm is the last one with which none did for a while (0: not
	// known); it becomes the edge when a shorter one turns out to be too little: down to
	// there it is shortened fast, then slowly.
	spacing, calm, edge time.Duration
	known               bool      // there was calm since it began
	heard, step         time.Time // the last reply, and the last that has made it longer
	eased               time.Time
}

// gate is what all sites of a transport wait at (default_transport_rate_delay).
type gate struct{ at time.Time }

const (
	leastSpacing = 20 * time.Millisecond
	mostSpacing  = time.Minute
	easeAfter    = time.Minute      // without such a reply
	enough       = time.Second      // up to there each reply of a flood makes it longer,
	hearAgain    = 15 * time.Second // else one in so long a time
)

// from is when the next delivery may begin.
func (p *pace) from() time.Time {
	if p.gate != nil {
		return later(p.at, p.gate.at)
	}
	return p.at
}

func (p *pace) ready(now time.Time) bool { return !p.from().After(now) }

// begin notes that a delivery begins.
func (p *pace) begin(now time.Time, t *TransportParams, l *mail.SiteLimits) {
	if !p.last.IsZero() {
		p.mean = (7*p.mean + min(now.Sub(p.last), mostSpacing)) / 8
	}
	p.last = now
	if p.gate != nil && t.TransportRateDelay > 0 {
		p.gate.at = now.Add(t.TransportRateDelay)
	}
	if p.spacing > 0 {
		p.at = later(p.at, now.Add(p.spacing))
	}
	if l.Rate > 0 && l.Per > 0 {
		p.spend(now, l)
	}
}

// spend takes a delivery from a rate. A tenth of it may come at once, the rest is spread
// over the time, so that in no stretch of that length there are more.
func (p *pace) spend(now time.Time, l *mail.SiteLimits) {
	burst := max(l.Rate/10, 1)
	each := l.Per / time.Duration(max(l.Rate-burst, 1))
	if p.filled.IsZero() {
		p.tokens = float64(burst)
	} else {
		p.tokens = min(p.tokens+float64(now.Sub(p.filled))/float64(each), float64(burst))
	}
	p.filled = now
	p.tokens--
	p.full = now.Add(time.Duration((float64(burst) - p.tokens) * float64(each)))
	if p.tokens < 1-rounding {
		p.at = later(p.at, now.Add(time.Duration((1-p.tokens)*float64(each))))
	}
}

// end notes that a delivery has ended. The pause is between two deliveries, and not
// between their beginnings.
func (p *pace) end(now time.Time, delay time.Duration) {
	if delay > 0 {
		p.at = later(p.at, now.Add(delay))
	}
}

// slower takes a reply that asks for less, to a delivery that began then, and tells whether
// it is news. What began before the last was heard says nothing that is not known.
//
// A flood has to end within a few replies: at first, as long as deliveries are less than a
// second apart, each reply makes that a third more. Then there is time to see what helps.
func (p *pace) slower(now, began time.Time) bool {
	p.eased = now.Add(easeAfter)
	if !p.heard.IsZero() && !began.After(p.heard) {
		return false
	}
	p.heard = now
	if p.calm > p.spacing {
		p.edge = p.calm
	}
	p.calm = 0
	switch {
	case p.spacing == 0:
		p.spacing = max(p.mean, leastSpacing) * 3 / 2
		p.edge = p.spacing
	case p.spacing < enough && !p.known:
		p.spacing = min(p.spacing*4/3, enough)
	case now.Sub(p.step) < hearAgain:
		return true
	default:
		p.spacing = min(max(p.spacing*3/2, p.edge), mostSpacing)
	}
	p.step = now
	p.at = later(p.at, now.Add(p.spacing))
	return true
}

// ease takes a delivery that was not asked to be one of fewer.
func (p *pace) ease(now time.Time) {
	if p.spacing == 0 || now.Before(p.eased) {
		return
	}
	p.known = true
	p.eased, p.calm = now.Add(max(easeAfter/2, 5*p.spacing)), p.spacing
	if p.spacing > p.edge {
		p.spacing = max(p.spacing/2, p.edge)
	} else {
		p.spacing -= p.spacing / 12 // half as long in four minutes
		p.edge = p.spacing
	}
	if p.spacing < leastSpacing {
		p.spacing, p.edge, p.calm, p.known = 0, 0, 0, false
	}
}

// idle: nothing is to be remembered.
func (p *pace) idle(now time.Time) bool {
	return !p.until().After(now)
}

// until is when it will be idle, if nothing happens.
func (p *pace) until() time.Time {
	at := later(p.at, p.full)
	if p.spacing > 0 {
		at = later(at, p.eased)
	}
	return at
}
