package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// The index file, version 2. All numbers are little-endian.
//
//	header   64 bytes, below
//	records  each: length of key, length of value, line (uvarints), key, value
//	slots    of 8 bytes, a third more of them than entries, open addressing, linear
//	         probing: the low 24 bits of the key's hash and 40 bits of where its record
//	         begins; 0 is a free slot. The high bits of the hash choose the slot.
//
// The header's checksums cover the whole file and are verified when it is opened: a
// damaged file never answers. Every position read from the file is checked against
// its bounds all the same.
const (
	indexMagic   = "AMXTABLE"
	indexVersion = 2
	headerSize   = 64

	offsetBits  = 40
	maxOffset   = 1<<offsetBits - 1
	maxKeyValue = maxLine

	// flagReplaced says that some records are no longer in force: a later one has
	// their key.
	flagReplaced = 1

	// flagNoNull says that postmap -n made it.
	flagNoNull = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type indexHeader struct {
	flags    uint32
	entries  uint64
	slotsAt  uint64 // where the slots begin: the records end there
	slots    uint64
	checksum uint32 // of everything behind the header
}

func (h indexHeader) size() uint64 { return h.slotsAt + 8*h.slots }

func (h indexHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, indexMagic)
	binary.LittleEndian.PutUint32(b[8:], indexVersion)
	binary.LittleEndian.PutUint32(b[12:], h.flags)
	binary.LittleEndian.PutUint64(b[16:], h.entries)
	binary.LittleEndian.PutUint64(b[24:], h.slotsAt)
	binary.LittleEndian.PutUint64(b[32:], h.slots)
	binary.LittleEndian.PutUint32(b[40:], h.checksum)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// errNotOurs is a file that does not begin as an index of ours.
var errNotOurs = errors.New("not a table index")

// decodeHeader reads a header and checks that it fits a file of that size.
func decodeHeader(b []byte, size uint64) (indexHeader, error) {
	if len(b) < len(indexMagic) || string(b[:len(indexMagic)]) != indexMagic {
		return indexHeader{}, errNotOurs
	}
	if len(b) < headerSize {
		return indexHeader{}, errors.New("it is damaged: shorter than its header")
	}
	if binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return indexHeader{}, errors.New("it is damaged: the checksum of its header is wrong")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != indexVersion {
		return indexHeader{}, fmt.Errorf("it has version %d of the format, this program reads version %d", v, indexVersion)
	}
	h := indexHeader{
		flags:    binary.LittleEndian.Uint32(b[12:]),
		entries:  binary.LittleEndian.Uint64(b[16:]),
		slotsAt:  binary.LittleEndian.Uint64(b[24:]),
		slots:    binary.LittleEndian.Uint64(b[32:]),
		checksum: binary.LittleEndian.Uint32(b[40:]),
	}
	switch {
	case h.slotsAt < headerSize, h.slotsAt > maxOffset, h.slots == 0, h.slots > maxOffset/8, h.entries >= h.slots:
		return indexHeader{}, errors.New("it is damaged: its header makes no sense")
	case h.size() != size:
		return indexHeader{}, fmt.Errorf("it is damaged: %d bytes where %d should be", size, h.size())
	}
	return h, nil
}

// hashKey is 64-bit FNV-1a, with a last stirring so that its high bits, which choose
// the slot, depend on all of the key. It is part of the format.
func hashKey[T string | []byte](key T) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

// slotOf is what a slot holds for a record: the low bits of its key's hash spare a
// lookup most of the records that only share the slot's neighbourhood.
func slotOf(hash, offset uint64) uint64 { return hash<<offsetBits | offset }

// slotFor is where the search for a key begins.
func (h indexHeader) slotFor(hash uint64) uint64 {
	at, _ := bits.Mul64(hash, h.slots)
	return at
}

// slotsFor keeps a quarter of the slots free.
func slotsFor(entries int) uint64 { return uint64(entries)*4/3 + 8 }
