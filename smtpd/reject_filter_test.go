package smtpd

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestParseRefusal(t *testing.T) {
	for value, want := range map[string]string{
		"550 5.7.1 no":   "550 5.7.1 no",
		"450 later":      "450 later",
		"450 4.7.1":      "450 4.7.1",
		"521 5.3.2  bye": "521 5.3.2 bye",
		"550 ":           "550",
		"250 2.0.0 Ok":   "",
		"550 4.7.1 no":   "", // the classes must be one
		"550 2.7.1 no":   "",
		"55 no":          "",
		"5x0 no":         "",
		"+50 no":         "",
		"550-no":         "", // one line
		"550":            "",
		"":               "",
	} {
		r, ok := parseRefusal(value)
		if got := strings.TrimSpace(shownRefusal(r, ok)); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func shownRefusal(r reply, ok bool) string {
	switch {
	case !ok:
		return ""
	case r.enhanced == mail.Enhanced{}:
		return itoa(r.code) + " " + r.text
	}
	return itoa(r.code) + " " + r.enhanced.String() + " " + r.text
}

// FuzzParseRefusal: what is taken is a refusal of the class it says, and the same again
// when it is written.
func FuzzParseRefusal(f *testing.F) {
	f.Add("550 5.7.1 no")
	f.Add("450 x")
	f.Add("599 5.0.0 ")
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := parseRefusal(s)
		if !ok {
			return
		}
		if r.code < 400 || r.code > 599 || itoa(r.code) != s[:3] {
			t.Fatalf("%q: code %d", s, r.code)
		}
		if r.enhanced != (mail.Enhanced{}) && int(r.enhanced[0]) != r.code/100 {
			t.Fatalf("%q: %d %s", s, r.code, r.enhanced)
		}
		if again, ok := parseRefusal(shownRefusal(r, true)); r.enhanced != (mail.Enhanced{}) && (!ok || again.code != r.code || again.enhanced != r.enhanced || again.text != r.text) {
			t.Fatalf("%q: %+v, then %+v", s, r, again)
		}
	})
}

// smtpd_hide_client_session leaves nothing of the client in the Received field.
func TestReceivedHidden(t *testing.T) {
	for _, several := range []bool{false, true} {
		w := usual(t)
		w.o.HideClientSession = true
		w.start()
		c := w.dial("127.0.0.2").greeting()
		c.expect("EHLO secret.example", "250-", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ")
		want := "Received: by mx.example.com (Postfix) id 000000000001\r\n\tfor <a@virt.example>; Sat, 22 Nov 2025 10:00:00 +0000 (UTC)\r\n"
		if several {
			c.expect("RCPT TO:<postmaster>", "250 ")
			want = "Received: by mx.example.com (Postfix) id 000000000001;\r\n\tSat, 22 Nov 2025 10:00:00 +0000 (UTC)\r\n"
		}
		c.expect("DATA", "354 ", "x\r\n.", "250 ", "QUIT", "221 ")
		c.hangUp()
		w.conns.Wait()
		if got := string(w.store.messages[0].env.Prepend); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
