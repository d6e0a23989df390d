package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"aliasmx/internal/mail"
)

// submission is the message on standard input: an io.Reader that ends where the message
// does, at a line with only a dot or at the end of input, and that has read the
// recipients out of the header by then (sendmail -t). It reads no more than it passes
// on, and holds one line.
type submission struct {
	in     *bufio.Reader
	dots   bool  // a line of a dot is the end; not with -i
	limit  int64 // message_size_limit, 0: none
	header *headerRecipients

	size int64
	rest []byte // of the line under way, not yet passed on
	mid  bool   // the next piece continues a line
	top  bool   // nothing but mbox lines has come
	err  error
}

var (
	errTooBig  = errors.New("message file too big")
	errReading = errors.New("error reading input")
)

func newSubmission(in io.Reader, dots bool, limit int64, header *headerRecipients) *submission {
	return &submission{in: bufio.NewReaderSize(in, 32<<10), dots: dots, limit: limit, header: header, top: true}
}

func (s *submission) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.line()
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// line reads the next line, or the next piece of one that is longer than the buffer.
func (s *submission) line() {
	piece, err := s.in.ReadSlice('\n')
	begins := !s.mid
	s.mid = err == bufio.ErrBufferFull
	switch {
	case err == io.EOF:
		s.err = io.EOF
	case err != nil && !s.mid:
		s.err = fmt.Errorf("%w: %w", errReading, err)
		return
	}
	if begins && s.top {
		if isMboxLine(piece) {
			return // an mbox file has it above each message; it belongs to none
		}
		s.top = false
	}
	if begins && s.dots && string(bytes.TrimRight(piece, "\r\n")) == "." {
		s.err = io.EOF
		return
	}
	if s.size += int64(len(piece)); s.limit > 0 && s.size > s.limit {
		s.err = errTooBig
		return
	}
	if s.header != nil {
		if err := s.header.take(piece, begins); err != nil {
			s.err = err
			return
		}
	}
	s.rest = piece
}

func isMboxLine(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

// headerRecipients are the addresses in the To, Cc and Bcc fields of a header, or in
// their Resent- forms if there are any: then the message was sent before, and not to
// those of the others (RFC 5322 section 3.6.6).
type headerRecipients struct {
	first, resent []mail.Address

	field  []byte // of a field with recipients, its value so far
	to     *[]mail.Address
	before bool // some field came: a line can continue it
	ended  bool
}

// maxRecipientField is how long one field may be. It is far above header_size_limit:
// to cut off recipients without a word is worse than to say no.
const maxRecipientField = 1 << 20

var errFieldTooLong = fmt.Errorf("a header field with recipients is longer than %d bytes", maxRecipientField)

// take reads a piece of the message: a line, or a part of one; begins says which.
func (h *headerRecipients) take(piece []byte, begins bool) error {
	if h.ended {
		return nil
	}
	if begins {
		text := bytes.TrimRight(piece, "\r\n")
		continued := len(text) > 0 && (text[0] == ' ' || text[0] == '\t')
		name, value, isField := cutField(text)
		switch {
		case len(text) > 0 && continued && h.before:
		case isField:
			h.end()
			h.before = true
			h.to = h.list(name)
			piece = value
		default:
			h.end()
			h.ended = true
			return nil
		}
	}
	if h.to == nil {
		return nil
	}
	if len(h.field)+len(piece) > maxRecipientField {
		return errFieldTooLong
	}
	h.field = append(append(h.field, piece...), ' ')
	return nil
}

// cutField splits a line that is a field; whitespace before the colon is tolerated.
func cutField(line []byte) (name string, value []byte, ok bool) {
	before, value, ok := bytes.Cut(line, []byte{':'})
	before = bytes.TrimRight(before, " \t")
	if !ok || len(before) == 0 || bytes.ContainsFunc(before, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", nil, false
	}
	return string(before), value, true
}

func (h *headerRecipients) list(name string) *[]mail.Address {
	switch strings.ToLower(name) {
	case "to", "cc", "bcc":
		return &h.first
	case "resent-to", "resent-cc", "resent-bcc":
		return &h.resent
	}
	return nil
}

// end takes the recipients of the field that is complete now.
func (h *headerRecipients) end() {
	if h.to != nil {
		*h.to = append(*h.to, parseAddressList(string(h.field))...)
	}
	h.to, h.field = nil, h.field[:0]
}

// found returns the recipients of the whole header.
func (h *headerRecipients) found() []mail.Address {
	h.end()
	h.ended = true
	if len(h.resent) > 0 {
		return h.resent
	}
	return h.first
}
