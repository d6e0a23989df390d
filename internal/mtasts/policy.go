package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aliasmx/internal/dns"
)

// Mode is what a policy wants of those who send (RFC 8461 section 5).
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce" // mail goes to no host that fails the policy
	ModeTesting Mode = "testing" // failures are reported, and mail goes
	ModeNone    Mode = "none"    // there is no policy any more
)

// MaxSize bounds the file of a policy, in bytes (RFC 8461 section 3.3).
const MaxSize = 64 << 10

// MaxAge bounds how long a policy holds: a year (RFC 8461 section 3.2).
const MaxAge = 31557600 * time.Second

// Policy is what a domain publishes.
type Policy struct {
	Version string // "STSv1"
	Mode    Mode
	// MX are the patterns for hosts, as written: a name, or "*." and a name. None only in
	// ModeNone.
	MX []string
	// MaxAge is how long the policy holds from when it was fetched: whole seconds, at most
	// the constant of this name. A file that says more has that.
	MaxAge time.Duration
}

// ParsePolicy reads the file of a policy (RFC 8461 section 3.2). Lines end with LF or CRLF;
// fields that are not known are skipped, and of a field that is there twice the first
// counts, except for mx. Beyond the grammar it takes empty lines.
func ParsePolicy(file []byte) (Policy, error) {
	if len(file) > MaxSize {
		return Policy{}, fmt.Errorf("the policy is longer than %d bytes", MaxSize)
	}
	return parsePolicy(string(file))
}

// parsePolicy is ParsePolicy for a text of any length.
func parsePolicy(file string) (Policy, error) {
	var p Policy
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(file) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.Trim(line, " \t") == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isFieldName(name) || !isPolicyValue(value) {
			return Policy{}, fmt.Errorf("line %d of the policy is malformed: %q is not \"name: value\"", n, short(line))
		}
		if seen[name] && name != "mx" {
			continue
		}
		seen[name] = true
		if err := p.set(name, value); err != nil {
			return Policy{}, fmt.Errorf("line %d of the policy: %w", n, err)
		}
	}
	for _, name := range []string{"version", "mode", "max_age"} {
		if !seen[name] {
			return Policy{}, errors.New("the policy has no " + name)
		}
	}
	if len(p.MX) == 0 && p.Mode != ModeNone {
		return Policy{}, errors.New("the policy has no mx")
	}
	return p, nil
}

// set takes one field.
func (p *Policy) set(name, value string) error {
	switch name {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("version %q is not STSv1", short(value))
		}
		p.Version = value
	case "mode":
		switch m := Mode(value); m {
		case ModeEnforce, ModeTesting, ModeNone:
			p.Mode = m
		default:
			return fmt.Errorf("mode %q is none of enforce, testing and none", short(value))
		}
	case "max_age":
		secs, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 || value[0] == '+' {
			return fmt.Errorf("max_age %q is not 1 to 10 digits", short(value))
		}
		p.MaxAge = time.Duration(min(secs, uint64(MaxAge/time.Second))) * time.Second
	case "mx":
		if !dns.ValidName(strings.TrimPrefix(value, "*.")) {
			return fmt.Errorf("mx %q is no host name, nor one behind \"*.\"", short(value))
		}
		p.MX = append(p.MX, value)
	}
	return nil
}

// Matches tells whether a host is one that the policy names. "*." stands for exactly one
// label (RFC 8461 section 4.1); names are compared without case, in ASCII (A-labels).
func (p Policy) Matches(host string) bool {
	host = strings.TrimSuffix(host, ".")
	label, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		if suffix, wild := strings.CutPrefix(pattern, "*."); wild {
			if label != "" && strings.EqualFold(suffix, parent) {
				return true
			}
		} else if strings.EqualFold(pattern, host) {
			return true
		}
	}
	return false
}

// Lines are the fields of the policy, a line each without its end (RFC 8460 section 4.4:
// policy-string).
func (p Policy) Lines() []string {
	lines := make([]string, 0, 3+len(p.MX))
	lines = append(lines, "version: "+p.Version, "mode: "+string(p.Mode))
	for _, mx := range p.MX {
		lines = append(lines, "mx: "+mx)
	}
	return append(lines, "max_age: "+strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
}

// String is the file of the policy, with CRLF line ends as RFC 8461 has them in its
// examples.
func (p Policy) String() string {
	return strings.Join(p.Lines(), "\r\n") + "\r\n"
}

// isPolicyValue: printable UTF-8, spaces inside; not empty.
func isPolicyValue(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// short keeps what a stranger wrote from filling the log.
func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
