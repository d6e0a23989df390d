package mtasts

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		txts []string
		id   string
		err  string // part of it; "": none
	}{
		{"plain", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z", ""},
		{"no semicolon at the end", []string{"v=STSv1;id=a"}, "a", ""},
		{"white space", []string{"v=STSv1 \t; \t id=a \t;\t"}, "a", ""},
		{"unknown fields", []string{"v=STSv1; x.y=1; id=a; z_-=!"}, "a", ""},
		{"other records beside it", []string{"hello", "v=spf1 -all", "v=STSv1; id=a", "v=STSv2; id=b", "V=STSv1; id=c", " v=STSv1; id=d"}, "a", ""},
		{"id of 32", []string{"v=STSv1; id=" + strings.Repeat("a", 32)}, strings.Repeat("a", 32), ""},
		{"none", nil, "", "no TXT record"},
		{"other records", []string{"v=STSv10; id=a", "v=STSv1"}, "", "no TXT record"},
		{"two", []string{"v=STSv1; id=a", "v=STSv1; id=a"}, "", "2 TXT records"},
		{"two, one of them broken", []string{"v=STSv1; id=a", "v=STSv1;"}, "", "2 TXT records"},
		{"no fields", []string{"v=STSv1;"}, "", "malformed"},
		{"no id", []string{"v=STSv1; ext=1"}, "", "no id"},
		{"empty id", []string{"v=STSv1; id="}, "", "malformed"},
		{"id of 33", []string{"v=STSv1; id=" + strings.Repeat("a", 33)}, "", "32 letters"},
		{"bad id", []string{"v=STSv1; id=a-b"}, "", "32 letters"},
		{"id in upper case is another field", []string{"v=STSv1; ID=a"}, "", "no id"},
		{"two ids", []string{"v=STSv1; id=a; id=b"}, "", "two ids"},
		{"empty field", []string{"v=STSv1; id=a;;"}, "", "malformed"},
		{"empty field in front", []string{"v=STSv1;; id=a"}, "", "malformed"},
		{"space inside", []string{"v=STSv1; id=a b"}, "", "malformed"},
		{"space around =", []string{"v=STSv1; id =a"}, "", "malformed"},
		{"not ASCII", []string{"v=STSv1; id=ä"}, "", "malformed"},
		{"long name", []string{"v=STSv1; id=a; " + strings.Repeat("n", 33) + "=1"}, "", "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := ParseRecord(c.txts)
			if id != c.id || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%q: %q, %v; want %q, %q", c.txts, id, err, c.id, c.err)
			}
			if errors.Is(err, ErrNoRecord) != strings.HasPrefix(c.err, "no TXT record") {
				t.Errorf("%q: %v as ErrNoRecord: %t", c.txts, err, errors.Is(err, ErrNoRecord))
			}
		})
	}
}

// FuzzParseRecord: what is read means the same when it is written by the grammar, and a
// second such record makes it none.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Add("v=STSv1; \t id=a  \t; more=a")
	f.Add("v=STSv1;;")
	f.Fuzz(func(t *testing.T, txt string) {
		id, err := ParseRecord([]string{txt})
		if err != nil {
			if id != "" {
				t.Fatalf("%q: %q beside %v", txt, id, err)
			}
			return
		}
		again, err := ParseRecord([]string{"v=STSv1; id=" + id, "something else"})
		if err != nil || again != id {
			t.Fatalf("%q: %q becomes %q, %v", txt, id, again, err)
		}
		if _, err := ParseRecord([]string{txt, txt}); err == nil {
			t.Fatalf("%q: taken although it is there twice", txt)
		}
	})
}
