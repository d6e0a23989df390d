package pebblestore

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

const (
	jobVersion = 2 // 1 had no late

	jobExpired = 1 << 0 // forced to expire by an operator
	jobFile    = 1 << 1 // the body of the message is in a file
	jobBulk    = 1 << 2
	jobTrouble = 1 << 3 // it waits because of its destination

	// maxReason bounds what is kept of a delay reason for postqueue(1).
	maxReason = 1024
)

// job is what is left to do of a message at one destination. It is guarded by
// Store.mu while its message is in Store.active.
type job struct {
	n        uint32
	dest     mail.Dest
	rcpts    []int    // unfinished, ascending
	reasons  []string // of rcpts: why they are late
	attempts int
	due      int64 // milliseconds since 1970
	late     int64 // likewise: when it was deferred last
	trouble  bool  // because of its destination
	bulk     bool
	expired  bool

	claimed bool
	busy    int  // changes being written that touch it: it cannot be claimed
	gone    bool // replaced by requeueing while its attempt was under way

	// What the database has of it, so that save knows what to change.
	stored  bool  // a j record
	indexed bool  // a t key, at indexAt
	indexAt int64 // due time of that key
	dirty   bool  // the j record is not up to date
}

func (j *job) at(id mail.QueueID) due { return due{j.due, id, j.n} }

// view is what callers see of a job.
func (j *job) view(m *message) queue.Job {
	return queue.Job{
		ID:       m.id,
		N:        int(j.n),
		Dest:     j.dest,
		Rcpts:    slices.Clone(j.rcpts),
		Attempts: j.attempts,
		Bulk:     j.bulk,
		Due:      time.UnixMilli(j.due),
		Arrived:  m.arrived,
		Expired:  j.expired,
	}
}

// finish takes a recipient out, if it is there.
func (j *job) finish(rcpt int) bool {
	i, ok := slices.BinarySearch(j.rcpts, rcpt)
	if ok {
		j.rcpts = slices.Delete(j.rcpts, i, i+1)
		j.reasons = slices.Delete(j.reasons, i, i+1)
		j.dirty = true
	}
	return ok
}

// wait notes why a recipient is late.
func (j *job) wait(rcpt int, reason string) {
	if i, ok := slices.BinarySearch(j.rcpts, rcpt); ok {
		j.reasons[i] = reason[:min(len(reason), maxReason)]
		j.dirty = true
	}
}

// encodeJob writes the record of a job.
func encodeJob(m *message, j *job) []byte {
	b := append(make([]byte, 0, 64+len(j.dest)), jobVersion)
	var set byte
	if j.expired {
		set |= jobExpired
	}
	if m.file {
		set |= jobFile
	}
	if j.bulk {
		set |= jobBulk
	}
	if j.trouble {
		set |= jobTrouble
	}
	b = append(b, set)
	b = appendTime(b, m.arrived)
	b = appendText(b, j.dest)
	b = binary.AppendUvarint(b, uint64(j.due))
	b = binary.AppendUvarint(b, uint64(j.attempts))
	b = binary.AppendUvarint(b, uint64(j.late))

	// Recipients of one attempt mostly share their reason: it is written once.
	var reasons []string
	b = binary.AppendUvarint(b, uint64(len(j.rcpts)))
	last := 0
	for i, r := range j.rcpts {
		b = binary.AppendUvarint(b, uint64(r-last))
		last = r
		k := slices.Index(reasons, j.reasons[i])
		if k < 0 {
			k = len(reasons)
			reasons = append(reasons, j.reasons[i])
		}
		b = binary.AppendUvarint(b, uint64(k))
	}
	b = binary.AppendUvarint(b, uint64(len(reasons)))
	for _, r := range reasons {
		b = appendText(b, r)
	}
	return seal(b)
}

// decodeJob reads the record of a job and checks its checksum. What it says of the
// message goes into m.
func decodeJob(record []byte, m *message) (*job, error) {
	b, err := unseal(record)
	if err != nil {
		return nil, err
	}
	return readJob(b, m)
}

func readJob(b []byte, m *message) (*job, error) {
	f := &fields{rest: string(b)}
	version := f.byte()
	if version > jobVersion {
		return nil, errNewer
	}
	set := f.byte()
	m.file = set&jobFile != 0
	m.arrived = f.time()
	j := &job{expired: set&jobExpired != 0, bulk: set&jobBulk != 0, trouble: set&jobTrouble != 0}
	j.dest = mail.Dest(f.text())
	j.due = int64(f.upTo(math.MaxInt64))
	j.attempts = int(f.upTo(math.MaxInt32))
	if version > 1 {
		j.late = int64(f.upTo(math.MaxInt64))
	}

	n := f.count(2)
	j.rcpts, j.reasons = make([]int, n), make([]string, n)
	which := make([]int, n)
	last := 0
	for i := range n {
		step := int(f.upTo(math.MaxInt32))
		if i > 0 && step == 0 || last > math.MaxInt32-step {
			f.bad = true
		}
		last += step
		j.rcpts[i] = last
		which[i] = int(f.upTo(math.MaxInt32))
	}
	reasons := make([]string, f.count(1))
	for i := range reasons {
		reasons[i] = f.text()
	}
	for i, k := range which {
		if k >= len(reasons) {
			return nil, errMalformed
		}
		j.reasons[i] = reasons[k]
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return j, nil
}
