package dbtable

import (
	"errors"
	"strings"
)

// Statement is an SQL query, taken apart so that what a key brings is never SQL. A string
// with verbs in it, '%u@%d', is one value as a whole; so is a verb that stands outside
// of quotes. Within the quotes of a name, quotes are doubled.
type Statement struct {
	parts []part
	// Unquoted is the first verb outside of quotes, 0 for none: it works, as a value,
	// but mysql_table(5) and sqlite_table(5) want quotes around it.
	Unquoted byte
}

// part is SQL when there is no value.
type part struct {
	sql   string
	value *Template
	quote byte // of a name; 0 for a value
}

// Render is the query for a key. The literal function gives the SQL of a value: a
// placeholder, or a quoted string.
func (s *Statement) Render(k Key, literal func(value string) string) string {
	var b strings.Builder
	for _, p := range s.parts {
		switch {
		case p.value == nil:
			b.WriteString(p.sql)
		case p.quote != 0:
			b.WriteString(p.value.Query(k, quoteName(p.quote)))
		default:
			b.WriteString(literal(p.value.Query(k, verbatim)))
		}
	}
	return b.String()
}

// Statement reads a query.
func (ts *Templates) Statement(query string, d Dialect) (*Statement, error) {
	t, err := ts.Query(query)
	if err != nil {
		return nil, err
	}
	s := &scanner{d: d, s: &Statement{}}
	for _, p := range t.pieces {
		if p.verb == 0 {
			for i := range len(p.text) {
				s.in = append(s.in, symbol{char: p.text[i]})
			}
		} else {
			s.in = append(s.in, symbol{verb: p.verb})
		}
	}
	if err := s.statement(); err != nil {
		return nil, err
	}
	return s.s, nil
}

// symbol is a byte of SQL, or a verb.
type symbol struct{ char, verb byte }

// scanner walks over a query as the server's own scanner will.
type scanner struct {
	d   Dialect
	in  []symbol
	pos int
	sql []byte // not yet a part
	s   *Statement
}

var (
	errVerbInComment = errors.New("%-verb within a comment")
	errVerbInDollar  = errors.New("%-verb within $$...$$; use '...'")
	errVerbPrefixed  = errors.New("%-verb within a string of another kind than '...'")
	errVerbEscape    = errors.New(`this \ escape cannot stand in a string with a %-verb`)
	errQuoteOpen     = errors.New("a quote is not closed")
)

// at is the byte at a distance from here; 0 for a verb and outside of the query.
func (s *scanner) at(i int) byte {
	if i += s.pos; i < 0 || i >= len(s.in) {
		return 0
	}
	return s.in[i].char
}

func (s *scanner) statement() error {
	for s.pos < len(s.in) {
		var err error
		c := s.in[s.pos]
		switch {
		case c.char == ';' && s.d.First:
			s.flush()
			return nil
		case c.verb != 0:
			if s.s.Unquoted == 0 {
				s.s.Unquoted = c.verb
			}
			s.add(part{value: &Template{pieces: []piece{{verb: c.verb}}}})
			s.pos++
		case c.char == '\'', c.char == '"', c.char == '`' && s.d.Backtick:
			err = s.quoted(c.char)
		case c.char == '-' && s.at(1) == '-', c.char == '#' && s.d.Hash:
			err = s.comment("\n", false)
		case c.char == '/' && s.at(1) == '*':
			err = s.comment("*/", s.d.EStrings)
		case c.char == '$' && s.d.EStrings && !wordByte(s.at(-1)):
			err = s.dollar()
		default:
			s.sql = append(s.sql, c.char)
			s.pos++
		}
		if err != nil {
			return err
		}
	}
	s.flush()
	return nil
}

func (s *scanner) flush() {
	if len(s.sql) > 0 {
		s.s.parts = append(s.s.parts, part{sql: string(s.sql)})
		s.sql = nil
	}
}

func (s *scanner) add(p part) {
	s.flush()
	s.s.parts = append(s.s.parts, p)
}

func wordByte(c byte) bool {
	return c >= 0x80 || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// take moves n symbols on, as SQL.
func (s *scanner) take(n int) error {
	for range n {
		if s.in[s.pos].verb != 0 {
			return errVerbInComment
		}
		s.sql = append(s.sql, s.in[s.pos].char)
		s.pos++
	}
	return nil
}

// has tells whether a text stands here.
func (s *scanner) has(text string) bool {
	for i := range len(text) {
		if s.at(i) != text[i] {
			return false
		}
	}
	return true
}

func (s *scanner) comment(end string, nested bool) error {
	depth := 0
	for s.pos < len(s.in) {
		switch {
		case s.has("/*") && end == "*/" && (nested || depth == 0):
			depth++
			if err := s.take(2); err != nil {
				return err
			}
		case s.has(end):
			if err := s.take(len(end)); err != nil {
				return err
			}
			if depth--; depth <= 0 {
				return nil
			}
		default:
			if err := s.take(1); err != nil {
				return err
			}
		}
	}
	return nil
}

// dollar passes over $tag$...$tag$, which no quoting protects.
func (s *scanner) dollar() error {
	n := 1
	for wordByte(s.at(n)) {
		n++
	}
	if s.at(n) != '$' || '0' <= s.at(1) && s.at(1) <= '9' {
		return s.take(1)
	}
	var tag strings.Builder
	for i := range n + 1 {
		tag.WriteByte(s.at(i))
	}
	if err := s.take(n + 1); err != nil {
		return err
	}
	for s.pos < len(s.in) {
		if s.has(tag.String()) {
			return s.take(n + 1)
		}
		if s.take(1) != nil {
			return errVerbInDollar
		}
	}
	return errQuoteOpen
}
