package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// recordedShapes is what Debian's qshape (Postfix 3.7) printed of a queue: the ages in
// seconds, senders and recipients of its messages, then for each call its options and
// its output.
func recordedShapes(t *testing.T) (msgs []mail.Listed, now time.Time, calls [][2]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/qshape/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	now = time.Unix(1795376343, 0)
	for _, part := range strings.Split("\n"+string(text), "\n-- ")[1:] {
		title, body, _ := strings.Cut(part, " --\n")
		if options, ok := strings.CutPrefix(title, "qshape "); ok {
			calls = append(calls, [2]string{options, strings.TrimSuffix(body, "\n")})
			continue
		}
		for _, line := range strings.Split(body, "\n") {
			age, rest, _ := strings.Cut(line, " <")
			sender, rcpts, _ := strings.Cut(rest, "> ")
			seconds, err := time.ParseDuration(age + "s")
			if err != nil {
				t.Fatal(err)
			}
			m := mail.Listed{Queue: "deferred", ID: mail.QueueID(len(msgs) + 1), Arrived: now.Add(-seconds), Sender: mail.SplitAddress(sender)}
			for _, to := range strings.Fields(rcpts) {
				m.Rcpts = append(m.Rcpts, mail.ListedRcpt{Address: mail.SplitAddress(to), Dest: "smtp:[192.0.2.1]:25"})
			}
			msgs = append(msgs, m)
		}
	}
	if len(msgs) < 100 || len(calls) < 10 {
		t.Fatalf("%d messages, %d calls", len(msgs), len(calls))
	}
	return msgs, now, calls
}

// The order of rows that are alike is chance in Postfix's.
func TestQshapeAsRecorded(t *testing.T) {
	msgs, now, calls := recordedShapes(t)
	m := newMachine(t, "")
	m.startControl(t, &shelf{msgs: append(msgs, mail.Listed{Queue: "hold", ID: 9999})}, nil)
	for _, call := range calls {
		m.stdout.Reset()
		args := append(strings.Fields(call[0]), "deferred")
		status := qshape(args, m.env(""), noQueue, func() time.Time { return now })
		if status != exitOK || m.stderr.Len() > 0 {
			t.Fatalf("qshape %s: status %d, %s", call[0], status, m.stderr.String())
		}
		got := strings.Split(strings.TrimSuffix(m.stdout.String(), "\n"), "\n")
		want := strings.Split(call[1], "\n")
		if len(got) < 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("qshape %s begins with\n%s\nwant\n%s", call[0], strings.Join(got[:2], "\n"), strings.Join(want[:2], "\n"))
			continue
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("qshape %s\ngot\n%s\nwant (in any order)\n%s", call[0], m.stdout.String(), call[1])
		}
	}
}

