package postconf

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for _, tc := range []struct {
		in   string
		unit byte
		want time.Duration
	}{
		{"3", 's', 3 * time.Second},
		{"3", 'h', 3 * time.Hour},
		{"3s", 'd', 3 * time.Second},
		{"5m", 's', 5 * time.Minute},
		{"2h", 's', 2 * time.Hour},
		{"1d", 's', 24 * time.Hour},
		{"2w", 's', 14 * 24 * time.Hour},
		{"1h30m", 's', 90 * time.Minute},
		{"5s5", 's', 10 * time.Second},
		{" 3s ", 's', 3 * time.Second},
		{"0", 'd', 0},
	} {
		if got, err := parseTime(tc.in, tc.unit); err != nil || got != tc.want {
			t.Errorf("parseTime(%q, %c) = %v, %v; want %v", tc.in, tc.unit, got, err, tc.want)
		}
	}
	for _, in := range []string{"", "s", "3x", "3S", "-1", "0x10", "3.5s", "3 s", "99999999999", "4000w"} {
		if got, err := parseTime(in, 's'); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", in, got)
		}
	}
}

func TestTypeCheck(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tc := range []struct {
		name      string
		typ       Type
		good, bad []string
	}{
		{"text", text(), []string{"", "x"}, nil},
		{"not empty", notEmpty(), []string{"x"}, []string{""}},
		{"yes or no", yesno(), []string{"yes", "no", "YES", "No"}, []string{"", "true", "1", "y"}},
		{"number", number(1, 0), []string{"1", "010", "99999999999"}, []string{"", "0", "-1", "x", "0x10", "1 2", "99999999999999999999"}},
		{"code", code(), []string{"400", "550", "599"}, []string{"250", "600", "5xx"}},
		{"seconds", seconds(1, 10), []string{"1", "10s"}, []string{"0", "11", "1m", "x"}},
		{"choice", choice("a", "b"), []string{"a", "B"}, []string{"", "c", "a b"}},
		{"choice with none", choice("", "may"), []string{"", "may"}, []string{"x"}},
		{"set", set("all", "ipv4"), []string{"", "all", "IPv4, all"}, []string{"x", "all x"}},
		{"mode", formOf(formOctal), []string{"0600", "644"}, []string{"", "8", "99999"}},
		{"host", formOf(formHost), []string{"a", "mx.example.org", "my_host", "1.example"},
			[]string{"", "a..b", ".a", "a.", "-a", "a-", "a.-b", "a b", "1.2.3.4", "é", long, strings.Repeat("a.", 128) + "a"}},
		{"path", formOf(formPath), []string{"/", "/var/spool"}, []string{"", "var"}},
		{"address", formOf(formAddress), []string{"", "192.0.2.1", "2001:db8::1"}, []string{"x", "[::1]", "192.0.2.1:25"}},
		{"name servers", formOf(formResolver), []string{"", "192.0.2.1", "192.0.2.1:53, [::1]:53 ::1"}, []string{"ns.example", "192.0.2.1:x"}},
		{"feedback", formOf(formFeedback), []string{"1", "0", "0.5", "1/4", "2/4", "0.1/0.5", "1 / sqrt_concurrency", "1/concurrency"},
			[]string{"", "2", "-1", "1/0", "1/x", "x", "4/2", "2/concurrency", "-1/-2", "1/", "/2", "1/2/3", "NaN", "1/inf", "1 2"}},
		{"level", formOf(formLevel), []string{"0", "3.6", "3.10.1"}, []string{"", "x", "3.", "1.2.3.4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, v := range tc.good {
				if m := tc.typ.check(v, 's'); m != nil {
					t.Errorf("%q refused: %v", v, m)
				}
			}
			for _, v := range tc.bad {
				switch m := tc.typ.check(v, 's'); {
				case m == nil:
					t.Errorf("%q accepted", v)
				case m.reason == "" || m.remedy == "":
					t.Errorf("%q: reason %q, remedy %q", v, m.reason, m.remedy)
				}
			}
		})
	}
}

func TestDefaultUnit(t *testing.T) {
	for def, want := range map[string]byte{"300s": 's', "5d": 'd', "0h": 'h', "${stress?{10}:{300}}s": 's', "": 's', "$x": 's'} {
		if got := defaultUnit(def); got != want {
			t.Errorf("defaultUnit(%q) = %c, want %c", def, got, want)
		}
	}
}
