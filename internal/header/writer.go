package header

import (
	"bytes"
	"io"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Options say what a Writer does. The zero value only looks.
type Options struct {
	DropFields []string // message_drop_headers: names, in any case

	// Drop, when not nil, is asked about each field with a name of MayDrop (in any case), once
	// the field is whole: true takes it out. It gets the name as MayDrop has it, and the field
	// from its name to its last line end, which holds during the call. A field of such a name
	// that is longer than HeaderSizeLimit is taken out unasked.
	MayDrop []string
	Drop    func(name string, field []byte) bool

	// AddMissing adds the fields that a message must have and this one has not.
	AddMissing bool
	ID         mail.QueueID // for Message-Id, as the rest below
	MyHostname string       // myhostname
	Now        time.Time    // also for Date
	From       mail.Address // the reverse-path, completed
	FullName   string       // of a local submitter, "" when not known
	// ObsoleteFrom is header_from_format = obsolete: "address (name)".
	ObsoleteFrom bool

	// HeaderSizeLimit is header_size_limit: how much of one field is looked at. A longer
	// one is passed on whole. TokenLimit is header_address_token_limit: a field that is
	// rewritten ends there. 0 is no limit.
	HeaderSizeLimit, TokenLimit int

	// Rewrite, when not nil, is asked for each address of a field that holds addresses
	// of senders (From, Sender, Reply-To...) or of recipients (To, Cc...). A name without
	// a domain comes as a Local without a Domain. A field in which an address changed is
	// written anew as Postfix does it, every other keeps its bytes. An error is that of
	// Write or Close.
	Rewrite func(a mail.Address, sender bool) (mail.Address, error)
	// KeepSpelling takes an address for changed only if it is another one. Otherwise one
	// that Rewrite would spell differently ("joe"@example.com) is changed as well, which
	// is how cleanup(8) sees it; smtp(8) does not.
	KeepSpelling bool
}

const (
	// maxStart is how long the beginning of a line may be before it is not the name of a
	// field. RFC 5322 section 2.1.1: no line is longer than 998 octets.
	maxStart = 998
	// maxValue and maxIDs bound what is kept to be told.
	maxValue = 998
	maxIDs   = 8
)

// Writer passes one message on. Line ends are CRLF. It is used by one goroutine.
type Writer struct {
	o   Options
	dst io.Writer
	err error // the first of dst, or of Rewrite

	state    state
	begin    bool   // at the beginning of a header line
	dropping bool   // the field under way does not go on
	start    []byte // of a line, as long as it is not clear what it is
	value    []byte // of a Message-ID or TLS-Required field, with its name; nil: not in one
	valueBuf [128]byte
	ofResent bool // it is a Resent-Message-ID
	ofTLS    bool // it is a TLS-Required
	held     rewriter
	asked    asked

	ids      []MessageID
	firstID  [1]MessageID // where ids begins
	hops     int
	seen     fields
	eightBit bool

	tlsOptional bool
}

type state uint8

const (
	atTop    state = iota // nothing of the header has come
	inHeader              // at least one field has come
	inBody
)

// NewWriter begins a message. What it writes is written to dst in pieces of p, and is
// not held back longer than it takes to know what a line is; with Rewrite, fields with
// addresses until they end.
func NewWriter(dst io.Writer, o Options) *Writer {
	return &Writer{o: o, dst: dst, begin: true}
}

// Write takes the next bytes of the message.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && w.state != inBody && w.err == nil {
		if len(w.start) == 0 {
			p = p[w.header(p):]
			continue
		}
		more := p[:min(len(p), max(maxStart-len(w.start), 1))]
		if i := bytes.IndexByte(more, '\n'); i >= 0 {
			more = more[:i+1]
		}
		p = p[len(more):]
		start := append(w.start, more...)
		w.start = nil
		if used := w.header(start); used < len(start) {
			w.put(start[used:])
		}
	}
	w.put(p)
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Close ends the message: a header that has no body after it ends here.
func (w *Writer) Close() error {
	if w.state != inBody {
		if len(w.start) > 0 { // half a line, and no field
			w.endField()
			w.endHeader()
			w.put([]byte("\r\n"))
			w.put(w.start)
			return w.err
		}
		if !w.begin {
			w.pass([]byte("\r\n"))
		}
		w.endField()
		w.endHeader()
	}
	return w.err
}

