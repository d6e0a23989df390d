package milter

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// Settings hold for milters that have none of their own.
type Settings struct {
	ConnectTimeout, CommandTimeout, ContentTimeout time.Duration
	Protocol                                       Protocol
	DefaultAction                                  Action
	// QueueDirectory is where relative paths of unix: begin.
	QueueDirectory string
	// Duration reads a time as main.cf has it: "10s".
	Duration func(string) (time.Duration, error)
}

// Parse reads the value of smtpd_milters: names of milters, some of them in braces with
// settings of their own: { inet:host:port, connect_timeout=10s, default_action=accept }.
func Parse(list string, s Settings) ([]Milter, error) {
	var milters []Milter
	words, err := split(list)
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		m := Milter{
			ConnectTimeout: s.ConnectTimeout, CommandTimeout: s.CommandTimeout, ContentTimeout: s.ContentTimeout,
			Protocol: s.Protocol, DefaultAction: s.DefaultAction,
		}
		var own []string
		if inner, ok := braced(word); ok {
			if own, err = split(inner); err != nil {
				return nil, err
			}
			if len(own) == 0 {
				return nil, fmt.Errorf("empty milter definition: %q", word)
			}
			word, own = own[0], own[1:]
		}
		if err := m.locate(word, s.QueueDirectory); err != nil {
			return nil, err
		}
		for _, setting := range own {
			if err := m.set(setting, s.Duration); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
		}
		milters = append(milters, m)
	}
	return milters, nil
}

// locate reads inet:host:port, unix:path or local:path.
func (m *Milter) locate(name, queueDirectory string) error {
	transport, endpoint, _ := strings.Cut(name, ":")
	if transport == "" || endpoint == "" {
		return fmt.Errorf("Milter service needs transport:endpoint instead of %q", name)
	}
	m.Name = name
	switch transport {
	case "inet":
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil || host == "" || port == "" {
			return fmt.Errorf("bad endpoint in Milter service %s: need inet:host:port", name)
		}
		m.Network, m.Address = "tcp", net.JoinHostPort(host, port)
	case "unix", "local":
		m.Network, m.Address = "unix", endpoint
		if !filepath.IsAbs(endpoint) {
			m.Address = filepath.Join(queueDirectory, endpoint)
		}
	default:
		return fmt.Errorf("invalid transport name: %s in Milter service: %s; there are inet and unix", transport, name)
	}
	return nil
}

// set takes one setting of a milter's own.
func (m *Milter) set(setting string, duration func(string) (time.Duration, error)) error {
	if inner, ok := braced(setting); ok { // { name = value }: value may have spaces
		setting = inner
	}
	name, value, ok := strings.Cut(setting, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" || value == "" {
		return fmt.Errorf("missing '=' after attribute name or missing value: %q", setting)
	}
	var err error
	switch name {
	case "connect_timeout":
		m.ConnectTimeout, err = duration(value)
	case "command_timeout":
		m.CommandTimeout, err = duration(value)
	case "content_timeout":
		m.ContentTimeout, err = duration(value)
	case "protocol":
		m.Protocol, err = ParseProtocol(value)
	case "default_action":
		m.DefaultAction, err = ParseAction(value)
	default:
		return fmt.Errorf("unknown attribute name %q; there are connect_timeout, command_timeout, content_timeout, protocol and default_action", name)
	}
	if err == nil && (m.ConnectTimeout <= 0 || m.CommandTimeout <= 0 || m.ContentTimeout <= 0) {
		err = errors.New("a time limit must be more than nothing")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// ParseProtocol reads a value of milter_protocol: a version, and no_header_reply.
func ParseProtocol(s string) (Protocol, error) {
	var p Protocol
	for _, word := range splitNames(s) {
		switch {
		case word == "no_header_reply":
			p.NoHeaderReply = true
		case (word == "2" || word == "3" || word == "4" || word == "6") && p.Version == 0:
			p.Version = uint32(word[0] - '0')
		default:
			return p, fmt.Errorf("bad protocol information: %q; give one of 2, 3, 4 and 6", s)
		}
	}
	if p.Version == 0 {
		return p, fmt.Errorf("no protocol version information in %q; give one of 2, 3, 4 and 6", s)
	}
	return p, nil
}

// ParseAction reads a value of milter_default_action.
func ParseAction(s string) (Action, error) {
	for action, name := range map[Action]string{Tempfail: "tempfail", Accept: "accept", Reject: "reject", Quarantine: "quarantine", Shutdown: "shutdown"} {
		if strings.EqualFold(s, name) {
			return action, nil
		}
	}
	return 0, fmt.Errorf("%q is not one of accept, reject, tempfail, quarantine, shutdown", s)
}

// ParseMacroDefaults reads milter_macro_defaults: name=value, {name}=value or
// { name = value }.
func ParseMacroDefaults(s string) (map[string]string, error) {
	words, err := split(s)
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for _, word := range words {
		if inner, ok := braced(word); ok {
			word = inner
		}
		name, value, ok := strings.Cut(word, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if inner, braces := braced(name); braces {
			name = strings.TrimSpace(inner)
		}
		if !ok || name == "" {
			return nil, fmt.Errorf("malformed default macro entry: %q; write name=value", word)
		}
		if _, twice := defaults[name]; !twice { // the first one holds, as in Postfix
			defaults[name] = value
		}
	}
	return defaults, nil
}

// braced takes the braces off a word that is all of it between them.
func braced(s string) (inner string, ok bool) {
	if !strings.HasPrefix(s, "{") || !strings.HasSuffix(s, "}") {
		return "", false
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 && i < len(s)-1 { // {name}=...
				return "", false
			}
		}
	}
	return s[1 : len(s)-1], depth == 0
}

// split splits at commas and white space that are not between braces.
func split(s string) ([]string, error) {
	var words []string
	depth, start := 0, -1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || depth == 0 && strings.IndexByte(", \t\r\n", s[i]) >= 0 {
			if start >= 0 {
				words = append(words, s[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("missing '{' in %q", s)
			}
		}
	}
	if depth > 0 {
		return nil, fmt.Errorf("missing '}' in %q", s)
	}
	return words, nil
}
