package header

import "strings"

// Fields that are taken out for what they say, and not for their name alone: an
// Authentication-Results field that claims to be ours (RFC 8601 section 5) is one. Such a
// field is held back until it is whole. Every other field passes as it would without.

// asked holds a field that Options.Drop is to be asked about.
type asked struct {
	name  string // as MayDrop has it; "" when no field is held
	field []byte // from the name on
}

// mayDrop returns the entry of MayDrop that is the name of this field, or "".
func (w *Writer) mayDrop(name []byte) string {
	if w.o.Drop == nil {
		return ""
	}
	for _, f := range w.o.MayDrop {
		if len(f) == len(name) && strings.EqualFold(f, string(name)) {
			return f
		}
	}
	return ""
}

// ask begins to hold a field back; name is what mayDrop said.
func (w *Writer) ask(name string) {
	if w.asked.name = name; name != "" {
		w.asked.field = w.asked.field[:0]
	}
}

// keepAsked takes more of the field. One that is longer than header_size_limit claims a
// name that is asked about and can be judged by nobody: it is taken out.
func (w *Writer) keepAsked(p []byte) {
	limit := w.o.HeaderSizeLimit
	if limit <= 0 {
		limit = defaultSizeLimit
	}
	if len(w.asked.field)+len(p) > limit {
		w.asked = asked{}
		w.dropping = true
		return
	}
	w.asked.field = append(w.asked.field, p...)
}

// judge lets the field go on, or not.
func (w *Writer) judge() {
	name := w.asked.name
	if name == "" {
		return
	}
	w.asked.name = ""
	if w.o.Drop(name, w.asked.field) {
		return
	}
	w.lookEightBit(w.asked.field)
	w.pass(w.asked.field)
}
