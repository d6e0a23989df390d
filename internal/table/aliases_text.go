package table

import (
	"errors"
	"io"
	"unicode/utf8"
)

// The source text of an alias table, aliases(5): "name: value, value ..." on logical
// lines. Both sides are read as addresses are (RFC 822 with Postfix's additions): a name
// in quotes may hold white space, what stands in parentheses is a comment, and a value
// in quotes may be a command with arguments. Names are stored without their quotes, as
// Postfix 3.7 stores them; values in their quoted form, since they are read again when
// they are looked up.

// readSource reads the source text of a table, in the form that the table has.
func readSource(r io.Reader, name string, o Options, ignoring string, yield func(entry) error) error {
	if o.Aliases {
		return readAliases(r, name, o, yield)
	}
	if o.Files {
		add := yield
		yield = func(e entry) error {
			text, err := filesOf(e.value)
			if err != nil {
				o.warnf("%s, line %d: %v: skipping this entry", name, e.line, err)
				return nil
			}
			e.value = text
			return add(e)
		}
	}
	return readEntries(r, name, o, ignoring, yield)
}

// readAliases calls yield for each alias. A line that is none is passed over with a
// warning, in the words of postalias(1). An error from yield ends the reading.
func readAliases(r io.Reader, name string, o Options, yield func(entry) error) error {
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
		key, value, why := splitAlias(scanAliases(string(text)))
		if why != "" {
			o.warnf("%s, line %d: %s", name, line, why)
			continue
		}
		if value == "" {
			continue // a line of nothing but white space in parentheses
		}
		if err := yield(entry{key: key, value: value, line: line}); err != nil {
			return err
		}
	}
}

// splitAlias divides a line at its first colon.
func splitAlias(tokens []aliasToken) (key, value, why string) {
	colon := -1
	for i, t := range tokens {
		if t.is(':') {
			colon = i
			break
		}
	}
	if colon <= 0 || colon == len(tokens)-1 {
		return "", "", "need name:value pair"
	}
	name := tokens[:colon]
	for _, t := range name {
		if t.is(',') {
			return "", "", "need name:value pair"
		}
	}
	for _, t := range name {
		if t.is('@') {
			return "", "", "name must be local"
		}
	}
	return internalForm(name, true), externalForm(tokens[colon+1:]), ""
}

// builder is the command that makes the index of a table.
func (o Options) builder() string {
	if o.Aliases {
		return "postalias"
	}
	return "postmap"
}
