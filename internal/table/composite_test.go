package table

import (
	"strings"
	"testing"
)

func TestComposite(t *testing.T) {
	env := map[string]string{"home": "/x", "HOME": "/y"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, c := range []struct{ spec, key, want string }{
		{"unionmap:{static:a,static:b}", "k", "a,b"},
		{"unionmap:{static:a static:b}", "k", "a,b"},
		{"unionmap:{inline:{k=a}, inline:{z=b}, inline:{k=c}}", "k", "a,c"},
		{"unionmap:{inline:{k=a}, inline:{z=b}}", "q", "(none)"},
		{"unionmap:{static:{},static:a}", "k", "a"},
		{"unionmap:{static:a,fail:x}", "k", "error: fail:x: table fail:x fails every lookup"},
		{"unionmap:{fail:x,static:a}", "k", "error: fail:x: table fail:x fails every lookup"},
		{"unionmap:{pipemap:{static:k,inline:{k=v}}, regexp:{{/^(.)/ <$1>}}}", "Zed", "v,<Z>"},
		{"pipemap:{inline:{k=z},inline:{z=9}}", "k", "9"},
		{"pipemap:{inline:{k=z},inline:{y=9}}", "k", "(none)"},
		{"pipemap:{inline:{k=z},inline:{z=9}}", "z", "(none)"},
		{"pipemap:{inline:{k=z},fail:f}", "k", "error: fail:f: table fail:f fails every lookup"},
		{"pipemap:{inline:{k=z},fail:f}", "q", "(none)"},
		{"randmap:{a}", "k", "a"},
		{"randmap:{{a b}, {a b}}", "k", "{a b}"},
		{"environ:x", "HOME", "/x"},
		{"environ:x", "PATH", "(none)"},
	} {
		tb := open(t, c.spec, Options{Env: lookup})
		wantAnswer(t, tb, c.key, c.want)
		if tb.Name() != c.spec {
			t.Errorf("%s: Name() = %s", c.spec, tb.Name())
		}
	}
	wantAnswer(t, open(t, "environ:x", Options{Env: lookup, NoFold: true}), "HOME", "/y")
	if _, err := Open("environ:x", Options{}); err == nil {
		t.Error("environ without an environment opens")
	}
}

func TestCompositeErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"unionmap:{inline:{k=a}, static:b": `bad syntax: "unionmap:{inline:{k=a}, static:b"; need "unionmap:{type:name...}"`,
		"unionmap:static:a":                `bad syntax: "unionmap:static:a"; need "unionmap:{type:name...}"`,
		"unionmap:{}":                      `bad syntax: "unionmap:{}"; need "unionmap:{type:name...}"`,
		"pipemap:{static:a foo}":           `bad syntax: "pipemap:{static:a foo}"; need "pipemap:{type:name...}"`,
		"randmap:{}":                       `bad syntax: "randmap:{}"; need "randmap:{value...}"`,
		"randmap:x":                        `bad syntax: "randmap:x"; need "randmap:{value...}"`,
		"pipemap:{static:a, nosuch:x}":     `unsupported dictionary type: nosuch; known: `,
		"unionmap:{hash:/nonexistent/x}":   `open database /nonexistent/x.db: No such file or directory`,
	} {
		_, err := Open(spec, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Open(%q) = %v, want %s", spec, err, want)
		}
	}
}

func TestRandmapChoosesEach(t *testing.T) {
	tb := open(t, "randmap:{a, b c}", Options{})
	seen := map[string]bool{}
	for range 1000 {
		seen[answer(tb, "k")] = true
	}
	if len(seen) != 3 || !seen["a"] || !seen["b"] || !seen["c"] {
		t.Errorf("answers %v", seen)
	}
}

func TestCompositeLocate(t *testing.T) {
	a, b := tableFile(t, "x y\n"), tableFile(t, "# c\nk v\n")
	for _, spec := range []string{
		"unionmap:{texthash:" + a + ",texthash:" + b + "}",
		"pipemap:{texthash:" + b + ",texthash:" + a + "}",
	} {
		tb := open(t, spec, Options{})
		if got := tb.(Locator).Locate("K"); got != b+", line 2" {
			t.Errorf("%s: Locate = %q", spec, got)
		}
	}
}
