package screen

import "net/netip"

// allowList is who has passed lately, up to a number of clients: postscreen's cache.
// Whoever uses it holds the lock of the Clients.
type allowList struct {
	max     int
	entries map[netip.Addr]stamps
}

// put remembers a client.
func (l *allowList) put(addr netip.Addr, s stamps) {
	if _, known := l.entries[addr]; !known && len(l.entries) >= l.max {
		l.makeRoom()
	}
	l.entries[addr] = s
}

// sampled is how many entries makeRoom looks at.
const sampled = 16

// makeRoom drops one client: of some that are met by chance the one that expires first.
// It takes its tests again when it comes back.
func (l *allowList) makeRoom() {
	var first netip.Addr
	var end int64
	n := 0
	for addr, s := range l.entries {
		if last := s.last(); n == 0 || last < end {
			first, end = addr, last
		}
		if n++; n == sampled {
			break
		}
	}
	delete(l.entries, first)
}

// clean drops whose tests have all expired before a time.
func (l *allowList) clean(before int64) (retained, dropped int) {
	for addr, s := range l.entries {
		if s.last() < before {
			delete(l.entries, addr)
			dropped++
		}
	}
	return len(l.entries), dropped
}
