package checks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What Postfix does is recorded in integration/testdata/checks.txt. Here stands what is not
// seen from outside: what is asked, how often, and what is held.

// rules is a table: pattern and value by turns. It keeps what it was asked for.
type rules struct {
	list  []string
	asked []string
	err   error
}

func (r *rules) Name() string { return "test:rules" }

func (r *rules) Lookup(_ context.Context, key string) (string, bool, error) {
	r.asked = append(r.asked, key)
	if r.err != nil {
		return "", false, r.err
	}
	for i := 0; i+1 < len(r.list); i += 2 {
		if regexp.MustCompile(`(?s)` + r.list[i]).MatchString(key) {
			return r.list[i+1], true, nil
		}
	}
	return "", false, nil
}

// pass sends a message through, in pieces of n bytes (0: at once).
func pass(t testing.TB, o Options, m Message, in string, n int) (*Filter, string) {
	t.Helper()
	var out bytes.Buffer
	f := New(o).Filter(&out, m)
	if n <= 0 {
		n = max(len(in), 1)
	}
	for rest := in; rest != ""; {
		k := min(n, len(rest))
		if got, err := f.Write([]byte(rest[:k])); got != k || err != nil {
			t.Fatalf("Write: %d, %v", got, err)
		}
		rest = rest[k:]
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f, out.String()
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestWhatIsAsked(t *testing.T) {
	const parts = "Subject: a\n b\nX : c\nContent-Type: multipart/mixed;\n boundary=B\n\npreamble\n--B\nX-P: 1\nContent-ID: <x>\n\ntext\n" +
		"--B\nContent-Type: message/rfc822\n\nSubject: inner\n\ndeep\n--B--\nepilogue\n"
	for _, tc := range []struct {
		name, in                   string
		o                          Options
		header, mime, nested, body []string
	}{
		{"parts", parts, Options{},
			[]string{"Subject: a\n b", "X: c"},
			[]string{"Content-Type: multipart/mixed;\n boundary=B", "X-P: 1", "Content-ID: <x>", "Content-Type: message/rfc822"},
			[]string{"Subject: inner"},
			[]string{"preamble", "--B", "text", "--B", "deep", "--B--", "epilogue"}},
		{"without MIME", "Subject: a\nContent-Type: multipart/mixed; boundary=B\n\n--B\nX: 1\n", Options{DisableMIME: true},
			[]string{"Subject: a"}, []string{"Content-Type: multipart/mixed; boundary=B"}, nil, []string{"--B", "X: 1"}},
		{"no header", "text\nX: 1\n", Options{}, nil, nil, nil, []string{"text", "X: 1"}},
		{"continued at the top", " x\nX: 1\n", Options{}, nil, nil, nil, []string{" x", "X: 1"}},
		{"no end", "X: 1\nY: 2", Options{}, []string{"X: 1", "Y: 2"}, nil, nil, nil},
		{"body without end", "X: 1\n\nlast", Options{}, []string{"X: 1"}, nil, nil, []string{"last"}},
		{"nothing", "", Options{}, nil, nil, nil, nil},
		{"mbox", ">From a b\nX: 1\n\n", Options{}, []string{"X-Mailbox-Line: >From a b", "X: 1"}, nil, nil, nil},
		{"pieces", "X: 1\n\n12345678\n123456789\n1234567890123\n\n", Options{LineLengthLimit: 8}, []string{"X: 1"}, nil, nil,
			[]string{"12345678", "12345678", "9", "12345678", "90123"}},
		{"a long field is cut", "X: 123456789\n 123\nY: 2\n\n", Options{HeaderSizeLimit: 8}, []string{"X: 12345", "Y: 2"}, nil, nil, nil},
		{"a long field in short pieces", "X: 1\n 2345678\n 9\nY: 2\n\n", Options{HeaderSizeLimit: 12, LineLengthLimit: 4},
			[]string{"X: 1\n 23456", "Y: 2"}, nil, nil, nil},
		{"a long boundary", "Content-Type: multipart/x; boundary=123456789\n\n--123456789\nX: 1\n\n", Options{LineLengthLimit: 64, BoundaryLengthLimit: 4},
			nil, []string{"Content-Type: multipart/x; boundary=123456789", "X: 1"}, nil, []string{"--123456789"}},
		{"limit of the body", "X: 1\n\n123\n456\n789\n", Options{BodySizeLimit: 9}, []string{"X: 1"}, nil, nil, []string{"123", "456"}},
		{"an inner boundary counts no more behind an outer one",
			"Content-Type: multipart/x; boundary=O\n\n--O\nContent-Type: multipart/x; boundary=I\n\n--I\n\n--O\n\n--I\nX: 1\n", Options{},
			nil, []string{"Content-Type: multipart/x; boundary=O", "Content-Type: multipart/x; boundary=I"}, nil,
			[]string{"--O", "--I", "--O", "--I", "X: 1"}},
		{"nor behind the last outer one",
			"Content-Type: multipart/x; boundary=O\n\n--O\nContent-Type: multipart/x; boundary=I\n\n--O--\n--I\nX: 1\n", Options{},
			nil, []string{"Content-Type: multipart/x; boundary=O", "Content-Type: multipart/x; boundary=I"}, nil,
			[]string{"--O", "--O--", "--I", "X: 1"}},
		{"a boundary behind the limit", "Content-Type: multipart/x; boundary=B\n\n123\n456\n--B\n\n789\n", Options{BodySizeLimit: 5},
			nil, []string{"Content-Type: multipart/x; boundary=B"}, nil, []string{"123", "789"}},
	} {
		for _, n := range []int{0, 1, 2, 3, 7} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, n), func(t *testing.T) {
				var header, mime, nested, body rules
				o := tc.o
				o.Header, o.MIME, o.Nested, o.Body = []Table{&header}, []Table{&mime}, []Table{&nested}, []Table{&body}
				in := crlf(tc.in)
				_, out := pass(t, o, Message{}, in, n)
				if out != in {
					t.Errorf("out %q, in %q", out, in)
				}
				for _, a := range []struct {
					name string
					got  []string
					want []string
				}{{"header", header.asked, tc.header}, {"mime", mime.asked, tc.mime}, {"nested", nested.asked, tc.nested}, {"body", body.asked, tc.body}} {
					if fmt.Sprintf("%q", a.got) != fmt.Sprintf("%q", a.want) {
						t.Errorf("%s asked for %q, want %q", a.name, a.got, a.want)
					}
				}
			})
		}
	}
}

