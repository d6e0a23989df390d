package pebblestore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

// The marks of an adoption. In the directory that is taken over stands
//
//	adopted             whose it is now: an identity, and whether all of it was taken
//
// and in the database of the queue that takes it
//
//	sadopted identity   the same, of each queue that was taken over
//	sheir identity      of each queue whose adoptions are now those of this one
//	o identity id       this message was taken; its ID here, and what was left behind
//
// The file is there before the first message is taken, and from then on no program opens
// the queue but to go on with the adoption. An o key is in the batch that makes the
// message here, and goes after the message is gone there, on stable storage both: so it
// is known at every moment of the few messages that may be in both queues.

const (
	adoptedPart  = "taken over by "
	adoptedWhole = "taken over whole by "
)

// adoptedMark is what the file says.
type adoptedMark struct {
	text  string // "": there is no mark
	taker identity
	whole bool
}

func readAdopted(disk vfs.FS, dir string) (m adoptedMark, err error) {
	path := disk.PathJoin(dir, adoptedFile)
	if m.text, err = readMark(disk, path); err != nil || m.text == "" {
		return m, err
	}
	rest, whole := strings.CutPrefix(m.text, adoptedWhole)
	if !whole {
		rest = strings.TrimPrefix(m.text, adoptedPart)
	}
	m.whole = whole
	by, _, _ := strings.Cut(rest, " ")
	n, err := hex.Decode(m.taker[:], []byte(by[:min(len(by), 2*len(m.taker))]))
	if err != nil || n != len(m.taker) {
		return m, fmt.Errorf("%s is damaged: it says %q; remove it only if you know that no message of this queue was taken over", path, m.text)
	}
	return m, nil
}

// checkAdopted keeps everybody out of a queue that was taken over, but who takes it.
func checkAdopted(disk vfs.FS, dir string, taker bool) error {
	m, err := readAdopted(disk, dir)
	switch {
	case err != nil || m.text == "" || taker:
		return err
	case m.whole:
		return fmt.Errorf("it was %s: its mail is there; move this directory away to begin with an empty queue", m.text)
	}
	return fmt.Errorf("it is being %s: some of its mail is there, and would be delivered twice; let that adoption end (aliasmx queue adopt)", m.text)
}

// mark says in the source's directory whose it is.
func (a *adoption) mark(whole bool) error {
	text := adoptedPart
	if whole {
		text = adoptedWhole
	}
	text += a.taker.identity.String() + " in " + a.taker.opts.Dir
	return writeMark(a.source.disk, a.source.opts.Dir, adoptedFile, text)
}

// note says in the taker's database how far an adoption is.
func (a *adoption) note(whole bool) error {
	value := []byte{0}
	if whole {
		value[0] = 1
	}
	return a.taker.do(&change{prepare: func(b *pebble.Batch) error {
		put(b.Set(identityKey(keyAdopted, a.source.identity), value, nil))
		return nil
	}})
}

func identityKey(prefix string, i identity) []byte { return append([]byte(prefix), i[:]...) }

func originKey(i identity, id mail.QueueID) []byte {
	key := append([]byte{keyOrigin}, i[:]...)
	return append(key, idBytes(id)...)
}

const originKeyLen = 1 + len(identity{}) + 8

// What an o key says, behind the ID here.
const (
	originWhole    = 0
	originBodyLeft = 1 // the body could not be read, and stays where it is
)

// begin claims the source for the taker, or tells why it cannot be had. whole: all of it
// was taken before.
func (a *adoption) begin() (whole bool, err error) {
	t, src := a.taker, a.source
	m, err := readAdopted(src.disk, src.opts.Dir)
	if err != nil {
		return false, err
	}
	known, err := t.value(identityKey(keyAdopted, src.identity))
	if err != nil {
		return false, err
	}
	switch {
	case src.identity == t.identity:
		return false, errors.New("it is a copy of this queue: its mail is here already")
	case m.text == "" && known != nil:
		return false, errors.New("it is a copy of a queue that was taken over before: its mail is here already")
	case m.text != "" && m.taker != t.identity:
		heir, err := t.value(identityKey(keyHeir, m.taker))
		if err != nil {
			return false, err
		}
		if heir == nil {
			return false, fmt.Errorf("it was %s, another queue than this one; if that one is dead as well, adopt it first", m.text)
		}
	}
	if m.whole {
		return true, nil
	}
	if m.taker != t.identity {
		if err := a.mark(false); err != nil {
			return false, err
		}
	}
	if known == nil {
		return false, a.note(false)
	}
	return false, nil
}

// inherit takes over what the source knows of its own adoptions, so that one which it did
// not bring to its end can be brought to it here.
func (a *adoption) inherit() error {
	return a.taker.do(&change{prepare: func(b *pebble.Batch) error {
		put(b.Set(identityKey(keyHeir, a.source.identity), nil, nil))
		for _, prefix := range []string{string(keyOrigin), keyAdopted, keyHeir} {
			it, err := a.source.iter([]byte(prefix), after(prefix))
			if err != nil {
				return err
			}
			for ok := it.First(); ok; ok = it.Next() {
				value, err := it.ValueAndErr()
				if err != nil {
					break
				}
				put(b.Set(it.Key(), value, nil))
			}
			if err := it.Close(); err != nil {
				return fmt.Errorf("read queue: %w", err)
			}
		}
		return nil
	}})
}

// after is the first key behind all that begin with prefix.
func after(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// finish: all is taken. The file says so before the keys go that prevent a second taking.
func (a *adoption) finish() error {
	if err := a.mark(true); err != nil {
		return err
	}
	return a.forget(true)
}

// forget drops the o keys of the source, of all runs.
func (a *adoption) forget(whole bool) error {
	prefix := string(append([]byte{keyOrigin}, a.source.identity[:]...))
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- { // an identity may end in 0xff
		if end[i]++; end[i] != 0 {
			break
		}
	}
	var old [][]byte
	it, err := a.taker.iter([]byte(prefix), end)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		old = append(old, append([]byte{}, it.Key()...))
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	err = a.taker.do(&change{prepare: func(b *pebble.Batch) error {
		for _, key := range old {
			put(b.Delete(key, nil))
		}
		return nil
	}})
	if err != nil || !whole {
		return err
	}
	return a.note(true)
}
