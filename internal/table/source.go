package table

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// The source text of a table, postmap(1) INPUT FILE FORMAT: "key whitespace value" on
// logical lines. White space and # inside double quotes belong to the key. The quotes
// stay in the key: "odd user"@virt.example is looked up as it is written.

// entry is one line of a source text.
type entry struct {
	key   string // as written
	value string
	line  int
}

// readEntries calls yield for each entry. A line that is none is passed over with a
// warning, in postmap's words; ignoring is what the caller adds to the commonest of
// them. An error from yield ends the reading and is returned.
func readEntries(r io.Reader, name string, o Options, ignoring string, yield func(entry) error) error {
	lines := newLineReader(r, name, o.Warn)
	for {
		text, line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !o.NoUTF8 && !utf8.Valid(text) {
			o.warnf(`%s, line %d: non-UTF-8 input "%s" -- ignoring this line`, name, line, text)
			continue
		}
		key, value, balanced := splitEntry(text)
		switch {
		case !balanced:
			o.warnf(`%s, line %d: unbalanced '"' in '%s' -- ignoring this line`, name, line, text)
			continue
		case len(key) == 0 || len(value) == 0:
			o.warnf("%s, line %d: expected format: key whitespace value%s", name, line, ignoring)
			continue
		case key[len(key)-1] == ':':
			o.warnf(`%s, line %d: record is in "key: value" format; is this an alias file?`, name, line)
		}
		if err := yield(entry{key: string(key), value: string(value), line: line}); err != nil {
			return err
		}
	}
}

// splitEntry divides a logical line at the first white space outside of quotes.
func splitEntry(text []byte) (key, value []byte, balanced bool) {
	end, quoted := keyEnd(text, isSpace)
	return text[:end], bytes.Trim(text[end:], spaces), !quoted
}

// keyEnd finds where a key ends: at the first byte that stop wants, outside of
// double quotes. quoted is true when the quotes are not closed.
func keyEnd(text []byte, stop func(byte) bool) (end int, quoted bool) {
	for end < len(text) {
		switch c := text[end]; {
		case c == '\\' && end+1 < len(text):
			end++
		case c == '"':
			quoted = !quoted
		case !quoted && stop(c):
			return end, false
		}
		end++
	}
	return end, quoted
}
