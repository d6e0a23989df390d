package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestSourceText(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // "key|value|line"
		said       []string
	}{
		{name: "empty"},
		{name: "one", text: "a@x one\n", want: []string{"a@x|one|1"}},
		{name: "no newline at the end", text: "a@x one", want: []string{"a@x|one|1"}},
		{name: "tabs and trailing space", text: "a@x \t one  \t \n", want: []string{"a@x|one|1"}},
		{name: "carriage returns", text: "a@x one\r\nb@x two\r\n", want: []string{"a@x|one|1", "b@x|two|2"}},
		{name: "space inside the value", text: "d@x val trailing   \t \n", want: []string{"d@x|val trailing|1"}},
		{
			name: "comments and blank lines",
			text: "# c\n\n   \n\t\n  # indented\na@x one\n#end",
			want: []string{"a@x|one|6"},
		},
		{
			name: "continuation, with comments and blank lines between",
			text: "# comment\n\n   \na@x one,\n    two\n# comment inside\n\tthree\n\n  # indented\n    four\nb@x five\n",
			want: []string{"a@x|one,    two\tthree    four|4", "b@x|five|11"},
		},
		{name: "key alone, value on the next line", text: "c@x \n   cont\n a", want: []string{"c@x|cont a|1"}},
		{name: "# inside a value", text: "a@x one # two\n", want: []string{"a@x|one # two|1"}},
		{
			name: "quoted key", text: "\"q r\"@x  v1\n\"q\\\"s\"@x v2\nfoo\"bar baz\"\tv9\n",
			want: []string{`"q r"@x|v1|1`, `"q\"s"@x|v2|2`, `foo"bar baz"|v9|3`},
		},
		{name: "backslash", text: `a\ b@x v` + "\n" + `c\\ v`, want: []string{`a\ b@x|v|1`, `c\\|v|2`}},
		{name: "backslash at the end", text: `a \`, want: []string{`a|\|1`}},
		{
			name: "no value", text: "a@x\nb@x two\nc@x    \n", want: []string{"b@x|two|2"},
			said: []string{"T, line 1: expected format: key whitespace value", "T, line 3: expected format: key whitespace value"},
		},
		{
			name: "alias file", text: "c:   value\naaa: bbb: \n", want: []string{"c:|value|1", "aaa:|bbb:|2"},
			said: []string{
				`T, line 1: record is in "key: value" format; is this an alias file?`,
				`T, line 2: record is in "key: value" format; is this an alias file?`,
			},
		},
		{
			name: "unbalanced quotes", text: "\"unterminated v\nb@x v\n", want: []string{"b@x|v|2"},
			said: []string{`T, line 1: unbalanced '"' in '"unterminated v' -- ignoring this line`},
		},
		{
			name: "not UTF-8", text: "bad\xff@x v\nok@x v\xff\nk é\n", want: []string{"k|é|3"},
			said: []string{
				"T, line 1: non-UTF-8 input \"bad\xff@x v\" -- ignoring this line",
				"T, line 2: non-UTF-8 input \"ok@x v\xff\" -- ignoring this line",
			},
		},
		{
			name: "begins with a continuation", text: "  lead space, and then quite some more of it\na@x v\n", want: []string{"a@x|v|2"},
			said: []string{`T: logical line must not start with whitespace: "  lead space, and then quite s..."`},
		},
		{
			name: "null bytes", text: "nul\x00l@x vv\na@x v\x00w\n\x00\nb@x v\n", want: []string{"a@x|v|2", "b@x|v|4"},
			said: []string{
				"T, line 1: text after null byte is ignored", "T, line 1: expected format: key whitespace value",
				"T, line 2: text after null byte is ignored", "T, line 3: text after null byte is ignored",
			},
		},
		{name: "control characters", text: "ctl@x a\x01b\n", want: []string{"ctl@x|a\x01b|1"}},
		{
			name: "long", text: "a@x " + strings.Repeat("target@dest.example,\n  ", 10_000) + "end\nb@x two\n",
			want: []string{"a@x|" + strings.Repeat("target@dest.example,  ", 10_000) + "end|1", "b@x|two|10002"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w warnings
			var got []string
			err := readEntries(strings.NewReader(tt.text), "T", w.options(), "", func(e entry) error {
				got = append(got, fmt.Sprintf("%s|%s|%d", e.key, e.value, e.line))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("entries of %.200q:\n%.300q, want\n%.300q", tt.text, got, tt.want)
			}
			if said := w.take(); !slices.Equal(said, tt.said) {
				t.Errorf("warnings:\n%q, want\n%q", said, tt.said)
			}
		})
	}
}

func TestSourceLineTooLong(t *testing.T) {
	text := "a@x one\nb@x " + strings.Repeat("x", maxLine) + "\n"
	err := readEntries(strings.NewReader(text), "T", Options{}.withDefaults(), "", func(entry) error { return nil })
	if want := "T, line 2: line longer than"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestTexthash(t *testing.T) {
	var w warnings
	source := tableFile(t, "a@x one\nA@X two\nb@x\nB@virt.example Three@dest.example\n")
	tb := open(t, "texthash:"+source, w.options())
	wantSaid(t, &w,
		source+`, line 2: duplicate entry: "A@X"`,
		source+", line 3: expected format: key whitespace value -- ignoring this line")
	wantAnswer(t, tb, "A@x", "one")
	wantAnswer(t, tb, "b@Virt.Example", "Three@dest.example")
	wantAnswer(t, tb, "c@x", "(none)")
	if got, want := tb.(Locator).Locate("B@virt.example"), source+", line 4"; got != want {
		t.Errorf("Locate = %q, want %q", got, want)
	}
	if got := tb.(Locator).Locate("c@x"); got != "" {
		t.Errorf("Locate of a key that is not there = %q", got)
	}
	want := map[string]string{"a@x": "one", "b@virt.example": "Three@dest.example"}
	if got := list(t, tb); !maps.Equal(got, want) {
		t.Errorf("Each gave %q, want %q", got, want)
	}
}

func list(t testing.TB, tb Table) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := tb.(Lister).Each(func(key, value string) bool {
		if _, twice := got[key]; twice {
			t.Errorf("Each gave %q twice", key)
		}
		got[key] = value
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// FuzzSource: an index answers as the text does when it is read into memory, key by
// key, with the line of each; and both agree with a reader that knows nothing but the
// first rule of the format, where the text has no more to it than that.
func FuzzSource(f *testing.F) {
	f.Add("a@x one\nA@X two\n# c\nb@x\n three\n")
	f.Add("\"a b\"@x v\n\"open v\nc: d\n")
	f.Add("  lead\nk v\n\n  w\r\n#\n\tx")
	f.Add("nul\x00 v\nbad\xff v\nStra\u00dfe v\nSTRASSE w")
	f.Fuzz(func(t *testing.T, text string) {
		source := tableFile(t, text)
		build(t, "hash:"+source)
		index, memory := open(t, "hash:"+source, Options{}), open(t, "texthash:"+source, Options{})
		want := list(t, memory)
		if got := list(t, index); !maps.Equal(got, want) {
			t.Fatalf("index has %q, text has %q", got, want)
		}
		for key, value := range want {
			wantAnswer(t, index, key, value)
			at := index.(Locator).Locate(key)
			if at != memory.(Locator).Locate(key) || at == "" {
				t.Errorf("Locate(%q) = %q, in memory %q", key, at, memory.(Locator).Locate(key))
			}
		}
		if strings.ContainsAny(text, "\"\\\x00\r\v\f\n") || !strings.Contains(text, " ") {
			return
		}
		key, value, _ := strings.Cut(text, " ")
		value = strings.Trim(value, " \t")
		if stored, ok := (keyForm{fold: true, utf8: true}).key(key); ok && key != "" && key[0] != '#' && value != "" &&
			!strings.Contains(key, "\t") && want[stored] != value && len(want) > 0 {
			t.Errorf("%q: got %q, want %q", text, want[stored], value)
		}
	})
}
