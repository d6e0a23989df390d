package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// listPage is how many messages List reads at a time. Between two pages nothing is
// kept open: an operator's slow terminal must not keep memtables in memory.
const listPage = 256

// List implements queue.Store.
func (s *Store) List(ctx context.Context, yield func(mail.Listed) bool) error {
	w := &walk{store: s}
	for more := true; more; {
		page, err := w.page(ctx)
		if err != nil {
			return err
		}
		more = len(page) == listPage
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

// walk goes through the queues side by side, in the order of IDs.
type walk struct {
	store *Store
	next  mail.QueueID // where the next page begins
	// fresh are the new messages when the walk began. They are few, but the traces of
	// those before them are many: they are looked for once. Who is not new any more when
	// his turn comes is among the others.
	begun bool
	fresh []mail.QueueID

	err error // in reading a record

	// Of a page, all of one moment.
	snap *pebble.Snapshot
	its  [walkKinds]*pebble.Iterator
}

const (
	walkMessage = iota
	walkCorrupt
	walkJob
	walkHold
	walkKinds
	walkNew
)

// page reads up to listPage messages.
func (w *walk) page(ctx context.Context) (page []mail.Listed, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.store.enter(); err != nil {
		return nil, err
	}
	defer w.store.leave()
	w.snap = w.store.db.NewSnapshot()
	defer func() {
		if cerr := w.close(); err == nil && cerr != nil {
			err = fmt.Errorf("read queue: %w", cerr)
		}
	}()
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	for len(page) < listPage {
		kind, id := w.first()
		if kind < 0 {
			return page, nil
		}
		if l, ok := w.read(kind, id); ok {
			page = append(page, l)
		}
		w.next = id + 1
		if kind == walkNew {
			w.fresh = w.fresh[1:]
		} else {
			w.its[kind].Next()
		}
	}
	return page, nil
}

func (w *walk) open() error {
	for k, kind := range [walkKinds]byte{keyMessage, keyCorrupt, keyJob, keyHold} {
		it, err := w.snap.NewIter(&pebble.IterOptions{LowerBound: idKey(kind, w.next), UpperBound: []byte{kind + 1}})
		if err != nil {
			return err
		}
		it.First()
		w.its[k] = it
	}
	if w.begun {
		return nil
	}
	w.begun = true
	it, err := w.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{keyNew}, UpperBound: []byte{keyNew + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if id, ok := parseID(it.Key()); ok {
			w.fresh = append(w.fresh, id)
		}
	}
	return it.Close()
}

func (w *walk) close() error {
	err := w.err
	for k, it := range w.its {
		if it != nil {
			if cerr := it.Close(); err == nil {
				err = cerr
			}
			w.its[k] = nil
		}
	}
	if cerr := w.snap.Close(); err == nil {
		err = cerr
	}
	return err
}

// first is the lowest ID that is still to be read, and of which kind; -1 at the end.
func (w *walk) first() (kind int, id mail.QueueID) {
	kind = -1
	for _, k := range []int{walkMessage, walkCorrupt} {
		if at, ok := w.at(k); ok && (kind < 0 || at < id) {
			kind, id = k, at
		}
	}
	if len(w.fresh) > 0 && (kind < 0 || w.fresh[0] <= id) {
		return walkNew, w.fresh[0]
	}
	return kind, id
}

// at is the ID at which an iterator stands.
func (w *walk) at(kind int) (mail.QueueID, bool) {
	it := w.its[kind]
	if !it.Valid() {
		return 0, false
	}
	return parseID(it.Key())
}

// record is what the database has of a message.
func (w *walk) record(kind int, id mail.QueueID) ([]byte, error) {
	if kind != walkNew {
		return w.its[kind].ValueAndErr()
	}
	value, closer, err := w.snap.Get(idKey(keyNew, id))
	if err != nil {
		return nil, err
	}
	value = bytes.Clone(value)
	return value, closer.Close()
}

// read makes of a record what operators see. A message whose record is damaged is
// shown as corrupt before anybody has tried to load it.
func (w *walk) read(kind int, id mail.QueueID) (mail.Listed, bool) {
	value, err := w.record(kind, id)
	if err != nil {
		if !errors.Is(err, pebble.ErrNotFound) { // else it is not new any more
			w.err = err
		}
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
	m.held = w.held(id)
	return w.store.listed(m, env)
}

// held tells whether a message is on hold. IDs are asked for in ascending order.
func (w *walk) held(id mail.QueueID) bool {
	for {
		at, ok := w.at(walkHold)
		if !ok || at >= id {
			return ok && at == id
		}
		w.its[walkHold].Next()
	}
}

// jobs reads the jobs of a message; those of a new one are its recipients.
func (w *walk) jobs(kind int, id mail.QueueID, env *mail.Envelope) (*message, error) {
	if kind == walkMessage {
		return w.store.loadJobs(w.its[walkJob], id)
	}
	m := &message{id: id, fresh: true}
	m.split(env, allRcpts(env), queue.RecipientLimits{Default: math.MaxInt}, 0)
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
		l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: to.Final, Orig: to.OrigTo(), Reason: reasons[r], Dest: to.Dest})
	}
	s.mu.Lock()
	known := s.active[m.id]
	removed := known != nil && known.removed
	active := known != nil && known.claimed()
	s.mu.Unlock()
	switch {
	case removed:
		return mail.Listed{}, false
	case m.held:
		l.Queue = "hold"
	case active:
		l.Queue = "active"
	}
	return l, true
}
