package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// index is an index file open for reading.
type index struct {
	*mapped
	source string // the source text, for Locate
	head   indexHeader
}

// errDamaged is a place in the file that points outside of it.
var errDamaged = errors.New("it is damaged")

// openIndex opens and verifies an index. errNotOurs is a file of another format.
func openIndex(file, source string) (*index, error) {
	f, err := openFile(file)
	if err != nil {
		return nil, err
	}
	x := &index{source: source}
	if err := x.open(f); err != nil {
		f.Close()
		return nil, err
	}
	return x, nil
}

func (x *index) open(f *os.File) error {
	id, err := identityOf(int(f.Fd()))
	if err != nil {
		return err
	}
	readRandomly(int(f.Fd()))
	header := make([]byte, headerSize)
	n, err := f.ReadAt(header, 0) // a directory fails here
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if x.head, err = decodeHeader(header[:n], uint64(id.size)); err != nil {
		return err
	}
	if err := x.verify(f, id.size); err != nil {
		return err
	}
	x.mapped, err = mapFile(f, id, x.head.slotsAt)
	return err
}

// verify reads the whole file once. It goes by read(2), not through the map, so that
// it does not count as memory of ours.
func (x *index) verify(f *os.File, size int64) error {
	var sum uint32
	buf := make([]byte, 256<<10)
	r := io.NewSectionReader(f, headerSize, size-headerSize)
	for {
		n, err := r.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if sum != x.head.checksum {
		return fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	return nil
}

// find looks a key up; it is in stored form. The errors mean that the file is no
// longer what was opened.
func (x *index) find(key string) (l located, found bool, err error) {
	err = guarded(func() (err error) {
		l, found, err = x.search(key)
		return err
	})
	return l, found, err
}

func (x *index) search(key string) (l located, found bool, err error) {
	hash := hashKey(key)
	i := x.head.slotFor(hash)
	for range x.head.slots {
		at := x.head.slotsAt + 8*i
		x.touch(at)
		slot := binary.LittleEndian.Uint64(x.data[at:])
		if slot == 0 {
			return located{}, false, x.unchanged()
		}
		if i++; i == x.head.slots {
			i = 0
		}
		if slot>>offsetBits != slotOf(hash, 0)>>offsetBits {
			continue
		}
		k, v, line, _, err := x.record(slot & maxOffset)
		if err != nil {
			return located{}, false, err
		}
		if string(k) == key {
			return located{string(v), line}, true, x.believed()
		}
	}
	return located{}, false, errDamaged
}

// record reads the record at a place in the file, and tells where the next begins.
func (x *index) record(off uint64) (key, value []byte, line int, next uint64, err error) {
	if off < headerSize || off >= x.head.slotsAt {
		return nil, nil, 0, 0, errDamaged
	}
	x.touch(off)
	rest := x.data[off:x.head.slotsAt]
	var field [3]uint64
	for i := range field {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, nil, 0, 0, errDamaged
		}
		field[i], rest = v, rest[n:]
	}
	keyLen, valueLen := field[0], field[1]
	if keyLen > maxKeyValue || valueLen > maxKeyValue || keyLen+valueLen > uint64(len(rest)) {
		return nil, nil, 0, 0, errDamaged
	}
	next = x.head.slotsAt - uint64(len(rest)) + keyLen + valueLen
	return rest[:keyLen], rest[keyLen : keyLen+valueLen], int(field[2] & (1<<31 - 1)), next, nil
}

// each enumerates the records in the order in which they were written.
func (x *index) each(yield func(key string, l located) bool) (err error) {
	for off := uint64(headerSize); off < x.head.slotsAt; {
		key, l, next, live, err := x.copyRecord(off)
		if err != nil {
			return err
		}
		if live && !yield(key, l) {
			break
		}
		off = next
	}
	return x.unchanged()
}

func (x *index) copyRecord(off uint64) (key string, l located, next uint64, live bool, err error) {
	err = guarded(func() error {
		k, v, line, following, err := x.record(off)
		if err != nil {
			return err
		}
		key, l, next = string(k), located{string(v), line}, following
		live = x.head.flags&flagReplaced == 0 || x.inForce(key, off)
		return nil
	})
	return key, l, next, live, err
}

// inForce tells whether the record at off is the one that its key's slot names.
func (x *index) inForce(key string, off uint64) bool {
	hash := hashKey(key)
	want, i := slotOf(hash, off), x.head.slotFor(hash)
	for range x.head.slots {
		at := x.head.slotsAt + 8*i
		x.touch(at)
		switch binary.LittleEndian.Uint64(x.data[at:]) {
		case want:
			return true
		case 0:
			return false
		}
		if i++; i == x.head.slots {
			i = 0
		}
	}
	return false
}
