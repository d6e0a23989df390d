package wire

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"aliasmx/integration/smuggle"
)

// The reader and writer cases of mox, whose codecs refuse what ours make harmless. They
// differ in four things, all on purpose:
//
//   - bare CR or LF in what comes: mox refuses the message (ErrCRLF). We take it as Postfix
//     does with smtpd_forbid_bare_newline = normalize: a bare LF ends a line, a bare CR is
//     data or a space, and neither is ever part of the end. BareLFReject refuses as well.
//   - bare LF in the text of a line: mox keeps it, we keep CRLF in its place.
//   - bare CR or LF in what leaves: mox refuses to send it. A message that is in the queue
//     was accepted and has to go out; CRs leave as spaces, LFs as CRLF.
//   - no line end at the end of what leaves: mox refuses, we add it.
//
// What is the same is what counts: one message, ended by CRLF.CRLF alone.
func TestMoxCodecs(t *testing.T) {
	var list []struct{ Test, Call, Input, Rest string }
	smuggle.Read(t, "mox-data-reader-writer.json", &list)
	servers := everyServer()
	same, differ := 0, 0
	for _, c := range list {
		want, wantErr := expected(t, c.Rest)
		switch {
		case c.Test == "TestDataWrite" && c.Call == "check":
			same++
			if got := writeDots(c.Input, 0); got != want {
				t.Errorf("written %q: %q, want %q", c.Input, got, want)
			}
		case c.Test == "TestDataWrite":
			differ++
			checkOutbound(t, servers, "what mox does not write", c.Input, 0, 1, 2)
		case wantErr == "ErrCRLF":
			differ++
			got, left, err := readDots(c.Input, 1, BareLFNormalize, true)
			if err != nil || left != "" || hasBareLF(got) || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\r") {
				t.Errorf("read %q: %q, left %q, %v", c.Input, got, left, err)
			}
			if _, _, err := readDots(c.Input, 1, BareLFReject, true); hasBareLF(c.Input) != errors.Is(err, ErrBareLF) {
				t.Errorf("read %q with bare LFs refused: %v", c.Input, err)
			}
		case wantErr == "io.ErrUnexpectedEOF":
			same++
			if _, _, err := readDots(c.Input, 1, BareLFNormalize, true); err != io.ErrUnexpectedEOF {
				t.Errorf("read %q: %v", c.Input, err)
			}
		default:
			if hasBareLF(want) {
				differ++
				want = strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\n", "\r\n")
			} else {
				same++
			}
			if got, left, err := readDots(c.Input, 1, BareLFNormalize, true); got != want || left != "" || err != nil {
				t.Errorf("read %q: %q, left %q, %v; want %q", c.Input, got, left, err, want)
			}
		}
	}
	if same < 8 || differ < 20 || same+differ != len(list) {
		t.Errorf("%d cases alike, %d different, of %d", same, differ, len(list))
	}
}

// expected takes apart what stands behind the input in the source of mox:
// `, "text", error`.
func expected(t *testing.T, rest string) (text, err string) {
	t.Helper()
	rest = strings.TrimPrefix(rest, ", ")
	if rest == "" {
		return "", ""
	}
	quoted, e := strconv.QuotedPrefix(rest)
	if e != nil {
		t.Fatalf("%q: %v", rest, e)
	}
	text, _ = strconv.Unquote(quoted)
	return text, strings.TrimPrefix(rest[len(quoted):], ", ")
}
