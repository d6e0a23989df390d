package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// index is an index file open for reading: mapped into memory, so that the pages of
// it that mail needs are in the page cache, once for all processes.
type index struct {
	f      *os.File
	fd     int
	source string // the source text, for Locate
	id     identity
	head   indexHeader
	data   []byte
}

// errRewritten is a file that changed under us: somebody wrote into it instead of
// renaming a new one over it. What it says now cannot be believed.
var errRewritten = errors.New("it was overwritten while in use")

// errDamaged is a place in the file that points outside of it.
var errDamaged = errors.New("it is damaged")

// openIndex opens and verifies an index. errNotOurs is a file of another format.
func openIndex(file, source string) (*index, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	x := &index{f: f, fd: int(f.Fd()), source: source}
	if err := x.open(); err != nil {
		f.Close()
		return nil, err
	}
	return x, nil
}

func (x *index) open() error {
	var err error
	if x.id, err = identityOf(x.fd); err != nil {
		return err
	}
	header := make([]byte, headerSize)
	n, err := x.f.ReadAt(header, 0) // a directory fails here
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if x.head, err = decodeHeader(header[:n], uint64(x.id.size)); err != nil {
		return err
	}
	if err := x.verify(); err != nil {
		return err
	}
	x.data, err = unix.Mmap(x.fd, 0, int(x.id.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map into memory: %w", err)
	}
	// Advice only: neighbours of a record are seldom asked for.
	_ = unix.Madvise(x.data, unix.MADV_RANDOM)
	return nil
}

// verify reads the whole file once. It goes by read(2), not through the map, so that
// it does not count as memory of ours.
func (x *index) verify() error {
	var sum uint32
	buf := make([]byte, 256<<10)
	r := io.NewSectionReader(x.f, headerSize, x.id.size-headerSize)
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

func (x *index) close() error {
	err := unix.Munmap(x.data)
	return errors.Join(err, x.f.Close())
}

// find looks a key up; it is in stored form. The errors mean that the file is no
// longer what was opened.
func (x *index) find(key string) (l located, found bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverFault(&err)

	hash := hashKey(key)
	mask := x.head.slots - 1
	for i, n := hash&mask, uint64(0); n < x.head.slots; i, n = (i+1)&mask, n+1 {
		slot := binary.LittleEndian.Uint64(x.data[x.head.slotsAt+8*i:])
		if slot == 0 {
			return located{}, false, x.unchanged()
		}
		if slot>>offsetBits != hash>>offsetBits {
			continue
		}
		k, v, line, _, err := x.record(slot & maxOffset)
		if err != nil {
			return located{}, false, err
		}
		if string(k) == key {
			return located{string(v), line}, true, x.unchanged()
		}
	}
	return located{}, false, errDamaged
}

// record reads the record at a place in the file, and tells where the next begins.
func (x *index) record(off uint64) (key, value []byte, line int, next uint64, err error) {
	if off < headerSize || off >= x.head.slotsAt {
		return nil, nil, 0, 0, errDamaged
	}
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

// unchanged asks the kernel whether the file was written to since it was opened. We
// never do that, but postmap(1) of Postfix and cp(1) do, and between their first
// byte and their last "not found" would be a lie.
func (x *index) unchanged() error {
	now, err := identityOf(x.fd)
	if err != nil {
		return err
	}
	if now != x.id {
		return errRewritten
	}
	return nil
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
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverFault(&err)
	k, v, line, next, err := x.record(off)
	if err != nil {
		return "", located{}, 0, false, err
	}
	live = x.head.flags&flagReplaced == 0 || x.inForce(string(k), off)
	return string(k), located{string(v), line}, next, live, nil
}

// inForce tells whether the record at off is the one that its key's slot names.
func (x *index) inForce(key string, off uint64) bool {
	hash := hashKey(key)
	want, mask := slotOf(hash, off), x.head.slots-1
	for i, n := hash&mask, uint64(0); n < x.head.slots; i, n = (i+1)&mask, n+1 {
		switch binary.LittleEndian.Uint64(x.data[x.head.slotsAt+8*i:]) {
		case want:
			return true
		case 0:
			return false
		}
	}
	return false
}

// recoverFault turns the fault of touching a page that is no longer in the file, cut
// short by somebody, into an error. Any other panic goes on.
func recoverFault(err *error) {
	r := recover()
	if r == nil {
		return
	}
	if _, fault := r.(interface{ Addr() uintptr }); !fault {
		panic(r)
	}
	*err = errRewritten
}
