package shaping

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Line is what one line says. Zero fields say nothing.
type Line struct {
	mail.SiteLimits
	HostConnections int    // connections to one address at a time
	Site            string // the group's name
	Defaults        bool   // the rest is in the table of defaults
}

// names are those of a line, in the order in which they are written.
var names = []string{"site", "concurrency", "initial", "host_connections", "delay", "rate", "slow"}

const flagDefaults = "defaults"

// Parse reads a line. The error says what is wrong and what to write.
func Parse(s string) (Line, error) {
	var l Line
	words, err := split(s)
	if err != nil {
		return Line{}, err
	}
	if len(words) == 0 {
		return Line{}, errors.New("nothing in it; write name=value, as in concurrency=5")
	}
	var seen []string
	for _, w := range words {
		name, value, isPair := strings.Cut(w, "=")
		switch {
		case w == flagDefaults:
			isPair = true
		case !isPair:
			return Line{}, fmt.Errorf("%q is not of the form name=value; the names are %s, and %s alone", w, strings.Join(names, ", "), flagDefaults)
		}
		if name != "slow" && slices.Contains(seen, name) {
			return Line{}, fmt.Errorf("%s is there twice; remove one", name)
		}
		seen = append(seen, name)
		if err := l.set(name, value); err != nil {
			return Line{}, err
		}
	}
	return l, nil
}

func (l *Line) set(name, value string) (err error) {
	switch name {
	case "concurrency":
		l.Concurrency, err = count(name, value)
	case "initial":
		l.Initial, err = count(name, value)
	case "host_connections":
		l.HostConnections, err = count(name, value)
	case "delay":
		if l.RateDelay, err = span(value); err != nil {
			err = fmt.Errorf("delay=%s: not a time; write one such as 1s or 500ms", value)
		}
	case "rate":
		l.Rate, l.Per, err = rate(value)
	case "slow":
		if err = checkSlow(value); err == nil {
			l.SlowReplies = append(l.SlowReplies, value)
		}
	case "site":
		l.Site = strings.ToLower(value)
		if !isGroup(l.Site) {
			err = fmt.Errorf("site=%s: not a name; write letters, digits, - and _, no more than 50", value)
		}
	case flagDefaults:
		if l.Defaults = value == ""; !l.Defaults {
			err = fmt.Errorf("defaults=%s: it has no value; write defaults alone", value)
		}
	default:
		err = fmt.Errorf("%s is not known; the names are %s, and %s alone", name, strings.Join(names, ", "), flagDefaults)
	}
	return err
}

// split divides a line at blanks and commas outside of quotes, and takes the quotes off.
func split(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte
	inWord := false
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

func count(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%s=%s: not a number from 1 on; leave it out for no limit", name, value)
	}
	return n, nil
}

var units = []struct {
	name string
	is   time.Duration
}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}}

var errSpan = errors.New("not a time")

// span reads a time above zero: numbers with units, summed.
func span(s string) (time.Duration, error) {
	var total time.Duration
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil {
			return 0, errSpan
		}
		s = s[digits:]
		unit := time.Second
		if s != "" {
			i := slices.IndexFunc(units, func(u struct {
				name string
				is   time.Duration
			}) bool {
				return strings.HasPrefix(s, u.name)
			})
			if i < 0 {
				return 0, errSpan
			}
			unit, s = units[i].is, s[len(units[i].name):]
		}
		if n > int64(year/unit) {
			return 0, errSpan
		}
		total += time.Duration(n) * unit
	}
	if total <= 0 || total > year {
		return 0, errSpan
	}
	return total, nil
}

const year = 365 * 24 * time.Hour

func rate(value string) (n int, per time.Duration, err error) {
	number, unit, ok := strings.Cut(value, "/")
	if ok && unit != "" && unit[0] > '9' {
		unit = "1" + unit
	}
	if n, err = count("rate", number); err == nil && ok {
		per, err = span(unit)
	}
	if err != nil || !ok {
		return 0, 0, fmt.Errorf("rate=%s: not a number and a time; write them as in 100/1m", value)
	}
	return n, per, nil
}

// checkSlow looks at what is to be found in a reply. Digits and dots are a status code, or
// nothing at all.
func checkSlow(value string) error {
	switch {
	case strings.TrimSpace(value) == "":
		return errors.New("slow= without anything behind it; write a status code such as 4.7.28, or words in quotes")
	case strings.Trim(value, "0123456789.") != "":
		return nil
	}
	parts := strings.Split(value, ".")
	good := len(parts) == 2 || len(parts) == 3
	for i, p := range parts {
		digits := len(p) >= 1 && len(p) <= 3
		switch {
		case i == 0:
			good = good && (p == "4" || p == "5")
		case i == len(parts)-1 && p == "": // the beginning of a code
		default:
			good = good && digits
		}
	}
	if len(parts) == 2 && parts[1] != "" {
		good = false
	}
	if !good {
		return fmt.Errorf("slow=%s: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7.", value)
	}
	return nil
}

func isGroup(s string) bool {
	return s != "" && len(s) <= 50 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
