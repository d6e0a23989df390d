package checks

import "aliasmx/internal/mail"

// What a filter holds of a message: the field under way and the boundaries of the parts it
// is in. Of most messages that is next to nothing, and so it is asked for when it becomes
// more: whoever comes slowly, and has sent little, keeps memory from nobody.

const (
	smallField      = 16 << 10 // bytes of a field that are held unasked
	smallBoundaries = 8        // boundaries, likewise
)

// heldMemory is what has been asked for.
type heldMemory struct{ field, boundaries bool }

// holdField tells whether a field of so many bytes may be held.
func (f *Filter) holdField(size int) bool {
	if size > smallField && !f.memory.field {
		f.memory.field = f.ask(f.o.HeaderSizeLimit)
		return f.memory.field
	}
	return true
}

// holdBoundaries tells whether so many boundaries may be held.
func (f *Filter) holdBoundaries(n int) bool {
	if n > smallBoundaries && !f.memory.boundaries {
		f.memory.boundaries = f.ask((f.o.NestingLimit + 2) * f.o.BoundaryLengthLimit)
		return f.memory.boundaries
	}
	return true
}

// ask is false when there is no memory: then the message is refused for now.
func (f *Filter) ask(size int) bool {
	if f.m.Reserve == nil || f.m.Reserve(int64(size)) {
		return true
	}
	if f.err == nil {
		f.err = &mail.Status{Code: 452, Enhanced: mail.Code(4, 3, 1), Text: "Error: too much mail under way, try again later"}
	}
	return false
}
