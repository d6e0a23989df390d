package queue

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestSplitCode(t *testing.T) {
	for _, c := range []struct {
		in, text string
		code     mail.Enhanced
	}{
		{"5.1.1 User unknown", "User unknown", mail.Code(5, 1, 1)},
		{"  4.7.0   wait a little ", "wait a little", mail.Code(4, 7, 0)},
		{"5.123.999 x", "x", mail.Code(5, 123, 999)},
		{"2.0.0", "", mail.Code(2, 0, 0)},
		{"User unknown", "User unknown", mail.Enhanced{}},
		{"3.1.1 not a class", "3.1.1 not a class", mail.Enhanced{}},
		{"5.1 too short", "5.1 too short", mail.Enhanced{}},
		{"5.1.1.1 too long", "5.1.1.1 too long", mail.Enhanced{}},
		{"5.1.1234 too big", "5.1.1234 too big", mail.Enhanced{}},
		{"5..1 empty", "5..1 empty", mail.Enhanced{}},
		{"5.1.1: colon", "5.1.1: colon", mail.Enhanced{}},
		{"192.0.2.1", "192.0.2.1", mail.Enhanced{}},
		{"", "", mail.Enhanced{}},
	} {
		if code, text := splitCode(c.in); code != c.code || text != c.text {
			t.Errorf("%q: %v %q, want %v %q", c.in, code, text, c.code, c.text)
		}
	}
}

// A code that was taken off, put back, gives the text again.
func FuzzSplitCode(f *testing.F) {
	for _, s := range []string{"5.1.1 User unknown", "5.1.1", "x", "05.1.1 x", "5.1.1  x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, text := splitCode(s)
		if code == (mail.Enhanced{}) {
			if text != strings.TrimSpace(s) {
				t.Errorf("%q: no code, text %q", s, text)
			}
			return
		}
		again, same := splitCode(code.String() + " " + text)
		if again != code || same != text {
			t.Errorf("%q: %v %q, and again %v %q", s, code, text, again, same)
		}
	})
}

func TestMessageID(t *testing.T) {
	for _, c := range []struct{ prepend, body, want string }{
		{"Received: x\r\n", "Subject: y\r\nMessage-Id: <a@b>\r\n\r\n", "<a@b>"},
		{"MESSAGE-ID:<a@b>\r\n", "Message-Id: <c@d>\r\n\r\n", "<a@b>"},
		{"", "Subject: y\r\n\r\nMessage-Id: <in@body>\r\n", ""},
		{"", "Message-Id:", ""},
		{"", "", ""},
	} {
		if got := messageID([]byte(c.prepend), []byte(c.body)); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.prepend, c.body, got, c.want)
		}
	}
}
