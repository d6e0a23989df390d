package arc

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

func bufioReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

// canonicalBody is RFC 6376 section 3.4.3 and 3.4.4, as one would write them down.
func canonicalBody(s string, relaxed bool) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", " ")
	if relaxed {
		s = regexp.MustCompile(`[ \t]+`).ReplaceAllString(s, " ")
		s = regexp.MustCompile(` (\n|$)`).ReplaceAllString(s, "$1")
	}
	s = strings.TrimRight(s, "\n")
	if s != "" || !relaxed {
		s += "\n"
	}
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func hashed(s string, relaxed bool, step int) *bodyHash {
	b := newBodyHash(relaxed)
	for len(s) > step {
		b.Write([]byte(s[:step]))
		s = s[step:]
	}
	b.Write([]byte(s))
	b.end()
	return b
}

func checkBody(t *testing.T, body string) {
	t.Helper()
	for _, relaxed := range []bool{false, true} {
		want := canonicalBody(body, relaxed)
		sum := sha256.Sum256([]byte(want))
		for _, step := range []int{1, 3, 5000} {
			if got := hashed(body, relaxed, step); string(got.sum) != string(sum[:]) || got.length != int64(len(want)) {
				t.Errorf("%q, relaxed=%v, by %d: %d bytes, want %q", shown(body), relaxed, step, got.length, shown(want))
			}
		}
	}
}

func TestBody(t *testing.T) {
	for _, body := range []string{
		"", "\r\n", "\r\n\r\n", " \r\n", " ", "\r", "\r\r\n", "a", "a\r\n", "a\r\n\r\n", " C \r\nD \t E\r\n\r\n\r\n", "a\rb\nc\r\n",
		"\t\r\n \r\nx", "a \r", strings.Repeat("long ", 3000), strings.Repeat("\r\n", 3000) + "x", strings.Repeat("x", 9000),
	} {
		checkBody(t, body)
	}
}

func FuzzBody(f *testing.F) {
	f.Add(" C \r\nD \t E\r\n\r\n\r\n")
	f.Add("\r \r\n\n\r")
	f.Fuzz(func(t *testing.T, body string) { checkBody(t, body) })
}

func TestRelaxedHeader(t *testing.T) {
	for raw, want := range map[string]string{
		"A: X\r\n":                   "a:X\r\n",
		"B : Y\t\r\n\tZ  \r\n":       "b:Y Z\r\n",
		"Subject:\r\n folded\r\n":    "subject:folded\r\n",
		"Empty:\r\n":                 "empty:\r\n",
		"White: \t \r\n":             "white:\r\n",
		"Colons: a : b:c \r\n":       "colons:a : b:c\r\n",
		"X-\xc3\xa9: \xc3\xa9 \r\n ": "x-\xc3\xa9:\xc3\xa9\r\n",
	} {
		if got := string(appendRelaxed(nil, []byte(raw))); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestHeader(t *testing.T) {
	fields, err := readHeader(bufioReader("From x\r\nA: 1\r\n b\n\tc\r\nB : \rx\r\n: no\r\nno field\r\n\r\nbody: x\r\n"), 1000)
	var got []string
	for _, f := range fields {
		got = append(got, f.name+"="+string(f.raw))
	}
	if want := "=From x\r\n|a=A: 1\r\n b\r\n\tc\r\n|b=B :  x\r\n|=: no\r\n|=no field\r\n"; strings.Join(got, "|") != want || err != nil {
		t.Errorf("%q, %v", strings.Join(got, "|"), err)
	}
	broken := errors.New("disk")
	r := bufio.NewReader(io.MultiReader(strings.NewReader("A: b\r\nC: "), errReader{broken}))
	if _, err := readHeader(r, 1000); err != broken {
		t.Errorf("an error of reading: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestTags(t *testing.T) {
	for s, want := range map[string]string{
		"a=b":                         "b",
		" a = b c ; d = ":             "b c",
		"a=b;\r\n\tc=d=e;\r\n":        "b",
		"a=b; ; c=d":                  "semicolon",
		";a=b":                        "semicolon",
		"a=b;;":                       "semicolon",
		"":                            "semicolon",
		"a=b; a=c":                    "stands there twice",
		"a b=c":                       "is no tag",
		"1a=c":                        "is no tag",
		"a=b; c":                      "is no tag",
		"a=b\x00":                     "control characters",
		"a_1=x; a=b":                  "b",
		"a=\xc3\xa9 (UTF-8)":          "\xc3\xa9 (UTF-8)",
		"=b":                          "is no tag",
		"a=" + strings.Repeat("x", 5): "xxxxx",
	} {
		tags, err := parseTags(s)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && tags["a"] != want {
			t.Errorf("%q: %q, %v, want %q", s, tags["a"], err, want)
		}
	}
}

func TestSignatureTaken(t *testing.T) {
	for raw, want := range map[string]string{
		"ARC-Seal: i=1; b=QUJD\r\n\tREVG; t=1\r\n":   "ARC-Seal: i=1; b=; t=1\r\n",
		"ARC-Seal: i=1; b=QUJD\r\n\t REVG\r\n":       "ARC-Seal: i=1; b=\r\n",
		"ARC-Seal: b = QUJD ;bh=b=x\r\n":             "ARC-Seal: b =;bh=b=x\r\n",
		"ARC-Seal:b=Q;\r\n":                          "ARC-Seal:b=;\r\n",
		"ARC-Seal: i=1; bh=QQ==;\r\n\tb\r\n =QQ\r\n": "ARC-Seal: i=1; bh=QQ==;\r\n\tb\r\n =\r\n",
		"ARC-Seal: i=1\r\n":                          "ARC-Seal: i=1\r\n",
	} {
		if got := string(withoutSignature(nil, []byte(raw))); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestInstanceOfResults(t *testing.T) {
	for s, want := range map[string]int{
		" i=1; a": 1, "i=50;": 50, " (c (d) \\) ;) i (x) =\r\n 2 (y) ; a": 2, "i=7;": 7, "i=07;": 7,
		"": 0, "i=0; a": 0, "i=51; a": 0, "i=1": 0, "i=1 a; b": 0, "mx; i=1": 0, "i=-1;": 0, "i=+1;": 0, "i=1.0;": 0, "i=;": 0, "(i=1;": 0, "i=001;": 0,
	} {
		got, err := instanceOfResults(s)
		if (err == nil) != (want > 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
}
