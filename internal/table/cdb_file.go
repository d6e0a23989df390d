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
// error. It reads with pread(2) and not by mmap(2), so that a file that is truncated
// under it is an error too, and no SIGBUS.
type cdbFile struct {
	r      io.ReaderAt
	closer io.Closer
	size   int64
	tables [256]cdbTable
}

func openCDBFile(name string) (*cdbFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var c *cdbFile
		if c, err = newCDBFile(f, info.Size()); err == nil {
			c.closer = f
			return c, nil
		}
	}
	f.Close()
	return nil, err
}

func newCDBFile(r io.ReaderAt, size int64) (*cdbFile, error) {
	c := &cdbFile{r: r, size: size}
	var head [cdbHeader]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = errCDBDamaged
		}
		return nil, err
	}
	for i := range c.tables {
		t := cdbTable{binary.LittleEndian.Uint32(head[i*8:]), binary.LittleEndian.Uint32(head[i*8+4:])}
		if t.pos < cdbHeader || int64(t.pos)+int64(t.slots)*cdbSlot > size {
			return nil, errCDBDamaged
		}
		c.tables[i] = t
	}
	return c, nil
}

func (c *cdbFile) close() {
	if c.closer != nil {
		c.closer.Close()
	}
}

// pair reads two numbers.
func (c *cdbFile) pair(pos int64) (a, b uint32, err error) {
	var buf [8]byte
	if err := c.read(buf[:], pos); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(buf[:]), binary.LittleEndian.Uint32(buf[4:]), nil
}

func (c *cdbFile) read(buf []byte, pos int64) error {
	if pos < 0 || pos+int64(len(buf)) > c.size {
		return errCDBDamaged
	}
	n, err := c.r.ReadAt(buf, pos)
	if n == len(buf) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errCDBDamaged
	}
	return err
}

// find returns the value of a key; nil when there is none.
func (c *cdbFile) find(key string) ([]byte, error) {
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

// bytes reads n bytes; the file is looked at before memory is.
func (c *cdbFile) bytes(pos, n int64) ([]byte, error) {
	if pos+n > c.size {
		return nil, errCDBDamaged
	}
	buf := make([]byte, n)
	return buf, c.read(buf, pos)
}

// each goes through the records in their order. They end where the first table is.
func (c *cdbFile) each(yield func(key, value []byte) bool) error {
	end := c.size
	for _, t := range c.tables {
		end = min(end, int64(t.pos))
	}
	for pos := int64(cdbHeader); pos < end; {
		keyLen, valueLen, err := c.pair(pos)
		if err != nil {
			return err
		}
		next := pos + 8 + int64(keyLen) + int64(valueLen)
		if next > end {
			return errCDBDamaged
		}
		buf, err := c.bytes(pos+8, next-pos-8)
		if err != nil {
			return err
		}
		if !yield(buf[:keyLen:keyLen], buf[keyLen:]) {
			return nil
		}
		pos = next
	}
	return nil
}
