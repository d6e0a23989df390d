package postconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Expansion is lazy, as in Postfix: a value is taken apart when it is asked for, and
// what a condition does not choose is not looked up. Each name is expanded once for an
// expander, so that the work is bounded by the number of names and not by the ways
// that lead to them.

// maxExpanded bounds what one request may expand to, in bytes: a few lines of main.cf
// can double themselves beyond any memory.
const maxExpanded = 4 << 20

// expander expands values. It belongs to one request.
type expander struct {
	// lookup returns a parameter's value as written. A name that nobody defined has
	// the empty value.
	lookup func(name string) (string, error)
	// finish turns an expanded value into the final one; nil: as it is.
	finish func(name, value string) (string, error)

	done  map[string]string
	chain []string // the names being expanded, outermost first
	bytes int
}

// parameter returns the expanded value of a parameter.
func (x *expander) parameter(name string) (string, error) {
	if value, ok := x.done[name]; ok {
		return value, nil
	}
	if i := slices.Index(x.chain, name); i >= 0 {
		loop := append(slices.Clone(x.chain[i:]), name)
		return "", fmt.Errorf("the value of %s depends on itself: %s", name, strings.Join(loop, " -> "))
	}
	if len(x.chain) >= maxNesting {
		return "", fmt.Errorf("%s refers to other parameters more than %d deep", x.chain[0], maxNesting)
	}
	x.chain = append(x.chain, name)
	defer func() { x.chain = x.chain[:len(x.chain)-1] }()

	raw, err := x.lookup(name)
	if err != nil {
		return "", err
	}
	value, err := x.text(raw)
	if err == nil && x.finish != nil {
		value, err = x.finish(name, value)
	}
	if err != nil {
		return "", err
	}
	if x.done == nil {
		x.done = make(map[string]string)
	}
	x.done[name] = value
	return value, nil
}

// text returns the expansion of a value as written.
func (x *expander) text(raw string) (string, error) {
	if strings.IndexByte(raw, '$') < 0 {
		return raw, nil
	}
	t, err := parseTemplate(raw)
	if err != nil {
		return "", err
	}
	return x.template(t)
}

func (x *expander) template(t template) (string, error) {
	var out strings.Builder
	for _, p := range t {
		s, err := x.part(p)
		if err != nil {
			return "", err
		}
		if x.bytes += len(s); x.bytes > maxExpanded {
			return "", fmt.Errorf("the value expands to more than %d bytes", maxExpanded)
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

func (x *expander) part(p part) (string, error) {
	var value string
	var err error
	switch {
	case p.name != "":
		value, err = x.parameter(p.name)
	case p.compare != nil:
		value, err = x.relation(p.compare)
	default:
		return p.text, nil
	}
	switch {
	case err != nil || !p.chosen:
		return value, err
	case value != "":
		return x.template(p.whenFull)
	}
	return x.template(p.whenNone)
}

func (x *expander) relation(r *relation) (string, error) {
	left, err := x.template(r.left)
	if err != nil {
		return "", err
	}
	right, err := x.template(r.right)
	if err != nil {
		return "", err
	}
	order := compareText(left, right)
	if r.levels {
		if order, err = compareLevels(left, right); err != nil {
			return "", err
		}
	}
	holds := false
	switch r.operator {
	case "==":
		holds = order == 0
	case "!=":
		holds = order != 0
	case "<":
		holds = order < 0
	case "<=":
		holds = order <= 0
	case ">=":
		holds = order >= 0
	case ">":
		holds = order > 0
	}
	if holds {
		return "true", nil
	}
	return "", nil
}

// compareText is numeric if both sides are all digits, however many.
func compareText(a, b string) int {
	if allDigits(a) && allDigits(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			return len(a) - len(b)
		}
	}
	return strings.Compare(a, b)
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

var errLevel = errors.New("malformed compatibility level")

// compareLevels compares "major", "major.minor" or "major.minor.patch".
func compareLevels(a, b string) (int, error) {
	as, err := level(a)
	if err != nil {
		return 0, err
	}
	bs, err := level(b)
	if err != nil {
		return 0, err
	}
	for i := range as {
		if order := compareText(as[i], bs[i]); order != 0 {
			return order, nil
		}
	}
	return 0, nil
}

func level(s string) (fields [3]string, err error) {
	fields = [3]string{"0", "0", "0"}
	parts := strings.Split(s, ".")
	if len(parts) > len(fields) {
		return fields, fmt.Errorf("%w %s", errLevel, shown(s))
	}
	for i, p := range parts {
		if !allDigits(p) {
			return fields, fmt.Errorf("%w %s", errLevel, shown(s))
		}
		fields[i] = p
	}
	return fields, nil
}
