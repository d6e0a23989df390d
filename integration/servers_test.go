package integration

import (
	"os"
	"strings"
	"testing"
)

// What Debian's Postfix makes of the servers of testdata/servers.txt, live: the same as is
// recorded. SERVERS_RECORD=1 records it.
func TestServersPostfix(t *testing.T) {
	t.Parallel()
	cases := loadServerCases(t)
	got := runServerCases(t, cases, recorderMaster, func(cf map[string]string) subject {
		return newRecorder(t, cf, freeAddr(t))
	})
	if os.Getenv("SERVERS_RECORD") != "" {
		head := "# What Postfix 3.7.11 (Debian 12) made of the servers of servers.txt: servers_test.go.\n"
		if err := writeOutcomes("testdata/servers.recorded", head, cases, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := readOutcomes(t, "testdata/servers.recorded")
	for _, c := range cases {
		if got[c.name] != want[c.name] {
			t.Errorf("%s\ngot\n%srecorded\n%s", c.name, got[c.name], want[c.name])
		}
	}
}

// What we make of them: the same, but for what testdata/servers-differ.txt has.
func TestServers(t *testing.T) {
	t.Parallel()
	cases := loadServerCases(t)
	got := runServerCases(t, cases, " inet n - n - - smtpd\n", func(cf map[string]string) subject {
		return newRelay(t, cf, map[string]string{"virtual": ""})
	})
	want, ours := readOutcomes(t, "testdata/servers.recorded"), readOutcomes(t, "testdata/servers-differ.txt")
	for _, c := range cases {
		_, differs := ours[c.name]
		why, expected := "", want[c.name]
		if differs {
			why, expected, _ = strings.Cut(ours[c.name], "\n")
		}
		switch {
		case want[c.name] == "":
			t.Errorf("%s: is not recorded: SERVERS_RECORD=1 go test -run TestServersPostfix", c.name)
		case differs && !strings.HasPrefix(why, "why: "):
			t.Errorf("%s: servers-differ.txt gives no reason", c.name)
		case differs && expected == want[c.name]:
			t.Errorf("%s: is in servers-differ.txt and does not differ", c.name)
		case got[c.name] != expected:
			t.Errorf("%s\ngot\n%swant\n%s", c.name, got[c.name], expected)
		}
		delete(ours, c.name)
	}
	for name := range ours {
		t.Errorf("servers-differ.txt has %q, which is no case", name)
	}
}
