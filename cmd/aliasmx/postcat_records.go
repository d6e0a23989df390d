package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"syscall"
	"time"

	"aliasmx/internal/mail"
)

// What postcat shows of a message: our envelope in the names of Postfix's records, so
// that those who read the one can read the other.

type postcatPrinter struct {
	*postcatJob
	out  *bufio.Writer
	name string // queue/ID
	at   int64  // offset of the next record
}

// Types of Postfix's records, which -d shows as numbers.
const (
	recordSize      = 'C'
	recordTime      = 'T'
	recordAttr      = 'A'
	recordSender    = 'S'
	recordRcpt      = 'R'
	recordDone      = 'D'
	recordOrigRcpt  = 'O'
	recordContent   = 'M'
	recordText      = 'N'
	recordCont      = 'L' // text whose line goes on in the next record
	recordExtracted = 'X'
	recordEnd       = 'E'
)

// lineLimit is how much of a line one record holds (postconf(5): line_length_limit).
const lineLimit = 2048

// record is an envelope record, and how it is shown.
type record struct {
	kind        byte
	name, value string
	size        int // of what a file would have
}

// begin begins a record and reports whether it is to be shown.
func (p *postcatPrinter) begin(kind byte, size int, wanted bool) bool {
	at := p.at
	var b [binary.MaxVarintLen64]byte
	p.at += int64(1 + binary.PutUvarint(b[:], uint64(size)) + size)
	if !wanted || at < p.skip {
		return false
	}
	if p.offsets {
		fmt.Fprintf(p.out, "%9d ", at)
	}
	if p.decimal {
		fmt.Fprintf(p.out, "%3d ", kind)
	}
	return true
}

func (p *postcatPrinter) print(records []record) {
	for _, r := range records {
		if p.begin(r.kind, r.size, p.envelope) {
			fmt.Fprintf(p.out, "%s: %s\n", r.name, printable(r.value))
		}
	}
}

func (p *postcatPrinter) marker(kind byte, title string) {
	if kind != 0 && !p.begin(kind, 0, p.envelope) || kind == 0 && !p.envelope {
		return
	}
	fmt.Fprintf(p.out, "*** %s %s ***\n", title, p.name)
}

// envelopeRecords collects the records of an envelope.
type envelopeRecords []record

func (l *envelopeRecords) add(kind byte, name, value string) {
	*l = append(*l, record{kind, name, value, len(value)})
}

func (l *envelopeRecords) attr(name, value string) {
	if value != "" {
		l.add(recordAttr, "named_attribute", name+"="+value)
	}
}

func (p *postcatPrinter) envelopeRecords(e *mail.Envelope, listed mail.Listed, known bool) {
	var l envelopeRecords
	arrived := e.Arrived
	l = append(l, record{recordTime, "message_arrival_time", localTime(arrived), len(fmt.Sprintf("%d %06d", arrived.Unix(), arrived.Nanosecond()/1000))})
	l = append(l, record{recordAttr, "create_time", localTime(e.ID.Time()), len(fmt.Sprintf("create_time=%d", e.ID.Time().Unix()))})
	l.attr("log_ident", e.ID.String())
	l.attr("envelope_id", e.EnvID)
	switch e.Ret {
	case "FULL":
		l.attr("ret_flags", "1")
	case "HDRS":
		l.attr("ret_flags", "2")
	}
	l.add(recordSender, "sender", e.Sender.Internal())
	if e.Flags&(mail.FlagBody8BitMIME|mail.FlagEightBit) != 0 {
		l.attr("encoding", "8bit")
	}
	l.origin(e)
	waiting := listed.Rcpts
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		kind, name := byte(recordRcpt), "recipient"
		switch {
		case !known:
		case len(waiting) > 0 && waiting[0].Address == r.Final && waiting[0].Orig == r.OrigTo():
			waiting = waiting[1:]
		case listed.Queue != "corrupt":
			kind, name = recordDone, "done_recipient"
		}
		l.rcpt(r, kind, name)
	}
	p.marker(0, "ENVELOPE RECORDS")
	p.print([]record{sizeRecord(e, l)})
	p.print(l)
	p.marker(recordContent, "MESSAGE CONTENTS")
}

