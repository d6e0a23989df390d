package local

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// A message as local(8) hands it out: lines end in LF, and above the message stands how
// it came here.

// kind of a copy: the values of prepend_delivered_header.
const (
	copyCommand = "command"
	copyFile    = "file"
	copyForward = "forward"
)

// above is what a copy begins with: the line that mbox files have above each message,
// and the fields of mail_copy(3).
func (d *delivery) above(st state, kind string, fromLine bool) string {
	var b strings.Builder
	sender := st.sender.String()
	if fromLine {
		who := sender
		if st.sender.IsNull() {
			who = "MAILER-DAEMON"
		}
		fmt.Fprintf(&b, "From %s  %s\n", oneLine(who), d.Now().Local().Format(time.ANSIC))
	}
	fmt.Fprintf(&b, "Return-Path: <%s>\n", oneLine(sender))
	if d.EnableOriginalRecipient && !st.orig.IsNull() {
		fmt.Fprintf(&b, "X-Original-To: %s\n", oneLine(st.orig.String()))
	}
	if slices.Contains(d.PrependDelivered, kind) {
		fmt.Fprintf(&b, "Delivered-To: %s\n", oneLine(st.to.String()))
	}
	return b.String()
}

// oneLine keeps an address from beginning a line of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return '?'
		}
		return r
	}, s)
}

// message opens the whole message as it is in the queue.
func message(a *mail.Attempt) (io.ReadCloser, error) {
	body, err := a.Body.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(a.Env.Prepend), body), body}, nil
}

// unixWriter passes text on with its lines ending in LF. quote puts ">" before lines that
// begin with "From ", which would begin another message in an mbox file.
type unixWriter struct {
	w     io.Writer
	quote bool

	cr    bool   // a CR is held back: it may belong to a line end
	start []byte // of a line that may become "From "
	in    bool   // inside a line
	buf   []byte
}

const fromLine = "From "

func (u *unixWriter) Write(p []byte) (int, error) {
	u.buf = u.buf[:0]
	for _, c := range p {
		if u.cr {
			u.cr = false
			if c != '\n' {
				u.put('\r')
			}
		}
		if c == '\r' {
			u.cr = true
			continue
		}
		u.put(c)
	}
	if _, err := u.w.Write(u.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (u *unixWriter) put(c byte) {
	if u.quote && !u.in {
		if u.start = append(u.start, c); strings.HasPrefix(fromLine, string(u.start)) {
			if len(u.start) < len(fromLine) {
				return
			}
			u.buf = append(u.buf, '>')
		}
		u.buf = append(u.buf, u.start...)
		u.start = u.start[:0]
	} else {
		u.buf = append(u.buf, c)
	}
	u.in = c != '\n'
}

// end passes on what was held back, and ends the last line.
func (u *unixWriter) end() error {
	u.buf = u.buf[:0]
	if u.cr {
		u.cr = false
		u.put('\r')
	}
	if len(u.start) > 0 {
		u.buf = append(u.buf, u.start...)
		u.start, u.in = nil, true
	}
	if u.in {
		u.buf = append(u.buf, '\n')
		u.in = false
	}
	_, err := u.w.Write(u.buf)
	return err
}

// unixReader is a message in that form, to be read.
func unixReader(above string, a *mail.Attempt) (io.ReadCloser, error) {
	m, err := message(a)
	if err != nil {
		return nil, err
	}
	return &lineReader{m: m, have: []byte(above)}, nil
}

// lineReader reads through a unixWriter.
type lineReader struct {
	m    io.ReadCloser
	u    unixWriter
	raw  [32 << 10]byte
	out  bytes.Buffer
	have []byte
	err  error
}

func (r *lineReader) Read(p []byte) (int, error) {
	for len(r.have) == 0 && r.err == nil {
		r.out.Reset()
		r.u.w = &r.out
		var n int
		n, r.err = r.m.Read(r.raw[:])
		r.u.Write(r.raw[:n]) // into memory: it does not fail
		if r.err == io.EOF {
			r.u.end()
		}
		r.have = r.out.Bytes()
	}
	if len(r.have) == 0 {
		return 0, r.err
	}
	n := copy(p, r.have)
	r.have = r.have[n:]
	return n, nil
}

func (r *lineReader) Close() error { return r.m.Close() }
