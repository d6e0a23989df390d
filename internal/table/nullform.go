package table

// NullForm is whether keys and values end in a null byte: postmap -N (they do) and -n
// (they do not). Postfix reads either form unless it is told which; its hash, btree and
// lmdb files have null bytes unless told otherwise, its cdb files have none. Our own
// index stores no null bytes, but remembers which form was asked for, so that it
// answers as a file of Postfix does.
type NullForm uint8

const (
	NullAny NullForm = iota
	NullAdded
	NullNone
)

// reads tells whether a lookup of this form finds anything in a file of that one.
func (n NullForm) reads(file NullForm) bool { return n == NullAny || n == file }

// keys are what a lookup in a file of real null bytes tries.
func (n NullForm) keys(key string) []string {
	switch n {
	case NullAdded:
		return []string{key + "\x00"}
	case NullNone:
		return []string{key}
	}
	return []string{key, key + "\x00"}
}

func (w *indexWriter) setNullForm(n NullForm) {
	w.flags &^= flagNoNull
	if n == NullNone {
		w.flags |= flagNoNull
	}
}

func (w *indexWriter) nullForm() NullForm { return indexHeader{flags: w.flags}.nullForm() }

func (h indexHeader) nullForm() NullForm {
	if h.flags&flagNoNull != 0 {
		return NullNone
	}
	return NullAdded
}
