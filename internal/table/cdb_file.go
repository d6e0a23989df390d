package table

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// The format: 256 pairs of numbers (position, slots), one for each hash table; the
// records (length of key, length of value, key, value); the hash tables, of slots
// (hash, position of the record), a position of 0 for an empty one. Numbers have four
// bytes, the lowest first. The low byte of a key's hash chooses the table, the rest of
// it the slot where the search begins; it ends at an empty slot.

const (
	cdbHeader = 256 * 8
	cdbSlot   = 8
)

var errCDBDamaged = errors.New("not a cdb file, or a damaged one")

func cdbHash(key string) uint32 {
	h := uint32(5381)
	for i := range len(key) {
		h = (h + h<<5) ^ uint32(key[i])
	}
	return h
}

type cdbTable struct{ pos, slots uint32 }

// cdbFile reads a file. It trusts nothing in it: what lies outside of the file is an
// error.
type cdbFile struct {
	data   []byte
	tables [256]cdbTable
	owner  int     // of the file
	file   *mapped // what data is the contents of; nil when it is in memory
}

func openCDBFile(name string) (*cdbFile, error) {
	f, err := openFile(name)
	if err != nil {
		return nil, err
	}
	owner := fileOwner(f)
	c, err := mapCDBFile(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	c.owner = owner
	return c, nil
}

func mapCDBFile(f *os.File) (*cdbFile, error) {
	id, err := identityOf(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	readRandomly(int(f.Fd()))
	// Read, not mapped: this tells a directory, and a file that cannot be one.
	var head [cdbHeader]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = errCDBDamaged
		}
		return nil, err
	}
	c := &cdbFile{}
	if err := c.readHeader(head[:], id.size); err != nil {
		return nil, err
	}
	if c.file, err = mapFile(f, id, uint64(c.recordsEnd(id.size))); err != nil {
		return nil, err
	}
	c.data = c.file.data
	return c, nil
}

func newCDBFile(data []byte) (*cdbFile, error) {
	c := &cdbFile{data: data}
	if len(data) < cdbHeader {
		return nil, errCDBDamaged
	}
	return c, c.readHeader(data, int64(len(data)))
}

func (c *cdbFile) readHeader(head []byte, size int64) error {
	for i := range c.tables {
		t := cdbTable{binary.LittleEndian.Uint32(head[i*8:]), binary.LittleEndian.Uint32(head[i*8+4:])}
		if t.pos < cdbHeader || int64(t.pos)+int64(t.slots)*cdbSlot > size {
			return errCDBDamaged
		}
		c.tables[i] = t
	}
	return nil
}

func (c *cdbFile) close() error {
	if c.file == nil {
		return nil
	}
	return c.file.close()
}

// bytes is what stands at a place. It is valid until the file is closed.
func (c *cdbFile) bytes(pos, n int64) ([]byte, error) {
	if pos < 0 || n < 0 || pos+n > int64(len(c.data)) {
		return nil, errCDBDamaged
	}
	if c.file != nil {
		c.file.touch(uint64(pos))
	}
	return c.data[pos : pos+n : pos+n], nil
}

// pair reads two numbers.
func (c *cdbFile) pair(pos int64) (a, b uint32, err error) {
	p, err := c.bytes(pos, 8)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:]), nil
}

// find returns a copy of the value of a key; nil when there is none.
func (c *cdbFile) find(key string) (value []byte, err error) {
	err = guarded(func() error {
		found, err := c.search(key)
		if found != nil {
			value = append([]byte{}, found...)
		}
		switch {
		case err != nil || c.file == nil:
			return err
		case found != nil:
			return c.file.believed()
		}
		return c.file.unchanged()
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (c *cdbFile) search(key string) ([]byte, error) {
	hash := cdbHash(key)
	t := c.tables[hash&255]
	if t.slots == 0 {
		return nil, nil
	}
	slot := hash >> 8 % t.slots
	for range t.slots {
		h, pos, err := c.pair(int64(t.pos) + int64(slot)*cdbSlot)
		if err != nil {
			return nil, err
		}
		if pos == 0 {
			return nil, nil
		}
		if h == hash {
			value, err := c.valueAt(int64(pos), key)
			if value != nil || err != nil {
				return value, err
			}
		}
		if slot++; slot == t.slots {
			slot = 0
		}
	}
	return nil, nil
}

// valueAt returns the value of the record at a position if its key is this one.
func (c *cdbFile) valueAt(pos int64, key string) ([]byte, error) {
	keyLen, valueLen, err := c.pair(pos)
	if err != nil {
		return nil, err
	}
	if int(keyLen) != len(key) {
		return nil, nil
	}
	buf, err := c.bytes(pos+8, int64(keyLen)+int64(valueLen))
	if err != nil || string(buf[:keyLen]) != key {
		return nil, err
	}
	return buf[keyLen:], nil
}

// recordsEnd is where the records end: where the first table is.
func (c *cdbFile) recordsEnd(size int64) int64 {
	for _, t := range c.tables {
		size = min(size, int64(t.pos))
	}
	return size
}

// each goes through the records in their order.
func (c *cdbFile) each(yield func(key, value []byte) bool) error {
	end := c.recordsEnd(int64(len(c.data)))
	for pos := int64(cdbHeader); pos < end; {
		var key, value []byte
		err := guarded(func() error {
			keyLen, valueLen, err := c.pair(pos)
			if err != nil {
				return err
			}
			if pos += 8 + int64(keyLen) + int64(valueLen); pos > end {
				return errCDBDamaged
			}
			buf, err := c.bytes(pos-int64(keyLen)-int64(valueLen), int64(keyLen)+int64(valueLen))
			if err != nil {
				return err
			}
			buf = append([]byte{}, buf...)
			key, value = buf[:keyLen:keyLen], buf[keyLen:]
			return nil
		})
		if err != nil {
			return err
		}
		if !yield(key, value) {
			return nil
		}
	}
	if c.file == nil {
		return nil
	}
	return c.file.unchanged()
}
