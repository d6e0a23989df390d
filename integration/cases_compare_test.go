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

// diff is one difference between a run and the recording. Its kind is what a line of
// postfix-not-yet.txt may allow: run (it does not even start), postmap, reply, sendmail,
// delivery, message, report, queue, log.
type diff struct{ kind, text string }

func (d diff) String() string { return d.kind + d.text }

// kinds are the kinds of some differences, sorted, as postfix-not-yet.txt has them.
func kinds(diffs []diff) string {
	set := map[string]bool{}
	for _, d := range diffs {
		set[d.kind] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), ",")
}

// compare returns the differences between a run and the recording.
func compare(c postfixCase, o outcome) (diffs []diff) {
	add := func(d []diff) { diffs = append(diffs, d...) }
	for i, s := range c.Sessions {
		add(compareList("reply", fmt.Sprintf(" in session %d", i), o.sessions[i], s.Replies, reply.String))
		if s.Result != nil {
			want := *s.Result
			if got := o.sendmail[i]; got.Exit != want.Exit || !slices.Equal(got.Output, want.Output) {
				diffs = append(diffs, diff{"sendmail", fmt.Sprintf(" in session %d\n got: exit %d %q\nwant: exit %d %q", i, got.Exit, got.Output, want.Exit, want.Output)})
			}
		}
	}
	add(compareList("postmap", "", o.postmap, c.Postmap, show))
	add(compareList("delivery", "", sorted(o.deliveries), sorted(c.Deliveries), show))
	got, want := sorted(o.messages), sorted(c.Messages)
	if d := compareList("message", "", got, want, showMessage); len(d) > 0 && !limited(want) {
		d = compareList("message", "", merged(got), merged(want), showMessage)
		add(d)
	} else {
		add(d)
	}
	add(compareList("report", "", sorted(o.bounces), sorted(c.Bounces), show))
	add(compareList("queue", "", sortedQueue(o.queue), sortedQueue(c.Queue), show))
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
func compareList[T any](kind, where string, got, want []T, text func(T) string) (diffs []diff) {
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
	for i := range max(len(missing), len(extra)) {
		d := diff{kind, where}
		switch {
		case i < len(extra) && i < len(missing):
			d.text += difference(extra[i], missing[i])
		case i < len(extra):
			d.text += "\n got: " + extra[i]
		default:
			d.text += "\nwant: " + missing[i]
		}
		diffs = append(diffs, d)
	}
	if diffs == nil {
		diffs = []diff{{kind, fmt.Sprintf("%s: another order\n got: %q\nwant: %q", where, g, w)}}
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
	complain = regexp.MustCompile(`^postfix/[a-z-]+(\[PID\]: (?:warning|error|fatal): )`)
)

// plumbing are the lines that only a system of many processes has to write, and those about
// a flush, which Postfix does not.
var plumbing = regexp.MustCompile(`/postqueue\[|\]: (?:table .* has changed -- restarting|warning: mail_stream_cleanup: close error)$`)

func compareLog(got, want []string) (diffs []diff) {
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
		diffs = append(diffs, compareList("log", " of "+id, g[id], w[id], func(s string) string { return s })...)
	}
	return append(diffs, compareList("log", "", gotRest, wantRest, func(s string) string { return s })...)
}

// byID sorts the lines by queue ID; in each, the lines of one daemon stay in order, but
// for the recipients of one message, which are finished in any order. A complaint counts
// once and is nobody's: each of Postfix's processes that meets the trouble repeats it.
func byID(lines []string) (ids map[string][]string, rest []string) {
	ids = map[string][]string{}
	complaints := map[string]bool{}
	for _, line := range lines {
		if plumbing.MatchString(line) {
			continue
		}
		if complain.MatchString(line) {
			line = complain.ReplaceAllString(line, "postfix/any$1")
			if complaints[line] {
				continue
			}
			complaints[line] = true
		}
		if m := loggedID.FindStringSubmatch(line); m != nil {
			ids[m[2]] = append(ids[m[2]], line)
		} else {
			rest = append(rest, line)
		}
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
