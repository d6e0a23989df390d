package smtpd

import (
	"bytes"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Transcripts of sessions for the postmaster (postconf(5): notify_classes, smtpd(8)): while
// a session goes on, commands and replies are noted, and the class of each error. At
// its end, or when a transaction has ended and there is much, they are sent if one of
// the classes is wanted. What is sent as a message, and passwords, are not noted.

// Classes of errors, as notify_classes has them.
const (
	errorBounce   = "bounce"
	errorData     = "data"
	errorPolicy   = "policy"
	errorProtocol = "protocol"
	errorResource = "resource"
	errorSoftware = "software"
)

const (
	// maxTranscript bounds what is noted of a session, in octets; what comes later is
	// counted. A client decides how much it says.
	maxTranscript = 32 << 10
	// defaultHistory is smtpd_history_flush_threshold.
	defaultHistory = 100
)

// transcript is what was said since the session began, or since it was last sent.
type transcript struct {
	text    []byte // lines, each with its end
	lines   int
	left    int // lines that found no room
	errors  []string
	unknown bool
}

// noting tells whether there is anybody to send a transcript to.
func (c *conn) noting() bool {
	return c.o.Postmaster != nil && len(c.o.NotifyClasses) > 0 && !c.peer.Local
}

// heard notes a command.
func (c *conn) heard(line []byte) {
	if !c.noting() {
		return
	}
	if word := bytes.TrimLeft(line, " \t"); len(word) >= 4 && bytes.EqualFold(word[:4], []byte("AUTH")) {
		line = []byte(withoutSecret(line))
	}
	c.talk.add("In:  ", line)
}

// told notes a reply, and its class if it is a refusal.
func (c *conn) told(r reply) {
	if !c.noting() {
		return
	}
	for i := range len(r.more) + 1 {
		var line [maxReplyLine]byte
		c.talk.add("Out: ", r.appendLine(line[:0], i))
	}
	if r.code < 400 && c.where == "END-OF-MESSAGE" {
		c.talk.errors, c.talk.unknown = nil, false // a message was taken: all is well
	}
	class := classOf(r)
	if class != "" && !slices.Contains(c.talk.errors, class) {
		c.talk.errors = append(c.talk.errors, class)
	}
	c.talk.unknown = c.talk.unknown || class == errorBounce
}

func (t *transcript) add(direction string, line []byte) {
	t.lines++
	if len(t.text)+len(direction)+len(line)+1 > maxTranscript {
		t.left++
		return
	}
	t.text = append(append(append(t.text, direction...), line...), '\n')
}

// sendTranscript sends what was noted, if it is more than some lines and of a class that
// is wanted, and forgets it.
func (c *conn) sendTranscript(moreThan int, reason string) {
	t := &c.talk
	if !c.noting() || t.lines <= moreThan {
		return
	}
	if slices.ContainsFunc(t.errors, func(class string) bool { return slices.Contains(c.o.NotifyClasses, class) }) {
		lines := strings.Split(strings.TrimSuffix(string(t.text), "\n"), "\n")
		if t.left > 0 {
			lines = append(lines, "("+itoa(t.left)+" more lines)")
		}
		c.o.Postmaster(mail.Transcript{Client: c.peer.String(), Lines: lines, Reason: reason, Unknown: t.unknown})
	}
	*t = transcript{text: t.text[:0]}
}

// historyLimit is smtpd_history_flush_threshold.
func (o *Options) historyLimit() int {
	if o.HistoryFlushThreshold <= 0 {
		return defaultHistory
	}
	return o.HistoryFlushThreshold
}

// classOf is the class of an error, as the places in smtpd(8) that say it give it. They
// say the same thing of the same class, so that the reply tells. What an operator, a policy
// service or a milter says is policy.
func classOf(r reply) string {
	if r.code < 400 && !strings.HasPrefix(r.text, "Error: I can break rules") {
		return ""
	}
	has := func(words string) bool { return strings.Contains(r.text, words) }
	switch subject, detail := r.enhanced[1], r.enhanced[2]; {
	case has("User unknown in "), has("unverified address:"), has("Error: message file too big"), has("Error: too many hops"):
		return errorBounce
	case has("timeout exceeded"), has("Server local error"), has("no valid recipients"), r.code == 458, r.code == 459:
		return ""
	case r.code == 452 && subject == 3 && detail == 1, has("Temporary lookup error"), has("queue file write error"):
		return errorResource
	case has("Temporary lookup failure"), has("Server local data error"):
		return errorData
	case has("Service shutting down"):
		return ""
	case has("Server configuration error"), has("Error: internal error"):
		return errorSoftware
	case has("send HELO/EHLO first"), has("VRFY command is disabled"), has("Must issue a STARTTLS"), has("access denied for"):
		return errorPolicy
	case has("too many errors"), subject == 5, subject == 1 && (detail == 3 || detail == 7) && !has("rejected:"),
		has("I can break rules"), subject == 0 && 500 <= r.code && r.code <= 504:
		return errorProtocol
	}
	return errorPolicy
}
