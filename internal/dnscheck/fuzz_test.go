package dnscheck

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// FuzzSPF: a record that is read is the same when it is written down and read again, with
// any number of spaces between its terms.
func FuzzSPF(f *testing.F) {
	for _, s := range []string{
		"v=spf1 -all", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx:b.example/24//64 ?include:%{d2r.}.c ~all exp=x y.z=%%",
		"v=spf1 a//64 mx/0 redirect=_spf.%{d}", "v=spf1 +exists:%{ir}.%_%-x  ptr:a", "V=SPF1 A:/ ALL=1 A=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		records := spfTexts([]string{s})
		if len(records) == 0 {
			return
		}
		terms, err := parseSPF(records[0])
		if err != nil {
			return
		}
		again := "v=spf1"
		for _, x := range terms {
			again += "  " + x.text()
		}
		other, err := parseSPF(again)
		if len(again) <= maxRecord && (err != nil || !reflect.DeepEqual(terms, other)) {
			t.Fatalf("%q becomes %q: %v\n%+v\n%+v", s, again, err, terms, other)
		}
	})
}

func (t spfTerm) text() string {
	if t.qualifier == 0 {
		return t.name + "=" + t.domain
	}
	s := string(t.qualifier) + t.name
	switch t.name {
	case "ip4", "ip6":
		return s + ":" + t.net.String()
	}
	if t.domain != "" {
		s += ":" + t.domain
	}
	if t.name == "a" || t.name == "mx" {
		s += fmt.Sprintf("/%d//%d", t.bits4, t.bits6)
	}
	return s
}

// FuzzTags: a list that is read is the same when it is written down and read again, and no
// tag is there twice.
func FuzzTags(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=abc==")
	f.Add(" a = ; b_1=x\t=y ;")
	f.Add("a=1;;b=2")
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := parseTags(s)
		if err != nil {
			return
		}
		var b strings.Builder
		seen := map[string]bool{}
		for _, x := range tags {
			if seen[x.name] {
				t.Fatalf("%q: %s twice", s, x.name)
			}
			seen[x.name] = true
			b.WriteString(x.name + "=" + x.value + ";")
		}
		if other, err := parseTags(b.String()); b.Len() <= maxRecord && (err != nil || !reflect.DeepEqual(tags, other)) {
			t.Fatalf("%q becomes %q: %v\n%+v\n%+v", s, b.String(), err, tags, other)
		}
	})
}
