package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What other systems see is compared exactly: replies, deliveries, messages, reports,
// what stays in the queue. Of the log, the lines of one queue ID are compared, in
// order within one daemon; the rest as a set.

// compare returns the differences between a run and the recording.
func compare(c postfixCase, o outcome) (diffs []string) {
	add := func(d []string) { diffs = append(diffs, d...) }
	for i, s := range c.Sessions {
		add(compareList(fmt.Sprintf("session %d: reply", i), o.sessions[i], s.Replies, reply.String))
		if s.Result != nil {
			want := *s.Result
			if got := o.sendmail[i]; got.Exit != want.Exit || !slices.Equal(got.Output, want.Output) {
				diffs = append(diffs, fmt.Sprintf("session %d: sendmail\n got: exit %d %q\nwant: exit %d %q", i, got.Exit, got.Output, want.Exit, want.Output))
			}
		}
	}
	add(compareList("postmap", o.postmap, c.Postmap, show))
	add(compareList("delivery", sorted(o.deliveries), sorted(c.Deliveries), show))
	got, want := sorted(o.messages), sorted(c.Messages)
	if d := compareList("message", got, want, showMessage); len(d) > 0 && !limited(want) {
		d = compareList("message", merged(got), merged(want), showMessage)
		add(d)
	} else {
		add(d)
	}
	add(compareList("report", sorted(o.bounces), sorted(c.Bounces), show))
	add(compareList("queue", sortedQueue(o.queue), sortedQueue(c.Queue), show))
	add(compareLog(o.log, c.Log))
	return diffs
}

func show[T any](v T) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func sorted[T any](list []T) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(show(a), show(b)) })
	return list
}

// sortedQueue also sorts the recipients of each message.
func sortedQueue(list []queued) []queued {
	list = slices.Clone(list)
	for i := range list {
		list[i].Recipients = sorted(list[i].Recipients)
	}
	return sorted(list)
}

// limited tells whether a transaction of the recording met default_destination_recipient_limit:
// then even the spread of recipients over transactions is to be the same.
func limited(messages []arrived) bool {
	return slices.ContainsFunc(messages, func(m arrived) bool { return len(m.RcptTo) >= 50 })
}

// merged joins the transactions that carried one message for several recipients.
func merged(messages []arrived) (out []arrived) {
	for _, m := range messages {
		i := slices.IndexFunc(out, func(o arrived) bool {
			return o.QueueID == m.QueueID && o.MailFrom == m.MailFrom && o.Data == m.Data
		})
		if i < 0 {
			m.RcptTo = slices.Clone(m.RcptTo)
			out = append(out, m)
			continue
		}
		out[i].RcptTo = append(out[i].RcptTo, m.RcptTo...)
		slices.Sort(out[i].RcptTo)
	}
	return sorted(out)
}

func showMessage(m arrived) string {
	return fmt.Sprintf("session %d, %s, MAIL FROM:%s RCPT TO:%s\n%s", m.Session, m.QueueID, m.MailFrom, strings.Join(m.RcptTo, ", "), m.Data)
}

// compareList compares two lists element by element and says what is not in the other.
func compareList[T any](what string, got, want []T, text func(T) string) []string {
	g, w := make([]string, len(got)), make([]string, len(want))
	for i, v := range got {
		g[i] = text(v)
	}
	for i, v := range want {
		w[i] = text(v)
	}
	if slices.Equal(g, w) {
		return nil
	}
	missing, extra := without(w, g), without(g, w)
	var diffs []string
	for i := range max(len(missing), len(extra)) {
		d := what
		switch {
		case i < len(extra) && i < len(missing):
			d += difference(extra[i], missing[i])
		case i < len(extra):
			d += "\n got: " + extra[i]
		default:
			d += "\nwant: " + missing[i]
		}
		diffs = append(diffs, d)
	}
	if diffs == nil {
		diffs = []string{fmt.Sprintf("%s: another order\n got: %q\nwant: %q", what, g, w)}
	}
	return diffs
}

// difference shows two texts, of long ones only the lines that differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) > 1 && len(w) > 1 {
		g, w = without(g, w), without(w, g)
	}
	if len(g)+len(w) == 0 {
		return ": another order of lines\n got: " + got + "\nwant: " + want
	}
	return "\n got: " + strings.Join(g, "\n    | ") + "\nwant: " + strings.Join(w, "\n    | ")
}

// without returns the elements of a that b has not, each as often as it is missing.
func without(a, b []string) (rest []string) {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	for _, s := range a {
		if count[s] > 0 {
			count[s]--
			continue
		}
		rest = append(rest, s)
	}
	return rest
}

var (
	loggedID = regexp.MustCompile(`^(postfix/[a-z-]+)\[PID\]: (?:warning: )?(Q\d+): `)
	complain = regexp.MustCompile(`^postfix/[a-z-]+\[PID\]: (?:warning|error|fatal): `)
)

// plumbing are the lines that only a system of many processes has to write.
var plumbing = regexp.MustCompile(`^postfix/[a-z-]+\[PID\]: table .* has changed -- restarting$`)

func compareLog(got, want []string) (diffs []string) {
	g, gotRest := byID(got)
	w, wantRest := byID(want)
	ids := map[string]bool{}
	for id := range g {
		ids[id] = true
	}
	for id := range w {
		ids[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		diffs = append(diffs, compareList("log of "+id, g[id], w[id], func(s string) string { return s })...)
	}
	return append(diffs, compareList("log", gotRest, wantRest, func(s string) string { return s })...)
}

// byID sorts the lines by queue ID; in each, the lines of one daemon stay in order, but
// for the recipients of one message, which are finished in any order. Of the rest, a
// complaint counts once: every process that meets the trouble repeats it.
func byID(lines []string) (ids map[string][]string, rest []string) {
	ids = map[string][]string{}
	for _, line := range lines {
		if plumbing.MatchString(line) {
			continue
		}
		if m := loggedID.FindStringSubmatch(line); m != nil {
			ids[m[2]] = append(ids[m[2]], line)
			continue
		}
		if complain.MatchString(line) && slices.Contains(rest, line) {
			continue
		}
		rest = append(rest, line)
	}
	for _, list := range ids {
		slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(logOrder(a), logOrder(b)) })
	}
	slices.Sort(rest)
	return ids, rest
}

// logOrder is equal for lines whose order counts.
func logOrder(line string) string {
	if deliveryLine.MatchString(line) {
		return line
	}
	return loggedID.FindStringSubmatch(line)[1]
}
