package table

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A list names its names in order, then the keys of its tables with their lines.
func TestDomainListEach(t *testing.T) {
	dir := t.TempDir()
	file, source := filepath.Join(dir, "domains"), filepath.Join(dir, "virtual")
	for name, text := range map[string]string{file: "c.example\n!d.example\n", source: "# none\ne.example any\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := ParseDomainList([]string{"B.example", file, "!x.example", "a.example", "texthash:" + source, "static:all"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	var got []string
	opaque, err := list.Each(func(name string, in Table) bool {
		where := ""
		if in != nil {
			where = in.(Locator).Locate(name)
		}
		got = append(got, name+"|"+where)
		return true
	})
	want := []string{"b.example|", "c.example|", "a.example|", "e.example|" + source + ", line 2"}
	if err != nil || !slices.Equal(got, want) || !slices.Equal(opaque, []string{"static:all"}) {
		t.Errorf("got %q, cannot list %q, %v; want %q", got, opaque, err, want)
	}
	n := 0
	if _, err := list.Each(func(string, Table) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("it went on after the end: %d, %v", n, err)
	}
}
