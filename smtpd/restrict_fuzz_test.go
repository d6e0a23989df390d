package smtpd

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// A list that is taken reads the same when it is written down again.
func FuzzRestrictionList(f *testing.F) {
	for _, seed := range []string{"permit_mynetworks, reject", "check_sender_access inline:{ a=OK }", "sleep 5 warn_if_reject", "inline:{x y}, {", "reject_unknown_client sleep"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := new(scene).newLanguage().Parse(splitList(s))
		if err != nil {
			return
		}
		var words []string
		for _, r := range list {
			words = append(words, strings.TrimPrefix(r.String(), bareTable+" "))
		}
		again, err := new(scene).newLanguage().Parse(splitList(strings.Join(words, " ")))
		if err != nil || len(again) != len(list) {
			t.Errorf("%q: %q: %v", s, words, err)
		}
	})
}

// An action is one of those there are, and says nothing that was not in the result.
func FuzzAccessResult(f *testing.F) {
	for _, seed := range []string{"REJECT 5.7.1 no", "550 x", "550", "4.5.6", "defer_if_permit  4.1.1  hm", "HOLD", "permit_mynetworks, reject", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := parseAction(s)
		if !strings.HasSuffix(s, a.all) || !strings.HasSuffix(a.all, a.text) || !strings.HasPrefix(s, a.word) {
			t.Errorf("%q: %+v", s, a)
		}
		if a.verb == "CODE" && (a.code < 400 || a.code > 599) {
			t.Errorf("%q: code %d", s, a.code)
		}
		if a.coded != (a.enhanced != mail.Enhanced{}) {
			t.Errorf("%q: %+v", s, a)
		}
	})
}

// Whatever XCLIENT and XFORWARD say, it can be logged and written into a header.
func FuzzAttributes(f *testing.F) {
	for _, seed := range []string{"NAME=spike.example ADDR=192.0.2.1", "HELO=a+20b PORT=25", "NAME=+00", "ADDR=IPv6:::1 SOURCE=LOCAL", "PROTO=ESMTP DESTPORT=99999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d disguise
		var o original
		bad := func(c rune) bool { return c < ' ' || c == 0x7f }
		if d.read(s) == nil {
			if text := d.peer.Name + d.peer.Reverse + d.helo + d.protocol; strings.ContainsFunc(text, bad) || strings.ContainsAny(d.helo, " <>()\"") {
				t.Errorf("XCLIENT %q: %q", s, text)
			}
		}
		if o.read(s) == nil {
			if text := o.String() + o.helo + o.protocol + o.id; strings.ContainsFunc(text, bad) || strings.ContainsAny(text, " <>\"") {
				t.Errorf("XFORWARD %q: %q", s, text)
			}
		}
	})
}

// A template without macros is itself, and expanding ends.
func FuzzMacros(f *testing.F) {
	for _, seed := range []string{defaultRBLReply, "$$x", "${a?{b}:{c}}", "${a:${b}}", "$(x)", "${"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := expandMacros(s, func(name string) (string, bool) { return name, true })
		if !strings.Contains(s, "$") && (got != s || err != nil) {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	})
}
