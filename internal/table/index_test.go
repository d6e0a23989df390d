package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildAndLookup(t *testing.T) {
	for _, typ := range []string{"hash", "btree", "dbm", "lmdb"} {
		t.Run(typ, func(t *testing.T) {
			source := tableFile(t, "a@virt.example one@dest.example, two@dest.example\n@virt2.example @dest2.example\n\n"+
				"B@virt.example Three@dest.example\n\"odd user\"@virt.example four@dest.example\n")
			spec := typ + ":" + source
			build(t, spec)
			tb := open(t, spec, Options{})
			wantAnswer(t, tb, "a@virt.example", "one@dest.example, two@dest.example")
			wantAnswer(t, tb, "A@VIRT.example", "one@dest.example, two@dest.example")
			wantAnswer(t, tb, "b@virt.example", "Three@dest.example")
			wantAnswer(t, tb, "@Virt2.Example", "@dest2.example")
			wantAnswer(t, tb, `"odd user"@virt.example`, "four@dest.example")
			wantAnswer(t, tb, "c@virt.example", "(none)")
			wantAnswer(t, tb, "", "(none)")
			if tb.Name() != spec {
				t.Errorf("Name() = %q", tb.Name())
			}
			if got, want := tb.(Locator).Locate("B@virt.example"), source+", line 4"; got != want {
				t.Errorf("Locate = %q, want %q", got, want)
			}
			if got := list(t, tb); len(got) != 4 {
				t.Errorf("Each gave %q", got)
			}
			if err := tb.Close(); err != nil {
				t.Error(err)
			}
			if got := answer(tb, "a@virt.example"); !strings.Contains(got, "is closed") {
				t.Errorf("after Close: %q", got)
			}
		})
	}
}

// TestManyEntries: the hash index against a map, over the sizes at which it grows.
func TestManyEntries(t *testing.T) {
	for _, n := range []int{0, 1, 11, 12, 13, 511, 512, 513, 20_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var text strings.Builder
			want := map[string]string{}
			for i := range n {
				fmt.Fprintf(&text, "user%d@virt.example target%d@dest.example\n", i, i*7)
				want[fmt.Sprintf("user%d@virt.example", i)] = fmt.Sprintf("target%d@dest.example", i*7)
			}
			source := tableFile(t, text.String())
			build(t, "hash:"+source)
			tb := open(t, "hash:"+source, Options{})
			if got := list(t, tb); !maps.Equal(got, want) {
				t.Fatalf("Each gave %d entries, want %d", len(got), n)
			}
			for key, value := range want {
				if got := answer(tb, key); got != value {
					t.Fatalf("Lookup(%q) = %q, want %q", key, got, value)
				}
				if got := answer(tb, "no"+key); got != "(none)" {
					t.Fatalf("Lookup(no%s) = %q", key, got)
				}
			}
		})
	}
}

// indexBytes is an index of a few entries, some of them replaced.
func indexBytes(t testing.TB) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := newIndexWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := w.add(fmt.Sprintf("key%d", i%15), fmt.Sprintf("value%d", i), i+1, DupReplace); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDamage: every single byte of an index that is changed, and every length it is
// cut to, is an error when the index is opened.
func TestDamage(t *testing.T) {
	whole := indexBytes(t)
	file := filepath.Join(t.TempDir(), "virtual.db")
	try := func(what string, b []byte) {
		write(t, file, string(b))
		tb, err := Open("hash:"+strings.TrimSuffix(file, ".db"), Options{})
		if err == nil {
			tb.Close()
			t.Errorf("%s: opened", what)
			return
		}
		if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "aliasmx postmap hash:") {
			t.Errorf("%s: error %q names no file or no remedy", what, err)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		try(fmt.Sprintf("byte %d changed", i), b)
	}
	for n := range whole {
		try(fmt.Sprintf("cut to %d bytes", n), whole[:n])
	}
	try("a byte more", append(bytes.Clone(whole), 0))
}

