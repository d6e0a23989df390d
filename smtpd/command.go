package smtpd

import (
	"strconv"
	"strings"
)

// verb is a command we know, in the order in which the log counts them.
type verb uint8

const (
	verbHelo verb = iota
	verbEhlo
	verbXclient
	verbXforward
	verbStartTLS
	verbAuth
	verbMail
	verbRcpt
	verbData
	verbBdat
	verbRset
	verbNoop
	verbVrfy
	verbEtrn
	verbQuit
	verbUnknown
	numVerbs
)

var verbNames = [numVerbs]string{
	"HELO", "EHLO", "XCLIENT", "XFORWARD", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT",
	"RSET", "NOOP", "VRFY", "ETRN", "QUIT", "UNKNOWN",
}

func (v verb) String() string { return verbNames[v] }

// last tells the commands after which a client has to wait for the reply also with
// PIPELINING (RFC 2920 section 3.1).
func (v verb) last() bool {
	switch v {
	case verbHelo, verbEhlo, verbXclient, verbStartTLS, verbData, verbNoop, verbVrfy:
		return true
	}
	return false
}

// junk tells the commands that do nothing for a delivery (smtpd_junk_command_limit).
func (v verb) junk() bool {
	switch v {
	case verbHelo, verbEhlo, verbNoop, verbVrfy, verbEtrn, verbRset:
		return true
	}
	return false
}

// parseCommand takes a command line apart. word is the verb as it was written, "" for a
// line without one; arg is what follows it, without whitespace around.
func parseCommand(line string) (v verb, word, arg string) {
	line = strings.Trim(line, " \t")
	word = line
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		word, arg = line[:i], strings.TrimLeft(line[i:], " \t")
	}
	for v = range verbUnknown {
		if strings.EqualFold(word, verbNames[v]) {
			return v, word, arg
		}
	}
	return verbUnknown, word, arg
}

// tally counts commands for the line that the log has about each connection.
type tally [numVerbs]struct{ ok, all int }

func (t *tally) count(v verb, ok bool) {
	t[v].all++
	if ok {
		t[v].ok++
	}
}

// String is "ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6".
func (t *tally) String() string {
	var b strings.Builder
	ok, all := 0, 0
	for v := range t {
		if n := t[v]; n.all > 0 {
			writeCount(&b, strings.ToLower(verbNames[v]), n.ok, n.all)
			b.WriteByte(' ')
			ok, all = ok+n.ok, all+n.all
		}
	}
	writeCount(&b, "commands", ok, all)
	if all == 0 {
		b.WriteString("/0")
	}
	return b.String()
}

func writeCount(b *strings.Builder, name string, ok, all int) {
	b.WriteString(name + "=" + strconv.Itoa(ok))
	if ok != all {
		b.WriteString("/" + strconv.Itoa(all))
	}
}
