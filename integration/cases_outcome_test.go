package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"aliasmx/integration/peers"
)

// outcome is what one run led to, in the words of the recording.
type outcome struct {
	postmap    []recordedCommand
	sessions   [][]reply
	sendmail   []recordedCommand // of each session; empty for one without
	deliveries []delivered
	messages   []arrived
	bounces    []bounced
	queue      []queued
	log        []string
}

// caseRun is one case while it runs.
type caseRun struct {
	c        postfixCase
	relay    subject
	sink     *peers.Sink
	postmap  []recordedCommand
	replies  [][]reply
	sendmail []recordedCommand
	logAt    []int // where the log stood when each session began
}

// outcome collects what has happened so far. It changes nothing and may be called again.
func (r *caseRun) outcome() (outcome, error) {
	n := newNormaliser(r.c, r.relay, r.sink.Addr)
	var o outcome
	sessionOf := map[string]int{} // a queue ID belongs to the session that saw it first
	var lines []string
	at := 0
	for line := range strings.Lines(r.relay.log()) {
		begin := at
		at += len(line)
		if len(r.logAt) == 0 || begin < r.logAt[0] {
			continue // of the start, before the first session
		}
		m := logLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			return o, fmt.Errorf("a line of the log is not of Postfix's form: %q", line)
		}
		if m[1] == "postfix/master" {
			continue // of the daemon, not of mail
		}
		n.learn(m[2])
		for id := range n.names {
			if _, known := sessionOf[n.names[id]]; !known {
				sessionOf[n.names[id]] = r.sessionAt(begin)
			}
		}
		lines = append(lines, m[1]+"[PID]: "+m[2])
	}
	for _, line := range lines {
		o.log = append(o.log, n.log(line))
	}
	o.deliveries = deliveriesOf(o.log, sessionOf)
	for _, m := range r.sink.Messages() {
		o.messages = append(o.messages, arrival(m, n, sessionOf))
	}
	o.bounces = bouncesOf(o.messages)
	for _, s := range r.replies {
		var replies []reply
		for _, rep := range s {
			rep.Text = n.text(rep.Text)
			replies = append(replies, rep)
		}
		o.sessions = append(o.sessions, replies)
	}
	normaliseOutput := func(cmds []recordedCommand) (out []recordedCommand) {
		for _, c := range cmds {
			c.Output = slices.Clone(c.Output)
			for i := range c.Output {
				c.Output[i] = n.text(c.Output[i])
			}
			out = append(out, c)
		}
		return out
	}
	o.postmap, o.sendmail = normaliseOutput(r.postmap), normaliseOutput(r.sendmail)
	var err error
	o.queue, err = r.queued(n)
	return o, err
}

// sessionAt says during which session the log stood at an offset.
func (r *caseRun) sessionAt(offset int) int {
	for i := len(r.logAt) - 1; i >= 0; i-- {
		if offset >= r.logAt[i] {
			return i
		}
	}
	return 0
}

var (
	deliveryLine = regexp.MustCompile(`^postfix/([a-z]+)\[PID\]: (Q\d+): to=<(.*?)>, (?:orig_to=<(.*?)>, )?relay=(.*?), (?:conn_use=\d+, )?delay=N, delays=N/N/N/N, dsn=([\d.]+), status=(\S+) \((.*)\)$`)
	activeLine   = regexp.MustCompile(`^postfix/qmgr\[PID\]: (Q\d+): from=<(.*)>, size=N, nrcpt=\d+ \(queue active\)$`)
	noticeLine   = regexp.MustCompile(`^postfix/bounce\[PID\]: Q\d+: .* notification: (Q\d+)$`)
)

// deliveriesOf takes the status= lines of the log apart.
func deliveriesOf(lines []string, sessionOf map[string]int) (ds []delivered) {
	from, notice := map[string]string{}, map[string]bool{}
	for _, line := range lines {
		if m := activeLine.FindStringSubmatch(line); m != nil {
			from[m[1]] = m[2]
		} else if m := noticeLine.FindStringSubmatch(line); m != nil {
			notice[m[1]] = true
		}
	}
	for _, line := range lines {
		if m := deliveryLine.FindStringSubmatch(line); m != nil {
			ds = append(ds, delivered{Session: sessionOf[m[2]], QueueID: m[2], Notice: notice[m[2]], MailFrom: from[m[2]],
				RcptTo: m[3], OrigTo: m[4], Agent: m[1], Relay: m[5], DSN: m[6], Status: m[7], Reason: m[8]})
		}
	}
	return ds
}

var receivedID = regexp.MustCompile(`(?s)^Received: .*?\bid (Q\d+)`)

func arrival(m peers.Message, n *normaliser, sessionOf map[string]int) arrived {
	a := arrived{MailFrom: n.text(mailSize.ReplaceAllString(m.From, " SIZE=N")), Data: n.data(m.Data)}
	for _, rcpt := range m.Rcpts {
		a.RcptTo = append(a.RcptTo, n.text(rcpt))
	}
	slices.Sort(a.RcptTo)
	if m := receivedID.FindStringSubmatch(a.Data); m != nil {
		a.QueueID = m[1]
		a.Session = sessionOf[m[1]]
	}
	return a
}

var deliveryStatus = regexp.MustCompile(`(?m)^Content-Type: message/(?:global-)?delivery-status$`)

// bouncesOf finds the delivery status notifications among the messages and reads the
// part of each recipient (RFC 3464 section 2.3).
func bouncesOf(messages []arrived) (bs []bounced) {
	for _, m := range messages {
		at := deliveryStatus.FindStringIndex(m.Data)
		if at == nil {
			continue
		}
		_, after, _ := strings.Cut(m.Data[at[0]:], "\n\n")
		after, _, _ = strings.Cut(after, "\n--Q")
		groups := strings.Split(strings.Trim(after, "\n"), "\n\n")
		to := strings.TrimPrefix(strings.SplitN(m.RcptTo[0], ">", 2)[0], "<")
		for _, group := range groups[min(1, len(groups)):] {
			fields, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(group + "\n\n"))).ReadMIMEHeader()
			if len(fields) == 0 {
				continue
			}
			bs = append(bs, bounced{Session: m.Session, To: to, Recipient: fields.Get("Final-Recipient"), Original: fields.Get("Original-Recipient"),
				Action: fields.Get("Action"), DSN: fields.Get("Status"), RemoteMTA: fields.Get("Remote-MTA"), Diagnostic: fields.Get("Diagnostic-Code")})
		}
	}
	return bs
}

// queued is what postqueue -j shows.
func (r *caseRun) queued(n *normaliser) ([]queued, error) {
	dir, _ := r.relay.places()
	out, code := r.relay.run("postqueue", "-c", dir, "-j")
	if code != 0 {
		return nil, fmt.Errorf("postqueue -j: exit status %d: %s", code, out)
	}
	var qs []queued
	for line := range strings.Lines(out) {
		var q queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			return nil, fmt.Errorf("postqueue -j: %q: %v", line, err)
		}
		n.meet(q.QueueID) // one in the maildrop may be in no line of the log
		q.QueueID = n.text(q.QueueID)
		for i := range q.Recipients {
			q.Recipients[i].DelayReason = n.text(q.Recipients[i].DelayReason)
		}
		qs = append(qs, q)
	}
	return qs, nil
}
