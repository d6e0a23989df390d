package postconf

import (
	"errors"
	"fmt"
	"strings"
)

// A template is a value taken apart at its references to other parameters, as
// mac_parse(3) and mac_expand(3) read it. Parsing looks nothing up: expand.go does, and
// references only lists the names.

type template []part

// part is literal text, or a parameter's value, or a comparison's outcome.
type part struct {
	text    string
	name    string    // a reference to this parameter
	compare *relation // a comparison; its value is "true" or empty

	// ? and : choose by whether the value is empty. Without either the part stands for
	// the value itself; with one of them alone the other gives nothing.
	chosen             bool
	whenFull, whenNone template
}

type relation struct {
	left, right template
	operator    string // == != < <= >= >
	levels      bool   // suffix "level": compare compatibility levels
}

// maxNesting bounds braces in braces, and parameters in parameters. It is Postfix's.
const maxNesting = 100

func parseTemplate(s string) (template, error) { return parseNested(s, 0) }

func parseNested(s string, depth int) (template, error) {
	if depth > maxNesting {
		return nil, errors.New("braces nested too deep")
	}
	var t template
	for s != "" {
		dollar := strings.IndexByte(s, '$')
		if dollar < 0 {
			return append(t, part{text: s}), nil
		}
		if dollar > 0 {
			t = append(t, part{text: s[:dollar]})
		}
		s = s[dollar+1:]
		switch {
		case s != "" && s[0] == '$':
			t = append(t, part{text: "$"})
			s = s[1:]
		case s != "" && (s[0] == '{' || s[0] == '('):
			inner, rest, ok := balanced(s)
			if !ok {
				return nil, fmt.Errorf("missing %q after %s", closing(s[0]), shown("$"+s))
			}
			p, err := parseReference(inner, depth)
			if err != nil {
				return nil, err
			}
			t = append(t, p)
			s = rest
		default:
			name := s[:nameLength(s)]
			if name == "" {
				return nil, fmt.Errorf("no parameter name after $ in %s", shown("$"+s))
			}
			t = append(t, part{name: name})
			s = s[len(name):]
		}
	}
	return t, nil
}

// parseReference reads what stands between the braces of ${...}.
func parseReference(inner string, depth int) (part, error) {
	rest := strings.TrimLeft(inner, space)
	var p part
	if strings.HasPrefix(rest, "{") {
		var err error
		if p.compare, rest, err = parseRelation(rest, depth); err != nil {
			return p, err
		}
	} else {
		p.name = rest[:nameLength(rest)]
		rest = strings.TrimLeft(rest[len(p.name):], space)
		if p.name == "" {
			return p, fmt.Errorf("no parameter name in ${%s}", inner)
		}
	}
	return p.choose(rest, inner, depth)
}

// parseRelation reads "{x} == {y}" from the start of s.
func parseRelation(s string, depth int) (r *relation, rest string, err error) {
	left, rest, ok := balanced(s)
	if !ok {
		return nil, "", fmt.Errorf("missing '}' after %s", shown(s))
	}
	rest = strings.TrimLeft(rest, space)
	r = &relation{operator: rest[:len(rest)-len(strings.TrimLeft(rest, "=!<>?+-*/~&|%"))]}
	switch r.operator {
	case "==", "!=", "<", "<=", ">=", ">":
	default:
		return nil, "", fmt.Errorf("one of == != < <= >= > expected after {%s} at %s", left, shown(rest))
	}
	rest = rest[len(r.operator):]
	if suffix := rest[:nameLength(rest)]; suffix != "" {
		if suffix != "level" {
			return nil, "", fmt.Errorf("unknown operator %s%s", r.operator, suffix)
		}
		r.levels = true
		rest = rest[len(suffix):]
	}
	rest = strings.TrimLeft(rest, space)
	if !strings.HasPrefix(rest, "{") {
		return nil, "", fmt.Errorf("{text} expected after {%s} %s", left, r.operator)
	}
	right, rest, ok := balanced(rest)
	if !ok {
		return nil, "", fmt.Errorf("missing '}' after %s", shown(s))
	}
	if r.left, err = parseNested(left, depth+1); err != nil {
		return nil, "", err
	}
	if r.right, err = parseNested(right, depth+1); err != nil {
		return nil, "", err
	}
	return r, strings.TrimLeft(rest, space), nil
}

// choose reads what follows a name or a comparison: nothing, ?, : or both. Text
// without braces reaches to the end, colons and all, as it did before Postfix 3.0.
func (p part) choose(rest, inner string, depth int) (part, error) {
	if rest == "" {
		return p, nil
	}
	if rest[0] != '?' && rest[0] != ':' {
		return p, fmt.Errorf("'?' or ':' expected at %s in ${%s}", shown(rest), inner)
	}
	p.chosen = true
	var err error
	if rest[0] == '?' {
		var text string
		if text, rest, err = operand(rest[1:]); err != nil {
			return p, err
		}
		if p.whenFull, err = parseNested(text, depth+1); err != nil || rest == "" {
			return p, err
		}
		if rest[0] != ':' {
			return p, fmt.Errorf("':' expected at %s in ${%s}", shown(rest), inner)
		}
	}
	text, rest, err := operand(rest[1:])
	if err != nil {
		return p, err
	}
	if rest != "" {
		return p, fmt.Errorf("unexpected text at %s in ${%s}", shown(rest), inner)
	}
	p.whenNone, err = parseNested(text, depth+1)
	return p, err
}

// operand takes {text} from the start of s, or all of it.
func operand(s string) (text, rest string, err error) {
	braced := strings.TrimLeft(s, space)
	if !strings.HasPrefix(braced, "{") {
		return s, "", nil
	}
	text, rest, ok := balanced(braced)
	if !ok {
		return "", "", fmt.Errorf("missing '}' after %s", shown(braced))
	}
	return text, strings.TrimLeft(rest, space), nil
}

// balanced splits s, which begins with a brace or parenthesis, at its partner.
func balanced(s string) (inner, rest string, ok bool) {
	level := 0
	for i := range len(s) {
		switch s[i] {
		case s[0]:
			level++
		case closing(s[0]):
			if level--; level == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

func closing(open byte) byte {
	if open == '(' {
		return ')'
	}
	return '}'
}

func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return i
		}
	}
	return len(s)
}

// references calls yield with every name in the template, chosen or not.
func (t template) references(yield func(name string)) {
	for _, p := range t {
		if p.name != "" {
			yield(p.name)
		}
		if p.compare != nil {
			p.compare.left.references(yield)
			p.compare.right.references(yield)
		}
		p.whenFull.references(yield)
		p.whenNone.references(yield)
	}
}
