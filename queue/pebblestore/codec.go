package pebblestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// Records are written by hand: a version byte, fields in a fixed order, and at the
// end a CRC32C of all before it. Numbers are varints; text and bytes have their
// length before them.

var (
	errChecksum  = errors.New("checksum does not match")
	errMalformed = errors.New("malformed record")
	errNewer     = errors.New("record of a newer version of this program")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// seal ends a record with its checksum.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks a record's checksum and takes it off.
func unseal(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errMalformed
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errChecksum
	}
	return body, nil
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// fields reads a record. What cannot be read is zero, and bad stays set: callers look
// at it once, at the end. The text of a record is copied once, and all strings of the
// record share the copy.
type fields struct {
	rest string
	bad  bool
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.bad = true
		return 0
	}
	c := f.rest[0]
	f.rest = f.rest[1:]
	return c
}

func (f *fields) uint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := f.byte()
		if shift == 63 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	f.bad, f.rest = true, ""
	return 0
}

func (f *fields) int() int64 {
	n := f.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads a number of things of at least size bytes each: no more than can follow.
func (f *fields) count(size int) int {
	n := f.uint()
	if n > uint64(len(f.rest)/size) {
		f.bad, f.rest = true, ""
		return 0
	}
	return int(n)
}

// upTo reads a number that must not be greater than limit.
func (f *fields) upTo(limit uint64) uint64 {
	n := f.uint()
	if n > limit {
		f.bad = true
		return 0
	}
	return n
}

func (f *fields) text() string {
	n := f.count(1)
	s := f.rest[:n]
	f.rest = f.rest[n:]
	return s
}

func (f *fields) time() time.Time {
	sec, ns := f.int(), f.uint()
	if ns >= 1e9 {
		f.bad = true
		return time.Time{}
	}
	return time.Unix(sec, int64(ns))
}

// end tells whether the record was well formed to its last byte.
func (f *fields) end() error {
	if f.bad || f.rest != "" {
		return errMalformed
	}
	return nil
}
