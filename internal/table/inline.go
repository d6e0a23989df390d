package table

import (
	"fmt"
	"strings"
)

// openInline makes the table that stands in the configuration itself:
//
//	inline:{ key=value, { key = value with spaces } }
//
// Of two entries with one key the last counts, as in Postfix.
func openInline(argument string, o Options) (Table, error) {
	values := "value"
	if o.Files {
		values = "filename"
	}
	fail := func(why string) (Table, error) {
		return nil, fmt.Errorf(`%s: "inline:%s"; need "inline:{name=%s...}"`, why, argument, values)
	}
	if balanced(argument) != len(argument) || len(argument) < 3 {
		return fail("bad syntax")
	}
	m := &memory{entries: map[string]located{}}
	form := o.keyForm()
	for _, item := range splitList(argument[1 : len(argument)-1]) {
		if item[0] == '{' {
			inner, why := unbrace(item)
			if why != "" {
				return fail(why)
			}
			item = inner
		}
		key, value, why := splitPair(item)
		if why != "" {
			return fail(why)
		}
		folded, ok := form.key(key)
		if !ok {
			return fail("bad UTF-8 syntax")
		}
		if o.Files {
			text, err := filesOf(value)
			if err != nil {
				return fail(err.Error())
			}
			value = text
		}
		m.entries[folded] = located{value: value}
	}
	if len(m.entries) == 0 {
		return fail("empty table")
	}
	t := &texts{}
	t.name, t.o = "inline:"+argument, o
	t.load = func() (*memory, error) { return m, nil }
	return t, t.open()
}

// splitPair divides "key = value". Quotes protect an = or a space in the key, and
// stay in it.
func splitPair(s string) (key, value, why string) {
	s = strings.TrimLeft(s, spaces)
	if s == "" {
		return "", "", "no key found; expected format: key = value"
	}
	end, quoted := keyEnd([]byte(s), func(c byte) bool { return c == '=' || isSpace(c) })
	if quoted {
		return "", "", `unbalanced '"'`
	}
	rest := strings.TrimLeft(s[end:], spaces)
	if rest == "" || rest[0] != '=' {
		return "", "", "missing '=' after attribute name"
	}
	return s[:end], strings.Trim(rest[1:], spaces), ""
}

// splitList divides at commas and white space outside of braces, as Postfix's lists
// are divided.
func splitList(s string) []string {
	var items []string
	level, start := 0, -1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || level == 0 && (s[i] == ',' || isSpace(s[i])) {
			if start >= 0 {
				items = append(items, s[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case s[i] == '{':
			level++
		case s[i] == '}' && level > 0:
			level--
		}
	}
	return items
}

// balanced returns the length of the {...} that s begins with, 0 when there is none.
func balanced(s string) int {
	level := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			level++
		case '}':
			level--
		}
		if level == 0 {
			if i == 0 {
				return 0
			}
			return i + 1
		}
	}
	return 0
}

// unbrace takes the braces off, and the white space inside of them.
func unbrace(s string) (inner, why string) {
	switch n := balanced(s); {
	case n == 0:
		return "", fmt.Sprintf(`missing '}' in "%s"`, s)
	case n < len(s):
		return "", fmt.Sprintf(`syntax error after '}' in "%s"`, s)
	}
	return strings.Trim(s[1:len(s)-1], spaces), ""
}
