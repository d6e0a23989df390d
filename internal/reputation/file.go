package reputation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/mail"
)

// The file has a line for each day of an alias or of a domain, with its counts in the order
// of Counts, and one for each recipient that is remembered by its queue ID:
//
//	alias "info@alias.example" 20421 12 11 1 1 3 0
//	domain "dest.example" 20421 12 11 1 1 3 0
//	sent 03S6RTrPqVcc "info@alias.example" "dest.example"

const fileKind = "reputation 1"

// encode is the content of the file.
func (b *Book) encode() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text []byte
	n := 0
	for kind, l := range map[string]*ledger{"alias ": &b.aliases, "domain ": &b.domains} {
		for key, r := range l.rows {
			for _, d := range r.days {
				text = strconv.AppendQuoteToASCII(append(text, kind...), key)
				text = fmt.Appendf(text, " %d %d %d %d %d %d %d\n", d.day, d.In, d.Delivered, d.Refused, d.Policy, d.Complaints, d.Returned)
				n++
			}
		}
	}
	for _, s := range b.sent.inOrder() {
		text = append(s.id.Append(append(text, "sent "...)), ' ')
		text = strconv.AppendQuoteToASCII(text, s.alias)
		text = append(strconv.AppendQuoteToASCII(append(text, ' '), s.domain), '\n')
		n++
	}
	return cachefile.Encode(fileKind, time.Time{}, n, text)
}

// decode reads what encode wrote, all of it or nothing. The caller holds mu.
func (b *Book) decode(text []byte) error {
	aliases, domains := ledger{max: maxAliases}, ledger{max: maxDomains}
	var ring sentRing
	_, err := cachefile.Decode(fileKind, text, func(line string) bool {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "alias":
			return aliases.decode(rest)
		case "domain":
			return domains.decode(rest)
		case "sent":
			id, rest, _ := strings.Cut(rest, " ")
			var s sent
			var err error
			if s.id, err = mail.ParseQueueID(id); err != nil || !unquote(&rest, &s.alias) || !unquote(&rest, &s.domain) || rest != "" {
				return false
			}
			ring.add(s)
			return true
		}
		return false
	})
	if err == nil {
		b.aliases, b.domains, b.sent = aliases, domains, ring
	}
	return err
}

// decode reads one line of a ledger.
func (l *ledger) decode(line string) bool {
	var key string
	if !unquote(&line, &key) {
		return false
	}
	words := strings.Split(line, " ")
	on, err := strconv.ParseInt(words[0], 10, 32)
	if err != nil || len(words) != 7 || l.find(key, day(on)) != nil {
		return false
	}
	var c Counts
	for i, into := range []*uint32{&c.In, &c.Delivered, &c.Refused, &c.Policy, &c.Complaints, &c.Returned} {
		n, err := strconv.ParseUint(words[1+i], 10, 32)
		if err != nil {
			return false
		}
		*into = uint32(n)
	}
	*l.of(key, day(on)) = c
	return true
}

// unquote takes a quoted word, and the space behind it, off a line.
func unquote(line, into *string) bool {
	quoted, err := strconv.QuotedPrefix(*line)
	if err != nil {
		return false
	}
	if *into, err = strconv.Unquote(quoted); err != nil {
		return false
	}
	*line = strings.TrimPrefix((*line)[len(quoted):], " ")
	return true
}
