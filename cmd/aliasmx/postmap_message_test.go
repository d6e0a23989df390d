package main

import (
	"slices"
	"strings"
	"testing"
)

// keysOf runs a message through, and marks headers with "H ".
func keysOf(t testing.TB, message string, mime bool) (keys []string) {
	t.Helper()
	j := &postmapJob{env: environ{stdin: strings.NewReader(message)}}
	m := &messageKeys{mime: mime, ctype: textPlain}
	m.header = func(key string) error { keys = append(keys, "H "+key); return nil }
	m.body = func(key string) error { keys = append(keys, "B "+key); return nil }
	if err := j.eachLine(m.line); err != nil {
		t.Fatal(err)
	}
	if err := m.flush(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestMessageKeys: what recordings do not have; these are RFC 2045's and RFC 2046's.
func TestMessageKeys(t *testing.T) {
	for _, tt := range []struct {
		name, message string
		mime          bool
		want          []string
	}{
		{"nothing", "", true, nil},
		{"no body", "A: b", true, []string{"H A: b"}},
		{"obsolete colon", "A \t: b\n", true, []string{"H A: b"}},
		{"comment in the type", "Content-Type: (x (y) \\) )multipart/mixed (z); (c) boundary (d) = \"b\\\"c\"\n\n--b\"c\nX: y\n", true,
			[]string{"H Content-Type: (x (y) \\) )multipart/mixed (z); (c) boundary (d) = \"b\\\"c\"", "B ", "B --b\"c", "H X: y"}},
		{"a part ends with the one around it", "Content-Type: multipart/a; boundary=o\n\n--o\nContent-Type: multipart/b; boundary=i\n\n--i\n\ntext\n--o\nX: y\n", true,
			[]string{"H Content-Type: multipart/a; boundary=o", "B ", "B --o", "H Content-Type: multipart/b; boundary=i", "B ", "B --i", "B ", "B text", "B --o", "H X: y"}},
		{"a type in quotes is none", "Content-Type: \"multipart\"/a; boundary=o\n\n--o\nX: y\n", true,
			[]string{"H Content-Type: \"multipart\"/a; boundary=o", "B ", "B --o", "B X: y"}},
		{"not without -m", "Content-Type: multipart/a; boundary=o\n\n--o\nX: y\n", false,
			[]string{"H Content-Type: multipart/a; boundary=o", "B ", "B --o", "B X: y"}},
		{"a long header is cut at a line", "A: " + strings.Repeat("x", maxHeaderSize) + "\n more\nB: c\n", true,
			[]string{"H A: " + strings.Repeat("x", maxHeaderSize), "H B: c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := keysOf(t, tt.message, tt.mime); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzMessageKeys: no line is lost, whatever the message is; only an empty line may be
// put before a body that has none.
func FuzzMessageKeys(f *testing.F) {
	f.Add("A: b\n c\n\nbody\n", false)
	f.Add("Content-Type: multipart/mixed; boundary=x\n\n--x\nA: b\n\n--x--\n", true)
	f.Add("Content-Type: message/rfc822\n\nSubject : x\nno header\n", true)
	f.Fuzz(func(t *testing.T, message string, mime bool) {
		if len(message) > maxHeaderSize {
			return
		}
		lines := strings.Count(message, "\n")
		if message != "" && !strings.HasSuffix(message, "\n") {
			lines++
		}
		got := 0
		for _, key := range keysOf(t, message, mime) {
			got += 1 + strings.Count(key, "\n")
		}
		if got != lines && got != lines+1 {
			t.Errorf("%d lines of %d", got, lines)
		}
	})
}
