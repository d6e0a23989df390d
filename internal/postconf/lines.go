package postconf

import (
	"strings"
)

// Logical lines, as readllines(3) makes them for both files: text joined with its
// continuation lines. The white space at the start of a continuation stays in the
// text, the line break does not.

// space is what separates words. A carriage return is one of them, so that files
// written on other systems read the same.
const space = " \t\r\n\v\f"

func isSpace(c byte) bool { return strings.IndexByte(space, c) >= 0 }

func trimSpace(s string) string { return strings.Trim(s, space) }

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
}

// logicalLine is one definition and where it begins.
type logicalLine struct {
	text string
	line int
}

// logicalLines splits a file. Lines that begin with white space before any other line
// continue nothing: they are dropped with a warning, as Postfix does.
func logicalLines(file string, data []byte) (lines []logicalLine, warnings []string) {
	var text strings.Builder
	start := 0
	end := func() {
		if text.Len() > 0 {
			lines = append(lines, logicalLine{text.String(), start})
			text.Reset()
		}
	}
	number := 0
	for physical := range strings.SplitSeq(string(data), "\n") {
		number++
		content := strings.TrimLeft(physical, space)
		switch {
		case content == "" || content[0] == '#':
			// A comment does not end the line that it stands in.
		case !isSpace(physical[0]):
			end()
			start = number
			text.WriteString(physical)
		case text.Len() == 0:
			warnings = append(warnings, place{file, number}.warn(
				"logical line must not start with whitespace: "+shown(physical)))
		default:
			text.WriteString(physical)
		}
	}
	end()
	return lines, warnings
}
