package table

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped is a file of which lookups read a few bytes here and there. It is mapped into
// memory, so that what mail needs of it is in the page cache, once for all processes.
//
// The kernel maps whole windows around each page that is touched and counts them as
// memory of ours: after some thousand lookups all of a large table. So we count the
// windows too, and give them back when they are too many; the page cache still has them.
// A table has two areas: the records, and behind them the slots that tell where they are.
// Slots are small and every lookup needs some: those of a million entries may stay.
type mapped struct {
	f    *os.File
	fd   int
	id   identity
	data []byte

	split   uint64          // where the slots begin
	skew    uint64          // of the map's first byte in its window: those are of addresses
	windows []atomic.Uint32 // a bit for each: touched since they were given back
	touched [2]atomic.Int64 // how many are, of records and of slots

	paced atomic.Int64 // when the pace was measured last, in nanoseconds
	asked atomic.Int64 // when the kernel was asked for changes last, in nanoseconds
	start time.Time    // what asked counts from
}

const (
	// windowBits is the size of a window, that of Linux's fault_around_bytes: 64 KB.
	windowBits = 16
	// recordWindows and slotWindows are how many stay resident at most: 64 MB and 17 MB. To
	// touch a window again takes microseconds, which matters to who asks for nothing but
	// keys. At the pace of mail it does not, and quietWindows are enough: 8 MB.
	recordWindows = 1024
	slotWindows   = 272
	quietWindows  = 128
	// quietTime is how long the pace of mail takes at least to touch quietWindows.
	quietTime = time.Millisecond
	// writeSize is how much of a table is written at a time. The kernel keeps what was
	// written in one piece in one piece, and since Linux 6.18 maps all of it around a page
	// that is touched.
	writeSize = 32 << 10
	// believeFor is how long a file that was the same is believed to be so, for a key
	// that it has.
	believeFor = time.Millisecond
)

// errRewritten is a file that changed under us: somebody wrote into it instead of
// renaming a new one over it. What it says now cannot be believed.
var errRewritten = errors.New("it was overwritten while in use")

// mapFile maps an open file, which is its own from then on unless there is an error.
func mapFile(f *os.File, id identity, split uint64) (*mapped, error) {
	m := &mapped{f: f, fd: int(f.Fd()), id: id, split: split, start: time.Now()}
	var err error
	if m.data, err = unix.Mmap(m.fd, 0, int(id.size), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map into memory: %w", err)
	}
	// Advice only: neighbours of a record are seldom asked for.
	_ = unix.Madvise(m.data, unix.MADV_RANDOM)
	m.skew = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))) & (1<<windowBits - 1)
	m.windows = make([]atomic.Uint32, (len(m.data)>>windowBits+1)/32+1)
	return m, nil
}

// readRandomly tells the kernel, before anything of a file is read, that there is no use in
// reading ahead: what it reads ahead it keeps in larger pieces.
func readRandomly(fd int) { _ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) }

// touch counts the window of a place in the file that is about to be read. What a
// record has in the next window does not count: the bounds are rough ones.
func (m *mapped) touch(at uint64) {
	window := (at + m.skew) >> windowBits
	bits, bit := &m.windows[window/32], uint32(1)<<(window%32)
	if bits.Load()&bit != 0 || bits.Or(bit)&bit != 0 {
		return
	}
	if at < m.split {
		if n := m.touched[0].Add(1); n > recordWindows || n%quietWindows == 0 && m.isQuiet() {
			m.giveBack(0, 0, m.split)
		}
	} else if m.touched[1].Add(1) > slotWindows {
		m.giveBack(1, m.split, uint64(len(m.data)))
	}
}

// isQuiet tells whether the last quietWindows were touched slowly.
func (m *mapped) isQuiet() bool {
	now := int64(time.Since(m.start))
	return now-m.paced.Swap(now) > int64(quietTime)
}

// giveBack lets go of the pages of an area. Other lookups may be reading there: their
// pages come back.
func (m *mapped) giveBack(area int, from, to uint64) {
	m.touched[area].Store(0)
	for w := (from + m.skew) >> windowBits / 32; w <= (to+m.skew)>>windowBits/32; w++ {
		m.windows[w].Store(0)
	}
	from &^= uint64(os.Getpagesize() - 1)
	// Advice only: an error costs memory.
	_ = unix.Madvise(m.data[from:to], unix.MADV_DONTNEED)
}

// unchanged asks the kernel whether the file was written to since it was opened. We
// never do that, but postmap(1) of Postfix and cp(1) do, and between their first
// byte and their last "not found" would be a lie.
func (m *mapped) unchanged() error {
	now, err := identityOf(m.fd)
	if err != nil {
		return err
	}
	if now != m.id {
		return errRewritten
	}
	return nil
}

// believed is unchanged for a key that was found, record and all: the kernel is asked
// once in believeFor only, which takes longer than the lookup.
func (m *mapped) believed() error {
	now := int64(time.Since(m.start))
	if now-m.asked.Load() < int64(believeFor) {
		return nil
	}
	m.asked.Store(now)
	return m.unchanged()
}

func (m *mapped) close() error {
	err := unix.Munmap(m.data)
	return errors.Join(err, m.f.Close())
}

// guarded calls read, which reads from a mapped file. That a page is no longer in the
// file, because somebody cut it short, is an error of it. Any other panic goes on.
func guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, fault := r.(interface{ Addr() uintptr }); !fault {
			panic(r)
		}
		err = errRewritten
	}()
	return read()
}
