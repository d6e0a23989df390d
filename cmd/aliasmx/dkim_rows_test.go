package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A row of a live table whose keys cannot be read signs as before, with one warning; a domain
// that never signed waits. A reload takes neither, and changes nothing.
func TestKeptRows(t *testing.T) {
	dir := t.TempDir()
	first, second := keyIn(t, dir, "a.example", "s1"), keyIn(t, dir, "a.example", "s2")
	missing := filepath.Join(dir, "missing")
	v := checkedView(t, "dkim_keys = inline:{{a.example = s1 "+first+"}, {.grün.example = s1 "+first+"}}\n")
	k, err := v.signingKeys()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	k.log = slog.New(slog.NewTextHandler(&log, nil))
	for _, c := range []struct {
		row, value, want string
		warns            bool
	}{
		{"a.example", "s1 " + first, "s1", false},
		{"a.example", "s1 " + missing, "s1", true},
		{"a.example", "s1 " + missing, "s1", false},
		{"a.example", "s2 " + missing, "s1", true}, // a new selector
		{"a.example", "s2 " + second + ", s3 " + missing, "s1", true},
		{"a.example", "nonsense", "s1", true},
		{"a.example", "s2 " + second, "s2", false},
		{"a.example", "s1 " + missing, "s2", true},
		{".xn--grn-ioa.example", "s1 " + missing, "s1", true},
		{".a.example", "s1 " + missing, "missing", false},
		{"new.example", "s1 " + missing, "missing", false},
		{"new.example", "s1 " + first, "s1", false},
		{"new.example", "s1 " + missing, "s1", true},
	} {
		log.Reset()
		keys, err := k.row(c.row, c.value)
		var got []string
		for _, key := range keys {
			got = append(got, key.Selector)
		}
		if err == nil && strings.Join(got, " ") != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, %v; want %s", c.row, c.value, got, err, c.want)
		}
		if warned := strings.Count(log.String(), "level=WARN"); warned > 1 || (warned == 1) != c.warns {
			t.Errorf("%s %s: %s", c.row, c.value, log.String())
		}
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if _, err := v.signingKeys(); err == nil {
		t.Error("a reload takes a key that is not there")
	}
}
