//go:build !slim

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"aliasmx/internal/table"
)

// A warning about a .cf file is given once, however many parameters name the table.
func TestTableWarningsOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.cf")
	if err := os.WriteFile(file, []byte("dbname = d\npassword = p\nquery = SELECT '%s'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var warned []string
	o := table.Options{Types: tableTypes(), Warn: func(msg string) { warned = append(warned, msg) }}
	for _, spec := range []string{"pgsql:" + file, "proxy:pgsql:" + file, "mysql:" + file} {
		tb, err := table.Open(spec, o)
		if err != nil {
			t.Fatal(err)
		}
		defer tb.Close()
	}
	if len(warned) != 1 {
		t.Errorf("warned %q, want once", slices.Compact(warned))
	}
}
