package spf

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// FuzzRecord: a record that is read is the same when it is written down and read again, with
// any number of spaces between its terms.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1 -all", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx:b.example/24//64 ?include:%{d2r.}.c ~all exp=x.y y.z=%%",
		"v=spf1 a//64 mx/0 redirect=_spf.%{d}", "v=spf1 +exists:%{ir}.%_%-x.%{L3r+-}  ptr:a.b", "V=SPF1 A:/.B ALL=1 A=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(Records([]string{s})) == 0 {
			return
		}
		r, err := Parse(s)
		if err != nil {
			return
		}
		again := version
		for i := range r.mechanisms {
			again += "  " + r.mechanisms[i].written()
			r.mechanisms[i].text = ""
		}
		if r.redirect != nil {
			again += " redirect=" + r.redirect.written()
		}
		if r.exp != nil {
			again += " EXP=" + r.exp.written()
		}
		other, err := Parse(again)
		for i := range other.mechanisms {
			other.mechanisms[i].text = ""
		}
		if len(again) <= maxRecord && (err != nil || !reflect.DeepEqual(r, other)) {
			t.Fatalf("%q becomes %q: %v\n%+v\n%+v", s, again, err, r, other)
		}
	})
}

func (m *mechanism) written() string {
	s := map[mail.AuthResult]string{mail.AuthPass: "+", mail.AuthFail: "-", mail.AuthSoftFail: "~", mail.AuthNeutral: "?"}[m.result] + m.name
	switch m.name {
	case "ip4", "ip6":
		return s + ":" + m.net.String()
	}
	if m.domain != nil {
		s += ":" + m.domain.written()
	}
	if m.name == "a" || m.name == "mx" {
		s += fmt.Sprintf("/%d//%d", m.bits4, m.bits6)
	}
	return s
}

func (d *domainSpec) written() string {
	var b strings.Builder
	for _, p := range d.parts {
		switch {
		case p.letter != 0:
			letter, keep, reverse := string(p.letter), "", ""
			if p.escape {
				letter = strings.ToUpper(letter)
			}
			if p.keep > 0 {
				keep = fmt.Sprint(p.keep)
			}
			if p.reverse {
				reverse = "R"
			}
			b.WriteString("%{" + letter + keep + reverse + p.split + "}")
		case p.expand:
			b.WriteString(map[string]string{"%": "%%", " ": "%_", "%20": "%-"}[p.literal])
		default:
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

func TestRecords(t *testing.T) {
	got := Records([]string{"v=spf1", "V=SPF1 -all", "v=spf10", "v=spf1-all", "v=spf", " v=spf1", "v=spf1\t-all", "v=spf1 "})
	if want := []string{"v=spf1", "V=SPF1 -all", "v=spf1 "}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]string{
		"v=spf1": " false false", "v=spf1 mx ~all": "softfail false false", "v=spf1 -ALL": "fail true false", "v=spf1 exp=a.b all": "pass true false", "v=spf1 a redirect=a.b": " false true",
	} {
		r, err := Parse(text)
		result, only := r.Everybody()
		if got := fmt.Sprint(result, " ", only, " ", r.Redirects()); got != want || err != nil {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
	}
	if _, err := Parse("v=spf10"); err == nil {
		t.Error("v=spf10 is read")
	}
}
