package queue

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// model is a store and a world of connections around a scheduler, all as simple as
// can be. After each event it checks what must always hold.
type model struct {
	t    *testing.T
	rnd  *rand.Rand
	s    *scheduler
	now  time.Time
	todo []func() // answers that are still to come, in any order

	store   map[mail.QueueID]*stored
	last    mail.QueueID
	running map[connID]Job
	asking  map[connID]bool // connections that are between attempts
	lost    map[connID]bool // refused
	served  map[mail.Dest]int
	started bool // the last step has opened connections
	sites   int  // how many sites there are; 0: each destination is one
}

// stored is a job in the store.
type stored struct {
	Job
	claimed bool
	late    time.Time // when it was deferred
	trouble bool      // because of its destination
}

func newModel(t *testing.T, seed uint64, p Params) *model {
	rnd := rand.New(rand.NewPCG(seed, 1))
	m := &model{
		t: t, rnd: rnd, now: start,
		store:   map[mail.QueueID]*stored{},
		running: map[connID]Job{},
		asking:  map[connID]bool{},
		lost:    map[connID]bool{},
		served:  map[mail.Dest]int{},
	}
	m.s = newScheduler(p.withDefaults(), func() float64 { return 0.9 + 0.2*rnd.Float64() })
	m.tell(evOpen{})
	return m
}

func (m *model) tell(ev event) {
	m.t.Helper()
	actions := m.s.step(m.now, ev)
	m.started = slices.ContainsFunc(actions, func(a action) bool { _, is := a.(actStart); return is })
	for _, a := range actions {
		m.perform(a)
	}
	m.check(ev)
}

func (m *model) perform(a action) {
	switch a := a.(type) {
	case actClaim:
		m.todo = append(m.todo, func() { m.claim(a) })
	case actStart:
		m.running[a.conn] = a.job
		m.served[a.dest]++
	case actGive:
		if a.ok {
			m.running[a.conn] = a.job
			m.served[a.job.Dest]++
		} else {
			m.lost[a.conn] = true
		}
	case actLocate:
		m.todo = append(m.todo, func() {
			ev := evLocated{dest: a.dest, failed: m.rnd.IntN(10) == 0}
			if !ev.failed {
				n, _ := strconv.Atoi(a.dest.NextHop())
				if m.rnd.IntN(20) == 0 { // its records change
					n++
				}
				n %= m.sites
				ev.site = mail.Site{Name: fmt.Sprint(n), Limits: mail.SiteLimits{Concurrency: 1 + n}}
			}
			m.tell(ev)
		})
	case actSuspend:
		for _, j := range a.jobs {
			m.todo = append(m.todo, func() { m.outcome(j, m.now.Add(m.s.params.MinimalBackoff), true) })
		}
	case actRelease:
		m.release(a.jobs)
	case actDropped:
		m.release(a.jobs)
	}
}

func (m *model) release(jobs []Job) {
	for _, j := range jobs {
		m.todo = append(m.todo, func() {
			m.store[j.ID].claimed = false
			m.tell(evHeads{heads: []DestHead{{j.Dest, j.Due}}})
		})
	}
}

