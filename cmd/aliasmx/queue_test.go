package main

import (
	"strings"
	"testing"
)

func TestQueueDispatch(t *testing.T) {
	var got []string
	table := []queueCommand{{"weigh", "weigh it", func(args []string, env environ) int {
		got = args
		return 7
	}}}
	for _, tc := range []struct {
		args   string
		status int
		passed string
		out    string // in either output
	}{
		{"weigh -c dir x", 7, "-c dir x", ""},
		{"", exitUsage, "", "usage: aliasmx queue COMMAND"},
		{"--help", exitOK, "", "  weigh      weigh it\n"},
		{"eat", exitUsage, "", "aliasmx queue: unknown command \"eat\"; 'aliasmx queue help' lists them\n"},
	} {
		got = nil
		m := newMachine(t, "")
		status := dispatchQueue(table, strings.Fields(tc.args), m.env(""))
		out := m.stdout.String() + m.stderr.String()
		if status != tc.status || strings.Join(got, " ") != tc.passed || !strings.Contains(out, tc.out) {
			t.Errorf("%q: status %d, passed %q, output %q", tc.args, status, got, out)
		}
	}
}
