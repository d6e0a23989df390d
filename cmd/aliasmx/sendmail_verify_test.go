package main

import (
	"strings"
	"testing"
)

func TestSendmailVerify(t *testing.T) {
	dir := explainDir(t, explainMainCF)
	for _, tc := range []struct {
		args   string
		status int
		want   []string
	}{
		{"info@virt.example", exitOK, []string{"info@virt.example: accepted: 2 targets", dir + "/virtual, line 2"}},
		{"x@other.example", exitOK, []string{"x@other.example: accepted: 1 target"}}, // from here it is relayed
		{"nobody@virt.example", exitNoUser, []string{"rejected: 550 5.1.1"}},
		{"info@virt.example nobody@virt.example", exitNoUser, []string{"info@virt.example: accepted", "nobody@virt.example: rejected"}},
		{"a@virt.example nobody@virt.example", exitTempFail, []string{"a@virt.example: deferred: 451 4.6.0"}},
	} {
		var out, errs strings.Builder
		status := sendmail(strings.Fields("-C "+dir+" -bv "+tc.args), postconfEnviron(&out, &errs, nil, ""), joe)
		if status != tc.status || errs.Len() > 0 {
			t.Errorf("%s: status %d, %s", tc.args, status, &errs)
		}
		for _, w := range tc.want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in\n%s", tc.args, w, &out)
			}
		}
	}
}

// -v asks for a report by mail, and says so; -N says more exactly which.
func TestSendmailTells(t *testing.T) {
	m := newMachine(t, "")
	q := m.startPickup(t, nil)
	for _, tc := range []struct {
		args         []string
		want, notify string
	}{
		{[]string{"-v", "-f", "s@x.example", "a@b"}, "Mail Delivery Status Report will be mailed to <s@x.example>.\n", " notify=14 "},
		{[]string{"-v", "-N", "never", "-f", "s@x.example", "a@b"}, "Mail Delivery Status Report will be mailed to <s@x.example>.\n", " notify=1 "},
		{[]string{"a@b"}, "", " notify=0 "},
	} {
		status := sendmail(tc.args, m.env(letter), joe)
		if status != exitOK || m.stdout.String() != tc.want || m.stderr.Len() > 0 {
			t.Errorf("%v: status %d, %q, %q", tc.args, status, m.stdout.String(), m.stderr.String())
		}
		if len(q.taken) == 0 || !strings.Contains(q.taken[len(q.taken)-1], tc.notify) {
			t.Errorf("%v: %q", tc.args, q.taken)
		}
	}
}

// What an address is refused for is one line, whatever is in it.
func TestSendmailMalformedSender(t *testing.T) {
	m := newMachine(t, "")
	m.startPickup(t, nil)
	sendmail([]string{"-f", "a\nb, c@d.test\x1b[1m", "a@b"}, m.env(letter), joe)
	if want := "sendmail: warning: -f option specified malformed sender: a?b, c@d.test?[1m\n"; m.stderr.String() != want {
		t.Errorf("%q, want %q", m.stderr.String(), want)
	}
}