func (m *model) claim(a actClaim) {
	var due []*stored
	for _, s := range m.store {
		if s.Dest == a.dest && !s.claimed {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(x, y *stored) int {
		if c := x.Due.Compare(y.Due); c != 0 {
			return c
		}
		return int(x.ID) - int(y.ID)
	})
	ev := evClaimed{dest: a.dest, wake: a.wake}
	for _, s := range due {
		woken := s.late.Before(a.wake.Before) && (s.trouble || a.wake.All)
		switch {
		case len(ev.jobs) == a.max && woken:
			ev.more = true
			fallthrough
		case len(ev.jobs) == a.max, s.Due.After(a.until) && !woken:
			ev.next = sooner(ev.next, s.Due)
			continue
		}
		s.claimed = true
		ev.jobs = append(ev.jobs, s.Job)
	}
	m.tell(ev)
}

// outcome records what became of a loaded job; a zero time ends it.
func (m *model) outcome(j Job, next time.Time, trouble bool) {
	ev := evSettled{jobs: 1}
	if next.IsZero() {
		delete(m.store, j.ID)
	} else {
		s := m.store[j.ID]
		s.claimed, s.Due, s.late, s.trouble = false, next, m.now, trouble
		s.Attempts++
		ev.heads = []DestHead{{j.Dest, next}}
	}
	m.tell(ev)
}

// check holds the scheduler to its promises.
func (m *model) check(ev event) {
	m.t.Helper()
	attempts, conns := map[mail.Dest]int{}, 0
	for id, c := range m.s.conns {
		conns++
		if _, ok := m.running[id]; ok {
			attempts[c.dest.name]++
		}
	}
	stuck := 0
	for _, c := range m.s.conns {
		if c.stuck {
			stuck++
		}
	}
	if stuck != m.s.stuck || m.started && conns-stuck > m.s.params.ProcessLimit || conns > 2*m.s.params.ProcessLimit {
		m.t.Fatalf("%T: %d connections", ev, conns)
	}
	m.checkSites(ev)
	waiting := 0
	for _, d := range m.s.dests {
		waiting += d.waiting()
		if d.attempts != attempts[d.name] {
			m.t.Fatalf("%T: %s has %d attempts, thinks %d", ev, d.name, attempts[d.name], d.attempts)
		}
		if limit := max(m.s.params.Default.ConcurrencyLimit, m.sites); d.attempts > limit {
			m.t.Fatalf("%T: %s has %d attempts, limit %d", ev, d.name, d.attempts, limit)
		}
		if n, limit := d.waiting()+d.claiming, m.s.params.MessageActiveLimit/2; n > limit+ringSize {
			m.t.Fatalf("%T: %s has %d jobs waiting or coming, half of memory is %d", ev, d.name, n, limit)
		}
	}
	if waiting+len(m.running) > m.s.loaded {
		m.t.Fatalf("%T: %d wait and %d run, but only %d are loaded", ev, waiting, len(m.running), m.s.loaded)
	}
	if n := m.s.loaded + m.s.coming; n > m.s.params.MessageActiveLimit {
		m.t.Fatalf("%T: %d jobs in memory, limit %d", ev, n, m.s.params.MessageActiveLimit)
	}
}

// checkSites compares what sites count with what there is.
func (m *model) checkSites(ev event) {
	m.t.Helper()
	type sum struct{ conns, busy, attempts, waiting, stored, claiming, hungry, starved, lingers int }
	want, got := map[string]sum{}, map[string]sum{}
	for _, d := range m.s.dests {
		if d.site == nil {
			if d.conns > 0 {
				m.t.Fatalf("%T: %s has connections, and is nowhere", ev, d.name)
			}
			continue
		}
		if m.s.sites[d.site.key] != d.site || d.site.dests[d.place] != d {
			m.t.Fatalf("%T: %s is at a site that does not know it", ev, d.name)
		}
		s := want[d.site.key]
		s.conns, s.busy, s.attempts = s.conns+d.conns, s.busy+d.busy, s.attempts+d.attempts
		s.waiting, s.stored = s.waiting+d.waiting(), s.stored+d.stored()
		if d.hungry {
			s.hungry++
		}
		if d.starved {
			s.starved++
		}
		want[d.site.key] = s
		if d.claimFor != nil {
			s := want[d.claimFor.key]
			s.claiming++
			want[d.claimFor.key] = s
		}
	}
	for _, c := range m.s.waiting {
		s := want[c.dest.site.key]
		s.lingers++
		want[c.dest.site.key] = s
	}
	for _, st := range m.s.sites {
		s := sum{st.conns, st.busy, st.attempts, st.waiting, st.stored, st.claiming, st.hungry, len(st.starved), st.lingers}
		if s != (sum{}) {
			got[st.key] = s
		}
		if n := st.most(&m.s.params); st.conns > max(n, st.leaving) && st.busy > n {
			m.t.Fatalf("%T: %d connections at %q, of which %d stay; limit %d", ev, st.conns, st.key, st.busy, n)
		}
	}
	maps.DeleteFunc(want, func(_ string, s sum) bool { return s == sum{} })
	if !maps.Equal(got, want) {
		m.t.Fatalf("%T: sites count %+v, there are %+v", ev, got, want)
	}
}

// arrive commits a message for a destination.
func (m *model) arrive(dest string) {
	m.last++
	j := Job{ID: m.last, Dest: mail.Dest("smtp:" + dest), Due: m.now, Bulk: m.rnd.IntN(4) == 0}
	m.store[j.ID] = &stored{Job: j, claimed: true}
	m.tell(evArrived{[]Job{j}})
}

// report ends the attempt of a connection.
func (m *model) report(c connID, v verdict, next time.Time) {
	j := m.running[c]
	delete(m.running, c)
	m.asking[c] = true
	m.todo = append(m.todo, func() { m.outcome(j, next, v == bad) })
	m.tell(done(c, v))
}

// ask lets a connection that is between attempts ask, linger, or leave.
func (m *model) ask(c connID, linger bool) {
	delete(m.asking, c)
	m.tell(evAsk{c, linger})
}

// act does something at random that can happen now.
func (m *model) act(healthy bool) bool {
	var choices []func()
	if n := len(m.todo); n > 0 {
		i := m.rnd.IntN(n)
		choices = append(choices, func() {
			f := m.todo[i]
			m.todo = slices.Delete(m.todo, i, i+1)
			f()
		})
	}
	for _, c := range slices.Sorted(maps.Keys(m.running)) {
		choices = append(choices, func() {
			switch n := m.rnd.IntN(10); {
			case healthy || n < 5:
				m.report(c, good, time.Time{})
			case n < 7:
				m.report(c, good, m.now.Add(time.Minute))
			default:
				m.report(c, bad, m.now.Add(time.Minute))
			}
		})
	}
	for _, c := range slices.Sorted(maps.Keys(m.asking)) {
		choices = append(choices, func() { m.ask(c, m.rnd.IntN(2) == 0) })
	}
	for _, c := range slices.Sorted(maps.Keys(m.lost)) {
		choices = append(choices, func() {
			delete(m.lost, c)
			m.tell(evExit{c})
		})
	}
	for _, c := range m.s.waiting {
		choices = append(choices, func() { m.tell(evGiveUp{c.id}) })
	}
	if len(choices) == 0 {
		return false
	}
	choices[m.rnd.IntN(len(choices))]()
	return true
}

// TestModel lets the world do anything at random, and then demands that all mail is
// delivered once the world behaves.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			shape := rand.New(rand.NewPCG(seed, 2))
			p := Params{
				Default: fill(TransportParams{
					ConcurrencyLimit: 1 + shape.IntN(5), InitialConcurrency: 1 + shape.IntN(5), FailedCohortLimit: 1,
				}),
				ProcessLimit:         1 + shape.IntN(8),
				MessageActiveLimit:   1 + shape.IntN(100),
				ConnectionReuseCount: shape.IntN(3),
			}
			m := newModel(t, seed, p)
			dests := 1 + shape.IntN(12)
			if seed%2 == 1 {
				m.sites, m.s.asks = 1+shape.IntN(4), true
			}
			for range 1500 {
				switch n := m.rnd.IntN(20); {
				case n < 6:
					m.arrive(fmt.Sprint(m.rnd.IntN(dests)))
				case n == 6:
					m.now = m.now.Add(time.Duration(m.rnd.IntN(600)) * time.Second)
					m.tell(evTick{})
				case n == 7 && m.last > 0:
					id := 1 + mail.QueueID(m.rnd.IntN(int(m.last)))
					if s := m.store[id]; s != nil {
						m.tell(evDrop{id, []mail.Dest{s.Dest}})
					}
				case n == 8 && m.rnd.IntN(10) == 0:
					m.tell(evFlush{all: true})
				case n == 9 && m.rnd.IntN(5) == 0:
					d := mail.Dest(fmt.Sprint("smtp:", m.rnd.IntN(dests)))
					m.tell(evHold{dests: []mail.Dest{d}, on: m.rnd.IntN(2) == 0})
				default:
					m.act(false)
				}
			}
			for d := range dests {
				m.tell(evHold{dests: []mail.Dest{mail.Dest(fmt.Sprint("smtp:", d))}})
			}
			for step := 0; len(m.store) > 0; step++ {
				if step > 200_000 {
					t.Fatalf("%d messages are stuck", len(m.store))
				}
				if !m.act(true) {
					next := m.s.next()
					if next.IsZero() {
						t.Fatalf("%d messages are stuck, and no timer is set", len(m.store))
					}
					m.now = later(m.now, next)
					m.tell(evTick{})
				}
			}
			for m.act(true) {
			}
			if m.s.loaded != 0 || len(m.s.conns) != 0 {
				t.Errorf("at the end: %d jobs loaded, %d connections", m.s.loaded, len(m.s.conns))
			}
			m.now = m.now.Add(2 * m.s.params.MaximalBackoff) // longer than anything is remembered
			for range 3 {
				m.tell(evTick{})
			}
			if len(m.s.dests) != 0 || len(m.s.sites) != 0 || len(m.s.timers) != 0 {
				t.Errorf("remembered for ever: %d destinations, %d sites, %d alarms", len(m.s.dests), len(m.s.sites), len(m.s.timers))
			}
		})
	}
}