func TestActions(t *testing.T) {
	const in = "X-A: 1\nX-B: 2\n\none\ntwo\n"
	for _, tc := range []struct {
		name         string
		header, body []string
		o            Options
		in, out      string // "": of a message of two fields and lines; as it came
		refused      string
		returnable   bool
		wanted       mail.Handling
		hops         int
	}{
		{name: "reject goes no further", header: []string{"X-B", "REJECT"}, out: "X-A: 1\n", refused: "550 5.7.1 message content rejected"},
		{name: "reject what is returned", header: []string{"X-B", "REJECT"}, returnable: true, refused: "550 5.7.1 message content rejected"},
		{name: "reject for now", header: []string{"X-B", "REJECT 4.7.0 later"}, returnable: true, out: "X-A: 1\n", refused: "451 4.7.0 later"},
		{name: "ignore the end of a long line", body: []string{"cd", "IGNORE"}, o: Options{LineLengthLimit: 2}, in: "X: 1\n\nabcd\nef\n", out: "X: 1\n\nab\nef\n"},
		{name: "ignore the beginning of a long line", body: []string{"ab", "IGNORE"}, o: Options{LineLengthLimit: 2}, in: "X: 1\n\nabcd\nef\n", out: "X: 1\n\ncd\nef\n"},
		{name: "ignore all of a long line", body: []string{"ab|cd", "IGNORE"}, o: Options{LineLengthLimit: 2}, in: "X: 1\n\nabcd\nef\n", out: "X: 1\n\nef\n"},
		{name: "replace a piece", body: []string{"ab", "REPLACE xyz"}, o: Options{LineLengthLimit: 2}, in: "X: 1\n\nabcd\n", out: "X: 1\n\nxyzcd\n"},
		{name: "ignore a field that is too long", header: []string{"^X-A", "IGNORE"}, o: Options{HeaderSizeLimit: 8}, in: "X-A: 123456\n 789\nX-B: 2\n\n", out: "X-B: 2\n\n"},
		{name: "replace a field that is too long", header: []string{"^X-A", "REPLACE X-C: 3"}, o: Options{HeaderSizeLimit: 8}, in: "X-A: 123456\n 789\nX-B: 2\n\n", out: "X-C: 3\nX-B: 2\n\n"},
		{name: "a result of several lines", header: []string{"^X-A", "REPLACE X-C: 3\nX-D: 4"}, out: "X-C: 3\n\tX-D: 4\nX-B: 2\n\none\ntwo\n"},
		{name: "received fields that are gone count", header: []string{"^Received", "IGNORE"}, in: "Received: a\nReceived: b\nX: 1\n\n", out: "X: 1\n\n", hops: 2},
		{name: "received fields behind a redirect count", header: []string{"^X", "REDIRECT a@b"}, in: "X: 1\nReceived: a\nReceived: b\n\n", wanted: mail.Handling{Redirect: "a@b"}, hops: 2},
		{name: "several actions", header: []string{"X-A", "BCC a@b", "X-B", "FILTER smtp:x"}, body: []string{"one", "HOLD"}, wanted: mail.Handling{BCC: []string{"a@b"}, Filter: "smtp:x", Hold: true}},
		{name: "discard", body: []string{"one", "DISCARD"}, wanted: mail.Handling{Discard: true}},
	} {
		for _, n := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, n), func(t *testing.T) {
				o, message := tc.o, tc.in
				o.Header, o.Body = []Table{&rules{list: tc.header}}, []Table{&rules{list: tc.body}}
				if message == "" {
					message = in
				}
				f, out := pass(t, o, Message{Returnable: tc.returnable}, crlf(message), n)
				if want := crlf(tc.out); tc.out == "" && out != crlf(message) || tc.out != "" && out != want {
					t.Errorf("out %q, want %q", out, want)
				}
				refused := ""
				if f.Refused() != nil {
					refused = f.Refused().Error()
				}
				if refused != tc.refused {
					t.Errorf("refused with %q, want %q", refused, tc.refused)
				}
				if got := fmt.Sprintf("%+v", f.Handling()); got != fmt.Sprintf("%+v", tc.wanted) {
					t.Errorf("handling %s, want %+v", got, tc.wanted)
				}
				if tc.hops > 0 && f.Hops() != tc.hops {
					t.Errorf("%d hops, want %d", f.Hops(), tc.hops)
				}
			})
		}
	}
}

