package checks

import (
	"bytes"
	"strings"
)

// The structure of a message, as far as it says what is a header (RFC 2046).

// content is what a header says of the body below it.
type content uint8

const (
	textContent      content = iota // or anything else without a structure
	messageContent                  // message/rfc822, message/global: it has a header
	multipartContent                // it has parts
)

// boundary separates the parts of a multipart body.
type boundary struct {
	text []byte
	// parts is what they are where they do not say it.
	parts content
}

// tooDeep is what is said of a message of more parts within parts than mime_nesting_limit.
const tooDeep = "MIME nesting exceeds safety limit"

// endHeader ends a header; atEmpty tells whether by an empty line. Otherwise there is
// something that is no field, and all that follows is body, whatever the header said.
func (f *Filter) endHeader(atEmpty bool) {
	f.part, f.top, f.offset = inBody, false, 0
	if !atEmpty {
		return
	}
	switch f.mimeType {
	case messageContent:
		f.part = inNested
		f.mimeType = textContent
	case multipartContent:
		f.mimeType = textContent
	}
}

// atBoundary looks for a boundary: of the innermost part, or of one around it whose inner
// boundary is missing. What follows the boundary in its line is nobody's business, since
// only the beginning of a long one is kept.
func (f *Filter) atBoundary(line []byte) {
	if len(line) <= 2 || line[0] != '-' || line[1] != '-' {
		return
	}
	for i := len(f.within) - 1; i >= 0; i-- {
		b := f.within[i]
		rest, ok := bytes.CutPrefix(line[2:], b.text)
		if !ok {
			continue
		}
		if bytes.HasPrefix(rest, []byte("--")) {
			f.within = f.within[:i]
			f.part, f.mimeType, f.offset = inBody, textContent, 0
		} else {
			f.within = f.within[:i+1]
			f.part, f.mimeType = inMultipart, b.parts
		}
		return
	}
}

// contentType takes the value of a Content-Type field. field is all of it, for the log.
func (f *Filter) contentType(value, field string) {
	var item [3]token
	n, rest, _ := nextItem(value, &item)
	if n == 0 {
		return
	}
	subtype := ""
	if n == 3 && item[1].is("/") {
		subtype = strings.ToLower(item[2].text)
	}
	f.mimeType = textContent
	switch {
	case item[0].isWord("message"):
		if subtype == "rfc822" || subtype == "global" {
			f.mimeType = messageContent
		}
	case item[0].isWord("multipart"):
		f.mimeType = multipartContent
		parts := textContent
		if subtype == "digest" {
			parts = messageContent
		}
		// Several boundaries are an error, and a way to hide something from whoever takes
		// the other one: each counts.
		for more := true; more; {
			n, rest, more = nextItem(rest, &item)
			if n == 3 && item[0].isWord("boundary") && item[1].is("=") {
				f.push(item[2].text, parts, field)
			}
		}
	}
}

// push begins a body with parts.
func (f *Filter) push(text string, parts content, field string) {
	// cleanup(8) lets two levels more pass than the parameter says.
	if len(f.within) > f.o.NestingLimit+1 {
		if !f.tooDeep && !f.over && f.o.Sending == "" && len(f.o.Header)+len(f.o.MIME)+len(f.o.Nested) > 0 {
			f.tooDeep = true
			f.logTooDeep(field)
		}
		return
	}
	if !f.holdBoundaries(len(f.within) + 1) {
		return
	}
	f.within = append(f.within, boundary{text: []byte(text[:min(len(text), f.o.BoundaryLengthLimit)]), parts: parts})
}
