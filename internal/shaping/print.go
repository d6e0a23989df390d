package shaping

import (
	"fmt"
	"strings"
	"time"
)

// String is the line as it could be written.
func (l Line) String() string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	number := func(name string, n int) {
		if n > 0 {
			add("%s=%d", name, n)
		}
	}
	if l.Site != "" {
		add("site=%s", l.Site)
	}
	number("concurrency", l.Concurrency)
	number("initial", l.Initial)
	number("host_connections", l.HostConnections)
	if l.RateDelay > 0 {
		add("delay=%s", spanText(l.RateDelay))
	}
	if l.Rate > 0 {
		add("rate=%d/%s", l.Rate, spanText(l.Per))
	}
	for _, s := range l.SlowReplies {
		add("slow=%s", quoted(s))
	}
	if l.Defaults {
		add(flagDefaults)
	}
	return strings.Join(words, " ")
}

// spanText is a time in the largest unit that it is a whole number of.
func spanText(d time.Duration) string {
	for i := len(units) - 1; i >= 0; i-- {
		if d%units[i].is == 0 {
			return fmt.Sprintf("%d%s", d/units[i].is, units[i].name)
		}
	}
	return d.String()
}

// quoted writes a value so that it is read as one.
func quoted(s string) string {
	if !strings.ContainsAny(s, " \t,\r\n\"'") {
		return s
	}
	var b strings.Builder
	for s != "" { // one kind of quotes cannot have its own in it
		q := byte('"')
		if s[0] == '"' {
			q = '\''
		}
		end := strings.IndexByte(s, q)
		if end < 0 {
			end = len(s)
		}
		b.WriteByte(q)
		b.WriteString(s[:end])
		b.WriteByte(q)
		s = s[end:]
	}
	return b.String()
}

// or fills in what l does not say.
func (l Line) or(m Line) Line {
	if l.Concurrency == 0 {
		l.Concurrency = m.Concurrency
	}
	if l.Initial == 0 {
		l.Initial = m.Initial
	}
	if l.HostConnections == 0 {
		l.HostConnections = m.HostConnections
	}
	if l.RateDelay == 0 {
		l.RateDelay = m.RateDelay
	}
	if l.Rate == 0 {
		l.Rate, l.Per = m.Rate, m.Per
	}
	if len(l.SlowReplies) == 0 {
		l.SlowReplies = m.SlowReplies
	}
	if l.Site == "" {
		l.Site = m.Site
	}
	return l
}
