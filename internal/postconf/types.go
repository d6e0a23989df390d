package postconf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is what a parameter's value must be.
type Type struct {
	form     form
	min, max int64    // of a number, or of a time in seconds; max 0 is no limit
	words    []string // of a choice or a set
}

type form uint8

const (
	formText     form = iota // anything
	formNotEmpty             // any text but none
	formBool                 // yes or no
	formNumber
	formTime   // 3s, 1h30m; without a unit that of the default
	formChoice // one of the words
	formSet    // any of the words
	formList
	formOctal    // a file mode
	formHost     // a host name
	formPath     // an absolute file name
	formPort     // a port number, or the name of one
	formAddress  // an IP address, or empty
	formResolver // a list of IP addresses, each perhaps with a port
	formFeedback // of concurrency: 1, 1/4, 1/sqrt_concurrency
	formLevel    // a compatibility level
)

func text() Type                  { return Type{form: formText} }
func notEmpty() Type              { return Type{form: formNotEmpty} }
func yesno() Type                 { return Type{form: formBool} }
func list() Type                  { return Type{form: formList} }
func number(min, max int64) Type  { return Type{form: formNumber, min: min, max: max} }
func seconds(min, max int64) Type { return Type{form: formTime, min: min, max: max} }
func choice(w ...string) Type     { return Type{form: formChoice, words: w} }
func set(w ...string) Type        { return Type{form: formSet, words: w} }

// code is the code of a refusal. Another code would accept what is to be refused.
func code() Type { return number(400, 599) }

// String names the type for people.
func (t Type) String() string {
	switch t.form {
	case formBool:
		return "yes or no"
	case formNumber:
		return "number"
	case formTime:
		return "time"
	case formChoice:
		return "one of " + strings.Join(t.words, ", ")
	case formSet:
		return "any of " + strings.Join(t.words, ", ")
	case formList:
		return "list"
	case formOctal:
		return "file mode"
	case formHost:
		return "host name"
	case formPath:
		return "absolute path"
	case formPort:
		return "port"
	case formAddress:
		return "IP address"
	case formResolver:
		return "list of IP or IP:port"
	case formFeedback:
		return "feedback"
	case formLevel:
		return "compatibility level"
	}
	return "text"
}

// mistake is a value that its type does not allow, and what would be allowed.
type mistake struct{ reason, remedy string }

func (m *mistake) Error() string { return m.reason + "; " + m.remedy }

// check tells whether an expanded value is of the type. unit is the default time unit.
func (t Type) check(value string, unit byte) *mistake {
	wrong := func(what, remedy string) *mistake { return &mistake{shown(value) + " " + what, remedy} }
	switch t.form {
	case formNotEmpty:
		if value == "" {
			return &mistake{"the value is empty", "give it one, or remove the line to have the default"}
		}
	case formBool:
		if _, ok := parseBool(value); !ok {
			return wrong("is neither yes nor no", "write yes or no")
		}
	case formNumber:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return wrong("is not a whole number", "write "+t.limits(strconv.FormatInt))
		}
		if n < t.min || t.max > 0 && n > t.max {
			return wrong("is out of range", "write "+t.limits(strconv.FormatInt))
		}
	case formTime:
		d, err := parseTime(value, unit)
		if err != nil {
			return wrong("is not a time", "write a number and one of the units s m h d w, as in 300s")
		}
		if s := int64(d / time.Second); s < t.min || t.max > 0 && s > t.max {
			return wrong("is out of range", "write "+t.limits(func(n int64, base int) string {
				return strconv.FormatInt(n, base) + "s"
			}))
		}
	case formChoice:
		if !slices.Contains(t.words, strings.ToLower(value)) {
			return wrong("is not known", "write one of: "+spelled(t.words))
		}
	case formSet:
		for _, w := range splitList(value) {
			if !slices.Contains(t.words, strings.ToLower(w)) {
				return &mistake{shown(w) + " is not known", "write any of: " + spelled(t.words)}
			}
		}
	default:
		return t.checkSyntax(value)
	}
	return nil
}

// checkSyntax is check for values that follow a syntax of their own.
func (t Type) checkSyntax(value string) *mistake {
	wrong := func(what, remedy string) *mistake { return &mistake{shown(value) + " " + what, remedy} }
	switch t.form {
	case formOctal:
		if n, err := strconv.ParseUint(value, 8, 32); err != nil || n > 0o7777 {
			return wrong("is not an octal file mode", "write one such as 0600")
		}
	case formHost:
		if err := validHostname(value); err != nil {
			return wrong("is not a host name: "+err.Error(), "write a full name such as mx.example.com")
		}
	case formPath:
		if !path.IsAbs(value) {
			return wrong("is not an absolute path", "begin it with /")
		}
	case formAddress:
		if _, err := netip.ParseAddr(value); err != nil && value != "" {
			return wrong("is not an IP address", "write one without brackets or port, or nothing")
		}
	case formResolver:
		for _, w := range splitList(value) {
			_, addrErr := netip.ParseAddr(w)
			if _, err := netip.ParseAddrPort(w); err != nil && addrErr != nil {
				return &mistake{shown(w) + " is not the address of a name server",
					"write 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 or [2001:db8::53]:5353"}
			}
		}
	case formFeedback:
		if _, ok := parseFeedback(value); !ok {
			return wrong("is not a feedback", "write a number from 0 to 1, or number / number, / concurrency, / sqrt_concurrency")
		}
	case formLevel:
		if _, err := level(value); err != nil {
			return wrong("is not a compatibility level", "write one such as 3.6")
		}
	}
	return nil
}

func (t Type) limits(format func(int64, int) string) string {
	switch {
	case t.max > 0:
		return fmt.Sprintf("%s to %s", format(t.min, 10), format(t.max, 10))
	case t.min == math.MinInt64:
		return "a whole number"
	}
	return format(t.min, 10) + " or more"
}

func spelled(words []string) string {
	named := slices.Clone(words)
	for i, w := range named {
		if w == "" {
			named[i] = "nothing at all"
		}
	}
	return strings.Join(named, ", ")
}

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "yes":
		return true, true
	case "no":
		return false, true
	}
	return false, false
}

var errTime = errors.New("bad time value or unit")

// parseTime reads a time as conv_time(3) does: numbers with units, summed; a number
// without one has the default unit.
func parseTime(s string, unit byte) (time.Duration, error) {
	s = trimSpace(s)
	if s == "" {
		return 0, errTime
	}
	var total int64
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil {
			return 0, errTime
		}
		u := unit
		if s = s[digits:]; s != "" {
			u, s = s[0], s[1:]
		}
		each, ok := timeUnits[u]
		// Postfix's times are C ints; a longer one is a slip of the pen.
		if total += n * each; !ok || total > math.MaxInt32 {
			return 0, errTime
		}
	}
	return time.Duration(total) * time.Second, nil
}

var timeUnits = map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}

// defaultUnit is the last letter of a parameter's default, as in Postfix.
func defaultUnit(def string) byte {
	if def != "" && timeUnits[def[len(def)-1]] != 0 {
		return def[len(def)-1]
	}
	return 's'
}
