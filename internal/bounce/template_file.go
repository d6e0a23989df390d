package bounce

import (
	"fmt"
	"strings"
)

// The file of bounce_template_file, bounce(5): templates by name, each with a header of
// its own.

// ParseTemplates reads such a file; origin is its name. A template with a fault is left as
// it is built in, and warn is told. Where bounce(8) would not run at all, since nobody
// can say what the file means, there is an error that names the line.
func ParseTemplates(origin, text string, warn func(string)) (Templates, error) {
	ts := BuiltIn()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\r")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		fail := func(what string) error {
			return fmt.Errorf("%s, line %d: %s: %q", origin, i+1, what, line)
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok:
			return ts, fail("missing '=' after attribute name")
		case name == "":
			return ts, fail("missing attribute name")
		case strings.ContainsAny(name, " \t"):
			return ts, fail("missing '=' after attribute name")
		}
		at := i + 1
		if mark, here := strings.CutPrefix(value, "<<"); here {
			mark = strings.TrimSpace(mark)
			switch {
			case mark == "":
				return ts, fail("missing end marker after <<")
			case !isAlphanumeric(mark[0]):
				return ts, fail("malformed end marker after <<")
			}
			first := i + 1
			for i++; i < len(lines) && strings.TrimSuffix(lines[i], "\r") != mark; i++ {
			}
			if i == len(lines) {
				warn(fmt.Sprintf("%s, line %d: missing %q end marker", origin, at, mark))
			}
			value = strings.Join(lines[first:i], "\n")
		}
		t := ts.byName(name)
		if t == nil {
			warn(fmt.Sprintf("%s, line %d: unknown template name: %s -- ignoring this template", origin, at, name))
			continue
		}
		if fault := t.parse(value); fault != "" {
			*t = *builtInLike(t)
			warn(fmt.Sprintf("%s, line %d: %s -- ignoring this template", origin, at, fault))
			continue
		}
		t.origin = origin
	}
	return ts, nil
}

// byName finds a template by its name in a file.
func (ts *Templates) byName(name string) *Template {
	for _, t := range ts.all() {
		if name == t.name+"_template" {
			return t
		}
	}
	return nil
}

// parse makes t what a value in the file says.
func (t *Template) parse(value string) (fault string) {
	changed := *builtInLike(t)
	lines := strings.Split(strings.ReplaceAll(value, "\r\n", "\n"), "\n")
	lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], "\r")
	for len(lines) > 0 && isHeaderLine([]byte(lines[0])) && lines[0][0] > ' ' {
		label, text, _ := strings.Cut(lines[0], ":")
		label, text = strings.TrimRight(label, " \t"), strings.TrimLeft(text, ": \t")
		if fault := changed.set(label, text); fault != "" {
			return fault
		}
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return fmt.Sprintf("missing message text in %s template", t.name)
	}
	changed.lines = lines
	if strings.EqualFold(changed.charset, "us-ascii") && !isASCII(strings.Join(lines, "")) {
		return fmt.Sprintf("8-bit message text in %s template: please specify a charset value other than us-ascii", t.name)
	}
	*t = changed
	return ""
}

// set is one line of a template's header.
func (t *Template) set(label, text string) (fault string) {
	field := map[string]*string{
		"charset": &t.charset, "from": &t.from, "subject": &t.subject, "postmaster-subject": &t.copySubject,
	}[strings.ToLower(label)]
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Sprintf("empty %q header value in %s template", label, t.name)
	case !isASCII(text):
		return fmt.Sprintf("non-ASCII %q header value in %s template", label, t.name)
	case field == nil:
		return fmt.Sprintf("unknown %q header label in %s template", label, t.name)
	case field == &t.copySubject && t.copySubject == "":
		return fmt.Sprintf("inapplicable %q header label in %s template", label, t.name)
	}
	*field = printable(strings.TrimSpace(text))
	return ""
}

// builtInLike is the template of the same name as it is built in: of two in a file the
// second counts alone.
func builtInLike(t *Template) *Template {
	ts := BuiltIn()
	return ts.byName(t.name + "_template")
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
