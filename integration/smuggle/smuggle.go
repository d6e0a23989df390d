// Package smuggle is what tests need against SMTP smuggling: byte sequences that some
// server somewhere takes for the end of a message, all short strings that could be one,
// and a naive model of the servers that do. It knows nothing of our codecs, so that a
// mistake in them cannot hide in what checks them.
//
// The public lists are the work of others and not part of this repository: the
// environment variable ALIASMX_VECTORS names the folder that holds them.
package smuggle

import (
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sequence is one that may end a message where it must not.
type Sequence struct {
	Name  string `json:"name"`
	Bytes string `json:"bytes"`
}

// Read decodes a file of the public lists, or skips the test that wants it.
func Read(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(File(t, filepath.Join("smuggling", name)), into); err != nil {
		t.Fatalf("ALIASMX_VECTORS: %s: %v", name, err)
	}
}

// File is a file of the folder with the public vectors; without the folder it skips the
// test that wants it.
func File(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("ALIASMX_VECTORS")
	if dir == "" {
		t.Skip("ALIASMX_VECTORS is not set: it names the folder with the public test vectors")
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatalf("ALIASMX_VECTORS: %v", err)
	}
	return text
}

// Public is the list of the public scanners.
func Public(t testing.TB) []Sequence {
	t.Helper()
	var list struct{ Sequences []Sequence }
	Read(t, "end-of-data-sequences.json", &list)
	if len(list.Sequences) < 10 {
		t.Fatalf("only %d sequences", len(list.Sequences))
	}
	return list.Sequences
}

// Own are sequences of our own, made of the line ends that servers know and of bytes that
// some servers drop.
func Own() []Sequence {
	var list []Sequence
	ends := []struct{ name, bytes string }{
		{"CRLF", "\r\n"}, {"LF", "\n"}, {"CR", "\r"}, {"LFCR", "\n\r"}, {"CRCRLF", "\r\r\n"},
		{"CRLF NUL", "\r\n\x00"}, {"NUL LF", "\x00\n"}, {"CR NUL LF", "\r\x00\n"},
	}
	for _, before := range ends {
		for _, after := range ends {
			if strings.HasSuffix(before.bytes, "\r\n") && strings.HasPrefix(after.bytes, "\r\n") {
				continue // the end itself
			}
			list = append(list, Sequence{before.name + " . " + after.name, before.bytes + "." + after.bytes})
		}
	}
	return list
}

// Short are all strings of at most n of the bytes that matter: CR, LF, dot, NUL, and one
// for all others.
func Short(n int) iter.Seq[string] {
	const bytes = "\r\n.\x00x"
	return func(yield func(string) bool) {
		level := []string{""}
		for length := 0; ; length++ {
			for _, s := range level {
				if !yield(s) {
					return
				}
			}
			if length == n {
				return
			}
			next := make([]string, 0, len(level)*len(bytes))
			for _, s := range level {
				for i := range len(bytes) {
					next = append(next, s+bytes[i:i+1])
				}
			}
			level = next
		}
	}
}
