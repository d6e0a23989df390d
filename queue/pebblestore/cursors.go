package pebblestore

import (
	"math"

	"aliasmx/internal/mail"
)

// cursors remember for a destination where in its index the first key is, at the
// earliest. Without them every Claim would walk over the traces of all jobs that were
// delivered since the last compaction. A cursor is a hint: to have none is to begin
// at the beginning.
type cursors map[mail.Dest]due

// nothingLeft is the cursor of a destination whose index is empty.
const nothingLeft = math.MaxInt64

// maxCursors bounds their number; beyond it all are forgotten.
const maxCursors = 1 << 16

// from is where to begin.
func (c cursors) from(d mail.Dest) due { return c[d] }

// set notes that there is nothing before at.
func (c cursors) set(d mail.Dest, at due) {
	if len(c) >= maxCursors {
		clear(c)
	}
	c[d] = at
}

// lower notes that there is a key at a place that may be earlier.
func (c cursors) lower(d mail.Dest, at due) {
	if now, ok := c[d]; ok && at.before(now) {
		c[d] = at
	}
}
