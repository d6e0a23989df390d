package integration

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// What Debian's Postfix makes of next hops that misbehave in every way of
// testdata/hops.txt, live: the same as is recorded. HOPS_RECORD=1 records it; HOPS=RCPT takes
// the cases that begin so.
func TestHopsPostfix(t *testing.T) {
	cases := hopsOf(t)
	got := runHops(t, cases, recorderMaster, func(cf map[string]string) subject {
		return newRecorder(t, cf, freeAddr(t))
	})
	want, _ := readHops(t, "testdata/hops.recorded")
	if os.Getenv("HOPS_RECORD") != "" {
		head := "# What Postfix 3.7.11 (Debian 12) made of the next hops of hops.txt: hops_test.go.\n"
		maps.Copy(want, got)
		if err := writeHops("testdata/hops.recorded", head, loadHops(t), want, nil); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range cases {
		if got[c.name] != want[c.name] && !isVariant(c.name, got[c.name]) {
			t.Errorf("%s\ngot\n%srecorded\n%s", c.name, got[c.name], want[c.name])
		}
	}
}

// postfixVaries is what Postfix makes of each of several letters in a case where chance decides
// which of them meets a reply too many: how many connections it happens to use.
var postfixVaries = map[string][]string{"RSET: the reply twice": {
	"bad: HOST:PORT 5.1.1 bounced (host HOST said: 550 5.1.1 unknown (in reply to RCPT TO command))",
	"bad: HOST:PORT 5.1.1 bounced (host HOST said: 550 5.1.1 unknown (in reply to DATA command))",
	"good: HOST:PORT 2.0.0 sent (250 2.0.0 Ok: queued)",
	"good: HOST:PORT 5.5.0 bounced (Protocol error: host HOST said: 250 2.0.0 Ok (in reply to DATA command))",
}}

// isVariant tells whether an outcome is one of those that Postfix may have in a case.
func isVariant(name, outcome string) bool {
	fates := postfixVaries[name]
	if fates == nil {
		return false
	}
	for line := range strings.Lines(outcome) {
		letter, fate, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !slices.Contains(fates, strings.TrimRight(letter, "0123456789")+":"+fate) {
			return false
		}
	}
	return strings.Count(outcome, "\n") == 5
}

// lostReply is a line that we have and Postfix has not: the one way to a duplicate.
const lostReply = "log: warning: the reply to the end of data was lost: the message may be delivered more than once relay=HOST:PORT\n"

// What we make of them: the same, but for what testdata/hops-differ.txt has.
func TestHops(t *testing.T) {
	cases := hopsOf(t)
	got := runHops(t, cases, " inet n - n - - smtpd\n", func(cf map[string]string) subject {
		return newRelay(t, cf, map[string]string{"virtual": ""})
	})
	for name, outcome := range got {
		said := strings.Contains(outcome, lostReply)
		if want := strings.Contains(outcome, "while sending end of data"); said != want {
			t.Errorf("%s: that the message may be delivered twice is told: %v, want %v\n%s", name, said, want, outcome)
		}
		got[name] = strings.ReplaceAll(outcome, lostReply, "")
	}
	want, _ := readHops(t, "testdata/hops.recorded")
	ours, whys := readHops(t, "testdata/hops-differ.txt")
	if file := os.Getenv("HOPS_DIFFER"); file != "" {
		for _, c := range cases {
			if got[c.name] == want[c.name] {
				delete(got, c.name)
			}
		}
		if err := writeHops(file, "", cases, got, whys); err != nil {
			t.Fatal(err)
		}
		return
	}
	known := map[string]bool{}
	for _, c := range loadHops(t) {
		known[c.name] = true
	}
	for _, c := range cases {
		expected, differs := ours[c.name]
		if !differs {
			expected = want[c.name]
		}
		switch {
		case want[c.name] == "":
			t.Errorf("%s: is not recorded: HOPS_RECORD=1 go test -run TestHopsPostfix", c.name)
		case differs && whys[c.name] == "":
			t.Errorf("%s: hops-differ.txt gives no reason", c.name)
		case differs && expected == want[c.name]:
			t.Errorf("%s: is in hops-differ.txt and does not differ", c.name)
		case got[c.name] != expected:
			t.Errorf("%s\ngot\n%swant\n%s", c.name, got[c.name], expected)
		}
	}
	for name := range ours {
		if !known[name] {
			t.Errorf("hops-differ.txt has %q, which is no case", name)
		}
	}
}

// runHops is runServerCases, in brief.
func runHops(t *testing.T, cases []*serverCase, services string, start func(cf map[string]string) subject) map[string]string {
	got := runServerCases(t, cases, services, start)
	for name, outcome := range got {
		got[name] = brief(outcome)
	}
	return got
}
