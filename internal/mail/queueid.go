package mail

import (
	"errors"
	"sync"
	"time"
)

// QueueID names a message in the queue: 41 bits of milliseconds since 2025, 10 bits
// of node, 13 bits of sequence. IDs increase strictly and are never used again, so
// that the order of keys is the order of arrival. The zero QueueID is none.
type QueueID uint64

// The text form uses Postfix's alphabet of long queue IDs (52 characters, no
// vowels), most significant digit first, always 12 characters: texts sort as IDs do.
const (
	idAlphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	idLength   = 12
	idNodeBits = 10
	idSeqBits  = 13
)

var idEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// ErrBadQueueID is what ParseQueueID returns for a text that no queue ID has.
var ErrBadQueueID = errors.New("not a queue ID")

func (id QueueID) String() string {
	var b [idLength]byte
	return string(id.Append(b[:0]))
}

// Append appends the text form.
func (id QueueID) Append(b []byte) []byte {
	b = append(b, "000000000000"[:idLength]...)
	n := uint64(id)
	for i := len(b) - 1; n > 0; i-- {
		b[i] = idAlphabet[n%uint64(len(idAlphabet))]
		n /= uint64(len(idAlphabet))
	}
	return b
}

// Time is when the ID was made, to the millisecond.
func (id QueueID) Time() time.Time {
	return idEpoch.Add(time.Duration(uint64(id)>>(idNodeBits+idSeqBits)) * time.Millisecond)
}

// Node is the number of the node that made the ID (queue_node).
func (id QueueID) Node() uint16 { return uint16(uint64(id) >> idSeqBits & (1<<idNodeBits - 1)) }

// ParseQueueID reads the text form.
func ParseQueueID(s string) (QueueID, error) {
	if len(s) != idLength {
		return 0, ErrBadQueueID
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := digitOf(s[i])
		if d < 0 {
			return 0, ErrBadQueueID
		}
		hi := n
		n = n*uint64(len(idAlphabet)) + uint64(d)
		if n/uint64(len(idAlphabet)) != hi {
			return 0, ErrBadQueueID
		}
	}
	return QueueID(n), nil
}

func digitOf(c byte) int {
	for i := 0; i < len(idAlphabet); i++ {
		if idAlphabet[i] == c {
			return i
		}
	}
	return -1
}

// IDSource makes queue IDs. It is safe for concurrent use. IDs increase even when
// the clock jumps back: the next is max(clock, last + 1).
type IDSource struct {
	node uint64
	now  func() time.Time

	mu   sync.Mutex // guards last
	last uint64
}

// NewIDSource makes IDs of one node (0 to 1023), all greater than last, the highest
// ID of an earlier run.
func NewIDSource(node uint16, last QueueID, now func() time.Time) *IDSource {
	return &IDSource{node: uint64(node) & (1<<idNodeBits - 1), last: uint64(last), now: now}
}

// Next returns a new ID.
func (s *IDSource) Next() QueueID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := uint64(max(s.now().Sub(idEpoch).Milliseconds(), 1))
	lastMs, lastSeq := s.last>>(idNodeBits+idSeqBits), s.last&(1<<idSeqBits-1)
	switch {
	case ms > lastMs:
		s.last = ms<<(idNodeBits+idSeqBits) | s.node<<idSeqBits
	case lastSeq < 1<<idSeqBits-1:
		s.last = lastMs<<(idNodeBits+idSeqBits) | s.node<<idSeqBits | (lastSeq + 1)
	default: // more than 8192 in one millisecond: borrow from the next
		s.last = (lastMs+1)<<(idNodeBits+idSeqBits) | s.node<<idSeqBits
	}
	return QueueID(s.last)
}
