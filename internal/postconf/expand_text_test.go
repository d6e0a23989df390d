package postconf

import (
	"errors"
	"strings"
	"testing"
)

func TestExpandText(t *testing.T) {
	c := readMain(t, "myhostname = mx.example\nmine = a$myhostname\nempty =\n")
	own := func(name string) (string, bool, error) {
		switch name {
		case "special":
			return "$5 {x}", true, nil
		case "myhostname":
			return "mx.exämple", true, nil
		case "wrong":
			return "", false, errors.New("no such unit")
		}
		return "", false, nil
	}
	for _, c2 := range []struct{ text, want, err string }{
		{"plain", "plain", ""},
		{"$$5 and $$", "$5 and $", ""},
		{"$special", "$5 {x}", ""},
		{"at $myhostname, ${myhostname}, $(myhostname)", "at mx.exämple, mx.exämple, mx.exämple", ""},
		{"$mine", "amx.exämple", ""},
		{"$mail_name $soft_bounce", "Postfix no", ""}, // by default
		{"$empty|", "|", ""},
		{"${nosuch?{yes}:{no}} ${special?yes} ${nosuch:{$special}}", "no yes $5 {x}", ""},
		{"a $nosuch b", "", "undefined $name"},
		{"a ${ b", "", "bad $name syntax"},
		{"a $ b", "", "bad $name syntax"},
		{"$wrong", "", "no such unit"},
		{"${wrong?x}", "", "no such unit"},
	} {
		got, err := c.ExpandText(c2.text, own)
		if c2.err != "" {
			if err == nil || err.Error() != c2.err {
				t.Errorf("%s: error %v, want %s", c2.text, err, c2.err)
			}
			continue
		}
		if err != nil || got != c2.want {
			t.Errorf("%s: got %q, %v; want %q", c2.text, got, err, c2.want)
		}
	}
	if _, err := c.ExpandText(strings.Repeat("${x?", 200), own); err == nil {
		t.Error("braces without end are no error")
	}
}
