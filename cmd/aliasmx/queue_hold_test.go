package main

import (
	"strings"
	"testing"

	"aliasmx/internal/admin"
)

func TestQueueHold(t *testing.T) {
	for _, how := range []string{"by the daemon", "without one"} {
		m := newMachine(t, "")
		q := &shelf{}
		open := openOffline(noQueue)
		if how == "without one" {
			open = offline(q)
		} else {
			m.startControl(t, q, nil)
		}
		for _, tc := range []struct {
			run    func([]string, environ, openOffline) int
			args   string
			status int
			out    string
			err    string
		}{
			{queueHeld, "", exitOK, "No destination is on hold\n", ""},
			{queueHold, "smtp:one.example --reason they-asked", exitOK, "", ""},
			{queueHold, "[192.0.2.1]:25", exitOK, "", ""},
			{queueHeld, "", exitOK, "smtp:one.example               since Sun Nov 22 19:39:03 2026  (they-asked)\n" +
				"[192.0.2.1]:25                 since Sun Nov 22 19:39:03 2026\n", ""},
			{queueRelease, "one.example", exitFailure, "", "aliasmx: fatal: queue release: no destination \"one.example\" is on hold; 'aliasmx queue held' lists those that are\n"},
			{queueRelease, "smtp:one.example", exitOK, "", ""},
			{queueHold, "", exitUsage, "", "aliasmx queue hold: expected \"<destination>\"; 'aliasmx queue hold --help' tells more\n"},
			{queueHold, "a b", exitUsage, "", "aliasmx queue hold: unexpected argument b; 'aliasmx queue hold --help' tells more\n"},
			{queueHeld, "-c /nonexistent", exitConfig, "", "aliasmx: fatal: /nonexistent/main.cf: cannot be read: no such file or directory; create it, or name another configuration directory with -c\n"},
		} {
			m.stdout.Reset()
			m.stderr.Reset()
			status := tc.run(strings.Fields(tc.args), m.env(""), open)
			if status != tc.status || m.stdout.String() != tc.out || m.stderr.String() != tc.err {
				t.Errorf("%s, %s: status %d\n%s%s", tc.args, how, status, m.stdout.String(), m.stderr.String())
			}
		}
		if got := strings.Join(q.did, ", "); got != "hold smtp:one.example, hold [192.0.2.1]:25, release smtp:one.example" {
			t.Errorf("%s: did %s", how, got)
		}
	}
}

func TestQueueHoldForbidden(t *testing.T) {
	m := newMachine(t, "")
	q := &shelf{fail: admin.ErrForbidden}
	if status := queueHold([]string{"one.example"}, m.env(""), offline(q)); status != exitFailure ||
		!strings.Contains(m.stderr.String(), "reserved for the superuser") {
		t.Errorf("status %d, %s", status, m.stderr.String())
	}
}
