package integration

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// What differs from one run to the next is written as the recording has it: queue IDs
// as Q1, Q2 ... in the order in which the log first names them, process IDs, ports,
// times, sizes, and the paths of the case.

// A queue ID of ours has 12 characters of Postfix's alphabet without vowels; a short one
// of Postfix is a hexadecimal number.
const idPattern = `(?:[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz]{12,20}|[0-9A-F]{6,20})`

var (
	logLine      = regexp.MustCompile(`^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ (postfix/[a-z-]+)\[\d+\]: (.*)$`)
	lineID       = regexp.MustCompile(`^(?:warning: )?(` + idPattern + `): `)
	notification = regexp.MustCompile(`notification: (` + idPattern + `)$`)
	logDelay     = regexp.MustCompile(`\bdelay=\d+(?:\.\d+)?, delays=\d+(?:\.\d+)?/\d+(?:\.\d+)?/\d+(?:\.\d+)?/\d+(?:\.\d+)?,`)
	logSize      = regexp.MustCompile(`, size=\d+, nrcpt=`)
	mailSize     = regexp.MustCompile(` SIZE=\d+`)
	messageID    = regexp.MustCompile(`<\d{14}\.(` + idPattern + `)@`)
	clientPort   = regexp.MustCompile(`(unknown\[127\.[\d.]+\]):\d+`) // smtpd_client_port_logging
	boundary     = regexp.MustCompile(`\b(` + idPattern + `)\.\d{9,}/`)
	date         = regexp.MustCompile(`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?:[1-3]\d| [1-9]) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d [+-]\d{4} \([A-Z]{3,5}\)`)
)

// normaliser knows the queue IDs, ports and paths of one run.
type normaliser struct {
	names  map[string]string // queue ID to Q1, Q2 ...
	fixed  *strings.Replacer // ports and paths
	inputs string            // everything clients sent: a date in it is not the server's
}

func newNormaliser(c postfixCase, r subject, sinkAddr string) *normaliser {
	_, sink, _ := net.SplitHostPort(sinkAddr)
	_, own, _ := net.SplitHostPort(r.address())
	dir, top := r.places()
	var inputs strings.Builder
	for _, s := range c.Sessions {
		if s.Data != nil {
			inputs.WriteString(*s.Data)
		}
		inputs.WriteString(s.Stdin)
		for _, step := range s.Steps {
			for _, text := range []*string{step.Line, step.Data, step.Send} {
				if text != nil {
					inputs.WriteString(*text)
				}
			}
		}
	}
	return &normaliser{
		names:  map[string]string{},
		fixed:  strings.NewReplacer("]:"+sink, "]:SINK", "]:"+own, "]:SMTPPORT", "127.0.0.1:"+own, "127.0.0.1:SMTPPORT", dir, "{dir}", top, "{top}"),
		inputs: inputs.String(),
	}
}

// meet gives a queue ID its name.
func (n *normaliser) meet(id string) {
	if n.names[id] == "" {
		n.names[id] = fmt.Sprintf("Q%d", len(n.names)+1)
	}
}

// learn meets the queue IDs of a line of the log, without its time and host.
func (n *normaliser) learn(text string) {
	if m := lineID.FindStringSubmatch(text); m != nil {
		n.meet(m[1])
	}
	if m := notification.FindStringSubmatch(text); m != nil {
		n.meet(m[1])
	}
}

// text normalises what the server wrote anywhere.
func (n *normaliser) text(s string) string {
	s = messageID.ReplaceAllString(s, "<TIMESTAMP.$1@")
	s = boundary.ReplaceAllString(s, "$1.EPOCH/")
	for id, name := range n.names {
		s = strings.ReplaceAll(s, id, name)
	}
	return n.fixed.Replace(s)
}

// log normalises a line of the log, without its time and host.
func (n *normaliser) log(s string) string {
	s = logDelay.ReplaceAllString(s, "delay=N, delays=N/N/N/N,")
	s = logSize.ReplaceAllString(s, ", size=N, nrcpt=")
	return clientPort.ReplaceAllString(n.text(s), "$1:PORT")
}

// data normalises a message as the next server got it.
func (n *normaliser) data(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = date.ReplaceAllStringFunc(s, func(d string) string {
		if strings.Contains(n.inputs, d) {
			return d
		}
		return "DATE"
	})
	return n.text(s)
}
