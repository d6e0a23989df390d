package mtasts

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParsePolicy(t *testing.T) {
	enforce := Policy{Version: "STSv1", Mode: ModeEnforce, MX: []string{"mx.example.com"}, MaxAge: 86400 * time.Second}
	for _, c := range []struct {
		name, file string
		want       Policy
		err        string
	}{
		{"LF", "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 86400\n", enforce, ""},
		{"CRLF", "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 86400\r\n", enforce, ""},
		{"no line end, no space", "version:STSv1\nmode:enforce\nmx:mx.example.com\nmax_age:86400", enforce, ""},
		{"any order", "max_age: 86400\nmx: mx.example.com\nmode: enforce\nversion: STSv1\n", enforce, ""},
		{"tabs and spaces", "version: \tSTSv1 \nmode:\tenforce\t\nmx:  mx.example.com \r\nmax_age: 86400 \n", enforce, ""},
		{"empty lines", "version: STSv1\n\nmode: enforce\nmx: mx.example.com\nmax_age: 86400\n\r\n \n", enforce, ""},
		{"unknown fields", "version: STSv1\nmode: enforce\nx-y.z_1: grüße von  hier\nmx: mx.example.com\nmax_age: 86400\n", enforce, ""},
		{"of two the first counts", "version: STSv1\nversion: STSv9\nmode: enforce\nmode: none\nmx: mx.example.com\nmax_age: 86400\nmax_age: x\n", enforce, ""},
		{"several mx", "version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmx: a.example\nmax_age: 0\n",
			Policy{"STSv1", ModeTesting, []string{"a.example", "*.b.example", "a.example"}, 0}, ""},
		{"none needs no mx", "version: STSv1\nmode: none\nmax_age: 1\n", Policy{"STSv1", ModeNone, nil, time.Second}, ""},
		{"none may have mx", "version: STSv1\nmode: none\nmx: a.example\nmax_age: 1\n", Policy{"STSv1", ModeNone, []string{"a.example"}, time.Second}, ""},
		{"a year", "version: STSv1\nmode: none\nmax_age: 31557600\n", Policy{"STSv1", ModeNone, nil, MaxAge}, ""},
		{"more than a year", "version: STSv1\nmode: none\nmax_age: 9999999999\n", Policy{"STSv1", ModeNone, nil, MaxAge}, ""},

		{"empty", "", Policy{}, "no version"},
		{"BOM", "\ufeffversion: STSv1\nmode: none\nmax_age: 1\n", Policy{}, "line 1 of the policy is malformed"},
		{"CR only", "version: STSv1\rmode: none\rmax_age: 1\r", Policy{}, "line 1"},
		{"HTML", "<html>\n<body>: hello", Policy{}, "line 1"},
		{"no version", "mode: none\nmax_age: 1\n", Policy{}, "no version"},
		{"another version", "version: STSv2\nmode: none\nmax_age: 1\n", Policy{}, "not STSv1"},
		{"version in another case", "version: stsv1\nmode: none\nmax_age: 1\n", Policy{}, "not STSv1"},
		{"no mode", "version: STSv1\nmx: a.example\nmax_age: 1\n", Policy{}, "no mode"},
		{"mode in another case", "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n", Policy{}, "mode \"Enforce\""},
		{"name in another case", "version: STSv1\nMode: none\nmax_age: 1\n", Policy{}, "no mode"},
		{"no max_age", "version: STSv1\nmode: none\n", Policy{}, "no max_age"},
		{"negative", "version: STSv1\nmode: none\nmax_age: -1\n", Policy{}, "1 to 10 digits"},
		{"signed", "version: STSv1\nmode: none\nmax_age: +1\n", Policy{}, "1 to 10 digits"},
		{"eleven digits", "version: STSv1\nmode: none\nmax_age: 00000000001\n", Policy{}, "1 to 10 digits"},
		{"no mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", Policy{}, "no mx"},
		{"no mx in testing", "version: STSv1\nmode: testing\nmax_age: 1\n", Policy{}, "no mx"},
		{"star in the middle", "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n", Policy{}, "line 3"},
		{"star alone", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", Policy{}, "line 3"},
		{"star and dot", "version: STSv1\nmode: enforce\nmx: *.\nmax_age: 1\n", Policy{}, "line 3"},
		{"a dot at the end", "version: STSv1\nmode: enforce\nmx: a.example.\nmax_age: 1\n", Policy{}, "line 3"},
		{"a U-label", "version: STSv1\nmode: enforce\nmx: mü.example\nmax_age: 1\n", Policy{}, "line 3"},
		{"an address", "version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 1\n", Policy{}, "line 3"},
		{"two in a line", "version: STSv1\nmode: enforce\nmx: a.example, b.example\nmax_age: 1\n", Policy{}, "line 3"},
		{"space before the colon", "version : STSv1\nmode: none\nmax_age: 1\n", Policy{}, "line 1"},
		{"space in front", " version: STSv1\nmode: none\nmax_age: 1\n", Policy{}, "line 1"},
		{"empty value", "version: STSv1\nmode: none\nmax_age: 1\nx:\n", Policy{}, "line 4"},
		{"not UTF-8", "version: STSv1\nmode: none\nmax_age: 1\nx: \xff\n", Policy{}, "line 4"},
		{"a NUL", "version: STSv1\nmode: none\nmax_age: 1\nx: a\x00b\n", Policy{}, "line 4"},
		{"too long", "version: STSv1\nmode: none\nmax_age: 1\nx: " + strings.Repeat("a", MaxSize), Policy{}, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte(c.file))
			if !reflect.DeepEqual(p, c.want) || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%.200q: %+v, %v; want %+v, %q", c.file, p, err, c.want, c.err)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	p := Policy{MX: []string{"mx.example.com", "*.Backup.example", "*.xn--bcher-kva.example"}}
	for host, want := range map[string]bool{
		"mx.example.com":           true,
		"MX.Example.COM":           true,
		"mx.example.com.":          true,
		"a.mx.example.com":         false,
		"example.com":              false,
		"xmx.example.com":          false,
		"a.backup.example":         true,
		"A.BACKUP.EXAMPLE":         true,
		"a.b.backup.example":       false, // one label, RFC 8461 section 4.1
		"backup.example":           false,
		".backup.example":          false,
		"a.xn--bcher-kva.example":  true,
		"a.xn--bcher-kva.example.": true,
		"":                         false,
		"com":                      false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}

// FuzzParsePolicy: a policy that is read is the same when it is written and read again,
// and each host that a pattern without a star names matches.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("version: STSv1\nmode: enforce\nmx: mx.example.com\nmx: *.example.net\nmax_age: 86400\n"))
	f.Add([]byte("version:STSv1\r\nmode:\tnone\r\nmax_age: 1\nmore:ext e  ns ion"))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := ParsePolicy(file)
		if err != nil {
			if !reflect.DeepEqual(p, Policy{}) {
				t.Fatalf("%q: %+v beside %v", file, p, err)
			}
			return
		}
		if p.MaxAge < 0 || p.MaxAge > MaxAge {
			t.Fatalf("%q: max_age %v", file, p.MaxAge)
		}
		again, err := ParsePolicy([]byte(p.String()))
		if len(p.String()) <= MaxSize && (err != nil || !reflect.DeepEqual(again, p)) {
			t.Fatalf("%q: %+v becomes %+v, %v", file, p, again, err)
		}
		for _, mx := range p.MX {
			if host := strings.Replace(mx, "*", "label", 1); !p.Matches(host) || p.Matches("more."+host) && !strings.Contains(p.String(), "*.") {
				t.Fatalf("%q: %s", file, host)
			}
		}
	})
}
