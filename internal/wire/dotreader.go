package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// BareLF says what becomes of lines that end in LF alone (postconf(5):
// smtpd_forbid_bare_newline).
type BareLF uint8

const (
	// BareLFNormalize makes them lines like any other; only CRLF.CRLF ends a message.
	BareLFNormalize BareLF = iota
	// BareLFReject reads on to CRLF.CRLF, and there says ErrBareLF if there were any.
	BareLFReject
	// BareLFAllow lets LF.LF, LF.CRLF and CRLF.LF end a message too. What one server
	// takes for the end and another does not smuggles a second message past the first.
	BareLFAllow
)

var (
	// ErrNotEnded: Drain gave up before the end of the message.
	ErrNotEnded = errors.New("the message goes on and on")
	// ErrBareLF: a line ended in LF alone.
	ErrBareLF = errors.New("bare <LF> received")
)

// DotReader reads the content of a message after DATA: the dots that the client
// stuffed are taken off (RFC 5321 section 4.5.2), all lines end in CRLF, and io.EOF is
// where CRLF.CRLF was. When the connection fails before that, the error is never io.EOF.
//
// A line that is a dot and does not end the message because a CR is missing at one of
// its ends vanishes, as in Postfix. A CR that ends no line is data, or with
// ReplaceStrayCR a space (postconf(5): cleanup_replace_stray_cr_lf).
//
// It hands out pieces of the connection's own buffer. Everything is copied at most
// once, by who stores it.
type DotReader struct {
	// BareLFs and StrayCRs count what was changed, Bytes what was handed out, Whole that
	// without the line that has not ended yet.
	BareLFs, StrayCRs int
	Bytes, Whole      int64

	r         *bufio.Reader
	mode      BareLF
	replaceCR bool

	begin bool   // at the beginning of a line
	crlf  bool   // the line before it ended in CRLF
	used  int    // bytes in r's buffer that were handed out
	rest  []byte // of a piece, for Read
	err   error
	ended bool
	owed  int // spaces in place of CRs
	fixed [2]byte
}

// NewDotReader begins a message: the bytes after the CRLF of DATA come from r, which
// is used by nobody else until the end.
func NewDotReader(r *bufio.Reader, mode BareLF, replaceStrayCR bool) *DotReader {
	d := new(DotReader)
	d.Reset(r, mode, replaceStrayCR)
	return d
}

// Reset is NewDotReader for a DotReader whose message has ended.
func (d *DotReader) Reset(r *bufio.Reader, mode BareLF, replaceStrayCR bool) {
	*d = DotReader{r: r, mode: mode, replaceCR: replaceStrayCR, begin: true, crlf: true}
}

// Ended tells whether the end of the message has been read.
func (d *DotReader) Ended() bool { return d.ended }

// Read copies the next bytes of the message.
func (d *DotReader) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		var err error
		if d.rest, err = d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// WriteTo hands the rest of the message to w without copying it.
