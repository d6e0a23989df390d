package storetest

import (
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// The operator's hand on a Model. Each method returns false, having changed nothing, when
// there is no such message, or it is in no state for what is asked.

func (m *Model) hold(id mail.QueueID) bool {
	x := m.messages[id]
	if x == nil || x.held {
		return false
	}
	x.held = true
	return true
}

func (m *Model) unhold(id mail.QueueID, now time.Time) bool {
	x := m.messages[id]
	if x == nil || !x.held {
		return false
	}
	x.held = false
	x.setDue(now)
	return true
}

func (m *Model) remove(id mail.QueueID) bool {
	x := m.messages[id]
	delete(m.messages, id)
	return x != nil
}

func (m *Model) makeDue(id mail.QueueID, now time.Time) bool {
	x := m.messages[id]
	if x == nil || x.held {
		return false
	}
	x.setDue(now)
	return true
}

func (m *Model) forceExpire(id mail.QueueID, now time.Time) bool {
	x := m.messages[id]
	if x == nil {
		return false
	}
	for _, j := range x.jobs {
		j.expired = true
	}
	x.setDue(now)
	return true
}

func (m *message) setDue(now time.Time) {
	for _, j := range m.jobs {
		j.due = now
	}
}

// requeue makes new jobs of all unfinished recipients, by a route. A recipient that others
// take the place of keeps its index, finished.
func (m *Model) requeue(id mail.QueueID, route queue.Route, now time.Time) bool {
	x := m.messages[id]
	if x == nil {
		return false
	}
	env := *x.env
	env.Rcpts = slices.Clone(env.Rcpts)
	var open []int
	for _, i := range x.open() {
		was := env.Rcpts[i]
		next := route(env.Sender, was)
		same := was
		if len(next) == 1 {
			same.Dest = next[0].Dest
		}
		switch {
		case len(next) == 0:
			open = append(open, i)
		case len(next) == 1 && next[0] == same:
			env.Rcpts[i] = same
			open = append(open, i)
		default:
			for _, r := range next {
				open = append(open, len(env.Rcpts))
				env.Rcpts = append(env.Rcpts, r)
			}
		}
	}
	slices.Sort(open)
	x.env, x.held = &env, false
	x.jobs = slices.DeleteFunc(x.jobs, func(j *job) bool { return !j.claimed })
	for _, j := range x.jobs {
		j.gone = true
	}
	x.split(open, m.Limit, now)
	return true
}
