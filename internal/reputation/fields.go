package reputation

import (
	"bytes"
	"io"
	"mime"
	"strings"

	"aliasmx/internal/mail"
)

// Header fields as reports have them: those of the message, of the report in it, and of the
// message that it is about. What is no field is passed over: reports are made by all sorts of
// programs.

// Bounds of what is read of a header.
const (
	maxHeader = 128 << 10
	maxFields = 1000
	maxValue  = 4 << 10 // what of a folded field counts
)

// field is one header field, unfolded; its name is in lower case.
type field struct{ name, value string }

// fieldsOf takes a header, up to the empty line, off a text; rest is what stands below it.
func fieldsOf(text []byte) (list []field, rest []byte) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(list); n > 0 && len(list[n-1].value) < maxValue {
				list[n-1].value += " " + string(bytes.TrimSpace(line))
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if ok && len(list) < maxFields {
			list = append(list, field{strings.ToLower(string(bytes.TrimSpace(name))), string(bytes.TrimSpace(value))})
		}
	}
	return list, text
}

// first is the value of the first field of a name.
func first(list []field, name string) string {
	for _, f := range list {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// contentType is a Content-Type field; one that cannot be read has no type.
func contentType(list []field) (kind string, params map[string]string) {
	kind, params, err := mime.ParseMediaType(first(list, "content-type"))
	if err != nil && kind == "" {
		return "", nil
	}
	return kind, params
}

// address is an address as reports write it: "rfc822;info@alias.example", or in angle
// brackets. The null one: there is none.
func address(value string) mail.Address {
	if kind, rest, ok := strings.Cut(value, ";"); ok && !strings.ContainsAny(kind, "@<") {
		value = rest
	}
	value = strings.TrimSpace(value)
	if open := strings.IndexByte(value, '<'); open >= 0 {
		if end := strings.IndexByte(value[open:], '>'); end > 0 {
			value = value[open+1 : open+end]
		}
	} else {
		value, _, _ = strings.Cut(value, " ") // behind it may be a comment
	}
	a := mail.SplitAddress(value)
	if a.Local == "" || a.Domain == "" || len(value) > maxAddress || strings.ContainsAny(value, " \t,") {
		return mail.Address{}
	}
	return a
}

// readSome reads at most that many bytes; what cannot be read is not there.
func readSome(r io.Reader, most int64) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, most))
	return b
}
