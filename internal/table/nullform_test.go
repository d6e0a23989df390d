package table

import (
	"context"
	"strings"
	"testing"
)

// A table answers those who ask for its form, or for any.
func TestNullForm(t *testing.T) {
	for _, tt := range []struct {
		spec  string
		built NullForm
		finds map[NullForm]bool
	}{
		{"hash:", NullAny, map[NullForm]bool{NullAny: true, NullAdded: true}},
		{"lmdb:", NullAdded, map[NullForm]bool{NullAny: true, NullAdded: true}},
		{"btree:", NullNone, map[NullForm]bool{NullAny: true, NullNone: true}},
		{"cdb:", NullAny, map[NullForm]bool{NullAny: true, NullNone: true}},
		{"cdb:", NullAdded, map[NullForm]bool{NullAny: true, NullAdded: true}},
	} {
		spec := tt.spec + tableFile(t, "a b\nc d\n")
		if err := Build(spec, BuildOptions{NullForm: tt.built}); err != nil {
			t.Fatal(err)
		}
		for _, form := range []NullForm{NullAny, NullAdded, NullNone} {
			tb, err := Open(spec, Options{NullForm: form})
			if err != nil {
				t.Fatal(err)
			}
			value, found, err := tb.Lookup(context.Background(), "a")
			if err != nil || found != tt.finds[form] || found && value != "b" {
				t.Errorf("%s built %d, asked %d: %q, %v, %v", tt.spec, tt.built, form, value, found, err)
			}
			if err := tb.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A change keeps the form of the table, and finds nothing to delete in another form.
func TestNullFormKept(t *testing.T) {
	spec := "hash:" + tableFile(t, "a b\nc d\n")
	if err := Build(spec, BuildOptions{NullForm: NullNone}); err != nil {
		t.Fatal(err)
	}
	if n, err := Delete(spec, []string{"a"}, BuildOptions{NullForm: NullAdded}); n != 0 || err != nil {
		t.Errorf("delete in the other form: %d, %v", n, err)
	}
	if err := Update(spec, strings.NewReader("e f\n"), BuildOptions{}); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, open(t, spec, Options{NullForm: NullNone}), "e", "f")
	if n, err := Delete(spec, []string{"a"}, BuildOptions{}); n != 1 || err != nil {
		t.Errorf("delete in any form: %d, %v", n, err)
	}
	wantAnswer(t, open(t, spec, Options{NullForm: NullNone}), "c", "d")
}
