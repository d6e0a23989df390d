package table

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
)

// DupPolicy says what to do with a key that a table already has.
type DupPolicy uint8

// Keep the first and warn, keep the first in silence (postmap -w), or take the last
// (postmap -r).
const (
	DupWarn DupPolicy = iota
	DupIgnore
	DupReplace
)

// indexWriter writes an index in one pass. Records go to the file as they come; what
// stays in memory is 24 bytes an entry.
type indexWriter struct {
	f   *os.File
	w   *bufio.Writer
	sum uint32 // of what went through the buffer

	off     uint64 // where the next record begins
	flags   uint32
	entries []indexEntry
	slots   []uint32 // number of an entry, plus one; open addressing
	scratch []byte
}

type indexEntry struct{ hash, off uint64 }

func newIndexWriter(f *os.File) (*indexWriter, error) {
	w := &indexWriter{f: f, off: headerSize, slots: make([]uint32, 1024)}
	w.w = bufio.NewWriterSize(w, writeSize)
	_, err := f.Write(make([]byte, headerSize)) // the real one comes last
	return w, err
}

// Write is where the buffer empties.
func (w *indexWriter) Write(p []byte) (int, error) {
	w.sum = crc32.Update(w.sum, castagnoli, p)
	return w.f.Write(p)
}

// add writes an entry; the key is in stored form. It tells whether the table had it.
func (w *indexWriter) add(key, value string, line int, dup DupPolicy) (known bool, err error) {
	if len(key) > maxKeyValue || len(value) > maxKeyValue {
		return false, fmt.Errorf("entry of %d bytes is too large", len(key)+len(value))
	}
	hash := hashKey(key)
	at, old, err := w.slot(hash, key)
	if err != nil {
		return false, err
	}
	if old != 0 && dup != DupReplace {
		return true, nil
	}
	off := w.off
	if err := w.record(key, value, line); err != nil {
		return false, err
	}
	if old != 0 {
		w.entries[old-1].off = off
		w.flags |= flagReplaced
		return true, nil
	}
	w.entries = append(w.entries, indexEntry{hash, off})
	w.slots[at] = uint32(len(w.entries))
	if len(w.entries)*2 > len(w.slots) {
		w.grow()
	}
	return false, nil
}

func (w *indexWriter) record(key, value string, line int) error {
	b := binary.AppendUvarint(w.scratch[:0], uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = binary.AppendUvarint(b, uint64(line))
	w.scratch = append(append(b, key...), value...)
	w.off += uint64(len(w.scratch))
	if w.off > maxOffset {
		return fmt.Errorf("table is larger than %d bytes", uint64(maxOffset))
	}
	_, err := w.w.Write(w.scratch)
	return err
}

// slot finds where a key's entry is or belongs; old is its number plus one.
func (w *indexWriter) slot(hash uint64, key string) (at, old uint32, err error) {
	mask := uint32(len(w.slots) - 1)
	for at = uint32(hash) & mask; ; at = (at + 1) & mask {
		old = w.slots[at]
		if old == 0 || w.entries[old-1].hash != hash {
			if old == 0 {
				return at, 0, nil
			}
			continue
		}
		same, err := w.keyAt(w.entries[old-1].off, key)
		if same || err != nil {
			return at, old, err
		}
	}
}

// keyAt reads back the key of a record. It is needed for duplicates only: two keys
// of one 64-bit hash are hardly ever two keys.
func (w *indexWriter) keyAt(off uint64, key string) (bool, error) {
	if err := w.w.Flush(); err != nil {
		return false, err
	}
	b := make([]byte, min(uint64(3*binary.MaxVarintLen64+len(key)), w.off-off))
	if _, err := w.f.ReadAt(b, int64(off)); err != nil {
		return false, err
	}
	n, k := binary.Uvarint(b)
	_, v := binary.Uvarint(b[k:])
	_, l := binary.Uvarint(b[k+v:])
	b = b[k+v+l:]
	return n == uint64(len(key)) && len(b) >= len(key) && string(b[:len(key)]) == key, nil
}

func (w *indexWriter) grow() {
	w.slots = make([]uint32, 2*len(w.slots))
	mask := uint32(len(w.slots) - 1)
	for i, e := range w.entries {
		at := uint32(e.hash) & mask
		for w.slots[at] != 0 {
			at = (at + 1) & mask
		}
		w.slots[at] = uint32(i + 1)
	}
}

// finish writes the slots and the header, and syncs the file.
func (w *indexWriter) finish() error {
	w.slots = nil
	h := indexHeader{flags: w.flags, entries: uint64(len(w.entries)), slotsAt: w.off, slots: slotsFor(len(w.entries))}
	slots := make([]uint64, h.slots)
	for _, e := range w.entries {
		at := h.slotFor(e.hash)
		for slots[at] != 0 {
			if at++; at == h.slots {
				at = 0
			}
		}
		slots[at] = slotOf(e.hash, e.off)
	}
	var b [8]byte
	for _, s := range slots {
		binary.LittleEndian.PutUint64(b[:], s)
		if _, err := w.w.Write(b[:]); err != nil {
			return err
		}
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	h.checksum = w.sum
	if _, err := w.f.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	return w.f.Sync()
}
