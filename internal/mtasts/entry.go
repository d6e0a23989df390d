package mtasts

import "time"

// entry is a domain: its policy, if one is known, and when it was last looked at.
type entry struct {
	id      string // of the policy; "": none
	policy  Policy
	fetched time.Time
	bytes   int // of the policy, about

	used    time.Time // when mail was last sent there
	looked  time.Time // when the last look ended
	failure *Failure  // that it came to; nil: none
	refresh time.Time // when to fetch the policy again; zero: never
	warned  time.Time // when it was last said that this does not work
	flight  *flight   // the look under way; nil: none
}

func (e *entry) expires() time.Time { return e.fetched.Add(e.policy.MaxAge) }

// valid tells whether there is a policy that holds.
func (e *entry) valid(now time.Time) bool { return e.id != "" && now.Before(e.expires()) }

// entry returns that of a domain, a new one if it has none. The caller holds s.mu.
func (s *Source) entry(domain string, now time.Time) *entry {
	e := s.entries[domain]
	if e == nil {
		for len(s.entries) >= s.max {
			s.makeRoom(now)
		}
		e = &entry{}
		s.entries[domain] = e
	}
	return e
}

// maxBytes bounds the policies: a domain may fill 64 KiB with its hosts.
const maxBytes = 64 << 20

// hold puts another policy into an entry. Others make room for one that is large. The
// caller holds s.mu.
func (s *Source) hold(e *entry, domain string, p Policy) {
	e.policy = p
	if s.entries[domain] != e {
		return // it had to make room itself while it was looked at
	}
	s.bytes -= e.bytes
	e.bytes = 0
	for _, mx := range p.MX {
		e.bytes += len(mx) + 16
	}
	s.bytes += e.bytes
	for now := s.now(); s.bytes > maxBytes; {
		s.makeRoom(now)
	}
}

func (s *Source) drop(domain string) {
	if e := s.entries[domain]; e != nil {
		s.bytes -= e.bytes
		delete(s.entries, domain)
	}
}

// makeRoom looks at this many entries, and at more while all of them have policies.
const (
	sampled       = 32
	sampledPolicy = 1000
)

// makeRoom drops one entry: of some that are met by chance one without a policy, or else
// the one that has had no mail for longest. So a flood of made up domains drives out its
// like. The caller holds s.mu.
func (s *Source) makeRoom(now time.Time) {
	worst, n := "", 0
	for domain, e := range s.entries {
		if w := s.entries[worst]; w == nil || w.valid(now) && !e.valid(now) || w.valid(now) == e.valid(now) && e.used.Before(w.used) {
			worst = domain
		}
		if n++; n >= sampled && !s.entries[worst].valid(now) || n == sampledPolicy {
			break
		}
	}
	s.drop(worst)
}
