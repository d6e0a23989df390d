package checks

// The body: what is in no header. Each line is looked up by itself.

// checksBody tells whether anybody asks about the body where it stands now.
func (f *Filter) checksBody() bool {
	return len(f.o.Body) > 0 && !f.over && (f.o.BodySizeLimit == 0 || f.offset < f.o.BodySizeLimit)
}

// inBody takes a piece of a line of the body.
func (f *Filter) inBody(raw, text []byte, first bool) {
	begun := f.begun && !first
	checked := f.checksBody()
	f.offset += int64(len(text)) + 1
	f.begun = true
	if !checked {
		f.put(raw)
		return
	}
	key := string(text)
	value, found := f.lookup(f.o.Body, "body_checks", key)
	if !found {
		f.put(raw)
		return
	}
	end := raw[len(text):]
	switch r := f.act(contextBody, "body_checks", key, value); {
	case r.drop && begun:
		f.put(end) // of what has passed of the line
	case r.drop:
		f.begun = false
	case r.replace != "":
		f.put([]byte(r.replace))
		f.put(end)
	default:
		f.put(raw)
	}
}
