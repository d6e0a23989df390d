package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
)

// How many messages are in each queue, without looking at them. The numbers are in
// memory; a batch that changes one of a queue that outlives a restart has them all in a
// record, so that they are as true as what they count. New messages are not in it: they
// are gone through at every start anyway, and the way of a message that is delivered at
// once costs nothing.

// state is what a message is counted as.
type state uint8

const (
	stateNone state = iota
	stateNew        // an n record
	stateIncoming
	stateDeferred
	stateHold
	stateCorrupt
	numStates
)

// kept tells whether a state is in the record.
func (st state) kept() bool { return st > stateNew }

type tally struct {
	n [numStates]int64
	// doubtful: a damaged message did not tell what it was counted as. There is no record
	// then: the next start counts anew.
	doubtful bool
}

// state is the queue of a message, claims aside; see listed.
func (m *message) state() state {
	switch {
	case m.removed:
		return stateNone
	case m.held:
		return stateHold
	case m.fresh:
		return stateNew
	}
	for _, j := range m.jobs {
		if j.attempts > 0 && !j.gone {
			return stateDeferred
		}
	}
	return stateIncoming
}

// count writes into b what a change of a message, which is in b as well, makes of the
// numbers. The caller holds s.mu.
func (s *Store) count(b *pebble.Batch, m *message) {
	now := m.state()
	s.recount(b, m.counted, now)
	m.counted = now
}

func (s *Store) recount(b *pebble.Batch, from, to state) {
	if from == to {
		return
	}
	t := &s.tally
	if from != stateNone {
		t.n[from]--
	}
	if to != stateNone {
		t.n[to]++
	}
	if (from.kept() || to.kept()) && !t.doubtful {
		put(b.Set([]byte(keyCounts), t.encode(), nil))
	}
}

// doubt notes that the numbers may be wrong by one.
func (s *Store) doubt(b *pebble.Batch) {
	s.tally.doubtful = true
	put(b.Delete([]byte(keyCounts), nil))
}

const countsVersion = 1

func (t *tally) encode() []byte {
	b := []byte{countsVersion}
	for st := stateIncoming; st < numStates; st++ {
		b = binary.AppendUvarint(b, uint64(max(t.n[st], 0)))
	}
	return seal(b)
}

func decodeCounts(record []byte) (t tally, err error) {
	b, err := unseal(record)
	if err != nil {
		return t, err
	}
	f := &fields{rest: string(b)}
	if f.byte() > countsVersion {
		return t, errNewer
	}
	for st := stateIncoming; st < numStates; st++ {
		t.n[st] = int64(f.upTo(math.MaxInt64))
	}
	return t, f.end()
}

// readCounts begins with what the record says. A queue that has none, or a damaged one,
// is counted.
func (s *Store) readCounts() error {
	record, closer, err := s.db.Get([]byte(keyCounts))
	if err == nil {
		s.tally, err = decodeCounts(record)
		_ = closer.Close()
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, pebble.ErrNotFound):
		s.log.Warn(fmt.Sprintf("queue: how many messages there are: %v; they are counted anew", err))
	}
	if err := s.countAll(); err != nil {
		// What cannot be read is found out, and said, by whoever needs it.
		s.tally.doubtful = true
		s.log.Warn(fmt.Sprintf("queue: counting messages: %v; the numbers in 'aliasmx status' are too low until the next start", err))
		return s.db.Delete([]byte(keyCounts), pebble.NoSync)
	}
	// Without a sync: a record that is lost is made again.
	return s.db.Set([]byte(keyCounts), s.tally.encode(), pebble.NoSync)
}

// countAll goes through the jobs, which are all that says what state a message is in.
func (s *Store) countAll() error {
	s.tally = tally{}
	held, err := s.iter([]byte{keyHold}, []byte{keyHold + 1})
	if err != nil {
		return err
	}
	defer held.Close()
	held.First()
	jobs, err := s.iter([]byte{keyJob}, []byte{keyJob + 1})
	if err != nil {
		return err
	}
	defer jobs.Close()
	for ok := jobs.First(); ok; ok = jobs.Valid() {
		id, _ := parseID(jobs.Key())
		m := &message{id: id, held: isAt(held, id)}
		for ; ok && isAt(jobs, id); ok = jobs.Next() {
			record, err := jobs.ValueAndErr()
			if err != nil {
				return fmt.Errorf("read queue: %w", err)
			}
			if j, err := decodeJob(record, m); err == nil {
				m.jobs = append(m.jobs, j)
			}
		}
		s.tally.n[m.state()]++
	}
	if err := errors.Join(held.Error(), jobs.Error()); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	corrupt, err := s.iter([]byte{keyCorrupt}, []byte{keyCorrupt + 1})
	if err != nil {
		return err
	}
	defer corrupt.Close()
	for ok := corrupt.First(); ok; ok = corrupt.Next() {
		s.tally.n[stateCorrupt]++
	}
	if err := corrupt.Error(); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	return nil
}

// isAt tells whether an iterator over IDs stands at id, going on to it.
func isAt(it *pebble.Iterator, id mail.QueueID) bool {
	for it.Valid() {
		at, _ := parseID(it.Key())
		if at >= id {
			return at == id
		}
		it.Next()
	}
	return false
}

// Counts implements queue.Store. It looks at the messages in memory: as many as are
// under way.
func (s *Store) Counts(ctx context.Context) (mail.QueueCounts, error) {
	if err := ctx.Err(); err != nil {
		return mail.QueueCounts{}, err
	}
	if err := s.enter(); err != nil {
		return mail.QueueCounts{}, err
	}
	defer s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tally.n
	var active int64
	for _, m := range s.active {
		if m.counted != stateNone && !m.held && m.claimed() {
			n[m.counted]--
			active++
		}
	}
	return mail.QueueCounts{
		Incoming: max(n[stateNew]+n[stateIncoming], 0),
		Active:   active,
		Deferred: max(n[stateDeferred], 0),
		Hold:     max(n[stateHold], 0),
		Corrupt:  max(n[stateCorrupt], 0),
	}, nil
}
