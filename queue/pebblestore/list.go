package pebblestore

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
)

// listPage is how many messages List reads at a time. Between two pages nothing is
// kept open: an operator's slow terminal must not keep memtables in memory.
const listPage = 256

// List implements queue.Store.
func (s *Store) List(ctx context.Context, yield func(mail.Listed) bool) error {
	for next, more := mail.QueueID(0), true; more; {
		var page []mail.Listed
		var err error
		if page, next, more, err = s.listPage(ctx, next); err != nil {
			return err
		}
		for _, l := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !yield(l) {
				return nil
			}
		}
	}
	return nil
}

// listPage reads the messages from an ID on, and returns where the next page begins.
func (s *Store) listPage(ctx context.Context, from mail.QueueID) (page []mail.Listed, next mail.QueueID, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, false, err
	}
	if err := s.enter(); err != nil {
		return nil, 0, false, err
	}
	defer s.leave()
	snap := s.db.NewSnapshot()
	defer snap.Close()
	w := &walk{store: s}
	defer w.close()
	for _, kind := range []byte{keyNew, keyMessage, keyCorrupt, keyJob} {
		it, err := snap.NewIter(&pebble.IterOptions{LowerBound: idKey(kind, from), UpperBound: []byte{kind + 1}})
		if err != nil {
			return nil, 0, false, fmt.Errorf("read queue: %w", err)
		}
		it.First()
		w.its = append(w.its, it)
	}
	for len(page) < listPage {
		kind, id := w.first()
		if kind < 0 {
			return page, 0, false, w.error()
		}
		if l, ok := w.read(kind, id); ok {
			page = append(page, l)
		}
		if id == math.MaxUint64 {
			return page, 0, false, w.error()
		}
		next = id + 1
		w.its[kind].Next()
	}
	return page, next, true, w.error()
}

// walk goes through the queues side by side, in the order of IDs. Its iterators are,
// in this order, over new messages, other messages, corrupt ones, and jobs.
type walk struct {
	store *Store
	its   []*pebble.Iterator
}

const (
	walkNew = iota
	walkMessage
	walkCorrupt
	walkJob
)

func (w *walk) close() {
	for _, it := range w.its {
		_ = it.Close()
	}
}

func (w *walk) error() error {
	for _, it := range w.its {
		if err := it.Error(); err != nil {
			return fmt.Errorf("read queue: %w", err)
		}
	}
	return nil
}

// first is the lowest ID that an iterator stands at, and which; -1 at the end.
func (w *walk) first() (kind int, id mail.QueueID) {
	kind = -1
	for k, it := range w.its[:walkJob] {
		if !it.Valid() {
			continue
		}
		if at, ok := parseID(it.Key()); ok && (kind < 0 || at < id) {
			kind, id = k, at
		}
	}
	return kind, id
}

// read makes of a record what operators see. A message whose record is damaged is
// shown as corrupt before anybody has tried to load it.
func (w *walk) read(kind int, id mail.QueueID) (mail.Listed, bool) {
	value, err := w.its[kind].ValueAndErr()
	if err != nil {
		return mail.Listed{}, false
	}
	if kind == walkCorrupt {
		return listCorrupt(id, bytes.Clone(value)), true
	}
	env, err := decodeEnvelope(value)
	var m *message
	if err == nil {
		m, err = w.jobs(kind, id, env)
	}
	if err != nil {
		return listCorrupt(id, encodeCorrupt(err.Error(), value)), true
	}
	return w.store.listed(m, env)
}

// jobs reads the jobs of a message; those of a new one are its recipients.
func (w *walk) jobs(kind int, id mail.QueueID, env *mail.Envelope) (*message, error) {
	if kind == walkMessage {
		return w.store.loadJobs(w.its[walkJob], id)
	}
	m := &message{id: id, fresh: true}
	m.split(env, allRcpts(env), math.MaxInt, 0)
	return m, nil
}

// listed puts together what is on disk and what is known of claims.
func (s *Store) listed(m *message, env *mail.Envelope) (mail.Listed, bool) {
	l := mail.Listed{
		Queue:   "incoming",
		ID:      m.id,
		Arrived: env.Arrived,
		Size:    env.Size + int64(len(env.Prepend)),
		Sender:  env.Sender,
	}
	reasons := make(map[int]string)
	for _, j := range m.jobs {
		for i, r := range j.rcpts {
			reasons[r] = j.reasons[i]
		}
		l.Expired = l.Expired || j.expired
		if j.attempts > 0 {
			l.Queue = "deferred"
		}
	}
	for _, r := range m.open() {
		if r >= len(env.Rcpts) {
			continue
		}
		to := &env.Rcpts[r]
		l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: to.Final, Orig: to.OrigTo(), Reason: reasons[r]})
	}
	s.mu.Lock()
	known := s.active[m.id]
	removed := known != nil && known.removed
	active := known != nil && known.claimed()
	s.mu.Unlock()
	switch {
	case removed:
		return mail.Listed{}, false
	case s.isHeld(m.id):
		l.Queue = "hold"
	case active:
		l.Queue = "active"
	}
	return l, true
}

func (s *Store) isHeld(id mail.QueueID) bool {
	_, closer, err := s.db.Get(idKey(keyHold, id))
	if err != nil {
		return false
	}
	_ = closer.Close()
	return true
}
