package bounce

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"aliasmx/internal/mail"
)

// The third part: the message that the report is about. The reverse-path it came with
// stands on top of it, as at final delivery (RFC 5321 section 4.4).

// original returns the message, or its header only when that was asked for or the
// message is above bounce_size_limit. Its last line has its end.
func (w *Writer) original(r mail.Report, f form) (text []byte, headOnly bool, err error) {
	size := int64(len(r.Env.Prepend)) + r.Body.Size()
	headOnly = f.headOnly || w.o.SizeLimit > 0 && size > w.o.SizeLimit
	body, err := r.Body.Open()
	if err != nil {
		return nil, headOnly, err
	}
	defer body.Close()

	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", mask(w.returnPath(r.Env)))
	b.Write(r.Env.Prepend)
	own := b.Len()
	if !headOnly {
		if _, err := b.ReadFrom(body); err != nil {
			return nil, headOnly, fmt.Errorf("read the message to be returned: %w", err)
		}
	} else if err := copyHeader(&b, body, w.o.HeaderLimit); err != nil {
		return nil, headOnly, fmt.Errorf("read the header to be returned: %w", err)
	}
	if text := b.Bytes(); text[len(text)-1] != '\n' {
		b.WriteString("\r\n")
	}
	return f.veil.header(b.Bytes(), own), headOnly, nil
}

func (w *Writer) returnPath(env *mail.Envelope) string { return w.reversePath(env).String() }

// copyHeader copies the lines of a header, as far as they are some and below limit
// octets together. A line that is no field ends a header as well as an empty one does.
func copyHeader(b *bytes.Buffer, r io.Reader, limit int64) error {
	limited := &io.LimitedReader{R: r, N: limit}
	lines := bufio.NewReader(limited)
	for first := true; ; first = false {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		whole := err == nil || limited.N > 0 // else the limit cut it
		if !isHeaderLine(line) || !whole && !first {
			return nil
		}
		b.Write(line)
		if err != nil {
			return nil
		}
	}
}

// isHeaderLine tells whether a line begins or goes on with a field, RFC 5322 section 2.2.
func isHeaderLine(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if line[0] == ' ' || line[0] == '\t' {
		return len(bytes.TrimSpace(line)) > 0
	}
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
