package greylist

import (
	"fmt"
	"maps"
	"net/netip"
	"time"

	"aliasmx/internal/cachefile"
)

// Keeping the table: its file, and that it is bounded.

const cleanEvery = time.Hour

// saveDelay is how long what came may be missing in the file: a large one takes longer to
// write, and is written less often.
func (l *List) saveDelay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 2*time.Second + time.Duration(len(l.triples)+len(l.networks))*time.Second/2000
}

// load reads the file, once. The caller holds mu.
func (l *List) load() {
	if l.loaded {
		return
	}
	l.loaded = true
	if l.o.File == "" {
		return
	}
	b, err := cachefile.Read(l.o.File)
	if err == nil && b != nil {
		var triples map[triple]stamps
		if triples, l.networks, err = decode(b); err == nil {
			l.triples = triples
		}
	}
	if err != nil {
		l.networks = map[netip.Prefix]passes{}
		l.log.Warn(fmt.Sprintf("greylist_map %s: %v; starting with an empty table", l.o.Name, err))
	}
}

// encode is the content of the file.
func (l *List) encode() []byte {
	l.mu.Lock()
	triples, networks := maps.Clone(l.triples), maps.Clone(l.networks)
	l.mu.Unlock()
	return encode(triples, networks)
}

func (l *List) unsaved(err error) {
	l.log.Warn(fmt.Sprintf("greylist_map: %v; the table is kept in memory only", err))
}

// clean drops what has expired.
func (l *List) clean(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.triples) + len(l.networks)
	maps.DeleteFunc(l.triples, func(_ triple, s stamps) bool { return l.expired(s, now) })
	maps.DeleteFunc(l.networks, func(_ netip.Prefix, n passes) bool { return now.Sub(n.last) >= l.params.Expire })
	if left := len(l.triples) + len(l.networks); left < before {
		l.log.Info(fmt.Sprintf("greylist_map %s full cleanup: retained=%d dropped=%d entries", l.o.Name, left, before-left))
		l.keeper.Changed()
	}
}

// sampled is how many entries are looked at when one must go: the oldest of a few is about
// as good to lose as the oldest of all.
const sampled = 16

// room makes room for one more entry. Triples that have passed go last.
func room[K comparable, V any](m map[K]V, most int, older func(V, V) bool) {
	if len(m) < most {
		return
	}
	var oldest K
	var value V
	n := 0
	for k, v := range m {
		if n == 0 || older(v, value) {
			oldest, value = k, v
		}
		if n++; n == sampled {
			break
		}
	}
	delete(m, oldest)
}

func (s stamps) older(than stamps) bool {
	if once, other := s.first.Equal(s.last), than.first.Equal(than.last); once != other {
		return once
	}
	return s.last.Before(than.last)
}

func (n passes) older(than passes) bool { return n.last.Before(than.last) }
