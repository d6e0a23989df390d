package sim

import (
	"time"

	"aliasmx/internal/mail"
)

// Outcome is how an attempt ended.
type Outcome uint8

// The outcomes. The last three speak of the site, the others of the letter.
const (
	Taken Outcome = iota
	Greylisted
	Slowed      // a reply that asks for less mail
	Rejected    // for good
	Unreachable // no connection
	Turned      // 421 in place of a greeting
	Dropped     // the connection broke
)

// Book is what happened. It is guarded by the world's lock; read it when the world rests.
type Book struct {
	Letters map[mail.QueueID]*Letter
	Tries   []Try
	Reports int // that were delivered
}

// Letter is one message. Times are since the world began; FirstTry and Taken are -1 until
// they are.
type Letter struct {
	ID       mail.QueueID
	Kind     string // as the trace has it
	Sent     time.Duration
	FirstTry time.Duration
	Taken    time.Duration // by the last of its recipients
	Failed   time.Duration // when the sender was told; 0: never
	Tries    int           // attempts, over all its recipients
	Twice    int           // recipients who got it again

	left   int     // recipients who have not got it
	done   []bool  // who has
	failed int     // of how many a report was written
	told   bool    // a report has arrived
	unsure bool    // the machine died before it said that it has the letter
	fate   float64 // from 0 to 1: how likely it is to be rejected
}

// Delay is from queue to next hop.
func (l *Letter) Delay() time.Duration { return l.Taken - l.Sent }

// Done tells whether all recipients have it.
func (l *Letter) Done() bool { return l.left == 0 }

// settled: all recipients have it, or the sender knows who has not.
func (l *Letter) settled() bool { return l.left == 0 || l.told && l.failed >= l.left }

// Try is an attempt.
type Try struct {
	Began, Ended time.Duration
	Letter       *Letter // nil: a report
	Dest         mail.Dest
	Site         *Site
	Use          int // which one of its connection
	Nth          int // which one of its letter
	Outcome      Outcome
}

func newBook() *Book { return &Book{Letters: make(map[mail.QueueID]*Letter)} }

func (b *Book) sent(env *mail.Envelope, kind string, at time.Duration) *Letter {
	n := len(env.Rcpts)
	fate := float64(uint64(env.ID)*0x9E3779B97F4A7C15>>11) / (1 << 53)
	l := &Letter{ID: env.ID, Kind: kind, Sent: at, FirstTry: -1, Taken: -1, left: n, done: make([]bool, n), fate: fate}
	b.Letters[env.ID] = l
	return l
}

// tried is the letter of an attempt that begins.
func (b *Book) tried(env *mail.Envelope, at time.Duration) *Letter {
	if b == nil {
		return &Letter{FirstTry: at}
	}
	l := b.Letters[env.ID]
	if l == nil { // a report
		return &Letter{FirstTry: at, fate: 1}
	}
	if l.FirstTry < 0 {
		l.FirstTry = at
	}
	return l
}

func (b *Book) note(a *mail.Attempt, try Try) {
	l := b.Letters[a.Env.ID]
	if l == nil {
		if id, err := mail.ParseQueueID(a.Env.Rcpts[0].Final.Local); err == nil && b.Letters[id] != nil && try.Outcome == Taken {
			b.Letters[id].told = true
			b.Reports++
		}
		return
	}
	l.Tries++
	try.Letter, try.Nth = l, l.Tries
	b.Tries = append(b.Tries, try)
	if l.FirstTry < 0 {
		l.FirstTry = try.Began
	}
	if try.Outcome != Taken {
		return
	}
	for _, n := range a.Rcpts {
		if l.done[n] {
			l.Twice++
			continue
		}
		l.done[n] = true
		if l.left--; l.left == 0 {
			l.Taken = try.Ended
		}
	}
}

// Of is the attempts at a site, as they ended.
func (b *Book) Of(s *Site) []Try {
	var tries []Try
	for _, t := range b.Tries {
		if t.Site == s {
			tries = append(tries, t)
		}
	}
	return tries
}

// Delays is how long the letters of a kind took that have arrived.
func (b *Book) Delays(kind string) []time.Duration {
	var d []time.Duration
	for _, l := range b.Letters {
		if l.Kind == kind && l.Done() {
			d = append(d, l.Delay())
		}
	}
	return d
}
