package milter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// editor makes the modifications of milters in a message. It is used by one goroutine.
type editor struct {
	m    *mail.MilterMessage
	body mail.Body // of the staged content

	fields    []field // all of the header, with what stands above the content
	came      int     // how many of them came with the content
	bodyAt    int64   // where its body begins
	separated bool    // by an empty line from the header
	edited    bool    // some field is not as it came

	other mail.Body  // a body that stands instead; nil: none
	spare mail.Draft // where it is
	next  *bodyDraft // one that a milter is sending; nil: none
	whole bool       // and it has sent all of it

	cost   int   // of all modifications, see maxEdits
	failed error // a modification that could not be made: the next are ignored
	held   bool  // by the milter under way
}

// newEditor reads the header of a message.
func newEditor(m *mail.MilterMessage) (*editor, error) {
	body, err := m.Draft.Body()
	if err != nil {
		return nil, err
	}
	e := &editor{m: m, body: body}
	if e.fields, _, _, err = readHeader(bufio.NewReader(bytes.NewReader(m.Prepend)), true); err != nil {
		return nil, err
	}
	if n := len(e.fields); n > 0 && m.Received > 0 {
		e.fields[n-1].own = true
	}
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list, at, separated, err := readHeader(bufio.NewReader(r), false)
	if err != nil {
		return nil, err
	}
	e.fields = append(e.fields, list...)
	e.came, e.bodyAt, e.separated = len(list), at, separated
	return e, nil
}

// knows tells whether a reply is a modification.
func (e *editor) knows(code byte) bool {
	switch code {
	case replyAddRcpt, replyAddRcptPar, replyDelRcpt, replyBody, replyAddHeader, replyInsertHeader, replyChangeHeader, replyChangeFrom:
		return true
	}
	return false
}

func (e *editor) hold(reason string) {
	e.held = true
	if e.m.HoldReason == "" {
		e.m.HoldReason = printable(reason)
	}
}

// pay counts what a modification costs. It tells whether that is not too much.
func (e *editor) pay(n int) bool {
	e.cost += editPrice + n
	return e.cost <= maxEdits
}

// edit makes one modification of a milter, but for those of the body. Only what is no
// modification at all decides about the milter.
func (c *client) edit(code byte, data []byte, e *editor) (r mail.MilterReply, decided bool) {
	if !e.pay(len(data)) {
		return c.broken("unreasonable amount of modifications: more than " + itoa(maxEdits) + " bytes"), true
	}
	space := " "
	if c.unwanted&leadingSpace != 0 {
		space = ""
	}
	var index uint32
	var words []string
	var err error
	switch code {
	case replyChangeHeader, replyInsertHeader:
		if index, data, err = cutLong(data); err == nil {
			words, err = cutStrings(data, 2, 0)
		}
	case replyAddHeader:
		words, err = cutStrings(data, 2, 0)
	case replyChangeFrom, replyAddRcptPar:
		words, err = cutStrings(data, 1, 1)
	default:
		words, err = cutStrings(data, 1, 0)
	}
	if err != nil {
		return c.broken(err.Error()), true
	}
	if e.failed != nil {
		return r, false
	}
	switch code {
	case replyChangeHeader:
		if words[0] == "" {
			return c.misconfigured("null change header name"), true
		}
		if !e.change(max(index, 1), words[0], space, words[1]) {
			return c.misconfigured("bad header name: " + printable(words[0])), true
		}
	case replyInsertHeader:
		if !e.insert(int(index), words[0], space, words[1]) {
			return c.misconfigured("bad header name: " + printable(words[0])), true
		}
	case replyAddHeader:
		if !e.insert(len(e.fields), words[0], space, words[1]) {
			return c.misconfigured("bad header name: " + printable(words[0])), true
		}
	case replyChangeFrom:
		e.changeFrom(words[0], words[1])
	case replyAddRcpt:
		e.addRcpt(words[0], "")
	case replyAddRcptPar:
		e.addRcpt(words[0], words[1])
	case replyDelRcpt:
		e.delRcpt(words[0])
	}
	return r, false
}

// insert puts a field in front of the index-th, from 0; behind the last one if there are
// not so many.
func (e *editor) insert(index int, name, space, value string) bool {
	f, ok := makeField(name, space, value)
	if !ok {
		return false
	}
	e.fields = slices.Insert(e.fields, min(index, len(e.fields)), f)
	e.changed(f)
	return true
}

// change puts another value in place of a field's, or takes the field away. Where there is
// no such field a new one goes to the end.
func (e *editor) change(index uint32, name, space, value string) bool {
	i := find(e.fields, name, index)
	if value == "" {
		if i >= 0 {
			e.fields = slices.Delete(e.fields, i, i+1)
			e.edited = true
		}
		return true
	}
	f, ok := makeField(name, space, value)
	if !ok {
		return false
	}
	if i < 0 {
		e.fields = append(e.fields, f)
	} else {
		e.fields[i] = f
	}
	e.changed(f)
	return true
}

func (e *editor) changed(f field) {
	e.edited = true
	if slices.ContainsFunc(f.text, func(c byte) bool { return c >= utf8.RuneSelf }) {
		e.m.EightBitHeader = true
	}
}

// replaceBody takes a part of another body. Its parts follow each other: once another reply
// has come no more of it can.
func (c *client) replaceBody(n int, e *editor) (r mail.MilterReply, decided bool) {
	if e.whole {
		return c.misconfigured("body replacement requests can't currently be mixed with other requests"), true
	}
	data, err := readData(c.r, n)
	if err != nil {
		return c.broken(err.Error()), true
	}
	if e.failed == nil {
		e.failed = e.takeBody(data)
	}
	return r, false
}