// Cut ends a message that goes no further, in place of Close: nothing is added to it.
func (w *Writer) Cut() { w.endField() }

// Hops is the number of Received fields (postconf(5): hopcount_limit).
func (w *Writer) Hops() int { return w.hops }

// EightBit tells whether the header holds bytes above 127, which takes SMTPUTF8 to
// carry (RFC 6531 section 3).
func (w *Writer) EightBit() bool { return w.eightBit }

// TLSOptional tells whether the header asks that policies about TLS be left aside
// (TLS-Required: No, RFC 8689 section 3).
func (w *Writer) TLSOptional() bool { return w.tlsOptional }

// Done tells whether the whole header has passed.
func (w *Writer) Done() bool { return w.state == inBody }

// header passes on bytes that belong to the header and returns how many. If it is not
// all, the rest is the body.
func (w *Writer) header(p []byte) int {
	from := 0 // where what has not been passed on begins
	i := 0
	for i < len(p) {
		if w.begin {
			kind, name := classify(p[i:], w.state == atTop)
			if kind == lineUnknown {
				w.pass(p[from:i])
				w.start = append([]byte(nil), p[i:]...)
				return len(p)
			}
			if kind == lineContinued && w.state == atTop {
				kind = lineOther // belongs to nothing
			}
			if kind == lineEmpty || kind == lineOther {
				w.pass(p[from:i])
				w.endField()
				w.endHeader()
				if kind == lineOther {
					w.put([]byte("\r\n"))
				}
				return i
			}
			if kind == lineMbox {
				w.pass(p[from:i])
				w.put([]byte("X-Mailbox-Line: "))
				from = i
			}
			if kind == lineField {
				drop, ask := w.drops(name), w.mayDrop(name)
				if drop || w.o.Rewrite != nil || ask != "" || w.asked.name != "" {
					w.pass(p[from:i])
					from = i
				} else if w.dropping {
					from = i
				}
				w.endField()
				w.dropping, w.state = drop, inHeader
				w.hold(name)
				if !drop {
					w.ask(ask)
				}
				w.beginField(name)
			}
			w.begin = false
		}
		end := len(p)
		if lf := bytes.IndexByte(p[i:], '\n'); lf >= 0 {
			end = i + lf + 1
			w.begin = true
		}
		w.look(p[i:end])
		i = end
	}
	w.pass(p[from:])
	return i
}

// pass passes header bytes on, unless their field is dropped or held back.
func (w *Writer) pass(p []byte) {
	switch {
	case w.dropping || len(p) == 0:
	case w.asked.name != "":
		w.keepAsked(p)
	case w.held.role != noAddresses:
		w.keep(p)
	default:
		w.put(p)
	}
}

func (w *Writer) put(p []byte) {
	if len(p) > 0 && w.err == nil {
		_, w.err = w.dst.Write(p)
	}
}

func (w *Writer) drops(name []byte) bool {
	for _, f := range w.o.DropFields {
		if strings.EqualFold(f, string(name)) {
			return true
		}
	}
	return false
}

// look takes notice of a part of a line.
func (w *Writer) look(p []byte) {
	if w.value != nil {
		room := maxValue
		if l := w.o.HeaderSizeLimit; l > 0 {
			room = min(room, l)
		}
		w.value = append(w.value, p[:max(min(len(p), room-len(w.value)), 0)]...)
	}
	if !w.dropping && w.asked.name == "" {
		w.lookEightBit(p)
	}
}

func (w *Writer) lookEightBit(p []byte) {
	if w.eightBit {
		return
	}
	for _, c := range p {
		if c >= 0x80 {
			w.eightBit = true
			return
		}
	}
}
