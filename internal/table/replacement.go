package table

import (
	"fmt"
	"strconv"
	"strings"
)

// replacement is the result of a rule: text, and the numbers of groups whose text goes
// in between. $1, ${1} and $(1) are groups, $$ is a dollar.
type replacement []part

type part struct {
	text  string
	group int // 0 for text
}

func (r replacement) expand(groups []string) string {
	if len(r) == 1 && r[0].group == 0 {
		return r[0].text
	}
	var b strings.Builder
	for _, p := range r {
		switch {
		case p.group == 0:
			b.WriteString(p.text)
		case p.group < len(groups):
			b.WriteString(groups[p.group])
		}
	}
	return b.String()
}

// highest is the greatest number of a group.
func (r replacement) highest() (n int) {
	for _, p := range r {
		n = max(n, p.group)
	}
	return n
}

// parseReplacement reads a result. Its complaints are those of mac_parse(3) and, after
// the name of the table, of the table's own. Postfix passes the rule over then.
func parseReplacement(kind, s string) (r replacement, bare, inMap string) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			r = append(r, part{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		if s[i] != '$' {
			text.WriteByte(s[i])
			i++
			continue
		}
		if strings.HasPrefix(s[i:], "$$") {
			text.WriteByte('$')
			i += 2
			continue
		}
		flush()
		name, next, why := macroName(s, i+1)
		if why != "" {
			return nil, why, ""
		}
		n, err := strconv.Atoi(name)
		switch {
		case strings.Trim(name, "0123456789") != "":
			return nil, "", fmt.Sprintf(`non-numeric replacement index "%s"`, name)
		case err != nil, n < 1:
			words := map[string]string{"regexp": "out-of-range", "pcre": "out of range"}[kind]
			return nil, "", fmt.Sprintf(`%s replacement index "%s"`, words, name)
		}
		r = append(r, part{group: n})
		i = next
	}
	flush()
	return r, "", ""
}

// macroName reads the name of a macro: letters and digits, or what stands in brackets.
func macroName(s string, i int) (name string, next int, why string) {
	end := i
	if i < len(s) && (s[i] == '{' || s[i] == '(') {
		open, closing := s[i], map[byte]byte{'{': '}', '(': ')'}[s[i]]
		level := 1
		for end = i + 1; end < len(s) && level > 0; end++ {
			switch s[end] {
			case open:
				level++
			case closing:
				level--
			}
		}
		if level > 0 {
			return "", 0, fmt.Sprintf(`truncated macro reference: "%s"`, s)
		}
		name, next = s[i+1:end-1], end
	} else {
		for end < len(s) && (isAlnum(s[end]) || s[end] == '_') {
			end++
		}
		name, next = s[i:end], end
	}
	if name == "" {
		return "", 0, fmt.Sprintf(`empty macro name: "%s"`, s)
	}
	return name, next, ""
}