func TestQshapeOrder(t *testing.T) {
	s := &shape{buckets: 1, tick: 5, width: 80, minSub: 5, rows: map[string]*shapeRow{}}
	for name, n := range map[string]int{"few.example": 1, "many.example": 5, "b.example": 2, "a.example": 2, "longer.example": 2} {
		for range n {
			s.count(name, 1)
		}
	}
	var got []string
	for _, r := range s.sorted() {
		got = append(got, r.name)
	}
	if want := "TOTAL many.example a.example b.example longer.example few.example"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestQshape(t *testing.T) {
	now := time.Unix(1795376343, 0)
	r := func(to, dest string) mail.ListedRcpt {
		return mail.ListedRcpt{Address: mail.SplitAddress(to), Dest: mail.Dest(dest)}
	}
	msgs := []mail.Listed{
		{Queue: "incoming", ID: 1, Arrived: now, Rcpts: []mail.ListedRcpt{r("a@one.example", "smtp:[192.0.2.1]:25"), r("b@two.example", "relay:Two.example")}},
		{Queue: "active", ID: 2, Arrived: now.Add(-6 * time.Minute), Rcpts: []mail.ListedRcpt{r("a@one.example", "smtp:[192.0.2.1]:25")}},
		{Queue: "hold", ID: 3, Arrived: now, Rcpts: []mail.ListedRcpt{r("a@held.example", "local:")}},
		{Queue: "corrupt", ID: 4, Arrived: now.Add(time.Hour), Rcpts: []mail.ListedRcpt{r("a@\x1b[2J.example", "")}},
	}
	head := strings.Repeat(" ", 71) + "  T  5 5+\n"
	row := func(name string, n ...int) string {
		return fmt.Sprintf("%71s%3d%3d%3d\n", name, n[0], n[1], n[2])
	}
	usage := "qshape: fatal: usage: " + qshapeUsage + "\n"
	for _, tc := range []struct {
		args   []string
		status int
		out    string
		err    string
	}{
		{[]string{"-b2"}, exitOK, head + row("TOTAL", 3, 2, 1) + row("one.example", 2, 1, 1) + row("two.example", 1, 1, 0), ""},
		{[]string{"--destination", "-b2"}, exitOK, head + row("TOTAL", 3, 2, 1) + row("[192.0.2.1]:25", 2, 1, 1) + row("two.example", 1, 1, 0), ""},
		{[]string{"-b2", "hold"}, exitOK, head + row("TOTAL", 1, 1, 0) + row("held.example", 1, 1, 0), ""},
		{[]string{"-b2", "--destination", "hold"}, exitOK, head + row("TOTAL", 1, 1, 0) + row("local:", 1, 1, 0), ""},
		{[]string{"-b2", "/var/spool/postfix/corrupt"}, exitOK, head + row("TOTAL", 1, 1, 0) + row("?[2j.example", 1, 1, 0), ""},
		{[]string{"-b2", "deferred"}, exitOK, head + row("TOTAL", 0, 0, 0), ""},
		{[]string{"-b2", "maildrop"}, exitOK, head + row("TOTAL", 0, 0, 0), ""},
		{[]string{"-b0", "-t0", "-m0", "-w20", "-b2"}, exitOK, head + row("TOTAL", 3, 2, 1) + row("one.example", 2, 1, 1) + row("two.example", 1, 1, 0), ""},
		{[]string{"-h"}, exitOK, "usage: " + qshapeUsage + "\n", ""},
		{[]string{"nosuch"}, exitFailure, "", "qshape: fatal: no such queue: nosuch\n"},
		{[]string{"-b", "x"}, exitFailure, "", "qshape: fatal: -b x: not a number\n"},
		{[]string{"-b", "1001"}, exitFailure, "", "qshape: fatal: -b 1001: more than 1000\n"},
		{[]string{"-s", "--destination"}, exitFailure, "", "qshape: fatal: -s and --destination: one or the other\n"},
		{[]string{"-z"}, exitFailure, "", "qshape: invalid option -- 'z'\n" + usage},
	} {
		for _, how := range []string{"by the daemon", "without one"} {
			m := newMachine(t, "")
			open := openOffline(noQueue)
			if how == "without one" {
				open = offline(&shelf{msgs: msgs})
			} else {
				m.startControl(t, &shelf{msgs: msgs}, nil)
			}
			status := qshape(tc.args, m.env(""), open, func() time.Time { return now })
			if status != tc.status || m.stdout.String() != tc.out || m.stderr.String() != tc.err {
				t.Errorf("%v, %s: status %d, %s\ngot\n%swant\n%s", tc.args, how, status, m.stderr.String(), m.stdout.String(), tc.out)
			}
		}
	}
}

// Only so many rows are for a terminal.
func TestQshapeTop(t *testing.T) {
	s := &shape{buckets: 1, tick: 5, width: 80, top: 3, rows: map[string]*shapeRow{}}
	for i := range 10 {
		s.count(fmt.Sprintf("d%d.example", i), 1)
	}
	var b strings.Builder
	out := bufio.NewWriter(&b)
	s.print(out)
	out.Flush()
	if n := strings.Count(b.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want the heads and three:\n%s", n, &b)
	}
}
