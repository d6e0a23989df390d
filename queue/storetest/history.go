package storetest

import (
	"context"
	"fmt"
	"sync"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// History remembers the states that a Model went through. A store that was interrupted
// must be found in one of them: not before the last one that it said was safe, and not
// after the last one that it was asked for. It is safe for concurrent use.
type History struct {
	mu      sync.Mutex // guards what follows
	changes map[mail.QueueID][]change
	asked   int // the last state that was tried
	sure    int // the last one that is safe
}

// change is what became of a message in a state; nil: it is gone.
type change struct {
	state int
	m     *message
}

// NewHistory makes a history that begins with an empty store.
func NewHistory() *History { return &History{changes: make(map[mail.QueueID][]change)} }

func (h *History) try(m *Model, ids []mail.QueueID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	for _, id := range ids {
		c := change{state: h.asked}
		if x := m.messages[id]; x != nil {
			c.m = x.restarted()
		}
		h.changes[id] = append(h.changes[id], c)
	}
	return h.asked
}

func (h *History) safe(state int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sure = max(h.sure, state)
}

// Sure is the last state that is safe, Asked the last one that was asked for.
func (h *History) Sure() int  { h.mu.Lock(); defer h.mu.Unlock(); return h.sure }
func (h *History) Asked() int { h.mu.Lock(); defer h.mu.Unlock(); return h.asked }

// at is a message in a state.
func at(changes []change, state int) *message {
	var m *message
	for _, c := range changes {
		if c.state > state {
			break
		}
		m = c.m
	}
	return m
}

// Model is a model in a state, with a recipient limit.
func (h *History) Model(state, limit int) *Model {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := NewModel(limit)
	for id, changes := range h.changes {
		if x := at(changes, state); x != nil {
			m.messages[id] = x.clone()
		}
	}
	return m
}

// Back makes a state the last one that was asked for: what came after it has not happened.
// What is safe is no later than sure.
func (h *History) Back(sure, state int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked, h.sure = state, min(state, sure)
	for id, changes := range h.changes {
		for len(changes) > 0 && changes[len(changes)-1].state > state {
			changes = changes[:len(changes)-1]
		}
		if h.changes[id] = changes; len(changes) == 0 {
			delete(h.changes, id)
		}
	}
}

// found is a message as a store has it.
type found struct {
	listed mail.Listed
	jobs   []queue.Job // that can be claimed
}

// Find tells in which state a store is that has just been opened: one of from to to. An
// error says what does not fit. A body that is not what it was fits nowhere.
func (h *History) Find(s queue.Store, from, to int) (state int, err error) {
	seen, err := observe(s)
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range seen {
		if h.changes[id] == nil {
			return 0, fmt.Errorf("%s is in the queue, nobody sent it", id)
		}
	}
	known := make(map[*message]error) // what was compared already
	for state = to; state >= from; state-- {
		var wrong error
		for id, changes := range h.changes {
			want := at(changes, state)
			got := seen[id]
			switch {
			case want == nil && got == nil:
				continue
			case want == nil:
				wrong = fmt.Errorf("%s is in the queue, in %s, and should be gone", id, got.listed.Queue)
			case got == nil:
				wrong = fmt.Errorf("%s is lost; it was in %s", id, want.queue())
			default:
				e, compared := known[want]
				if !compared {
					e = got.same(s, want)
					known[want] = e
				}
				wrong = e
			}
			if wrong != nil {
				break
			}
		}
		if wrong == nil {
			return state, nil
		}
		err = wrong
	}
	return 0, fmt.Errorf("the store is in none of the states %d to %d; of the first: %w", from, to, err)
}

// observe lists a store and claims all that can be claimed, for a moment.
func observe(s queue.Store) (map[mail.QueueID]*found, error) {
	list, err := List(s)
	if err != nil {
		return nil, fmt.Errorf("List: %w", err)
	}
	seen := make(map[mail.QueueID]*found)
	for _, l := range list {
		seen[l.ID] = &found{listed: l}
	}
	heads, err := Heads(s)
	if err != nil {
		return nil, fmt.Errorf("Heads: %w", err)
	}
	var claimed []queue.Job
	for _, h := range heads {
		jobs, _, err := s.Claim(context.Background(), h.Dest, h.NextDue.AddDate(9, 0, 0), 1<<30)
		if err != nil {
			return nil, fmt.Errorf("Claim: %w", err)
		}
		claimed = append(claimed, jobs...)
	}
	for _, j := range claimed {
		if seen[j.ID] == nil {
			return nil, fmt.Errorf("%s has a job and is not listed", j.ID)
		}
		seen[j.ID].jobs = append(seen[j.ID].jobs, j)
	}
	s.Release(claimed)
	return seen, nil
}

func (f *found) same(s queue.Store, want *message) error {
	if err := sameListed(f.listed, want.listed()); err != nil {
		return err
	}
	if err := sameStored(s, want); err != nil {
		return err
	}
	jobs := want.jobs
	if want.held {
		jobs = nil
	}
	if len(f.jobs) != len(jobs) {
		return fmt.Errorf("%s has %d jobs that can be claimed, want %d", want.env.ID, len(f.jobs), len(jobs))
	}
	for i := range f.jobs {
		fits := false
		for _, j := range jobs {
			fits = fits || j.same(&f.jobs[i]) == nil
		}
		if !fits {
			return fmt.Errorf("%s has a job that it should not have: %+v", want.env.ID, f.jobs[i])
		}
	}
	return nil
}

// Damage is how a store differs from what it should hold.
type Damage struct {
	Lost    []mail.QueueID // not listed
	Refused []mail.QueueID // listed, and not to be had: in the corrupt queue, or an error
	Altered []mail.QueueID // given out, and not what was stored at any time
	Changed []mail.QueueID // whole, and in another state; or there, and should be gone
}

// Compare tells how a store that was damaged differs from a state.
func (h *History) Compare(s queue.Store, state int) (d Damage, err error) {
	seen, err := observe(s)
	if err != nil {
		return d, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, changes := range h.changes {
		want, got := at(changes, state), seen[id]
		delete(seen, id)
		switch {
		case want == nil && got == nil:
		case got == nil:
			d.Lost = append(d.Lost, id)
		case got.listed.Queue == "corrupt":
			d.Refused = append(d.Refused, id)
		case want != nil && got.same(s, want) == nil:
		default:
			err := error(nil)
			for _, c := range changes {
				if c.m == nil {
					continue
				}
				if err = sameStored(s, c.m); err == nil {
					break
				}
			}
			_, body, lerr := s.Load(context.Background(), id)
			if lerr == nil {
				_, lerr = ReadBody(body)
			}
			switch {
			case lerr != nil:
				d.Refused = append(d.Refused, id)
			case err != nil:
				d.Altered = append(d.Altered, id)
			default:
				d.Changed = append(d.Changed, id)
			}
		}
	}
	for id, got := range seen {
		if got.listed.Queue != "corrupt" {
			d.Altered = append(d.Altered, id)
		}
	}
	return d, nil
}
