package checks

import (
	"context"
	"io"
	"log/slog"

	"aliasmx/internal/mail"
)

// Table is a lookup table. An error means that it could not answer. It is safe for
// concurrent use, and returns soon after ctx has ended.
type Table interface {
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
	Name() string // TYPE:NAME
}

// Options are what to look at, and how much of it. Each field names its parameter of
// postconf(5); where 0 is not its default, that stands in parentheses and is taken for 0.
type Options struct {
	Header []Table // header_checks
	MIME   []Table // mime_header_checks
	Nested []Table // nested_header_checks
	Body   []Table // body_checks

	BodySizeLimit       int64 // body_checks_size_limit: bytes of each part of the body; 0: all of it
	HeaderSizeLimit     int   // header_size_limit (102400)
	LineLengthLimit     int   // line_length_limit (2048)
	NestingLimit        int   // mime_nesting_limit (100)
	BoundaryLengthLimit int   // mime_boundary_length_limit (2048)
	DisableMIME         bool  // disable_mime_input_processing: all that follows the primary header is body

	// Sending is "smtp" or "lmtp" for what is sent (smtp_header_checks and its relatives):
	// there is nobody to refuse anything, and a message goes where it goes. Only actions
	// that log or change a field or line count.
	Sending string
}

// Rules are what Filters look for. They are safe for concurrent use.
type Rules struct{ o Options }

// New returns nil where there is nothing to look for.
func New(o Options) *Rules {
	if len(o.Header)+len(o.MIME)+len(o.Nested)+len(o.Body) == 0 {
		return nil
	}
	for _, d := range []struct {
		value *int
		def   int
	}{{&o.HeaderSizeLimit, 102400}, {&o.LineLengthLimit, 2048}, {&o.NestingLimit, 100}, {&o.BoundaryLengthLimit, 2048}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return &Rules{o}
}

// Message is what a Filter is told of its message.
type Message struct {
	// Context bounds one lookup; nil: nothing does.
	Context func() context.Context
	// Log has cleanup's name and the queue ID.
	Log *slog.Logger
	// Origin is said in each line of the log: client, from, to, proto and helo, as far as
	// they are known.
	Origin []slog.Attr
	// Returnable: a message that is refused for good is to be returned to its sender. It
	// goes on through the filter, so that there is something to return.
	Returnable bool
	// Held: it goes on hold whatever it holds.
	Held bool
	// Reserve is asked before the filter holds much more of the message than most need:
	// a long field, or many boundaries. False: there is no memory, and the message is
	// refused for now. nil: there is.
	Reserve func(bytes int64) bool
}

// Filter passes one message on. It is used by one goroutine.
type Filter struct {
	*Rules
	m   Message
	dst io.Writer
	err error // the first of dst

	part part   // what the line under way belongs to
	top  bool   // nothing of the message itself has come
	line []byte // what has come of a line that cannot be decided about yet
	// inLine: a part of the line under way has been decided about.
	inLine bool
	begun  bool // something of the line under way, of the body, has passed
	memory heldMemory
	field  field
	hops   int

	mimeType content // that of the header under way, or of the body
	within   []boundary
	offset   int64 // in the part of the body under way, counted as cleanup(8) does
	tooDeep  bool

	wanted  mail.Handling
	refused *mail.Status
	// over: nothing is looked at any more. dropped: nothing is passed on either.
	over, dropped bool
}

// Filter begins a message that is passed on to dst.
func (r *Rules) Filter(dst io.Writer, m Message) *Filter {
	if m.Context == nil {
		m.Context = context.Background
	}
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	return &Filter{Rules: r, m: m, dst: dst, top: true, mimeType: textContent}
}

// Refused is nil, or what the message is to be refused with: *mail.Status with the reply
// at the end of its data. It is known once Close has been called.
func (f *Filter) Refused() *mail.Status { return f.refused }

// Handling is what actions want done with the message.
func (f *Filter) Handling() mail.Handling { return f.wanted }

// Over tells whether nothing is to look at the message any more, milters included: an
// action has decided about it.
func (f *Filter) Over() bool { return f.over }

// Hops is the number of Received fields that have come, those included that actions took
// out (postconf(5): hopcount_limit).
func (f *Filter) Hops() int { return f.hops }

// lookup asks the tables about a key. A table that cannot answer stops everything.
func (f *Filter) lookup(tables []Table, parameter, key string) (string, bool) {
	if key == "" {
		return "", false
	}
	for _, t := range tables {
		value, found, err := t.Lookup(f.m.Context(), key)
		switch {
		case err != nil || found && value == "":
			why := t.Name() + " has an empty result"
			if err != nil {
				why = err.Error()
			}
			f.m.Log.Warn(f.parameter(parameter) + " map lookup problem -- message not accepted, try again later: " + why)
			f.refuse(&mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Error: queue file write error"})
			f.dropped = true
			return "", false
		case found:
			return value, true
		}
	}
	return "", false
}

// parameter is the full name of one of header_checks, mime_header_checks and so on.
func (f *Filter) parameter(name string) string {
	if f.o.Sending != "" {
		return f.o.Sending + "_" + name
	}
	return name
}

// refuse refuses the message, and looks at nothing more of it.
func (f *Filter) refuse(s *mail.Status) {
	f.refused, f.over = s, true
	f.dropped = f.dropped || !f.m.Returnable || s.Code/100 == 4
}
