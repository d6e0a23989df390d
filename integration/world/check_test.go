package world

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

// What must be true when all is over.

// nearby is how long after a reply the power has to hold out for the reply to be on record.
const nearby = 15 * time.Second

func (w *world) check(mem *vfs.MemFS) {
	l := w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if files := spooled(mem); len(files) > 0 {
		w.fault("left in the spool: %v", files)
	}
	b := l.books()
	for _, token := range sortedKeys(l.messages) {
		b.checkMessage(w, l.messages[token])
	}
	b.checkLog(w)
	if len(w.loopEnds) == 0 {
		w.fault("the loop has no end")
	}
	for _, pass := range w.loopEnds {
		if pass != hopcountLimit/2+1 {
			w.fault("the loop has ended at pass %d", pass)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// books are the ledger, sorted.
type books struct {
	*ledger
	receipts map[string][]*receipt        // by token and recipient
	notices  map[string]map[string]notice // by token, recipient and action; then by Message-Id
	byID     map[string][]logEvent        // of the log
	lines    map[string][]logEvent        // delivery, by ID and recipient
}

func (l *ledger) books() *books {
	b := &books{l, map[string][]*receipt{}, map[string]map[string]notice{}, map[string][]logEvent{}, map[string][]logEvent{}}
	for _, r := range l.receipts {
		key := r.token + " " + r.rcpt
		b.receipts[key] = append(b.receipts[key], r)
	}
	for _, n := range l.notices {
		key := n.token + " " + n.rcpt + " " + n.action
		if b.notices[key] == nil {
			b.notices[key] = map[string]notice{}
		}
		b.notices[key][n.id] = n
	}
	for _, e := range l.events {
		if e.id == "" {
			continue
		}
		b.byID[e.id] = append(b.byID[e.id], e)
		if e.name == mail.EventDelivery {
			b.lines[e.id+" "+e.to] = append(b.lines[e.id+" "+e.to], e)
		}
	}
	return b
}

// stopped tells whether the server ended between two times.
func (l *ledger) stopped(from, until time.Time) bool {
	return slices.ContainsFunc(l.stops, func(t time.Time) bool { return !t.Before(from) && !t.After(until) })
}

// explains: after this delivery another one may follow, as the server cannot know of it.
func (b *books) explains(r *receipt) bool {
	return r.sure.IsZero() || b.stopped(r.at.Add(-time.Second), r.sure.Add(nearby))
}

// checkMessage holds a message against what became of it.
func (b *books) checkMessage(w *world, m *message) {
	traces := 0
	for _, f := range m.finals {
		traces += len(b.receipts[m.token+" "+f.addr]) + len(b.notices[m.token+" "+f.addr+" failed"])
	}
	switch {
	case m.loop:
		return
	case m.status == refused || m.status == aborted:
		if traces > 0 {
			w.fault("%s was never accepted, and has left %d traces", m.token, traces)
		}
		return
	case m.status == unknown:
		if m.id = b.taken(m.token); m.id == "" {
			if traces > 0 {
				w.fault("%s has left %d traces, and the log knows nothing of it", m.token, traces)
			}
			w.tally("unknown to the client: did not get in")
			return
		}
		w.tally("unknown to the client: got in")
	}
	for _, f := range m.finals {
		b.checkFate(w, m, f)
	}
}

// taken is the queue ID of a message whose client never heard it; "": it is not in the
// queue.
func (b *books) taken(token string) string {
	for _, e := range b.events {
		if e.name == mail.EventMessageID && strings.Contains(e.message, "<"+token+"@client.example>") &&
			slices.ContainsFunc(b.byID[e.id], func(o logEvent) bool { return o.name == mail.EventActive }) {
			return e.id
		}
	}
	return ""
}

func (b *books) checkFate(w *world, m *message, f final) {
	what := fmt.Sprintf("%s (%s) to %s", m.token, m.id, f.addr)
	got, failed := b.receipts[m.token+" "+f.addr], b.notices[m.token+" "+f.addr+" failed"]
	gone, deleted := b.deleted[m.id]
	for i, r := range got {
		if r.id != m.id {
			w.fault("%s was delivered as %s", what, r.id)
		}
		if i < len(got)-1 {
			switch {
			case r.sure.IsZero() && !b.stopped(r.at.Add(-time.Second), r.at.Add(nearby)):
				w.tally("duplicates: the reply was lost")
			case b.explains(r):
				w.tally("duplicates: the server ended before it was on record")
			default:
				w.fault("%s was delivered again at %v after it was confirmed at %v", what, got[i+1].at, r.sure)
			}
		}
		if deleted && gone.sure && r.at.After(gone.at.Add(20*time.Minute)) {
			w.fault("%s was delivered at %v after it was deleted at %v", what, r.at, gone.at)
		}
	}
	if !m.tells(f) {
		for _, action := range []string{"failed", "delayed"} {
			if n := len(b.notices[m.token+" "+f.addr+" "+action]); n > 0 && (m.sender == "" || action == "failed" || f.notify != "DELAY") {
				w.fault("%s: %d reports (%s) that nobody wants", what, n, action)
			}
		}
	}
	for _, action := range []string{"failed", "delayed", "relayed", "expanded", "delivered"} {
		if n := b.notices[m.token+" "+f.addr+" "+action]; len(n) > 1 {
			w.fault("%s: %d reports (%s): %v", what, len(n), action, n)
		}
	}
	switch {
	case len(got) > 0 && len(failed) > 0:
		w.tally("delivered and reported")
		if slices.ContainsFunc(got, func(r *receipt) bool { return !b.explains(r) }) {
			w.fault("%s was delivered at %v and reported as failed", what, got[0].at)
		}
	case len(got) > 0:
		w.tally("delivered")
	case len(failed) > 0:
		w.tally("reported")
	case deleted:
		w.tally("deleted")
	case !m.tells(f) && b.gaveUp(m.id, f.addr):
		w.tally("failed, nobody is to be told")
	default:
		w.fault("%s: lost", what)
	}
}

// gaveUp: the log tells that a recipient has failed.
func (b *books) gaveUp(id, to string) bool {
	lines := b.lines[id+" "+to]
	return len(lines) > 0 && (lines[len(lines)-1].status == "bounced" || b.expired(id, lines[len(lines)-1].at) != nil)
}

// expired is the line that a message has expired, from a time on.
func (b *books) expired(id string, from time.Time) *logEvent {
	for i, e := range b.byID[id] {
		if e.name == mail.EventExpired && !e.at.Before(from) {
			return &b.byID[id][i]
		}
	}
	return nil
}

// checkLog: the log tells the same story.
func (b *books) checkLog(w *world) {
	for _, id := range sortedKeys(b.byID) {
		removed := 0
		var last time.Time
		tried := false
		for _, e := range b.byID[id] {
			last = e.at
			tried = tried || e.name == mail.EventDelivery
			if e.name == mail.EventRemoved {
				removed++
			}
			if e.name == mail.EventExpired {
				b.checkExpiry(w, id, e)
			}
		}
		_, deleted := b.deleted[id]
		if tried && removed != 1 && !(removed == 0 && (deleted || b.stopped(last, last.Add(nearby)))) {
			w.fault("%s: %d lines \"removed\"", id, removed)
		}
	}
	for _, key := range sortedKeys(b.lines) {
		lines := b.lines[key]
		id, to, _ := strings.Cut(key, " ")
		last := lines[len(lines)-1]
		if _, deleted := b.deleted[id]; !deleted && last.status == "deferred" && b.expired(id, last.at) == nil {
			w.fault("%s: the last line is %s (%s)", key, last.status, last.reason)
		}
		for i, e := range lines {
			switch e.status {
			case "sent":
				w.tally("log: sent")
				b.checkSent(w, id, to, e)
			case "deferred":
				w.tally("log: deferred")
			case "bounced":
				w.tally("log: bounced")
			}
			if i > 0 {
				b.checkBackoff(w, key, lines[:i], e)
			}
		}
	}
	for _, e := range b.events {
		if e.level >= slog.LevelError || strings.Contains(e.name, "panic") {
			w.fault("log: %s: %s", e.daemon, e.name)
		}
	}
}

// checkSent: what the log calls sent somebody has got.
func (b *books) checkSent(w *world, id, to string, e logEvent) {
	for _, r := range b.ledger.receipts {
		if r.id == id && r.rcpt == to {
			return
		}
	}
	for _, n := range b.ledger.notices { // a report
		if strings.Contains(n.id, "."+id+"@") {
			return
		}
	}
	w.fault("%s: sent to %s says the log (%s), nobody has got it", id, to, e.reason)
}

// checkBackoff: between two attempts there is a pause, unless an operator or the end of
// the server came between, or the destination has begun to answer again.
func (b *books) checkBackoff(w *world, key string, before []logEvent, e logEvent) {
	if e.daemon != "smtp" {
		return
	}
	k := len(before) - 1
	for ; k >= 0 && before[k].daemon != "smtp"; k-- {
	}
	if k < 0 {
		return
	}
	began, ended := e.at.Add(-e.delay+e.before+e.active), before[k].at
	gap := began.Sub(ended)
	if gap >= minimalBackoff*9/10-time.Millisecond {
		return
	}
	within := func(t time.Time) bool {
		return !t.Before(ended.Add(-before[k].delay+before[k].before-time.Second)) && !t.After(began.Add(time.Second))
	}
	switch _, to, _ := strings.Cut(key, " "); {
	case b.stopped(ended.Add(-nearby), began):
	case slices.ContainsFunc(b.flushes, within):
	case slices.ContainsFunc(b.events, func(o logEvent) bool {
		return o.name == mail.EventDelivery && o.status == "sent" && within(o.at) && domainOf(o.to) == domainOf(to)
	}):
		w.tally("woken: the destination answers again")
	default:
		w.fault("%s: tried at %v, and again after %v", key, ended, gap)
	}
}

func domainOf(addr string) string { return addr[strings.LastIndexByte(addr, '@')+1:] }

// checkExpiry: not too early, not too late.
func (b *books) checkExpiry(w *world, id string, e logEvent) {
	w.tally("log: expired")
	var age time.Duration // from when the transaction began
	for _, line := range b.byID[id] {
		if line.name == mail.EventDelivery && !line.at.After(e.at) {
			age = line.delay + e.at.Sub(line.at)
		}
	}
	arrived := e.at.Add(-age)
	if b.forced[id] || b.held[id] {
		return
	}
	late := lifetime + maximalBackoff + queueRunDelay + 15*time.Minute
	for i, stop := range b.stops {
		if i+1 < len(b.starts) && b.starts[i+1].After(arrived.Add(lifetime-3*time.Hour)) && stop.Before(e.at) {
			late += b.starts[i+1].Sub(stop)
		}
	}
	if age < lifetime || age > late {
		w.fault("%s has expired at the age of %v", id, age)
	}
}

// checkConnections: no more at a time than was allowed.
func (r *run) checkConnections() {
	w := r.w
	r.line.mu.Lock()
	defer r.line.mu.Unlock()
	if r.line.most > r.process {
		w.fault("%d connections out, allowed were %d", r.line.most, r.process)
	}
	domains := map[string]int{"mx.good.example": 3, "mx.limit.example": 2} // that a host serves
	for host, n := range r.line.peak {
		name := w.hosts[host].name
		if allowed := min(r.host, r.concurrency*max(domains[name], 1)); n > allowed {
			w.fault("%d connections at %s, allowed were %d", n, name, allowed)
		} else if n == allowed {
			w.tally("hosts with as many connections as are allowed")
		}
	}
}
