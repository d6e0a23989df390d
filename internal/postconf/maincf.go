package postconf

import (
	"fmt"
	"strings"
)

// setting is a value as it was written, with its place.
type setting struct {
	value string
	place
}

// parseMain reads main.cf. The last definition of a name counts; the ones before it
// are warned about.
func parseMain(file string, data []byte) (map[string]setting, []string, error) {
	lines, warnings := logicalLines(file, data)
	set := make(map[string]setting, len(lines))
	for _, l := range lines {
		at := place{file, l.line}
		name, value, err := nameValue(l.text)
		if err != nil {
			return nil, nil, at.fail(err.Error(), "write name = value, or begin the line with # or with a space")
		}
		if old, again := set[name]; again {
			warnings = append(warnings, at.warn(
				fmt.Sprintf("overriding earlier entry: %s=%s", name, old.value)))
		}
		set[name] = setting{value, at}
	}
	return set, warnings, nil
}

// nameValue takes "name = value" apart, as split_nameval(3) does.
func nameValue(text string) (name, value string, err error) {
	text = trimSpace(text)
	if strings.IndexByte(text, 0) >= 0 {
		return "", "", fmt.Errorf("NUL byte in %s", shown(text))
	}
	name = text
	if end := strings.IndexAny(text, space+"="); end >= 0 {
		name = text[:end]
	}
	if name == "" {
		return "", "", fmt.Errorf("missing attribute name: %s", shown(text))
	}
	value, found := strings.CutPrefix(strings.TrimLeft(text[len(name):], space), "=")
	if !found {
		return "", "", fmt.Errorf("missing '=' after attribute name: %s", shown(text))
	}
	return name, trimSpace(value), nil
}
