package postconf

import (
	"fmt"
	"path/filepath"
)

// Error is a configuration that cannot work: what is wrong, where, and what to do.
type Error struct {
	File   string // path of the file, or "environment"; empty if there is no place to name
	Line   int    // the line on which the setting begins; 0 if it has none
	Reason string
	Remedy string
}

func (e *Error) Error() string {
	text := e.Reason
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	switch {
	case e.File == "":
		return text
	case e.Line == 0:
		return e.File + ": " + text
	}
	return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, text)
}

// place is where a setting stands.
type place struct {
	file string
	line int
}

// String is the short form, as in "main.cf, line 12".
func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s, line %d", filepath.Base(p.file), p.line)
}

func (p place) fail(reason, remedy string) *Error {
	return &Error{File: p.file, Line: p.line, Reason: reason, Remedy: remedy}
}

// warn is a warning about the place, as Postfix's programs put it.
func (p place) warn(text string) string {
	if p.line == 0 {
		return p.file + ": " + text
	}
	return fmt.Sprintf("%s, line %d: %s", p.file, p.line, text)
}

// shown cuts a text from a file for a message of one line.
func shown(text string) string {
	const most = 60
	if len(text) > most {
		text = text[:most] + "..."
	}
	return fmt.Sprintf("%q", text)
}
