package table

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
)

// cdbWriter makes a cdb file. All that goes into it is kept in memory until the end.
type cdbWriter struct {
	f     *os.File
	w     *bufio.Writer
	pos   int64 // of the next record
	slots [256][]cdbRecord
	seen  map[string]string // keys and values so far
	order []string
}

type cdbRecord struct{ hash, pos uint32 }

var errCDBFull = errors.New("a cdb file cannot hold more than 4 GB; use another type of table")

func newCDBWriter(f *os.File) *cdbWriter {
	return &cdbWriter{f: f, seen: map[string]string{}}
}

// add puts a record in. Of two with one key the first counts, or with DupReplace the
// second, which is put at the end then.
func (w *cdbWriter) add(key, value string, dup DupPolicy) (wasThere bool) {
	if _, wasThere = w.seen[key]; wasThere && dup != DupReplace {
		return true
	}
	w.seen[key] = value
	w.order = append(w.order, key)
	return wasThere
}

// finish writes records and tables, and the header last.
func (w *cdbWriter) finish() error {
	if _, err := w.f.Seek(cdbHeader, io.SeekStart); err != nil {
		return err
	}
	w.w, w.pos = bufio.NewWriterSize(w.f, writeSize), cdbHeader
	if err := w.records(); err != nil {
		return err
	}
	head, err := w.tables()
	if err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(head, 0); err != nil {
		return err
	}
	return w.f.Sync()
}

func (w *cdbWriter) records() error {
	last := make(map[string]int, len(w.order)) // where a replaced key counts
	if len(w.order) != len(w.seen) {
		for i, key := range w.order {
			last[key] = i
		}
	}
	for i, key := range w.order {
		if at, ok := last[key]; ok && at != i {
			continue
		}
		value := w.seen[key]
		if w.pos+8+int64(len(key))+int64(len(value)) > math.MaxUint32 {
			return errCDBFull
		}
		hash := cdbHash(key)
		w.slots[hash&255] = append(w.slots[hash&255], cdbRecord{hash, uint32(w.pos)})
		w.pair(uint32(len(key)), uint32(len(value)))
		w.w.WriteString(key)
		if _, err := w.w.WriteString(value); err != nil {
			return err
		}
		w.pos += 8 + int64(len(key)) + int64(len(value))
	}
	return nil
}

// tables writes the hash tables and returns the header. Each has twice as many slots as
// it needs.
func (w *cdbWriter) tables() ([]byte, error) {
	head := make([]byte, 0, cdbHeader)
	for _, records := range w.slots {
		n := uint32(2 * len(records))
		if w.pos+int64(n)*cdbSlot > math.MaxUint32 {
			return nil, errCDBFull
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(w.pos))
		head = binary.LittleEndian.AppendUint32(head, n)
		slots := make([]cdbRecord, n)
		for _, r := range records {
			i := r.hash >> 8 % n
			for slots[i].pos != 0 {
				if i++; i == n {
					i = 0
				}
			}
			slots[i] = r
		}
		for _, s := range slots {
			w.pair(s.hash, s.pos)
		}
		w.pos += int64(n) * cdbSlot
	}
	return head, nil
}

// pair writes two numbers; an error stays in the writer until the next Flush.
func (w *cdbWriter) pair(a, b uint32) {
	var buf [8]byte
	binary.LittleEndian.PutUint32(buf[:], a)
	binary.LittleEndian.PutUint32(buf[4:], b)
	w.w.Write(buf[:])
}
