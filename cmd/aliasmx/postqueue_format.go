package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The two formats of a queue listing, as Postfix prints them: scripts read both.

// queueTable prints the table of postqueue -p.
//
// Its columns are those that Postfix has for short queue IDs. Our IDs have 12 digits,
// one more than the first column: the size gives way, so that the rest stays in line.
type queueTable struct {
	out      *bufio.Writer
	some     bool // not all messages of the queue
	messages int
	bytes    int64
}

func (t *queueTable) add(m *mail.Listed) error {
	if t.messages == 0 {
		fmt.Fprintf(t.out, "%-10s  %8s %-20s %s\n", "-Queue ID-", "--Size--", "----Arrival Time----", "-Sender/Recipient-------")
	}
	t.messages++
	t.bytes += m.Size
	const left = 19 // columns of queue ID and size
	id := m.ID.String() + statusCharacter(m)
	fmt.Fprintf(t.out, "%s %*d %-20s %s\n", id, left-len(id)-1, m.Size, m.Arrived.Local().Format("Mon Jan _2 15:04:05"), senderShown(m))
	for _, group := range byReason(m.Rcpts) {
		if group.reason != "" {
			fmt.Fprintf(t.out, "%78s\n", "("+printable(group.reason)+")")
		}
		for _, r := range group.rcpts {
			fmt.Fprintf(t.out, "%41s%s\n", "", printable(r.Address.String()))
		}
	}
	t.out.WriteString("\n")
	return t.out.Flush()
}

func (t *queueTable) end() error {
	switch {
	case t.messages == 0 && t.some:
		fmt.Fprintln(t.out, "No message in the queue is selected")
	case t.messages == 0:
		fmt.Fprintln(t.out, "Mail queue is empty")
	case t.messages == 1:
		fmt.Fprintf(t.out, "-- %d Kbytes in 1 Request.\n", t.bytes/1024)
	default:
		fmt.Fprintf(t.out, "-- %d Kbytes in %d Requests.\n", t.bytes/1024, t.messages)
	}
	return t.out.Flush()
}

func statusCharacter(m *mail.Listed) string {
	switch {
	case m.Queue == "active":
		return "*"
	case m.Queue == "hold":
		return "!"
	case m.Expired:
		return "#"
	}
	return ""
}

func senderShown(m *mail.Listed) string {
	if m.Sender.IsNull() {
		return "MAILER-DAEMON"
	}
	return printable(m.Sender.String())
}

// reasonGroup are recipients that are late for the same reason.
type reasonGroup struct {
	reason string
	rcpts  []mail.ListedRcpt
}

// byReason groups recipients, those first that were not tried yet.
func byReason(rcpts []mail.ListedRcpt) []reasonGroup {
	groups := []reasonGroup{{}}
	index := map[string]int{"": 0}
	for _, r := range rcpts {
		i, ok := index[r.Reason]
		if !ok {
			i = len(groups)
			index[r.Reason] = i
			groups = append(groups, reasonGroup{reason: r.Reason})
		}
		groups[i].rcpts = append(groups[i].rcpts, r)
	}
	return groups
}

// printable makes text from elsewhere safe to show on a terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError || c >= 0x80 && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}

// writeListedJSON prints one line of postqueue -j (postqueue(1): JSON OBJECT FORMAT).
func writeListedJSON(w io.Writer, m *mail.Listed) error {
	b := make([]byte, 0, 256)
	b = append(b, `{"queue_name": `...)
	b = appendJSON(b, m.Queue)
	b = append(b, `, "queue_id": `...)
	b = appendJSON(b, m.ID.String())
	b = append(b, `, "arrival_time": `...)
	b = strconv.AppendInt(b, m.Arrived.Unix(), 10)
	b = append(b, `, "message_size": `...)
	b = strconv.AppendInt(b, m.Size, 10)
	b = append(b, `, "forced_expire": `...)
	b = strconv.AppendBool(b, m.Expired)
	b = append(b, `, "sender": `...)
	b = appendJSON(b, senderShown(m))
	b = append(b, `, "recipients": [`...)
	for i, r := range m.Rcpts {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"address": `...)
		b = appendJSON(b, r.Address.String())
		if r.Reason != "" {
			b = append(b, `, "delay_reason": `...)
			b = appendJSON(b, r.Reason)
		}
		b = append(b, '}')
	}
	_, err := w.Write(append(b, "]}\n"...))
	return err
}

// appendJSON writes a JSON string (RFC 8259 section 7): unlike encoding/json it leaves
// <, > and & as they are, which addresses and replies are full of.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, `\u%04X`, c)
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}