func (d *DotReader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		piece := d.rest
		d.rest = nil
		if len(piece) == 0 {
			var err error
			if piece, err = d.next(); err == io.EOF {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(piece)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Drain reads to the end of the message, or until more than limit bytes of it have
// come, what was handed out before included. Then it is ErrNotEnded.
func (d *DotReader) Drain(limit int64) error {
	d.rest = nil
	for !d.ended {
		if d.Bytes > limit {
			return ErrNotEnded
		}
		if _, err := d.next(); err != nil && !d.ended {
			return err
		}
	}
	return nil
}

// next returns the next piece of the message. It is valid until the next call.
func (d *DotReader) next() ([]byte, error) {
	for d.err == nil {
		if d.used > 0 {
			d.r.Discard(d.used)
			d.used = 0
		}
		if d.owed > 0 {
			n := min(d.owed, len(d.fixed))
			d.owed -= n
			d.Bytes += int64(n)
			return d.instead("  "[:n]), nil
		}
		block, err := d.peek(1)
		if err != nil {
			break
		}
		if d.begin && block[0] == '.' {
			if block = d.dot(); len(block) == 0 {
				continue
			}
		}
		piece := d.piece(block)
		d.Bytes += int64(len(piece))
		if len(piece) > 0 {
			if lf := bytes.LastIndexByte(piece, '\n'); lf >= 0 {
				d.Whole = d.Bytes - int64(len(piece)-lf-1)
			}
			return piece, nil
		}
	}
	return nil, d.err
}

// peek returns what is in the buffer, at least n bytes.
func (d *DotReader) peek(n int) ([]byte, error) {
	if _, err := d.r.Peek(n); err != nil {
		if d.err = err; err == io.EOF {
			d.err = io.ErrUnexpectedEOF
		}
		return nil, d.err
	}
	return d.r.Peek(max(n, d.r.Buffered()))
}

// dot looks at a line that begins with a dot. It returns what follows the dot, or
// nothing when the line has been dealt with.
func (d *DotReader) dot() []byte {
	block, err := d.peek(2)
	if err == nil && block[1] == '\r' {
		block, err = d.peek(3)
	}
	if err != nil {
		return nil
	}
	switch {
	case block[1] == '\n':
		d.end(2, false)
		return nil
	case block[1] == '\r' && block[2] == '\n':
		d.end(3, true)
		return nil
	}
	d.begin = false
	d.r.Discard(1)
	return block[1:]
}

// end deals with a line of n bytes that is only a dot: is it the last?
func (d *DotReader) end(n int, properly bool) {
	d.r.Discard(n)
	if properly && d.crlf || d.mode == BareLFAllow {
		d.err, d.ended = io.EOF, true
		if d.mode == BareLFReject && d.BareLFs > 0 {
			d.err = ErrBareLF
		}
		return
	}
	if !properly {
		d.BareLFs++
	}
	d.crlf = properly
}

// piece finds what of the block can be handed out at once: up to the next change, or
// the next line that begins with a dot.
func (d *DotReader) piece(block []byte) []byte {
	for pos := 0; ; {
		lf := bytes.IndexByte(block[pos:], '\n')
		line := block[pos:]
		if lf >= 0 {
			line = line[:lf]
		}
		cr := bytes.IndexByte(line, '\r')
		if cr >= 0 && cr < len(line)-1 { // more follows on the line: a stray CR
			if piece := d.stray(block, pos+cr); piece != nil {
				return piece
			}
			// It stays. What counts is whether the line ends in another.
			cr = len(line) - 1
			if line[cr] != '\r' {
				cr = -1
			}
		}
		switch {
		case lf < 0 && cr >= 0:
			return d.unsure(block, pos+cr)
		case lf < 0:
			d.begin, d.used = false, len(block)
			return block
		case cr < 0:
			return d.bareLF(block, pos+lf)
		}
		if pos += lf + 1; pos == len(block) || block[pos] == '.' {
			d.begin, d.crlf, d.used = true, true, pos
			return block[:pos]
		}
	}
}

// unsure hands out what is before the CR at the end of the block: what follows it
// tells whether it ends the line.
func (d *DotReader) unsure(block []byte, cr int) []byte {
	d.begin = false
	if cr > 0 {
		d.used = cr
		return block[:cr]
	}
	block, err := d.peek(2)
	if err != nil {
		return nil
	}
	return d.piece(block)
}

// bareLF hands out the line before an LF without CR, or its line end.
func (d *DotReader) bareLF(block []byte, lf int) []byte {
	if lf > 0 {
		d.begin, d.used = false, lf
		return block[:lf]
	}
	d.BareLFs++
	d.begin, d.crlf, d.used = true, false, 1
	return d.instead("\r\n")
}

// stray hands out what is before a stray CR, or the space in its place; nil when the CR
// is to stay. Where a bare LF ends lines, CRs before a CRLF are part of the line end, as
// they are for Postfix.
func (d *DotReader) stray(block []byte, cr int) []byte {
	if !d.replaceCR {
		return nil
	}
	d.begin = false
	if cr > 0 {
		d.used = cr
		return block[:cr]
	}
	if d.mode == BareLFAllow {
		d.strays()
		return []byte{}
	}
	d.StrayCRs++
	d.r.Discard(1)
	return d.instead(" ")
}

// strays takes all CRs but one that belongs to a CRLF. Spaces are owed for them, unless
// that comes.
func (d *DotReader) strays() {
	for n := 1; ; n++ {
		d.StrayCRs++
		d.r.Discard(1)
		b, err := d.peek(2)
		switch {
		case err != nil || b[0] == '\r' && b[1] == '\n':
			return
		case b[0] != '\r':
			d.owed = n
			return
		}
	}
}

// instead is a piece that did not come from the client.
func (d *DotReader) instead(s string) []byte {
	return d.fixed[:copy(d.fixed[:], s)]
}
