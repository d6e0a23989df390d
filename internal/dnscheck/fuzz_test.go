package dnscheck

import (
	"reflect"
	"strings"
	"testing"
)

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
