package pebblestore

import (
	"encoding/binary"
	"math"
	"time"

	"aliasmx/internal/mail"
)

// The keyspace. Numbers are big-endian, so that keys sort as they count.

const (
	keyNew     = 'n'
	keyMessage = 'm'
	keyJob     = 'j'
	keyDue     = 't'
	keyBody    = 'b'
	keyFile    = 'f'
	keyHold    = 'h'
	keyCorrupt = 'x'
	keyOrigin  = 'o'

	keyHighWater = "shighwater"
	keyCounts    = "scounts"
	keyHeldDest  = "sheld " // and the destination
	keyIdentity  = "sidentity"
	keyScrub     = "sscrub"
	keyAdopted   = "sadopted" // and an identity, see adopt.go
	keyHeir      = "sheir"    // and an identity
)

const idKeyLen = 1 + 8

func idKey(kind byte, id mail.QueueID) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, uint64(id))
}

func parseID(key []byte) (mail.QueueID, bool) {
	if len(key) < idKeyLen {
		return 0, false
	}
	return mail.QueueID(binary.BigEndian.Uint64(key[1:])), true
}

func jobKey(id mail.QueueID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(idKey(keyJob, id), n)
}

func parseJobKey(key []byte) (id mail.QueueID, n uint32, ok bool) {
	if len(key) != idKeyLen+4 {
		return 0, 0, false
	}
	id, _ = parseID(key)
	return id, binary.BigEndian.Uint32(key[idKeyLen:]), true
}

// due is a place in the index of a destination.
type due struct {
	at int64 // milliseconds since 1970
	id mail.QueueID
	n  uint32
}

func (d due) before(e due) bool {
	switch {
	case d.at != e.at:
		return d.at < e.at
	case d.id != e.id:
		return d.id < e.id
	}
	return d.n < e.n
}

const dueLen = 8 + 8 + 4

// appendDest writes a destination so that no one is the beginning of another: NUL
// ends it, a NUL inside is written 1 1, a 1 is written 1 2.
func appendDest(b []byte, d mail.Dest) []byte {
	for i := 0; i < len(d); i++ {
		switch c := d[i]; c {
		case 0, 1:
			b = append(b, 1, c+1)
		default:
			b = append(b, c)
		}
	}
	return b
}

// destBounds are the first key of a destination's index and the first one behind it.
func destBounds(d mail.Dest) (first, end []byte) {
	first = append(appendDest([]byte{keyDue}, d), 0)
	end = append([]byte(nil), first...)
	end[len(end)-1] = 1
	return first, end
}

func dueKey(d mail.Dest, at due) []byte {
	b := make([]byte, 0, 1+len(d)+1+dueLen)
	return appendDue(append(appendDest(append(b, keyDue), d), 0), at)
}

func appendDue(b []byte, at due) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(at.at))
	b = binary.BigEndian.AppendUint64(b, uint64(at.id))
	return binary.BigEndian.AppendUint32(b, at.n)
}

func parseDueKey(key []byte) (d mail.Dest, at due, ok bool) {
	if len(key) < 2+dueLen || key[0] != keyDue {
		return "", due{}, false
	}
	text, rest := key[1:len(key)-dueLen-1], key[len(key)-dueLen-1:]
	if rest[0] != 0 {
		return "", due{}, false
	}
	dest := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == 0:
			return "", due{}, false
		case c == 1:
			i++
			if i == len(text) || text[i] < 1 || text[i] > 2 {
				return "", due{}, false
			}
			c = text[i] - 1
		}
		dest = append(dest, c)
	}
	at = due{
		at: int64(binary.BigEndian.Uint64(rest[1:])),
		id: mail.QueueID(binary.BigEndian.Uint64(rest[9:])),
		n:  binary.BigEndian.Uint32(rest[17:]),
	}
	return mail.Dest(dest), at, at.at >= 0
}

// millis is a time as the queue keeps it: to the millisecond, rounded up, so that
// nothing is ever due early.
func millis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) && ms < math.MaxInt64 {
		ms++
	}
	return max(ms, 0)
}
