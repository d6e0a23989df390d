package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// scene is one letter: what is sent, and the log line after which all is said.
type scene struct {
	title   string
	to      string
	subject string
	last    string // part of the log line that ends the scene; "" when the client hears it all
	removed int    // how many messages leave the queue
}

var demoScenes = []scene{
	{"a letter to an alias", "info@alias.example", "hello", ": removed", 1},
	{"one alias, two targets", "team@alias.example", "to the team", ": removed", 1},
	{"an address that is not in the table: refused while the sender is connected", "nobody@alias.example", "anybody there?", "", 0},
	{"no relay for strangers", "someone@elsewhere.example", "please pass on", "", 0},
	{"the next hop refuses: the sender gets a report", "gone@alias.example", "are you there?", ": removed", 2},
}

// play sends the scene's letter and shows conversation, log, and what arrived.
func (d *demo) play(ctx context.Context, s scene) error {
	d.title(s.title)
	mark, before := d.log.mark(), d.hop.count()
	if err := d.converse(s); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	lines := d.log.wait(wait, mark, s.last, s.removed)
	fmt.Fprintln(d.out, "\n  log")
	for _, line := range lines {
		fmt.Fprintln(d.out, "    "+line)
	}
	for _, m := range d.hop.since(before) {
		fmt.Fprintf(d.out, "\n  arrived at the next hop: from <%s> to <%s>\n", m.from, strings.Join(m.to, ">, <"))
		for line := range strings.SplitSeq(m.head(), "\n") {
			fmt.Fprintln(d.out, "    "+line)
		}
	}
	return nil
}

// converse is a small SMTP client that shows what is said.
func (d *demo) converse(s scene) error {
	c, err := net.DialTimeout("tcp", d.smtp, demoPatience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(demoPatience))
	r := bufio.NewReader(c)
	hear := func() (string, error) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return "", err
			}
			if len(line) < 4 || line[3] != '-' {
				fmt.Fprint(d.out, "  S: ", line)
				return line, nil
			}
		}
	}
	if _, err := hear(); err != nil {
		return err
	}
	letter := fmt.Sprintf("From: sender@client.example\r\nTo: %s\r\nSubject: %s\r\n\r\nA letter.\r\n.", s.to, s.subject)
	for _, line := range []string{
		"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<" + s.to + ">", "DATA", letter, "QUIT",
	} {
		shown := line
		if line == letter {
			shown = "(the letter) ."
		}
		fmt.Fprintf(d.out, "  C: %s\n", shown)
		fmt.Fprintf(c, "%s\r\n", line)
		reply, err := hear()
		if err != nil {
			return err
		}
		if reply[0] >= '4' {
			fmt.Fprint(c, "QUIT\r\n")
			return nil
		}
	}
	return nil
}
