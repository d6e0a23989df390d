package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
)

func TestSelectionOptions(t *testing.T) {
	for _, tc := range []struct {
		args string
		want admin.Selection
		rest string
		err  string
	}{
		{"-d ALL", admin.Selection{}, "-d ALL", ""},
		{"-d ALL --sender *@x deferred", admin.Selection{Sender: "*@x"}, "-d ALL deferred", ""},
		{"--older=2h --younger 1d12h -p --size-over 10M", admin.Selection{Older: 2 * time.Hour, Younger: 36 * time.Hour, SizeOver: 10 << 20}, "-p", ""},
		{"--destination [192.0.2.1]:25 --recipient /a|b/ --reason *refused* -j", admin.Selection{Destination: "[192.0.2.1]:25", Recipient: "/a|b/", Reason: "*refused*"}, "-j", ""},
		{"-d ALL -- --sender x", admin.Selection{}, "-d ALL -- --sender x", ""},
		{"--sendr x", admin.Selection{}, "", "unrecognized option '--sendr'"},
		{"--sender", admin.Selection{}, "", "option '--sender' requires an argument"},
		{"--sender=", admin.Selection{}, "", "--sender: empty argument"},
		{"--older 2", admin.Selection{}, "", "--older 2: not an age; write 10m, 2h, 3d or 1w"},
		{"--older h", admin.Selection{}, "", "--older h: not an age; write 10m, 2h, 3d or 1w"},
		{"--older -2h", admin.Selection{}, "", "--older -2h: not an age; write 10m, 2h, 3d or 1w"},
		{"--older 0h", admin.Selection{}, "", "--older 0h: not an age; write 10m, 2h, 3d or 1w"},
		{"--older 99999999999w", admin.Selection{}, "", "--older 99999999999w: not an age; write 10m, 2h, 3d or 1w"},
		{"--older 999999999w", admin.Selection{}, "", "--older 999999999w: not an age; write 10m, 2h, 3d or 1w"},
		{"--size-over K", admin.Selection{}, "", "--size-over K: not a size; write bytes, or 100K, 10M"},
		{"--size-over 5x", admin.Selection{}, "", "--size-over 5x: not a size; write bytes, or 100K, 10M"},
		{"--sender /(/", admin.Selection{}, "", "--sender /(/: missing closing ): `(`"},
		{"--reason [a", admin.Selection{}, "", "--reason [a: a [ has no ]"},
	} {
		var s selecting
		rest, err := s.take(strings.Fields(tc.args))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != tc.err || err == nil && (s.Selection != tc.want || strings.Join(rest, " ") != tc.rest) {
			t.Errorf("%s: %+v, rest %q, %v", tc.args, s.Selection, rest, err)
		}
	}
}

// What is selected is acted upon, or listed, and nothing else.
func TestSelecting(t *testing.T) {
	id := func(n uint64) string { return mail.QueueID(n).String() }
	usage := "postsuper: fatal: usage: " + postsuperSelects + "\n"
	for _, tc := range []struct {
		run    func([]string, environ, openOffline) int
		args   string
		status int
		did    string
		out    string // on standard output, as far as it matters
		err    string
	}{
		{postsuper, "-d ALL --sender *@x.example", exitOK, "delete 1, delete 4", "", "postsuper: Deleted: 2 messages\n"},
		{postsuper, "-d ALL --sender <>", exitOK, "delete 2", "", "postsuper: Deleted: 1 message\n"},
		{postsuper, "-h ALL --recipient one@dest.example --reason *refused", exitOK, "hold 1", "", "postsuper: Placed on hold: 1 message\n"},
		{postsuper, "--older 1h -d ALL --younger 2h", exitOK, "", "", "postsuper: Deleted: 0 messages\n"},
		{postsuper, "-d ALL --size-over 2000 hold", exitOK, "delete 3", "", "postsuper: Deleted: 1 message\n"},
		{postsuper, "-d ALL --dry-run --size-over 2000", exitOK, "", id(2) + "\n" + id(3) + "\n" + id(4) + "\n", ""},
		{postsuper, "-f ALL --dry-run", exitOK, "", id(1) + "\n" + id(2) + "\n" + id(3) + "\n" + id(4) + "\n", ""},
		{postsuper, "-H ALL --dry-run", exitOK, "", id(3) + "\n", ""},
		{postsuper, "-d " + id(1) + " --sender *", exitFailure, "", "", usage},
		{postsuper, "-d - --dry-run", exitFailure, "", "", usage},
		{postsuper, "--sender *", exitFailure, "", "", usage},
		{postsuper, "-d ALL --sender [", exitFailure, "", "", "postsuper: fatal: --sender [: a [ has no ]\n"},
		{postqueue, "-p --sender s2@X.example", exitOK, "", "-- 0 Kbytes in 1 Request.\n", ""},
		{postqueue, "--sender nobody -p", exitOK, "", "No message in the queue is selected\n", ""},
		{postqueue, "-j --size-over 2000 --sender <>", exitOK, "", `"queue_id": "` + id(2) + `"`, ""},
		{postqueue, "-f --sender x", exitUnavailable, "", "", "postqueue: fatal: usage: " + postqueueSelects + "\n"},
		{postqueue, "-p --dry-run", exitUnavailable, "", "", "postqueue: fatal: usage: " + postqueueSelects + "\n"},
		{postqueue, "-p --older x", exitUnavailable, "", "", "postqueue: fatal: --older x: not an age; write 10m, 2h, 3d or 1w\n"},
	} {
		for _, how := range []string{"by the daemon", "without one"} {
			t.Run(fmt.Sprintf("%s, %s", tc.args, how), func(t *testing.T) {
				m := newMachine(t, "")
				q := &shelf{msgs: sample()}
				open := openOffline(noQueue)
				if how == "without one" {
					open = offline(q)
				} else {
					m.startControl(t, q, nil)
				}
				status := tc.run(strings.Fields(tc.args), m.env(""), open)
				errText := m.stderr.String()
				if strings.HasPrefix(errText, "postqueue: warning: Mail system is down") {
					_, errText, _ = strings.Cut(errText, "\n")
				}
				if status != tc.status || errText != tc.err || !strings.Contains(m.stdout.String(), tc.out) || tc.out == "" && m.stdout.Len() > 0 {
					t.Errorf("status %d\n%s%s", status, m.stdout.String(), m.stderr.String())
				}
				if tc.out != "" && strings.HasSuffix(tc.out, "\n") && strings.Count(m.stdout.String(), "\n") != strings.Count(tc.out, "\n") && tc.args[1] != 'p' {
					t.Errorf("more than was selected:\n%s", m.stdout.String())
				}
				if got := sortedUnless(q.did, false); got != tc.did {
					t.Errorf("did %s, want %s", got, tc.did)
				}
			})
		}
	}
}

func TestMeter(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	m := &meter{out: &b, what: "delete", now: func() time.Time { return now }, last: now}
	for i := range 50 { // a tenth of a second each
		now = now.Add(100 * time.Millisecond)
		m.show(int64(100_000-2000*i), 1_000_000)
	}
	m.clear()
	m.clear()
	want := "\rdelete: 82,000 of 1,000,000\rdelete: 62,000 of 1,000,000\rdelete: 42,000 of 1,000,000\rdelete: 22,000 of 1,000,000\rdelete: 2,000 of 1,000,000 \r                          \r"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
	// Where nobody looks nobody is told.
	e := environ{stderr: &strings.Builder{}}
	if newMeter(e, "x").progress() != nil {
		t.Error("a meter that nobody sees wants to be told")
	}
}
