package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"time"

	"aliasmx/internal/mail"
)

// What postcat shows of a message: our envelope in the names of Postfix's records, so
// that those who read the one can read the other.

type postcatPrinter struct {
	*postcatJob
	out  *bufio.Writer
	name string
}

// Types of Postfix's records, which -d shows as numbers.
const (
	recordSize     = 'C'
	recordTime     = 'T'
	recordAttr     = 'A'
	recordSender   = 'S'
	recordRcpt     = 'R'
	recordOrigRcpt = 'O'
	recordContent  = 'M'
	recordText     = 'N'
)

func (p *postcatPrinter) kind(record byte) {
	if p.decimal {
		fmt.Fprintf(p.out, "%3d ", record)
	}
}

func (p *postcatPrinter) record(record byte, name, value string) {
	p.kind(record)
	fmt.Fprintf(p.out, "%s: %s\n", name, printable(value))
}

func (p *postcatPrinter) attr(name, value string) {
	if value != "" {
		p.record(recordAttr, "named_attribute", name+"="+value)
	}
}

func (p *postcatPrinter) marker(record byte, title string) {
	if record != 0 {
		p.kind(record)
	}
	fmt.Fprintf(p.out, "*** %s %s ***\n", title, p.name)
}

func (p *postcatPrinter) envelopeRecords(e *mail.Envelope) {
	p.marker(0, "ENVELOPE RECORDS")
	size := e.Size + int64(len(e.Prepend))
	utf8 := 0
	if e.Flags&mail.FlagSMTPUTF8 != 0 {
		utf8 = 1
	}
	// Size, offset of the content, recipients, hints for the queue manager, length of the
	// content, SMTPUTF8. There is no file to have an offset in.
	p.record(recordSize, "message_size", fmt.Sprintf("%15d %15d %15d %15d %15d %15d", size, 0, len(e.Rcpts), 0, size, utf8))
	p.record(recordTime, "message_arrival_time", localTime(e.Arrived))
	p.record(recordAttr, "create_time", localTime(e.ID.Time()))
	p.attr("log_ident", e.ID.String())
	p.attr("envelope_id", e.EnvID)
	switch e.Ret {
	case "FULL":
		p.attr("ret_flags", "1")
	case "HDRS":
		p.attr("ret_flags", "2")
	}
	p.record(recordSender, "sender", e.Sender.Internal())
	p.origin(e)
	if e.Flags&(mail.FlagBody8BitMIME|mail.FlagEightBit) != 0 {
		p.attr("encoding", "8bit")
	}
	for i := range e.Rcpts {
		p.rcpt(&e.Rcpts[i])
	}
	p.marker(recordContent, "MESSAGE CONTENTS")
}

// origin is who handed the message in.
func (p *postcatPrinter) origin(e *mail.Envelope) {
	c := e.Client
	if c.Protocol == "" || !c.Addr.IsValid() {
		p.attr("log_message_origin", "local")
		return
	}
	addr := c.Addr.String()
	for _, prefix := range []string{"log_", ""} {
		p.attr(prefix+"client_name", c.Name)
		p.attr(prefix+"client_address", addr)
		p.attr(prefix+"client_port", fmt.Sprint(c.Port))
		if prefix != "" {
			p.attr("log_message_origin", c.Name+"["+addr+"]")
		}
		p.attr(prefix+"helo_name", c.Helo)
		p.attr(prefix+"protocol_name", c.Protocol)
	}
}

func (p *postcatPrinter) rcpt(r *mail.Recipient) {
	const asked = mail.NotifyNever | mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	if n := r.Notify & asked; n != 0 {
		p.attr("notify_flags", fmt.Sprint(n)) // the bits are Postfix's
	}
	p.attr("dsn_orig_rcpt", r.ORcpt)
	p.record(recordOrigRcpt, "original_recipient", r.Orig.Internal())
	p.record(recordRcpt, "recipient", r.Final.Internal())
}

func localTime(t time.Time) string { return t.Local().Format(time.ANSIC) }

// content prints the header, the body, or both, with the line ends of this system.
func (p *postcatPrinter) content(prepend []byte, body mail.Body) error {
	in, err := body.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(prepend), in))
	inHeader, mid := true, false
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			if !mid && inHeader {
				inHeader = isHeaderLine(line)
			}
			if inHeader && p.header || !inHeader && p.body {
				p.line(line, !mid)
			}
		}
		mid = err == bufio.ErrBufferFull
		if err != nil && !mid {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// line prints a line, or a part of one; begins says which.
func (p *postcatPrinter) line(line []byte, begins bool) {
	if begins {
		p.kind(recordText)
		if p.verbose {
			p.out.WriteString("regular_text: ")
		}
	}
	if text, ok := bytes.CutSuffix(line, []byte("\r\n")); ok {
		p.out.Write(text)
		p.out.WriteByte('\n')
		return
	}
	p.out.Write(line)
}

// isHeaderLine tells whether a line is a field or continues one.
func isHeaderLine(line []byte) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return true
	}
	_, _, ok := cutField(line)
	return ok
}