func TestVersionOfTheFormat(t *testing.T) {
	b := indexBytes(t)
	binary.LittleEndian.PutUint32(b[8:], indexVersion+1)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	file := write(t, filepath.Join(t.TempDir(), "v.db"), string(b))
	_, err := Open("hash:"+strings.TrimSuffix(file, ".db"), Options{})
	if want := "it has version 3 of the format, this program reads version 2; run"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// FuzzOpenIndex: whatever a file holds, opening it and asking it neither panics nor
// reads beyond its end. With fix, the checksums are made right, so that the fuzzer
// gets past them and the bounds are all that protects.
func FuzzOpenIndex(f *testing.F) {
	whole := indexBytes(f)
	f.Add(whole, false, "key3")
	f.Add(whole, true, "key3")
	f.Add(whole[:headerSize], true, "x")
	f.Add([]byte(indexMagic), false, "x")
	f.Add([]byte{}, false, "")
	f.Fuzz(func(t *testing.T, b []byte, fix bool, key string) {
		if b = bytes.Clone(b); fix && len(b) >= headerSize {
			copy(b, indexMagic)
			binary.LittleEndian.PutUint32(b[8:], indexVersion)
			binary.LittleEndian.PutUint32(b[40:], crc32.Checksum(b[headerSize:], castagnoli))
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		}
		file := write(t, filepath.Join(t.TempDir(), "fuzz.db"), string(b))
		x, err := openIndex(file, "")
		if err != nil {
			return
		}
		defer x.close()
		if _, _, err := x.find(key); err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("find: %v", err)
		}
		n := 0
		if err := x.each(func(string, located) bool { n++; return true }); err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("each: %v", err)
		}
		if n > len(b) {
			t.Errorf("%d records in %d bytes", n, len(b))
		}
	})
}

// TestForeign: an index that Postfix made is not ours to read, but its source is.
func TestForeign(t *testing.T) {
	page := func(at int, magic uint32, order binary.ByteOrder) string {
		b := make([]byte, 4096)
		order.PutUint32(b[at:], magic)
		return string(b)
	}
	tests := []struct{ name, typ, index, kind string }{
		{"Berkeley DB hash", "hash", page(12, 0x61561, binary.LittleEndian), "Berkeley DB"},
		{"Berkeley DB btree", "btree", page(12, 0x53162, binary.LittleEndian), "Berkeley DB"},
		{"of a big-endian machine", "hash", page(12, 0x61561, binary.BigEndian), "Berkeley DB"},
		{"LMDB", "lmdb", page(16, 0xbeefc0de, binary.LittleEndian), "LMDB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w warnings
			source := tableFile(t, "a@x one\nA@x two\n")
			spec := tt.typ + ":" + source
			write(t, source+indexSuffix(tt.typ), tt.index)
			tb := open(t, spec, w.options())
			wantSaid(t, &w, "duplicate entry",
				"database "+source+indexSuffix(tt.typ)+" was made by Postfix ("+tt.kind+"): reading the source file "+source+" into memory instead")
			wantAnswer(t, tb, "A@X", "one")
			if got, want := tb.(Locator).Locate("a@x"), source+", line 1"; got != want {
				t.Errorf("Locate = %q, want %q", got, want)
			}
			if err := Update(spec, strings.NewReader("b@x two\n"), BuildOptions{}); err == nil || !strings.Contains(err.Error(), "made by Postfix") {
				t.Errorf("Update = %v", err)
			}
			if err := os.Remove(source); err != nil {
				t.Fatal(err)
			}
			_, err := Open(spec, Options{})
			if err == nil || !strings.Contains(err.Error(), "its source cannot be read") || !strings.Contains(err.Error(), "aliasmx postmap "+spec) {
				t.Errorf("without source: %v", err)
			}
		})
	}
}

// TestReadBack: a duplicate is found although its first record has left the buffer,
// and although another key has the same hash.
func TestReadBack(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := newIndexWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct{ key, value string }{{"a", strings.Repeat("x", 3<<20)}, {"b", "y"}} {
		if _, err := w.add(e.key, e.value, 1, DupWarn); err != nil {
			t.Fatal(err)
		}
	}
	if dup, err := w.add("a", "z", 2, DupWarn); !dup || err != nil {
		t.Errorf("add of a duplicate = %t, %v", dup, err)
	}
	// A forged collision: the entry of "a" under the hash of "c".
	w.entries[0].hash = hashKey("c")
	w.grow()
	if dup, err := w.add("c", "z", 2, DupWarn); dup || err != nil {
		t.Errorf("add of another key of the same hash = %t, %v", dup, err)
	}
}
