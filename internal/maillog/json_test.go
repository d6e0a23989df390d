package maillog

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkJSON checks that a line is one JSON object and that a member has the value that
// was logged, where that is short enough to be whole and not cleaned of bad bytes.
func checkJSON(t *testing.T, line, member string, attrs []slog.Attr) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for _, a := range attrs {
		want := a.Value.String()
		if a.Key != member || want == "" || len(want) > maxValue || !utf8.ValidString(want) {
			continue
		}
		if got[member] != want {
			t.Fatalf("member %s = %q, want %q", member, got[member], want)
		}
	}
}

func TestJSONStrings(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `""`},
		{`a"b\c`, `"a\"b\\c"`},
		{"a\nb\x00", `"a\u000ab\u0000"`},
		{"\xff", `"\ufffd"`},
		{"\ufffd", "\"\ufffd\""},
		{"é\u2028", `"é\u2028"`},
		{strings.Repeat("x", maxValue+1), `"` + strings.Repeat("x", maxValue) + `..."`},
		{strings.Repeat("é", maxValue), `"` + strings.Repeat("é", maxValue/2) + `..."`},
	}
	for _, tt := range tests {
		if got := string(appendString(nil, tt.in)); got != tt.want {
			t.Errorf("%.40q = %.60s, want %.60s", tt.in, got, tt.want)
		}
	}
}
