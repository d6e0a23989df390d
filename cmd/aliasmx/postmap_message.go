package main

import "strings"

// Keys from a message on standard input, postmap -h and -b: each header, folded lines
// and all, and each line of the body. Without -m that is the first block of headers and
// all that follows it; with -m the headers of attachments and of attached messages are
// headers too. This is for trying out header_checks(5) and the like.

// eachMessageKey calls f with the keys of the message.
func (j *postmapJob) eachMessageKey(f func(key string) error) error {
	m := &messageKeys{mime: j.mime, ctype: textPlain}
	if j.headers {
		m.header = f
	}
	if j.body {
		m.body = f
	}
	// Nobody wants to see what follows the first headers.
	m.headersOnly = j.headers && !j.body && !j.mime
	if err := j.eachLine(m.line); err != nil || m.done {
		return err
	}
	return m.flush()
}

// messageKeys tells headers from body, line by line. Its rules are those of Postfix's
// MIME processor: a line that can be no header ends a block of headers, and a boundary
// counts wherever it stands, also that of a part around this one.
type messageKeys struct {
	header, body      func(key string) error // nil: not wanted
	mime, headersOnly bool

	place   messagePlace
	ctype   contentType
	pending string // a header that may go on
	around  []boundary
	done    bool
}

type messagePlace uint8

const (
	inPrimaryHeaders messagePlace = iota
	inOtherHeaders
	inBody
)

// contentType is what is to be known of the part.
type contentType uint8

const (
	textPlain contentType = iota
	attachedMessage
	otherContent
)

// boundary ends parts. Parts behind it are of one type unless they say otherwise.
type boundary struct {
	text  string
	ctype contentType
}

// Postfix's default limits: header_size_limit, mime_boundary_length_limit,
// mime_nesting_limit.
const (
	maxHeaderSize = 102400
	maxBoundary   = 2048
	maxNesting    = 100
)

func (m *messageKeys) line(text string) (more bool, err error) {
	if m.place == inBody {
		return true, m.bodyLine(text)
	}
	if m.pending != "" {
		if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") {
			if len(m.pending) < maxHeaderSize {
				m.pending += "\n" + text
			}
			return true, nil
		}
		if err := m.flush(); err != nil {
			return false, err
		}
	}
	if n := headerName(text); n > 0 {
		// White space before the colon is obsolete (RFC 5322 section 4.5) and taken off.
		m.pending = text[:n] + strings.TrimLeft(text[n:], " \t")
		return true, nil
	}
	return m.endHeaders(text)
}

// endHeaders is for the line behind a block of headers.
func (m *messageKeys) endHeaders(text string) (more bool, err error) {
	primary := m.place == inPrimaryHeaders
	m.place = inBody
	if m.headersOnly {
		m.done = true
		return false, nil
	}
	switch {
	case text == "" && m.ctype == attachedMessage:
		m.place, m.ctype = inOtherHeaders, textPlain
	case text != "" && primary:
		if err := m.out(m.body, ""); err != nil { // a message without the empty line
			return false, err
		}
	}
	return true, m.bodyLine(text)
}

// bodyLine is a line of the body. A boundary ends all parts inside of its own.
func (m *messageKeys) bodyLine(text string) error {
	if rest, ok := strings.CutPrefix(text, "--"); ok && rest != "" {
		for i := len(m.around) - 1; i >= 0; i-- {
			b := m.around[i]
			after, ok := strings.CutPrefix(rest, b.text)
			if !ok {
				continue
			}
			if strings.HasPrefix(after, "--") {
				m.around = m.around[:i]
				m.place, m.ctype = inBody, otherContent
			} else {
				m.around = m.around[:i+1]
				m.place, m.ctype = inOtherHeaders, b.ctype
			}
			break
		}
	}
	return m.out(m.body, text)
}

// flush is for a header that has ended.
func (m *messageKeys) flush() error {
	header := m.pending
	m.pending = ""
	if header == "" {
		return nil
	}
	name, value, _ := strings.Cut(header, ":")
	if m.mime && strings.EqualFold(name, "content-type") {
		m.contentType(value)
	}
	return m.out(m.header, header)
}

func (m *messageKeys) out(f func(string) error, key string) error {
	if f == nil {
		return nil
	}
	return f(key)
}

// contentType reads the header, RFC 2045 section 5.1. Of several boundaries, which are
// against the rules, each counts: nothing is to be hidden behind one of them.
func (m *messageKeys) contentType(value string) {
	parameters := mimeTokens(value)
	kind := parameters[0]
	sub := ""
	if len(kind) >= 3 && kind[1] == "/" {
		sub = strings.ToLower(kind[2])
	}
	switch {
	case len(kind) == 0:
		m.ctype = otherContent
	case strings.EqualFold(kind[0], "text"):
		m.ctype = textPlain
	case strings.EqualFold(kind[0], "message"):
		m.ctype = otherContent
		if sub == "rfc822" || sub == "global" {
			m.ctype = attachedMessage
		}
	case strings.EqualFold(kind[0], "multipart"):
		m.ctype = otherContent
		inside := textPlain
		if sub == "digest" {
			inside = attachedMessage
		}
		for _, p := range parameters[1:] {
			if len(p) >= 3 && strings.EqualFold(p[0], "boundary") && p[1] == "=" && len(m.around)-1 <= maxNesting {
				text := strings.TrimPrefix(p[2], `"`)
				m.around = append(m.around, boundary{text[:min(len(text), maxBoundary)], inside})
			}
		}
	}
}

// mimeTokens divides a header's value at semicolons into lists of tokens, without
// comments. What was in quotes begins with one: it is never the name of a type or of a
// parameter. There is at least one list.
func mimeTokens(s string) [][]string {
	lists := [][]string{nil}
	add := func(token string) { lists[len(lists)-1] = append(lists[len(lists)-1], token) }
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			i++
		case c == ';':
			lists = append(lists, nil)
			i++
		case c == '(':
			i = commentEnd(s, i)
		case c == '"':
			var text strings.Builder
			text.WriteByte('"')
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				if s[i] != '\n' {
					text.WriteByte(s[i])
				}
			}
			add(text.String())
			i++
		case strings.IndexByte(mimeSpecials, c) >= 0:
			add(s[i : i+1])
			i++
		default:
			end := i
			for end < len(s) && s[end] > ' ' && s[end] != 0x7f && strings.IndexByte(mimeSpecials, s[end]) < 0 {
				end++
			}
			add(s[i:end])
			i = end
		}
	}
	return lists
}

// mimeSpecials are the tspecials of RFC 2045 section 5.1.
const mimeSpecials = `()<>@,;:\"/[]?=`

func commentEnd(s string, i int) int {
	for level := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			level++
		case ')':
			if level--; level == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// headerName is the length of the name that a line begins with, 0 when it is no header.
func headerName(s string) int {
	n := 0
	for n < len(s) && s[n] > ' ' && s[n] < 0x7f && s[n] != ':' {
		n++
	}
	if rest := strings.TrimLeft(s[n:], " \t"); n == 0 || rest == "" || rest[0] != ':' {
		return 0
	}
	return n
}
