package sim

import (
	"time"

	"aliasmx/internal/mail"
)

// Host is a model of one machine that takes mail. The zero value takes everything at
// once. Its settings are not changed while it is in use.
type Host struct {
	Connect time.Duration // until the greeting
	Deliver time.Duration // a transaction; one that is refused at RCPT takes a fifth
	Spread  float64       // both vary by as much: 0.2 is from 0.8 to 1.2
	Speed   int64         // bytes of body a second; 0: no matter

	// Limit is how many connections it bears; one more is told 421. 0: any number.
	Limit int
	// Greylist is how long a letter is told 450 4.2.0 after its first attempt.
	Greylist time.Duration
	// Rate is how many letters it takes in each Per; one more is told 450 4.7.28.
	Rate int
	Per  time.Duration
	// Reject is the share of letters that it will never take: 550 5.1.1.
	Reject float64
	// Down is when it is not there: connections time out or are refused, and those that are
	// open break.
	Down []Span
	// Timeout is how long it takes to find out that it is down; 0: Connect.
	Timeout time.Duration

	open, most int // connections
	taken      int // letters in the current Per
	period     int64
}

// Span is from, up to and without until, since the world began.
type Span struct{ From, Until time.Duration }

// Always is longer than anything that is simulated.
const Always = 1000 * time.Hour * 24

func (h *Host) down(now time.Duration) bool {
	for _, s := range h.Down {
		if now >= s.From && now < s.Until {
			return true
		}
	}
	return false
}

// Most is how many connections it ever had at a time.
func (h *Host) Most() int { return h.most }

// verdict is what a host says to a letter.
type verdict struct {
	what   Outcome
	status mail.Status
	reason string
}

func said(what Outcome, code int, enhanced mail.Enhanced, text string) verdict {
	s := mail.Status{Code: code, Enhanced: enhanced, Text: text}
	return verdict{what, s, "host said: " + s.Error()}
}

// judge answers RCPT. The caller holds the world's lock.
func (h *Host) judge(now time.Duration, l *Letter) verdict {
	if h.Greylist > 0 && now-l.FirstTry < h.Greylist {
		return said(Greylisted, 450, mail.Code(4, 2, 0), "Greylisted, please come back later")
	}
	if h.Reject > 0 && l.fate < h.Reject {
		return said(Rejected, 550, mail.Code(5, 1, 1), "No such user")
	}
	if h.Rate > 0 {
		if p := int64(now / h.Per); p != h.period {
			h.period, h.taken = p, 0
		}
		if h.taken >= h.Rate {
			return said(Slowed, 450, mail.Code(4, 7, 28), "Too many messages, slow down")
		}
		h.taken++
	}
	return said(Taken, 250, mail.Code(2, 0, 0), "Ok")
}

// pace is how long a transaction takes that ends with v.
func (h *Host) pace(v verdict, size int64) time.Duration {
	if v.what != Taken {
		return h.Deliver / 5
	}
	d := h.Deliver
	if h.Speed > 0 {
		d += time.Duration(size * int64(time.Second) / h.Speed)
	}
	return d
}