// TestFairness gives twenty destinations more work than ten connections can do. Each
// connection takes one tick for a message.
func TestFairness(t *testing.T) {
	const dests, ticks = 20, 400
	m := newModel(t, 1, Params{ProcessLimit: 10, Default: most(20)})
	for range ticks {
		for d := range dests {
			for range 2 {
				m.arrive(fmt.Sprint(d))
			}
		}
		for _, c := range slices.Sorted(maps.Keys(m.running)) {
			m.report(c, good, time.Time{})
			m.ask(c, true)
		}
		for _, c := range slices.Sorted(maps.Keys(m.lost)) {
			delete(m.lost, c)
			m.tell(evExit{c})
		}
		for len(m.todo) > 0 {
			f := m.todo[0]
			m.todo = m.todo[1:]
			f()
		}
		m.now = m.now.Add(time.Second)
		m.tell(evTick{})
	}
	var sum, squares float64
	for _, n := range m.served {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if jain := sum * sum / (dests * squares); len(m.served) != dests || jain < 0.95 {
		t.Errorf("Jain's index %.3f over %d destinations: %v", jain, len(m.served), m.served)
	}
}

// TestSlowDestinationDoesNotHoldUpOthers: its connections never report.
func TestSlowDestinationDoesNotHoldUpOthers(t *testing.T) {
	m := newModel(t, 1, Params{ProcessLimit: 50, Default: most(20), MessageActiveLimit: 1000})
	for range 5000 {
		m.arrive("slow")
	}
	for len(m.todo) > 0 {
		f := m.todo[0]
		m.todo = m.todo[1:]
		f()
	}
	m.arrive("other")
	if m.served["smtp:other"] != 1 {
		t.Error("the other destination waits")
	}
	if m.s.loaded > 600 {
		t.Errorf("%d jobs in memory for one destination", m.s.loaded)
	}
}
