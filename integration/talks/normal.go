package talks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What begins the lines of a daemon; the others are of smtpd.
const (
	cleanup = "cleanup: "
	anvil   = "anvil: "
)

// IDs gives the queue IDs of one conversation the names Q1, Q2 ... in the order in which
// they are met: first in replies, then in the log.
type IDs struct {
	known  []string
	queued int
}

// Queued is how many replies said that a message was queued.
func (ids *IDs) Queued() int { return ids.queued }

var (
	queuedAs  = regexp.MustCompile(`queued as (\w+)$`)
	loggedID  = regexp.MustCompile(`^(?:warning: )?([0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz]{10,20}): `)
	stamp     = regexp.MustCompile(`<(?:\d{14}\.)?(Q\d+@)`)
	date      = regexp.MustCompile(`\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)`)
	mailLine  = regexp.MustCompile(`postfix/(?:[\w.:-]+/)?(smtpd|cleanup|anvil)\[\w+\]: (.*)`)
	gaveUp    = regexp.MustCompile(`cleanup\[\w+\]: warning: (?:mail_stream_cleanup: |\w+: queue file size limit exceeded)`)
	cleanupID = regexp.MustCompile(`cleanup\[\w+\]: (?:warning: )?(\w{10,20}): `)
	serviceIs = regexp.MustCompile(`for service \S+`)
	tlsWith   = regexp.MustCompile(`(TLS connection established from \S+: |using )TLSv[^()\n]*(?:\([^()]*\)[^()\n]*)*`)
	portOf    = regexp.MustCompile(`(\w\[[0-9.]+\]):\d+\b`)
	failedTLS = regexp.MustCompile(`^(SSL_accept error from \S+: ).*`)
)

// Reply names the IDs in a line of a reply.
func (ids *IDs) Reply(s string) string {
	if m := queuedAs.FindStringSubmatch(s); m != nil {
		ids.name(m[1])
		ids.queued++
	}
	return ids.Text(s)
}

// Text names the IDs that are known, and replaces what depends on the time. Postfix leaves
// the time out of a Message-Id where queue IDs are long enough without.
func (ids *IDs) Text(s string) string {
	for i, id := range ids.known {
		s = strings.ReplaceAll(s, id, fmt.Sprintf("Q%d", i+1))
	}
	return date.ReplaceAllString(stamp.ReplaceAllString(s, "<$1"), "DATE")
}

func (ids *IDs) name(id string) int {
	i := slices.Index(ids.known, id)
	if i < 0 {
		i = len(ids.known)
		ids.known = append(ids.known, id)
	}
	return i + 1
}

// Log is what smtpd, cleanup and anvil say in a log, line by line, without what is different
// every time, and without what cleanup(8) says when smtpd(8) tells it to give up, and a
// library of TLS when a handshake fails.
func (ids *IDs) Log(text string) []string {
	list := []string{}
	for line := range strings.Lines(text) {
		m := mailLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		said := m[2]
		if gaveUp.MatchString(m[0]) || strings.HasPrefix(m[2], "warning: TLS library problem: ") {
			continue
		}
		if id := cleanupID.FindStringSubmatch(m[0]); id != nil && !slices.Contains(ids.known, id[1]) {
			continue // a report of the server's own
		}
		if id := loggedID.FindStringSubmatch(said); id != nil {
			ids.name(id[1])
		}
		said = failedTLS.ReplaceAllString(said, "${1}REASON")
		said = serviceIs.ReplaceAllString(tlsWith.ReplaceAllString(said, "${1}TLS"), "for service smtp")
		said = portOf.ReplaceAllString(said, "$1:PORT")
		if m[1] != "smtpd" {
			said = m[1] + ": " + said
		}
		list = append(list, ids.Text(said))
	}
	return list
}

// Letter is a message as a next hop gets it.
type Letter struct {
	From string   // "<s@example.net>" and parameters
	To   []string // likewise
	Data string   // with all header fields, CRLF line ends
}

// Queue is what was taken, in the form of "-- queue", in the order of the IDs.
func (ids *IDs) Queue(letters []Letter) []string {
	type entry struct {
		trace string
		lines []string
	}
	var all []entry
	for _, l := range letters {
		trace, rest := cutReceived(l.Data)
		trace = ids.Text(trace)
		to := []string{}
		for _, r := range l.To {
			to = append(to, "to "+ids.Text(params(r)))
		}
		slices.Sort(to)
		lines := append([]string{"from " + params(l.From)}, to...)
		if trace != "" {
			lines = append(lines, trace)
		}
		all = append(all, entry{traceID(trace), append(lines, "data "+Quote(ids.Text(rest)))})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(a.trace, b.trace) })
	list := []string{}
	for _, e := range all {
		list = append(list, e.lines...)
	}
	return list
}

var receivedID = regexp.MustCompile(`\bid (Q\d+)`)

func traceID(trace string) string {
	m := receivedID.FindStringSubmatch(trace)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%8s", m[1])
}

// cutReceived takes the first header field off, if it is Received, and unfolds it.
func cutReceived(data string) (received, rest string) {
	if !strings.HasPrefix(data, "Received: ") {
		return "", data
	}
	end := len(data)
	for i := 0; i < len(data); {
		n := strings.Index(data[i:], "\r\n")
		if n < 0 {
			break
		}
		i += n + 2
		if i >= len(data) || data[i] != ' ' && data[i] != '\t' {
			end = i
			break
		}
	}
	field := strings.Join(strings.Fields(data[len("Received: "):end]), " ")
	return "received " + tlsWith.ReplaceAllString(field, "${1}TLS"), data[end:]
}

// params brings the parameters of a path into one order. SIZE says what nobody has to
// know.
func params(path string) string {
	end := strings.LastIndexByte(path, '>') + 1
	words := slices.DeleteFunc(strings.Fields(path[end:]), func(w string) bool { return strings.HasPrefix(w, "SIZE=") })
	slices.Sort(words)
	return strings.Join(append([]string{path[:end]}, words...), " ")
}
