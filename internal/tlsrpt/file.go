package tlsrpt

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
)

// The file that counts outlive a restart in has a line for each tally, in JSON, and one
// for each day's sessions with domains beyond the bound.

const fileKind = "tlsrpt 1"

// line is one of the file.
type line struct {
	Day      int64        `json:"day"`
	Domain   string       `json:"domain,omitempty"` // not there: beyond the bound
	Sessions totals       `json:"sessions"`
	Wish     wish         `json:"wish,omitempty"`
	Policies []policyLine `json:"policies,omitempty"`
	Due      int64        `json:"due,omitempty"`
	Begun    int64        `json:"begun,omitempty"`
	Attempts int          `json:"attempts,omitempty"`
	Done     []string     `json:"done,omitempty"`
}

type policyLine struct {
	Type    string       `json:"type"`
	Domain  string       `json:"domain"`
	Strings []string     `json:"strings,omitempty"`
	Hosts   []string     `json:"hosts,omitempty"`
	OK      uint64       `json:"ok,omitempty"`
	Failed  []detailLine `json:"failed,omitempty"`
}

type detailLine struct {
	Result string     `json:"result"`
	Reason string     `json:"reason,omitempty"`
	Local  netip.Addr `json:"local,omitzero"`
	Remote netip.Addr `json:"remote,omitzero"`
	Host   string     `json:"host,omitempty"`
	Helo   string     `json:"helo,omitempty"`
	N      uint64     `json:"n"`
}

func (t *tally) line() line {
	l := line{
		Day: t.day, Domain: t.domain, Sessions: t.sessions, Wish: t.wish,
		Due: cachefile.Unix(t.due), Begun: cachefile.Unix(t.begun), Attempts: t.attempts, Done: t.done,
	}
	for _, p := range t.ordered() {
		o := t.policies[p]
		pl := policyLine{Type: p.Type, Domain: p.Domain, Strings: lines(p.Strings), Hosts: lines(p.Hosts), OK: o.ok}
		for _, d := range o.ordered() {
			pl.Failed = append(pl.Failed, detailLine{d.Result, d.Reason, d.Local, d.Remote, d.Host, d.Helo, o.failed[d]})
		}
		l.Policies = append(l.Policies, pl)
	}
	return l
}

// tally is what a line says; false: something that no tally can be.
func (l *line) tally(r *room) (*tally, bool) {
	t := &tally{
		key: key{l.Day, l.Domain}, wish: l.Wish, sessions: l.Sessions,
		due: cachefile.FromUnix(l.Due), begun: cachefile.FromUnix(l.Begun), attempts: l.Attempts, done: l.Done,
	}
	domain, ok := aLabels(l.Domain)
	ok = ok && domain == l.Domain && l.Wish <= unwanted && (l.Wish != unwanted || len(l.Policies) == 0) && l.Due > 0 && l.Begun >= 0 && l.Attempts >= 0 && len(l.Done) <= maxEndpoints
	for _, p := range l.Policies {
		pol := policy{p.Type, p.Domain, cleanAll(p.Strings), patterns(p.Hosts)}
		home, isDomain := aLabels(p.Domain)
		ok = ok && isDomain && home == p.Domain && p.OK <= maxCount && slices.Contains([]string{policyTLSA, policySTS, policyNone}, p.Type)
		if !ok {
			break
		}
		t.add(pol, detail{}, p.OK, r)
		for _, d := range p.Failed {
			ok = ok && d.N > 0 && d.N <= maxCount && slices.Contains(results(), d.Result)
			t.add(pol, detail{
				Result: d.Result, Reason: clean(d.Reason, maxReason), Local: address(d.Local), Remote: address(d.Remote),
				Host: clean(d.Host, maxName), Helo: clean(d.Helo, maxName),
			}, d.N, r)
		}
	}
	if !ok {
		t.forget(r)
	}
	return t, ok && l.Sessions.valid()
}

func (c totals) valid() bool { return c.OK <= maxCount && c.Failed <= maxCount }

// encode writes the file. It holds the lock for one tally at a time, so that nobody who
// has a session to count waits for all of them.
func (r *Reporter) encode(now time.Time) ([]byte, error) {
	r.mu.Lock()
	keys := slices.Collect(maps.Keys(r.tallies))
	var all []line
	for day, c := range r.beyond {
		all = append(all, line{Day: day, Sessions: *c})
	}
	r.mu.Unlock()
	var text []byte
	n := 0
	add := func(l line) error {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		text = append(append(text, b...), '\n')
		n++
		return nil
	}
	for _, l := range all {
		if err := add(l); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return strings.Compare(fmt.Sprintf("%020d %s", a.day, a.domain), fmt.Sprintf("%020d %s", b.day, b.domain))
	})
	for _, k := range keys {
		r.mu.Lock()
		t := r.tallies[k]
		var l line
		if t != nil {
			l = t.line()
		}
		r.mu.Unlock()
		if t == nil {
			continue // sent meanwhile
		}
		if err := add(l); err != nil {
			return nil, err
		}
	}
	return cachefile.Encode(fileKind, now, n, text), nil
}

// decode reads what encode wrote into an empty Reporter. Its only error is
// cachefile.ErrDamaged; then nothing was read.
func (r *Reporter) decode(b []byte) error {
	_, err := cachefile.Decode(fileKind, b, func(text string) bool {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil || l.Day%int64(day/time.Second) != 0 {
			return false
		}
		if l.Domain == "" {
			_, twice := r.beyond[l.Day]
			r.beyond[l.Day] = &l.Sessions
			return !twice && l.Sessions.valid()
		}
		t, ok := l.tally(&r.room)
		if !ok || r.tallies[t.key] != nil || r.domains[t.day] >= maxDomains {
			return false
		}
		r.put(t)
		return true
	})
	if err != nil {
		clear(r.tallies)
		clear(r.domains)
		clear(r.beyond)
		r.room = room{maxRoom}
	}
	return err
}

// load reads the file at start.
func (r *Reporter) load() {
	if r.o.File == "" {
		return
	}
	b, err := cachefile.Read(r.o.File)
	if b == nil && err == nil {
		return
	}
	if err == nil {
		err = r.decode(b)
	}
	if err != nil {
		r.log.Warn(fmt.Sprintf("TLSRPT: %s: %v; the sessions counted in it are not reported", r.o.File, err))
		return
	}
	for _, t := range r.tallies {
		if t.wish == unknown {
			r.ask(t)
		}
	}
}

// save writes the file if it lacks something.
func (r *Reporter) save() {
	now := r.o.Now()
	r.mu.Lock()
	due := !r.unsaved.IsZero()
	r.unsaved = time.Time{}
	failing := r.failing
	r.mu.Unlock()
	if !due || r.o.File == "" {
		return
	}
	b, err := r.encode(now)
	if err == nil {
		err = cachefile.Write(r.o.File, b)
	}
	if err != nil && !failing {
		r.log.Warn(fmt.Sprintf("TLSRPT: %v; sessions are counted in memory only", err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing = err != nil; r.failing {
		r.mark(now.Add(saveDelay)) // try again
	}
}
