package screen

import "time"

// The tests, and what is known of a client by each: a stamp.

type test uint8

const (
	pregreet test = iota
	dnsbl
	pipelining
	nonSMTP
	bareNewline
	numTests
)

// tests is a set of them.
type tests uint8

const (
	early     = tests(1<<pregreet | 1<<dnsbl)
	deepTests = tests(1<<pipelining | 1<<nonSMTP | 1<<bareNewline)
)

func (s tests) has(t test) bool { return s&(1<<t) != 0 }
func (s *tests) add(t test)     { *s |= 1 << t }
func (s *tests) drop(t test)    { *s &^= 1 << t }

// stamps say for each test until when a client has passed it, in seconds of Unix time.
type stamps [numTests]int64

const (
	stampNew  = 0 // never passed
	stampNone = 1 // never passed, since the test was disabled
)

// todo are the enabled tests that have expired at a time.
func (s *stamps) todo(enabled tests, now int64) (set tests) {
	for t := range numTests {
		if enabled.has(t) && now > s[t] {
			set.add(t)
		}
	}
	return set
}

// isNew tells whether some test was never passed.
func (s *stamps) isNew() bool {
	for _, stamp := range s {
		if stamp == stampNew {
			return true
		}
	}
	return false
}

// unseen are the stamps of a client that nobody has looked at yet.
func unseen() stamps { return stamps{-1, -1, -1, -1, -1} }

// kept is what goes into the allow list: a test that is disabled now must not make the
// client a new one when it is enabled later.
func (s stamps) kept(enabled tests) stamps {
	for t := range numTests {
		s[t] = max(s[t], stampNew)
		if !enabled.has(t) && s[t] == stampNew {
			s[t] = stampNone
		}
	}
	return s
}

// last is when the last of them expires.
func (s *stamps) last() (end int64) {
	for _, stamp := range s {
		end = max(end, stamp)
	}
	return end
}

// extend lets a test hold at least until end.
func (s *stamps) extend(t test, end int64) { s[t] = max(s[t], end) }

func until(now time.Time, ttl time.Duration) int64 { return now.Add(ttl).Unix() }
