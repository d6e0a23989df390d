package postconf

import (
	"slices"
	"testing"
)

func TestParseMain(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       map[string]string
		line       map[string]int
	}{
		{"plain", "a = b\n", map[string]string{"a": "b"}, map[string]int{"a": 1}},
		{"no spaces, no line end", "a=b", map[string]string{"a": "b"}, nil},
		{"empty value", "a =\n", map[string]string{"a": ""}, nil},
		{"equals sign in the value", "a = b = c\n", map[string]string{"a": "b = c"}, nil},
		{"continuation", "a = b\n c\n\td\n", map[string]string{"a": "b c\td"}, nil},
		{"continuation of an empty value", "a =\n  b\n", map[string]string{"a": "b"}, nil},
		{"comments and empty lines inside", "a = b\n# c\n\n   \n  # d\n c\n", map[string]string{"a": "b c"}, nil},
		{"comment after it", "# x\na = b\n#c\nd = e\n", map[string]string{"a": "b", "d": "e"}, map[string]int{"a": 2, "d": 4}},
		{"hash in a value", "a = b # c\n", map[string]string{"a": "b # c"}, nil},
		{"CRLF", "a = b\r\n c\r\nd = e\r\n", map[string]string{"a": "b\r c", "d": "e"}, nil},
		{"other names", "policyd-spf_time_limit = 3600\n", map[string]string{"policyd-spf_time_limit": "3600"}, nil},
		{"last counts", "a = 1\na = 2\na = 3\n", map[string]string{"a": "3"}, map[string]int{"a": 3}},
		{"nothing", "", map[string]string{}, nil},
		{"continuation of nothing", "  x = y\na = b\n", map[string]string{"a": "b"}, map[string]int{"a": 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, _, err := parseMain("main.cf", []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(set) != len(tc.want) {
				t.Errorf("%q: got %v, want %v", tc.text, set, tc.want)
			}
			for name, want := range tc.want {
				if got := set[name].value; got != want {
					t.Errorf("%q: %s = %q, want %q", tc.text, name, got, want)
				}
			}
			for name, want := range tc.line {
				if got := set[name].line; got != want {
					t.Errorf("%q: %s on line %d, want %d", tc.text, name, got, want)
				}
			}
		})
	}
}

func TestParseMainErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a = b\nc\n", `main.cf, line 2: missing '=' after attribute name: "c"; write name = value, or begin the line with # or with a space`},
		{"= b\n", `main.cf, line 1: missing attribute name: "= b"; write name = value, or begin the line with # or with a space`},
		{"a b = c\n", `main.cf, line 1: missing '=' after attribute name: "a b = c"; write name = value, or begin the line with # or with a space`},
		{"a = b\x00c\n", `main.cf, line 1: NUL byte in "a = b\x00c"; write name = value, or begin the line with # or with a space`},
	} {
		_, _, err := parseMain("main.cf", []byte(tc.text))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: got %v, want %s", tc.text, err, tc.want)
		}
	}
}

func TestParseMainWarnings(t *testing.T) {
	_, got, err := parseMain("/etc/main.cf", []byte("  x\na = 1\na = 2\n"))
	want := []string{
		`/etc/main.cf, line 1: logical line must not start with whitespace: "  x"`,
		"/etc/main.cf, line 3: overriding earlier entry: a=1",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestSplitList(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" , ", nil},
		{"a", []string{"a"}},
		{"a,b  c,\t d", []string{"a", "b", "c", "d"}},
		{"inline:{ {a = b c}, d = e } static:x", []string{"inline:{ {a = b c}, d = e }", "static:x"}},
		{"!/file, hash:/etc/x", []string{"!/file", "hash:/etc/x"}},
		{"a} b", []string{"a}", "b"}},
		{"{a b", []string{"{a b"}},
	} {
		if got := splitList(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("splitList(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}
