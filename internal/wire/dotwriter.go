package wire

import (
	"bytes"
	"io"
)

// contentWriter is what content is written to: a *Blocks, or a *bufio.Writer.
type contentWriter interface {
	io.Writer
	io.ByteWriter
	io.StringWriter
}

// DotWriter writes the content of a message after DATA (RFC 5321 section 4.5.2): a dot
// more before each line that begins with one, and at the end the line that is only a
// dot. Everything else leaves as it came, in the blocks in which it came.
//
// Whatever it is given, no CR and no LF leaves but as CRLF, so that no byte sequence
// that some server takes for the end of data can hide in a message (SMTP smuggling).
// Messages are stored with CRLF line ends and without stray CRs, and so there is
// nothing to change; Changed tells when there was. NULs before a dot at the beginning of a
// line leave as spaces: some server drops NULs, and would see the dot first.
//
// The zero value is to be Reset. Errors of the connection come from Write and, at the
// latest, from the flush after Close.
type DotWriter struct {
	// Changed counts stray CRs, sent as a space (as postconf(5):
	// cleanup_replace_stray_cr_lf), bare LFs, sent as CRLF, and NULs sent as spaces.
	Changed int
	// Broken counts the line breaks that the line length limit put in.
	Broken int

	w     contentWriter
	limit int  // postconf(5): smtp_line_length_limit; 0 is none
	room  int  // left on the current line, when there is a limit
	begin bool // at the beginning of a line
	cr    bool // the last block ended in a CR, which has not been written yet
	nuls  int  // NULs that the current line begins with, which have not been written yet
}

// Reset begins a message on w. With a limit, longer lines are broken with CRLF and a
// space.
func (d *DotWriter) Reset(w contentWriter, limit int) {
	*d = DotWriter{w: w, limit: limit, room: limit, begin: true}
}

// Write sends a block of the message.
func (d *DotWriter) Write(p []byte) (int, error) {
	n := len(p)
	if n == 0 {
		return 0, nil
	}
	if d.cr {
		d.cr = false
		if p[0] == '\n' {
			d.endLine()
			p = p[1:]
		} else {
			d.stray()
		}
	}
	// What a CR at the end is shows the next block.
	if len(p) > 0 && p[len(p)-1] == '\r' {
		d.cr = true
		p = p[:len(p)-1]
	}
	if len(p) == 0 {
		return n, nil
	}
	if d.limit == 0 && d.clean(p) {
		d.begin = p[len(p)-1] == '\n'
		_, err := d.w.Write(p)
		return n, err
	}
	return n, d.writeLines(p)
}

// clean tells whether a block can leave as it is: each CR and each LF is part of a
// CRLF, and no line begins with a dot or a NUL. The block does not end in CR.
func (d *DotWriter) clean(p []byte) bool {
	if d.begin && (p[0] == '.' || p[0] == 0 || d.nuls > 0) {
		return false
	}
	pairs := 0
	for pos := 0; ; pairs++ {
		i := bytes.IndexByte(p[pos:], '\n')
		if i < 0 {
			break
		}
		pos += i
		if pos == 0 || p[pos-1] != '\r' {
			return false
		}
		if pos++; pos < len(p) && (p[pos] == '.' || p[pos] == 0) {
			return false
		}
	}
	return bytes.Count(p, []byte{'\r'}) == pairs
}

// writeLines sends a block line by line.
func (d *DotWriter) writeLines(p []byte) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return d.text(p)
		}
		line := p[:i]
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		} else {
			d.Changed++
		}
		d.text(line)
		if err := d.endLine(); err != nil {
			return err
		}
		p = p[i+1:]
	}
	return nil
}

// text sends a part of a line.
func (d *DotWriter) text(t []byte) error {
	for {
		i := bytes.IndexByte(t, '\r')
		if i < 0 {
			return d.plain(t)
		}
		d.plain(t[:i])
		d.stray()
		t = t[i+1:]
	}
}

func (d *DotWriter) stray() {
	d.Changed++
	d.plain([]byte{' '})
}

// plain sends a part of a line that has no CR and no LF.
func (d *DotWriter) plain(t []byte) error {
	if len(t) > 0 && d.begin {
		t = d.beginLine(t)
	}
	if len(t) == 0 {
		return nil
	}
	return d.put(t)
}

// beginLine sends what has to stand before the first bytes of a line, and returns what is
// left of them: nothing, as long as there are only NULs.
func (d *DotWriter) beginLine(t []byte) []byte {
	text := bytes.TrimLeft(t, "\x00")
	d.nuls += len(t) - len(text)
	switch {
	case len(text) == 0:
		return nil
	case d.nuls > 0 && text[0] == '.':
		d.Changed += d.nuls
		d.putNULs(' ')
	case d.nuls > 0:
		d.putNULs(0)
	case text[0] == '.':
		d.w.WriteByte('.')
	}
	d.begin = false
	return text
}

// putNULs sends the NULs that were held back, or what stands for each.
func (d *DotWriter) putNULs(as byte) {
	for ; d.nuls > 0; d.nuls-- {
		d.put([]byte{as})
	}
	d.begin = false
}

// put sends a part of a line that needs no dot before it.
func (d *DotWriter) put(t []byte) error {
	if d.limit > 0 {
		for len(t) > d.room {
			d.w.Write(t[:d.room])
			d.w.WriteString("\r\n ")
			t = t[d.room:]
			d.room = max(d.limit-1, 1)
			d.Broken++
		}
		d.room -= len(t)
	}
	_, err := d.w.Write(t)
	return err
}

func (d *DotWriter) endLine() error {
	d.putNULs(0)
	d.begin, d.room = true, d.limit
	_, err := d.w.WriteString("\r\n")
	return err
}

// Close ends the message: the last line gets its line end if it has none, and the line
// with the dot follows. It does not flush.
func (d *DotWriter) Close() error {
	if d.cr {
		d.cr = false
		d.stray()
	}
	if !d.begin || d.nuls > 0 {
		d.endLine()
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}
