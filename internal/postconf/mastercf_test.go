package postconf

import (
	"slices"
	"strings"
	"testing"
)

func TestParseService(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		command    string
		args       []string
		overrides  []Assignment
	}{
		{"plain", "smtp inet n - n - - smtpd", "smtpd", nil, nil},
		{"option", "smtp inet n - n - - smtpd -v", "smtpd", []string{"-v"}, nil},
		{"short override", "smtp inet n - n - - smtpd -o a=b -oc=d", "smtpd", nil, []Assignment{{"a", "b"}, {"c", "d"}}},
		{"empty override", "smtp inet n - n - - smtpd -o a=", "smtpd", nil, []Assignment{{"a", ""}}},
		{"long override", "smtp inet n - n - - smtpd -o { a = b  c }", "smtpd", nil, []Assignment{{"a", "b  c"}}},
		{"braces in a short one", "smtp inet n - n - - smtpd -o a=inline:{x, y z} -v", "smtpd", []string{"-v"}, []Assignment{{"a", "inline:{x, y z}"}}},
		{"braces in braces", "smtp inet n - n - - smtpd -o {a = {b c}}", "smtpd", nil, []Assignment{{"a", "{b c}"}}},
		{"option with argument", "smtp inet n - n - - smtpd -S -o a=b", "smtpd", []string{"-S", "-o", "a=b"}, nil},
		{"joined argument", "smtp inet n - n - - smtpd -n7 -o a=b", "smtpd", []string{"-n7"}, []Assignment{{"a", "b"}}},
		{"another program's -o", "x unix - n n - - pipe -o a=b argv=/x -o c", "pipe", []string{"argv=/x", "-o", "c"}, []Assignment{{"a", "b"}}},
		{"after --", "x unix - n n - - pipe -- -o a=b", "pipe", []string{"--", "-o", "a=b"}, nil},
		{"argument in braces", "x unix - n n - - spawn argv={a b} { c d }", "spawn", []string{"argv={a b}", "c d"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseService(place{"master.cf", 3}, tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if s.Command != tc.command || !slices.Equal(s.Args, tc.args) || !slices.Equal(s.Overrides, tc.overrides) || s.Line != 3 {
				t.Errorf("%q: got %+v", tc.text, s)
			}
		})
	}
}

func TestParseMasterErrors(t *testing.T) {
	const form = "; write: name type private unpriv chroot wakeup maxproc command"
	for _, tc := range []struct{ text, want string }{
		{"smtp inet n - n - -", `line 1: 7 fields instead of 8: "smtp inet n - n - -"` + form},
		{"#\nsmtp tcp n - n - - smtpd", `line 2: unknown service type "tcp"; write inet, unix, unix-dgram, fifo or pass`},
		{"smtp inet x - n - - smtpd", `line 1: invalid private field "x"; write y, n or -`},
		{"smtp inet n x n - - smtpd", `line 1: invalid unprivileged field "x"; write y, n or -`},
		{"smtp inet n - x - - smtpd", `line 1: invalid chroot field "x"; write y, n or -`},
		{"smtp inet n - n 5s - smtpd", `line 1: invalid wakeup field "5s"; write seconds, perhaps with ?, or -`},
		{"smtp inet n - n - -1 smtpd", `line 1: invalid maxproc field "-1"; write a number, 0 for no limit, or -`},
		{"smtp inet n - n - - smtpd -o", `line 1: -o without a setting; write -o name=value`},
		{"smtp inet n - n - - smtpd -o a", `line 1: -o: missing '=' after attribute name: "a"; write -o name=value, or -o { name = value } if there are spaces`},
		{"smtp inet n - n - - smtpd -o { a = b", `line 1: missing '}' after "{ a = b"; close every brace, and put a space after it`},
		{"smtp inet n - n - - smtpd -o a={ b", `line 1: missing '}' after "a={ b"; close every brace, and put a space after it`},
		{"smtp inet n - n - - smtpd -o {a=b}c", `line 1: unexpected text after '}': "c"; close every brace, and put a space after it`},
		{"smtp inet n - n - - smtpd \x00", `line 1: NUL byte; remove it`},
	} {
		_, _, err := parseMaster("master.cf", []byte(tc.text))
		if want := "master.cf, " + tc.want; err == nil || err.Error() != want {
			t.Errorf("%q\ngot  %v\nwant %s", tc.text, err, want)
		}
	}
}

func TestParseMaster(t *testing.T) {
	services, _, err := parseMaster("master.cf", []byte(postfixMaster))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range services {
		names = append(names, s.Name+"/"+s.Type)
	}
	const want = "smtp/inet pickup/unix cleanup/unix qmgr/unix tlsmgr/unix bounce/unix smtp/unix relay/unix " +
		"local/unix anvil/unix postlog/unix-dgram maildrop/unix uucp/unix scalemail-backend/unix"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLastServiceCounts(t *testing.T) {
	services, warnings, err := parseMaster("master.cf",
		[]byte("smtp inet n - n - - smtpd\nqmgr unix n - n 300 1 qmgr\nsmtp inet n - n - 9 smtpd -v\n"))
	if err != nil || len(services) != 2 || services[0].ProcessLimit != "9" || len(warnings) != 1 {
		t.Errorf("got %+v, %q, %v", services, warnings, err)
	}
}
