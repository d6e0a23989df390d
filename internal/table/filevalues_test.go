package table

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileValues(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one"), "first\n")
	write(t, filepath.Join(dir, "two"), "sec\x00nd\xff")
	big := filepath.Join(dir, "big")
	write(t, big, "")
	if err := os.Truncate(big, maxFileValue+1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, names, want, err string }{
		{"one", "DIR/one", "first\n", ""},
		{"two", "DIR/one, DIR/two", "first\n\nsec\x00nd\xff", ""},
		{"none", " , ", "", "empty pathname list"},
		{"missing", "DIR/one DIR/nosuch", "", "open DIR/nosuch: No such file or directory"},
		{"directory", "DIR", "", "read DIR: Is a directory"},
		{"too large", "DIR/big", "", "file too large: DIR/big"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here := strings.NewReplacer("DIR", dir)
			value, err := filesOf(here.Replace(tt.names))
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), here.Replace(tt.err)) {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := FileContent(value); got != tt.want || err != nil {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"abc", "ab\ncd", "/etc/file", "===="} {
		if _, err := FileContent(bad); err == nil || !strings.HasPrefix(err.Error(), "malformed BASE64 value: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A byte order mark is part of the first key, and is warned of wherever there are keys.
func TestByteOrderMark(t *testing.T) {
	const warning = ", line 1: the first key begins with a byte order mark: save the file without one"
	for _, typ := range []string{"hash", "cdb", "texthash", "regexp", "cidr"} {
		source := tableFile(t, "\ufeffa b\n\ufeffc d\n")
		var said []string
		warn := func(msg string) { said = append(said, msg) }
		if indexSuffix(typ) != "" || typ == "cdb" {
			if err := Build(typ+":"+source, BuildOptions{Warn: warn}); err != nil {
				t.Fatal(err)
			}
		}
		tb := open(t, typ+":"+source, Options{Warn: warn})
		if typ == "hash" || typ == "cdb" || typ == "texthash" {
			wantAnswer(t, tb, "\ufeffa", "b")
		}
		n := 0
		for _, msg := range said {
			if msg == source+warning {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: warned %d times: %q", typ, n, said)
		}
	}
}