func (e *editor) takeBody(data []byte) error {
	if e.next == nil {
		draft, err := e.m.Stage()
		if err != nil {
			return err
		}
		e.next = &bodyDraft{Draft: draft, limit: e.m.SizeLimit}
	}
	return e.tooBig(e.next.add(data))
}

// tooBig is the refusal of a body that is longer than a message may be.
func (e *editor) tooBig(err error) error {
	if err == errTooBig {
		e.m.Log.Warn(e.m.ID.String() + ": queue file size limit exceeded")
		return &mail.Status{Code: 552, Enhanced: mail.Code(5, 3, 4), Text: "Error: message file too big"}
	}
	return err
}

// errTooBig: a replaced body is longer than a message may be.
var errTooBig = errors.New("message_size_limit exceeded")

// bodyDraft brings a body that a milter sends into the form in which messages travel: CRLF
// line ends, and no CR that ends none.
type bodyDraft struct {
	mail.Draft
	limit int64
	size  int64
	cr    bool // the last byte was a CR, which is held back
	line  bool // there is a line under way
}

func (d *bodyDraft) add(p []byte) error {
	out := make([]byte, 0, len(p)+len(p)/32+2)
	for _, b := range p {
		if d.cr && b != '\n' {
			out = append(out, ' ')
		}
		d.cr = b == '\r'
		switch b {
		case '\r':
			d.line = true
		case '\n':
			out, d.line = append(out, '\r', '\n'), false
		default:
			out, d.line = append(out, b), true
		}
	}
	return d.put(out)
}

func (d *bodyDraft) put(out []byte) error {
	if d.size += int64(len(out)); d.limit > 0 && d.size > d.limit {
		return errTooBig
	}
	_, err := d.Draft.Write(out)
	return err
}

// end ends the last line, if nobody has.
func (d *bodyDraft) end() error {
	if !d.line {
		return nil
	}
	d.line, d.cr = false, false
	return d.put([]byte("\r\n"))
}

// settle ends what one milter has modified: the next one is shown it. A body that did not
// come whole is dropped.
func (e *editor) settle(well bool) {
	next := e.next
	e.next, e.whole, e.held = nil, false, false
	if next == nil {
		return
	}
	if !well || e.failed != nil {
		next.Abort()
		return
	}
	err := e.tooBig(next.end())
	var body mail.Body
	if err == nil {
		body, err = next.Body()
	}
	if err != nil {
		next.Abort()
		e.failed = err
		return
	}
	if e.spare != nil {
		e.spare.Abort()
	}
	e.spare, e.other = next.Draft, body
}

// close gives back what finish has not used.
func (e *editor) close() {
	e.settle(false)
	if e.spare != nil {
		e.spare.Abort()
		e.spare = nil
	}
}

// finish leaves the modified message in m. Fields that were only put on top make no other
// content.
func (e *editor) finish() error {
	if !e.edited && e.other == nil {
		return nil
	}
	top := e.top()
	if e.other == nil && len(e.fields)-top == e.came && !slices.ContainsFunc(e.fields[top:], func(f field) bool { return !f.stored }) {
		e.m.Prepend = join(e.fields[:top])
		return nil
	}
	changed, err := e.m.Stage()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(changed)
	if err := errors.Join(e.write(w, top), w.Flush()); err != nil {
		changed.Abort()
		return err
	}
	e.m.Prepend = join(e.fields[:top])
	e.m.Draft.Abort()
	e.m.Draft = changed
	return nil
}

// top is how many fields stand above the content: those before the first that came with it,
// as far as an envelope has room for them.
func (e *editor) top() int {
	size := 0
	for i := range e.fields {
		if size += len(e.fields[i].text); e.fields[i].stored || size > maxPrepend {
			return i
		}
	}
	return len(e.fields)
}

func join(list []field) []byte {
	var b []byte
	for i := range list {
		b = append(b, list[i].text...)
	}
	return b
}

// write writes the content as it is now, below the fields that stand above it.
func (e *editor) write(w io.Writer, top int) error {
	r, err := e.body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	src := &cursor{r: r}
	for i := range e.fields[top:] {
		f := &e.fields[top+i]
		if f.stored {
			err = src.copy(w, f.at, f.size)
		} else {
			_, err = w.Write(f.text)
		}
		if err != nil {
			return err
		}
	}
	rest := e.body.Size() - e.bodyAt
	if e.separated || rest > 0 || e.other != nil {
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
	if e.other == nil {
		return src.copy(w, e.bodyAt, rest)
	}
	other, err := e.other.Open()
	if err != nil {
		return err
	}
	defer other.Close()
	_, err = io.Copy(w, other)
	return err
}

// cursor reads parts of a content, from its beginning to its end.
type cursor struct {
	r  io.Reader
	at int64
}

func (c *cursor) seek(at int64) error {
	n, err := io.CopyN(io.Discard, c.r, at-c.at)
	c.at += n
	return err
}

func (c *cursor) copy(w io.Writer, at, size int64) error {
	if err := c.seek(at); err != nil {
		return err
	}
	n, err := io.CopyN(w, c.r, size)
	c.at += n
	if err == io.EOF {
		err = fmt.Errorf("staged content ends after %d bytes: %w", c.at, io.ErrUnexpectedEOF)
	}
	return err
}