// A table that cannot answer stops the message for now, and nothing asks again.
func TestTableFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    rules
	}{{"error", rules{err: errors.New("away")}}, {"empty result", rules{list: []string{"X", ""}}}} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			f, out := pass(t, Options{Header: []Table{&tc.r}}, Message{Returnable: true, Log: slog.New(slog.NewTextHandler(&log, nil))}, "X: 1\r\nX: 2\r\n\r\nbody\r\n", 0)
			if f.Refused() == nil || f.Refused().Error() != "451 4.3.0 Error: queue file write error" || out != "" || len(tc.r.asked) != 1 {
				t.Errorf("refused with %v, out %q, asked %q", f.Refused(), out, tc.r.asked)
			}
			if !strings.Contains(log.String(), "header_checks map lookup problem -- message not accepted, try again later") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestAbove(t *testing.T) {
	table := &rules{list: []string{"^Received", "PREPEND X-Top: 1", "^X-Gone", "IGNORE", "^ x", "REJECT"}}
	var out bytes.Buffer
	f := New(Options{Header: []Table{table}}).Filter(&out, Message{})
	above, err := f.Above([]byte("X-Gone: 1\r\nReceived: a\r\n\tb\r\n"))
	if string(above) != "X-Top: 1\r\nReceived: a\r\n\tb\r\n" || err != nil {
		t.Errorf("above: %q, %v", above, err)
	}
	f.Write([]byte(" x\r\n"))
	f.Close()
	if out.String() != " x\r\n" || f.Refused() != nil || f.Hops() != 1 {
		t.Errorf("out %q, refused with %v, %d hops: what comes next is none of ours", out.String(), f.Refused(), f.Hops())
	}
}

