package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
)

func TestPostsuper(t *testing.T) {
	id := func(n uint64) string { return mail.QueueID(n).String() }
	usage := "postsuper: fatal: usage: " + postsuperUsage + "\n"
	var many strings.Builder
	var manyWant strings.Builder
	for i := range 2500 {
		fmt.Fprintln(&many, id(uint64(i+1000)))
	}
	fmt.Fprintln(&many, id(1))
	fmt.Fprintf(&manyWant, "postsuper: %s: removed\npostsuper: Deleted: 1 message\n", id(1))
	for _, tc := range []struct {
		name   string
		args   []string
		stdin  string
		status int
		did    string
		want   string
	}{
		{"delete one", []string{"-d", id(1)}, "", 0, "delete 1", "postsuper: " + id(1) + ": removed\npostsuper: Deleted: 1 message\n"},
		{"delete nothing", []string{"-d", id(99), "-d", "NOSUCH", "-d", "8B721984073"}, "", 0, "", "postsuper: Deleted: 0 messages\n"},
		{"several actions, summed up in Postfix's order", []string{"-h", id(2), "-r", id(1), "-d", id(4), "-H", id(3), "-e", id(1)}, "", 0,
			"hold 2, requeue 1, delete 4, release 3, expire 1",
			"postsuper: " + id(2) + ": placed on hold\npostsuper: " + id(1) + ": requeued\npostsuper: " + id(4) + ": removed\npostsuper: " + id(3) +
				": released from hold\npostsuper: " + id(1) + ": expired\npostsuper: Requeued: 1 message\npostsuper: Deleted: 1 message\n" +
				"postsuper: Force-expired: 1 message\npostsuper: Placed on hold: 1 message\npostsuper: Released from hold: 1 message\n"},
		{"-f expires and releases", []string{"-f", id(3), "-f", id(1)}, "", 0, "expire 3, release 3, expire 1",
			"postsuper: " + id(3) + ": expired\npostsuper: " + id(3) + ": released from hold\npostsuper: " + id(1) + ": expired\n" +
				"postsuper: Force-expired: 2 messages\npostsuper: Released from hold: 1 message\n"},
		{"all", []string{"-r", "ALL"}, "", 0, "requeue 1, requeue 2, requeue 3, requeue 4", "postsuper: Requeued: 4 messages\n"},
		{"all on hold", []string{"-H", "ALL"}, "", 0, "release 3", "postsuper: Released from hold: 1 message\n"},
		{"all of one queue", []string{"-d", "ALL", "deferred"}, "", 0, "delete 1, delete 4", "postsuper: Deleted: 2 messages\n"},
		{"all of a queue that we have not", []string{"-d", "ALL", "maildrop"}, "", 0, "", "postsuper: Deleted: 0 messages\n"},
		{"all must be in upper case", []string{"-d", "all"}, "", 0, "", "postsuper: Deleted: 0 messages\n"},
		{"an ID of one queue", []string{"-h", id(1), "-h", id(2), "active", "bounce"}, "", 0, "hold 2", "postsuper: " + id(2) + ": placed on hold\npostsuper: Placed on hold: 1 message\n"},
		{"standard input", []string{"-d", "-"}, id(1) + "\njunk here\n\n" + id(2) + "\r\nNOSUCH1\n", 0, "delete 1, delete 2",
			"postsuper: warning: invalid mail queue id: junk here\npostsuper: warning: invalid mail queue id: \npostsuper: " + id(1) +
				": removed\npostsuper: " + id(2) + ": removed\npostsuper: Deleted: 2 messages\n"},
		{"standard input with -f", []string{"-f", "-"}, id(3) + "\n", 0, "expire 3, release 3",
			"postsuper: " + id(3) + ": expired\npostsuper: " + id(3) + ": released from hold\npostsuper: Force-expired: 1 message\npostsuper: Released from hold: 1 message\n"},
		{"much standard input", []string{"-d", "-"}, many.String(), 0, "delete 1", manyWant.String()},
		{"not an ID", []string{"-d", "bad id", "-d", "A-B", "-d", "\x1b[2J"}, "", 0, "",
			"postsuper: warning: invalid mail queue id: bad id\npostsuper: warning: invalid mail queue id: A-B\npostsuper: warning: invalid mail queue id: ?[2J\npostsuper: Deleted: 0 messages\n"},
		{"housekeeping of Postfix's directories", []string{"-psS", "-v"}, "", 0, "", ""},
		{"nothing", nil, "", 0, "", ""},
		{"unknown queue", []string{"-d", "ALL", "nosuch"}, "", 1, "", "postsuper: fatal: invalid directory name: nosuch\n"},
		{"unknown option", []string{"-z"}, "", 1, "", "postsuper: invalid option -- 'z'\n" + usage},
		{"no ID", []string{"-d"}, "", 1, "", "postsuper: option requires an argument -- 'd'\n" + usage},
	} {
		for _, how := range []string{"by the daemon", "without one"} {
			t.Run(tc.name+", "+how, func(t *testing.T) {
				m := newMachine(t, "")
				q := &shelf{msgs: sample()}
				open := openOffline(noQueue)
				if how == "without one" {
					open = offline(q)
				} else {
					m.startControl(t, q, nil)
				}
				status := postsuper(tc.args, m.env(tc.stdin), open)
				if status != tc.status || m.stderr.String() != tc.want || m.stdout.Len() > 0 {
					t.Errorf("status %d\ngot\n%swant\n%s", status, m.stderr.String(), tc.want)
				}
				if got := sortedUnless(q.did, strings.Contains(tc.name, "order") || strings.Contains(tc.name, "-f")); got != tc.did {
					t.Errorf("did %s, want %s", got, tc.did)
				}
			})
		}
	}
}

// sortedUnless joins what was done; actions on several messages of one request are in
// no order.
func sortedUnless(did []string, ordered bool) string {
	if !ordered {
		did = append([]string(nil), did...)
		slices.Sort(did)
	}
	return strings.Join(did, ", ")
}

func TestPostsuperCannot(t *testing.T) {
	m := newMachine(t, "")
	if status := postsuper([]string{"-d", "ALL"}, m.env(""), noQueue); status != exitFailure ||
		m.stderr.String() != "postsuper: fatal: the mail system is down, and queue /x: no such directory\n" {
		t.Errorf("status %d, %q", status, m.stderr.String())
	}
	// One message that cannot be changed is told, and the others are changed.
	q := &shelf{msgs: sample()}
	m.startControl(t, q, func(o *admin.Options) { o.NotFound = nil })
	status := postsuper([]string{"-H", mail.QueueID(1).String(), "-H", mail.QueueID(3).String()}, m.env(""), noQueue)
	want := "postsuper: warning: 000000000001: release: no such message in the queue\npostsuper: 000000000003: released from hold\npostsuper: Released from hold: 1 message\n"
	if status != exitFailure || m.stderr.String() != want {
		t.Errorf("status %d, %q", status, m.stderr.String())
	}
}
