package cachefile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func decode(b []byte) (lines []string, cleaned time.Time, err error) {
	cleaned, err = Decode("test 1", b, func(line string) bool {
		lines = append(lines, line)
		return line != "bad"
	})
	return lines, cleaned, err
}

func TestRoundTrip(t *testing.T) {
	for _, cleaned := range []time.Time{{}, time.Unix(1764000000, 0)} {
		for _, want := range [][]string{nil, {"one"}, {"one", "end 1 00000000", ""}} {
			var lines []byte
			for _, l := range want {
				lines = append(append(lines, l...), '\n')
			}
			got, at, err := decode(Encode("test 1", cleaned, len(want), lines))
			if err != nil || !at.Equal(cleaned) || !slices.Equal(got, want) {
				t.Errorf("%q, %v: got %q, %v, %v", want, cleaned, got, at, err)
			}
		}
	}
}

// Any byte that is another, and any end that is missing, is noticed.
func TestDamage(t *testing.T) {
	whole := Encode("test 1", time.Unix(1764000000, 0), 2, []byte("one\ntwo\n"))
	for i := range whole {
		if _, _, err := decode(whole[:i]); err != ErrDamaged {
			t.Errorf("cut at %d: %v", i, err)
		}
		b := slices.Clone(whole)
		b[i] ^= 1
		if _, _, err := decode(b); err != ErrDamaged {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, b := range [][]byte{
		Encode("test 2", time.Time{}, 0, nil), Encode("test 1", time.Time{}, 1, nil), Encode("test 1", time.Time{}, 1, []byte("bad\n")),
	} {
		if _, _, err := decode(b); err != ErrDamaged {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "cache")
	if b, err := Read(path); b != nil || err != nil {
		t.Errorf("of no file: %q, %v", b, err)
	}
	for _, content := range []string{"first", "second"} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := Read(path); string(b) != content || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := Write(filepath.Join(path, "below a file"), nil); err == nil {
		t.Error("written below a file")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode("test 1", time.Time{}, 1, []byte("one\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, cleaned, err := decode(b)
		if err != nil {
			return
		}
		var text []byte
		for _, l := range lines {
			text = append(append(text, l...), '\n')
		}
		again, at, err := decode(Encode("test 1", cleaned, len(lines), text))
		if err != nil || !at.Equal(cleaned) || !slices.Equal(again, lines) {
			t.Errorf("%q: %q, %v, %v", b, again, at, err)
		}
	})
}
