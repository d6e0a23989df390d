package table

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestValues(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rules := write("rules", "# rules\n/a/ OK\nif /b/\n/(c)/ PREPEND X-C: $$5 $1 more\nendif\n/(d)/ $1\n")
	text := write("text", "z one\n\na two\nm  three\n")
	for spec, want := range map[string][]Value{
		"regexp:" + rules: {{"OK", false, rules + ", line 2"}, {"PREPEND X-C: $5 ", true, rules + ", line 4"}, {"", true, rules + ", line 6"}},
		"pcre:" + rules:   {{"OK", false, rules + ", line 2"}, {"PREPEND X-C: $5 ", true, rules + ", line 4"}, {"", true, rules + ", line 6"}},
		"cidr:{ {192.0.2.0/24 OK}, {0.0.0.0/0 $1} }": {{"OK", false, ""}, {"$1", false, ""}},
		"texthash:" + text:                           {{"one", false, text + ", line 1"}, {"two", false, text + ", line 3"}, {"three", false, text + ", line 4"}},
		"inline:{a=y, b=x}":                          {{"x", false, ""}, {"y", false, ""}},
		"static:{REJECT no}":                         {{"REJECT no", false, ""}},
	} {
		table, err := Open(spec, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []Value
		if err := table.(Valued).Values(func(v Value) bool { got = append(got, v); return true }); err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", spec, got, want)
		}
		n := 0
		_ = table.(Valued).Values(func(Value) bool { n++; return false })
		if n != 1 {
			t.Errorf("%s: goes on after the end: %d", spec, n)
		}
		table.Close()
	}
}
