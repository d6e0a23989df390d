package milter

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Milter is one milter with its settings: an element of smtpd_milters or
// non_smtpd_milters.
type Milter struct {
	Name string // as it was written: inet:host:port, unix:path

	Network, Address string // tcp or unix, for Dial

	ConnectTimeout time.Duration // milter_connect_timeout
	CommandTimeout time.Duration // milter_command_timeout: each packet, but of content
	ContentTimeout time.Duration // milter_content_timeout: each packet of content
	Protocol       Protocol      // milter_protocol
	DefaultAction  Action        // milter_default_action
}

// Protocol is milter_protocol.
type Protocol struct {
	Version       uint32 // 2, 3, 4 or 6
	NoHeaderReply bool   // no_header_reply
}

// Action is milter_default_action: what is done when a milter cannot be had.
type Action uint8

// The actions. The zero value is Postfix's default.
const (
	Tempfail Action = iota
	Accept
	Reject
	Quarantine
	Shutdown
)

// MacroLists are the names of the macros that are sent at each event, unless a milter asks
// for others. Names are as written, with or without braces.
type MacroLists struct {
	Connect, Helo, Mail, Rcpt, Data, Unknown []string // milter_connect_macros ...
	EndOfHeader, EndOfData                   []string // milter_end_of_header_macros, milter_end_of_data_macros
}

// Config is what all milters have in common.
type Config struct {
	Lists         MacroLists
	MacroDefaults map[string]string // milter_macro_defaults, by name without braces
	MyHostname    string            // myhostname: macro j
	DaemonName    string            // milter_macro_daemon_name
	Version       string            // milter_macro_v
	HeaderLimit   int               // header_size_limit: how much of a field milters are shown; 0: all
	SoftBounce    bool              // soft_bounce

	// Dial connects; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // nil: time.Now
}

// Set is a list of milters. It is safe for concurrent use and never changes.
type Set struct {
	cfg     *Config
	milters []Milter
}

// Unusable is a milter whose settings cannot be read: whoever is to ask it is told to come
// again later.
func Unusable(name string) Milter { return Milter{Name: name} }

// New makes a set. Nothing is connected to before a session begins.
func New(cfg *Config, milters []Milter) *Set { return &Set{cfg: cfg, milters: milters} }

// Session begins the session of one client: nothing is sent before Connect. It ends with
// Close. ctx bounds it as a whole, log gets warnings, macros knows the values of macros
// about the client and its commands. A Session is used by one goroutine.
func (s *Set) Session(ctx context.Context, log *slog.Logger, macros mail.MilterMacros) *Session {
	sn := &Session{cfg: s.cfg, ctx: ctx, macros: macros}
	for i := range s.milters {
		sn.clients = append(sn.clients, &client{cfg: s.cfg, Milter: &s.milters[i], ctx: ctx, log: log, state: stateClosed})
	}
	return sn
}

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// value looks a macro up: what holds for every session, what macros knows, and
// milter_macro_defaults.
func (c *Config) value(name string, macros mail.MilterMacros) (string, bool) {
	if len(name) > 2 && name[0] == '{' && name[len(name)-1] == '}' {
		name = name[1 : len(name)-1]
	}
	switch name {
	case "daemon_name":
		return c.DaemonName, true
	case "v":
		return c.Version, true
	case "j":
		return c.MyHostname, true
	}
	if macros != nil {
		if value, ok := macros(name); ok {
			return value, true
		}
	}
	value, ok := c.MacroDefaults[name]
	return value, ok
}

// expand makes the content of a macro packet: pairs of name and value, each ended by NUL.
func (c *Config) expand(names []string, macros mail.MilterMacros) []byte {
	var b []byte
	for _, name := range names {
		if value, ok := c.value(name, macros); ok {
			b = appendString(appendString(b, name), value)
		}
	}
	return b
}

// splitNames splits a list of macro names.
func splitNames(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
}
