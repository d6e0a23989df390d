package postconf

import (
	"fmt"
	"strings"
	"testing"
)

// expansions were each compared with what postconf -x of Postfix 3.7.11 prints, where
// a is set to "A" and u is not.
var expansions = []struct{ in, want string }{
	{"plain", "plain"},
	{"$a ${a} $(a) ${ a }", "A A A A"},
	{"$a-$a.$a", "A-A.A"},
	{"$$ $$a $${a}", "$ $a ${a}"},
	{"$u|", "|"},
	{"${a?yes}|${a:no}", "yes|"},
	{"${u?yes}|${u:no}", "|no"},
	{"${a?}${a:}|", "|"},
	{"$(a?b) $(a?{b}) $(a?(x))", "b b (x)"},
	{"${a?{b}:{c}} ${u?{b}:{c}}", "b c"},
	{"${a ? {b} : {c}} ${u ? {b} : {c} }", "b c"},
	{"${u?{b}:c d}|", "c d|"},
	{"${a?b:c}", "b:c"},
	{"${a? x y }|", " x y |"},
	{"${u:{ N }}|", " N |"},
	{"${a?{b}:{}}|${u?{b}:{}}|", "b||"},
	{"${a?x}y}", "xy}"},
	{"{${a}}", "{A}"},
	{"${a?{${u:{$a$a}}}}", "AA"},
	{"${a?{x${a?{y}:{z}}}:{w}}", "xy"},
	{"${a?(}", "("},
	{"${{1} == {1} ? {T} : {F}}", "T"},
	{"${{1} == {1}}|${{a} == {b}}|${{}=={}}", "true||true"},
	{"${{$a}=={A}?{same}}", "same"},
	{"${{ a } == {a} ? {trimmed} : {as it is}}", "as it is"},
	{"${{10} < {9} ? {lt} : {ge}}", "ge"},
	{"${{a10} < {a9} ? {lt} : {ge}}", "lt"},
	{"${{007} == {7} ? {same} : {other}}", "same"},
	{"${{-1} < {1} ? {lt} : {ge}}", "lt"},
	{"${{a} < {B} ? {lt} : {ge}}", "ge"},
	{"${{$u} == {} ? {empty} : {full}}", "empty"},
	{"${{a} != {a} ? {x}}|", "|"},
	{"${{a} == {a} ? yes : no}", " yes : no"},
	{"${{a} == {a} ? {yes} : no }", "yes"},
	{"${{a} == {b} ? {yes} : no }|", " no |"},
	{"${{a} == {a} : no }|", "|"},
	{"${{1} >= {1} ? {${{2} < {1} ? {n} : {y}}}}", "y"},
	{"${{2}<={1}?{n}:{y}}${{2}>{1}?{y}:{n}}", "yy"},
	{"${{1} <=level {3.6} ? {le} : {gt}}", "le"},
	{"${{3.10} <level {3.6} ? {lt} : {ge}}", "ge"},
	{"${{3.6.0} ==level {3.6} ? {eq} : {ne}}", "eq"},
	// Postfix refuses numbers that do not fit a long.
	{"${{99999999999999999999} > {1} ? {gt} : {le}}", "gt"},
}

func expanderOf(values map[string]string) *expander {
	return &expander{lookup: func(name string) (string, error) { return values[name], nil }}
}

func TestExpand(t *testing.T) {
	for _, tc := range expansions {
		got, err := expanderOf(map[string]string{"a": "A"}).text(tc.in)
		if err != nil || got != tc.want {
			t.Errorf("%q = %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"${", `missing '}' after "${"`},
		{"x ${a", `missing '}' after "${a"`},
		{"$(a", `missing ')' after "$(a"`},
		{"${a?{b}", `missing '}' after "${a?{b}"`},
		{"$", `no parameter name after $ in "$"`},
		{"$-", `no parameter name after $ in "$-"`},
		{"$ a", `no parameter name after $ in "$ a"`},
		{"${}", `no parameter name in ${}`},
		{"${?b}", `no parameter name in ${?b}`},
		{"${$a}", `no parameter name in ${$a}`},
		{"${a b}", `'?' or ':' expected at "b" in ${a b}`},
		{"${a-b}", `'?' or ':' expected at "-b" in ${a-b}`},
		{"${a?{b}c}", `':' expected at "c" in ${a?{b}c}`},
		{"${a?{b}:{c}d}", `unexpected text at "d" in ${a?{b}:{c}d}`},
		{"${a:{b}:{c}}", `unexpected text at ":{c}" in ${a:{b}:{c}}`},
		{"$(a?{b)", `missing '}' after "{b"`},
		{"${{a}}", `one of == != < <= >= > expected after {a} at ""`},
		{"${{a} = {b}}", `one of == != < <= >= > expected after {a} at "= {b}"`},
		{"${{a} == b}", `{text} expected after {a} ==`},
		{"${{a} ==size {b}}", `unknown operator ==size`},
		{"${{3.x} <level {3.6}}", `malformed compatibility level "3.x"`},
		{"${{1.2.3.4} <level {3.6}}", `malformed compatibility level "1.2.3.4"`},
		{"${a?{$}}", `no parameter name after $ in "$"`},
		{strings.Repeat("${a?{", 200) + strings.Repeat("}}", 200), "braces nested too deep"},
	} {
		got, err := expanderOf(map[string]string{"a": "A"}).text(tc.in)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q = %q, %v; want error %s", tc.in, got, err, tc.want)
		}
	}
}

func TestExpandLoops(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values map[string]string
		want   string
	}{
		{"itself", map[string]string{"a": "x$a"}, "the value of a depends on itself: a -> a"},
		{"three", map[string]string{"a": "$b", "b": "${c}", "c": "$a"},
			"the value of a depends on itself: a -> b -> c -> a"},
		{"further on", map[string]string{"a": "$b", "b": "$c", "c": "$b"},
			"the value of b depends on itself: b -> c -> b"},
		{"in a condition", map[string]string{"a": "${{$b} == {} ? {x}}", "b": "$a"},
			"the value of a depends on itself: a -> b -> a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := expanderOf(tc.values).parameter("a"); err == nil || err.Error() != tc.want {
				t.Errorf("got %q, %v; want error %s", got, err, tc.want)
			}
		})
	}
	t.Run("not chosen", func(t *testing.T) {
		x := expanderOf(map[string]string{"a": "${b?{$b}:{$a}}", "b": "B"})
		if got, err := x.parameter("a"); err != nil || got != "B" {
			t.Errorf("got %q, %v; want B", got, err)
		}
	})
}

// A value that doubles itself with every name must end with an error, soon.
func TestExpandBounds(t *testing.T) {
	chain := func(n int, value string) map[string]string {
		values := map[string]string{}
		for i := range n {
			values[fmt.Sprintf("v%d", i)] = strings.ReplaceAll(value, "next", fmt.Sprintf("v%d", i+1))
		}
		return values
	}
	doubling := chain(60, "$next$next")
	doubling["v60"] = "0123456789"
	for name, values := range map[string]map[string]string{
		"the value expands to more than 4194304 bytes":     doubling,
		"v0 refers to other parameters more than 100 deep": chain(200, "$next"),
	} {
		if _, err := expanderOf(values).parameter("v0"); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
	// Nothing doubled is nothing, however often it is asked for.
	if got, err := expanderOf(chain(90, "$next$next")).parameter("v0"); got != "" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