func TestNoRules(t *testing.T) {
	if New(Options{BodySizeLimit: 5}) != nil {
		t.Error("rules without tables: every message would be taken apart for nothing")
	}
}

// What nobody asks about goes through in the pieces in which it came.
func TestUncheckedBodyIsNotCopied(t *testing.T) {
	for _, in := range []string{"X: 1\r\n\r\n", "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n"} {
		var w counter
		f := New(Options{Header: []Table{&rules{}}}).Filter(&w, Message{})
		f.Write([]byte(in))
		before := w.writes
		f.Write([]byte(strings.Repeat("a line of a body\r\n", 1000)))
		if w.writes != before+1 {
			t.Errorf("%q: %d writes for one", in, w.writes-before)
		}
	}
}

type counter struct{ writes int }

func (c *counter) Write(p []byte) (int, error) { c.writes++; return len(p), nil }

func TestItems(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"text/plain", `w:text s:/ w:plain`},
		{" multipart/mixed ; boundary = x ; a=b c d", `w:multipart s:/ w:mixed|w:boundary s:= w:x|w:a s:= w:b`},
		{`a; boundary="q\"u; o"`, `w:a|w:boundary s:= q:q"u; o`},
		{"a; boundary=\"q \n\tx\"", "w:a|w:boundary s:= q:q\tx"},
		{"(c (d) \\) e) a (f", `w:a`},
		{`"open`, `q:open`},
		{`"open\`, `q:open`},
		{"", ``},
		{";;a", `||w:a`},
		{"a\x01b", "w:a s:\x01 w:b"},
		{`(\`, ``},
	} {
		var items []string
		for rest, more := tc.in, true; more; {
			var item [3]token
			var n int
			n, rest, more = nextItem(rest, &item)
			if n == 0 && !more {
				break
			}
			var words []string
			for _, tok := range item[:n] {
				words = append(words, string(tok.kind)+":"+tok.text)
			}
			items = append(items, strings.Join(words, " "))
		}
		if got := strings.Join(items, "|"); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

// What a message may make the filter hold is asked for when it does, and not before.
func TestMemory(t *testing.T) {
	long := "X: " + strings.Repeat(strings.Repeat("x", 70)+"\r\n ", 400) + "\r\n"
	deep := ""
	for i := range 12 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for name, c := range map[string]struct {
		message string
		asks    int
	}{
		"small":           {"Subject: x\r\n\r\nbody\r\n", 0},
		"a long field":    {long, 1},
		"many boundaries": {deep, 1},
	} {
		for _, has := range []bool{true, false} {
			rules := New(Options{Header: []Table{rulesOf{}}, MIME: []Table{rulesOf{}}, Body: []Table{rulesOf{}}})
			asked := 0
			f := rules.Filter(io.Discard, Message{Reserve: func(size int64) bool { asked++; return has && size > 0 }})
			_, err := f.Write([]byte(c.message))
			if asked != c.asks || (err != nil) != (c.asks > 0 && !has) {
				t.Errorf("%s, memory %v: asked %d times, %v", name, has, asked, err)
			}
			if s, ok := errors.AsType[*mail.Status](err); err != nil && (!ok || s.Code != 452) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// rulesOf is a table without rules.
type rulesOf struct{}

func (rulesOf) Lookup(context.Context, string) (string, bool, error) { return "", false, nil }
func (rulesOf) Name() string                                         { return "inline:none" }
