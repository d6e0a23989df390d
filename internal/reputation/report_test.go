package reputation

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// shown is a report in one line.
func shown(r *Report) string {
	if r == nil {
		return "none"
	}
	var trace []string
	for _, h := range r.trace {
		trace = append(trace, fmt.Sprintf("%s>%s", h.id, h.rcpt))
	}
	return fmt.Sprintf("kind=%s policy=%v about=%v trace=%v named=%v from=%s", r.Kind, r.policy, r.about, trace, r.named, r.from)
}

func TestParse(t *testing.T) {
	want := map[string]string{
		"abuse.eml":           "kind=abuse policy=false about=[target@receiver.example] trace=[03S65fhYMzQS>info@alias.example] named=[target@receiver.example] from=receiver.example",
		"redacted-base64.eml": "kind=fraud policy=false about=[] trace=[03S65fhYMzQS>] named=[info@alias.example] from=big.example",
		"not-spam.eml":        "none",
		"failed.eml":          "kind= policy=true about=[info@alias.example target@receiver.example] trace=[03S65fhYMzQS>] named=[] from=mail.receiver.example",
		"delayed.eml":         "none",
		"truncated.eml":       "kind=abuse policy=false about=[one@alias.example two@alias.example] trace=[] named=[] from=big.example",
		"plain.eml":           "none",
	}
	files, _ := filepath.Glob("testdata/reports/*.eml")
	if len(files) != len(want) {
		t.Fatalf("%d files, want %d", len(files), len(want))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, ends := range []string{"\n", "\r\n"} {
			in := strings.ReplaceAll(string(text), "\n", ends)
			if got := shown(Parse(strings.NewReader(in), "MX.alias.example")); got != want[filepath.Base(file)] {
				t.Errorf("%s:\ngot  %s\nwant %s", file, got, want[filepath.Base(file)])
			}
		}
		// Of another host there is no trace.
		if r := Parse(bytes.NewReader(text), "mx.other.example"); r != nil && len(r.trace) > 0 {
			t.Errorf("%s: trace of %v", file, r.trace)
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"info@alias.example": "info@alias.example", "<info@alias.example>": "info@alias.example", "rfc822; info@alias.example": "info@alias.example",
		"RFC822;<a@b>": "a@b", "Info <a@b>": "a@b", "": "", "a": "", "@b": "", "a@": "", "a b@c": "", "a@b, c@d": "", "<a@b": "<a@b",
		"x;y@z": "y@z", "a@b;c@d": "a@b;c@d", strings.Repeat("a", maxAddress) + "@b": "",
	} {
		if got := address(in).Internal(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Nothing that is read of a report exceeds its bounds, and one that is put together of an
// address and a queue ID is understood, whatever stands around them.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/reports/*.eml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "info", uint64(1)<<40)
	}
	f.Add([]byte("Content-Type: multipart/report; boundary=\r\n\r\n--\r\n"), "a", uint64(7))
	f.Fuzz(func(t *testing.T, text []byte, local string, id uint64) {
		if r := Parse(bytes.NewReader(text), "mx.alias.example"); r != nil {
			if len(r.about) > 2*maxAbout || len(r.named) > maxAbout || len(r.trace) > maxHops {
				t.Fatalf("%d, %d, %d", len(r.about), len(r.named), len(r.trace))
			}
			for _, a := range append(r.about, r.named...) {
				if a.Local == "" || a.Domain == "" || len(a.Internal()) > maxAddress {
					t.Fatalf("%q", a)
				}
			}
		}
		rcpt := mail.Address{Local: local, Domain: "alias.example"}
		if strings.ContainsFunc(local, func(c rune) bool { return c <= ' ' || strings.ContainsRune("<>,;@\"\\", c) || c >= 0x7f }) || local == "" || len(local) > 64 {
			return
		}
		note := strings.ReplaceAll(string(text), "--b", "")
		in := "Content-Type: multipart/report; report-type=feedback-report; boundary=b-0\n\n--b-0\n\n" + note + "\n--b-0\nContent-Type: message/feedback-report\n\n" +
			"Feedback-Type: abuse\n--b-0\nContent-Type: message/rfc822\n\nReceived: by mx.alias.example (Postfix) with ESMTP id " + mail.QueueID(id).String() +
			"\n\tfor <" + local + "@alias.example>; now\n\n--b-0--\n"
		if len(in) > maxReport {
			return
		}
		parsed, err := mail.ParseQueueID(mail.QueueID(id).String())
		r := Parse(strings.NewReader(in), "mx.alias.example")
		if r == nil || len(r.trace) != 1 || r.trace[0].rcpt != rcpt || err == nil && r.trace[0].id != parsed {
			t.Fatalf("%q: %s", in, shown(r))
		}
	})
}
