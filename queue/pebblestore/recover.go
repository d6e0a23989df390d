package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
)

// What Open does before anybody may use the store. All of it is bounded by what was
// under way when the store was last in use, and by the number of large bodies; nothing
// grows with the deferred mail.

func (s *Store) recover() error {
	last, err := s.lastID()
	if err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	s.checkClean(last)
	s.highWater, s.lastUsed = last, last
	s.ids = mail.NewIDSource(s.opts.Node, last, s.now)
	if err := s.readCounts(); err != nil {
		return err
	}
	s.firstID = s.ids.Next()
	if err := s.recoverNew(); err != nil {
		return err
	}
	return s.sweep()
}

// highWaterStep is how far ahead of the IDs in use the high-water mark is written, in
// IDs: five seconds of them. So it costs one small record in five seconds.
const highWaterStep = 5000 << 23

// raiseHighWater writes into b, which is to store a message, that its ID is used. IDs
// of messages that are gone by now are not used again even if the clock was set back.
func (s *Store) raiseHighWater(b *pebble.Batch, id mail.QueueID) {
	s.lastUsed = max(s.lastUsed, id)
	if id > s.highWater {
		s.highWater = id + highWaterStep
		put(b.Set([]byte(keyHighWater), idBytes(s.highWater), nil))
	}
}

func idBytes(id mail.QueueID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

// lastID is the highest ID that was ever used, or more.
func (s *Store) lastID() (last mail.QueueID, err error) {
	value, closer, err := s.db.Get([]byte(keyHighWater))
	switch {
	case err == nil:
		if len(value) == 8 {
			last = mail.QueueID(binary.BigEndian.Uint64(value))
		}
		_ = closer.Close()
	case !errors.Is(err, pebble.ErrNotFound):
		return 0, fmt.Errorf("read highest queue ID: %w", err)
	}
	for _, kind := range []byte{keyNew, keyMessage, keyCorrupt} {
		it, err := s.iter([]byte{kind}, []byte{kind + 1})
		if err != nil {
			return 0, err
		}
		if it.Last() {
			if id, ok := parseID(it.Key()); ok {
				last = max(last, id)
			}
		}
		if err := it.Close(); err != nil {
			return 0, fmt.Errorf("read queue: %w", err)
		}
	}
	return last, nil
}

// recoverNew makes the jobs of messages that were not tried yet claimable. No sync is
// needed: as long as the new records are not on stable storage the old ones are.
func (s *Store) recoverNew() error {
	it, err := s.iter([]byte{keyNew}, []byte{keyNew + 1})
	if err != nil {
		return err
	}
	defer it.Close()
	b := s.db.NewBatch()
	const enough = 1 << 20
	now := s.now()
	for ok := it.First(); ok; ok = it.Next() {
		record, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read queue: %w", err)
		}
		id, _ := parseID(it.Key())
		if err := s.recoverOne(b, id, append([]byte(nil), record...), millis(now)); err != nil {
			return err
		}
		if b.Len() >= enough {
			if err := b.Commit(pebble.NoSync); err != nil {
				return err
			}
			b = s.db.NewBatch()
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	return b.Commit(pebble.NoSync)
}

func (s *Store) recoverOne(b *pebble.Batch, id mail.QueueID, record []byte, now int64) error {
	env, err := decodeEnvelope(record)
	if err != nil || len(env.Rcpts) == 0 {
		d := &damage{id, fmt.Sprintf("envelope: %v", err)}
		put(b.Delete(idKey(keyNew, id), nil))
		put(b.Set(idKey(keyCorrupt, id), encodeCorrupt(d.reason, record), nil))
		s.recount(b, stateNone, stateCorrupt)
		s.tellCorrupt(d)
		return nil
	}
	m := &message{id: id, arrived: env.Arrived, fresh: true, raw: record}
	_, closer, err := s.db.Get(idKey(keyFile, id))
	switch {
	case err == nil:
		m.file = true
		_ = closer.Close()
	case !errors.Is(err, pebble.ErrNotFound):
		return fmt.Errorf("read queue: %w", err)
	}
	m.split(env, allRcpts(env), s.opts.recipientLimits(), min(millis(env.Arrived), now))
	s.save(b, m)
	s.forget(id)
	return nil
}

// sweep compares the files of large bodies with what the database says of them. A file
// that no message has is removed; a message whose file is missing is corrupt.
func (s *Store) sweep() error {
	disk := s.spool.fs
	unfinished := disk.PathJoin(s.spool.dir, newDir)
	names, err := disk.List(unfinished)
	if err != nil {
		return fmt.Errorf("list %s: %w", unfinished, err)
	}
	for _, name := range names {
		s.sweepFile(disk.PathJoin(unfinished, name))
	}
	files, err := s.listFiles()
	if err != nil {
		return err
	}
	it, err := s.iter([]byte{keyFile}, []byte{keyFile + 1})
	if err != nil {
		return err
	}
	defer it.Close()
	var missing []*damage
	for ok := it.First(); ok; ok = it.Next() {
		id, _ := parseID(it.Key())
		if _, there := files[id]; !there {
			missing = append(missing, &damage{id, "its body file " + s.spool.path(id) + " is missing"})
		}
		delete(files, id)
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	for _, path := range files {
		s.sweepFile(path)
	}
	return s.recoverMissing(missing)
}

// forget ends the hand on a message for which there is no committer yet.
func (s *Store) forget(id mail.QueueID) {
	s.written()
	delete(s.active, id)
}

func (s *Store) recoverMissing(missing []*damage) error {
	for _, d := range missing {
		b := s.db.NewBatch()
		_, moved, err := s.moveToCorrupt(b, d)
		s.forget(d.id)
		if err == nil && moved {
			s.tellCorrupt(d)
			err = b.Commit(pebble.Sync)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listFiles finds all body files, by the ID in their names. What has no ID for a name
// is not ours and stays.
func (s *Store) listFiles() (map[mail.QueueID]string, error) {
	disk := s.spool.fs
	dirs, err := disk.List(s.spool.dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.spool.dir, err)
	}
	files := make(map[mail.QueueID]string)
	for _, dir := range dirs {
		n, err := strconv.ParseUint(dir, 16, 8)
		if err != nil || len(dir) != 2 {
			continue
		}
		names, err := disk.List(disk.PathJoin(s.spool.dir, dir))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", s.spool.dir, err)
		}
		s.spool.made[byte(n)] = true
		for _, name := range names {
			if id, err := mail.ParseQueueID(name); err == nil && bucket(id) == byte(n) {
				files[id] = disk.PathJoin(s.spool.dir, dir, name)
			}
		}
	}
	return files, nil
}

func (s *Store) sweepFile(path string) {
	if err := s.spool.fs.Remove(path); err != nil {
		s.log.Warn(fmt.Sprintf("queue: remove %s, which belongs to no message: %v", path, err))
	}
}