// sizeRecord is the first one: size, offset of the content, recipients, hints for the
// queue manager, length of the content, SMTPUTF8.
func sizeRecord(e *mail.Envelope, rest []record) record {
	const format = "%15d %15d %15d %15d %15d %15d"
	size, utf8 := e.Size+int64(len(e.Prepend)), 0
	if e.Flags&mail.FlagSMTPUTF8 != 0 {
		utf8 = 1
	}
	first := record{kind: recordSize, name: "message_size", size: len(fmt.Sprintf(format, 0, 0, 0, 0, 0, 0))}
	measure := &postcatPrinter{postcatJob: &postcatJob{}}
	measure.print(append([]record{first}, rest...))
	measure.begin(recordContent, 0, false)
	first.value = fmt.Sprintf(format, size, measure.at, len(e.Rcpts), 0, size, utf8)
	return first
}

// origin is who handed the message in.
func (l *envelopeRecords) origin(e *mail.Envelope) {
	c := e.Client
	if c.Protocol == "" || !c.Addr.IsValid() {
		l.attr("log_message_origin", "local")
		return
	}
	addr := c.Addr.String()
	for _, prefix := range []string{"log_", ""} {
		l.attr(prefix+"client_name", c.Name)
		l.attr(prefix+"client_address", addr)
		l.attr(prefix+"client_port", fmt.Sprint(c.Port))
		if prefix != "" {
			l.attr("log_message_origin", c.Name+"["+addr+"]")
		}
		l.attr(prefix+"helo_name", c.Helo)
		l.attr(prefix+"protocol_name", c.Protocol)
	}
	family := syscall.AF_INET6
	if c.Addr.Unmap().Is4() {
		family = syscall.AF_INET
	}
	l.attr("client_address_type", fmt.Sprint(family))
}

func (l *envelopeRecords) rcpt(r *mail.Recipient, kind byte, name string) {
	const asked = mail.NotifyNever | mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	if n := r.Notify & asked; n != 0 {
		l.attr("notify_flags", fmt.Sprint(n)) // the bits are Postfix's
	}
	l.attr("dsn_orig_rcpt", r.ORcpt)
	l.add(recordOrigRcpt, "original_recipient", r.Orig.Internal())
	l.add(kind, name, r.Final.Internal())
}

func (p *postcatPrinter) end() {
	p.marker(recordExtracted, "HEADER EXTRACTED")
	p.marker(recordEnd, "MESSAGE FILE END")
}

func localTime(t time.Time) string { return t.Local().Format(time.ANSIC) }

// content prints the header, the body, or both, with the line ends of this system.
func (p *postcatPrinter) content(prepend []byte, body mail.Body) error {
	if !p.header && !p.body && !p.offsets && p.skip == 0 {
		return nil
	}
	in, err := body.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(prepend), in), 4*lineLimit)
	inHeader, begins := true, true
	for {
		piece, err := r.Peek(lineLimit + 2)
		if err != nil && err != io.EOF {
			return err
		}
		if len(piece) == 0 {
			return nil
		}
		if begins && inHeader {
			inHeader = isHeaderLine(piece)
		}
		text, length := textRecord(piece)
		ends := length > len(text)
		p.text(text, ends, inHeader && p.header || !inHeader && p.body)
		begins = ends
		if _, err := r.Discard(length); err != nil {
			return err
		}
	}
}

// textRecord cuts the next record off what comes: its text, and how much it takes with
// its line end, if that is there.
func textRecord(piece []byte) (text []byte, length int) {
	if i := bytes.IndexByte(piece, '\n'); i >= 0 {
		if text = bytes.TrimSuffix(piece[:i], []byte("\r")); len(text) <= lineLimit {
			return text, i + 1
		}
	}
	text = piece[:min(len(piece), lineLimit)]
	return text, len(text)
}

func (p *postcatPrinter) text(text []byte, ends, wanted bool) {
	kind, name := byte(recordText), "regular_text: "
	if !ends {
		kind, name = recordCont, "unterminated_text: "
	}
	if !p.begin(kind, len(text), wanted) {
		return
	}
	if p.verbose {
		p.out.WriteString(name)
	}
	p.out.Write(text)
	if ends || p.verbose || p.decimal || p.offsets {
		p.out.WriteByte('\n')
	}
}

// isHeaderLine tells whether a line, or its beginning, is a field or continues one.
func isHeaderLine(line []byte) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return true
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	_, _, ok := cutField(line)
	return ok
}
