package screen

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Action is what a failed test leads to.
type Action uint8

const (
	Ignore  Action = iota // go on, and test again the next time
	Enforce               // refuse each recipient, and log who it was
	Drop                  // hang up at once
)

// ParseAction reads a value of postscreen_greet_action and its like.
func ParseAction(s string) (Action, error) {
	switch strings.ToLower(s) {
	case "ignore", "continue":
		return Ignore, nil
	case "enforce":
		return Enforce, nil
	case "drop":
		return Drop, nil
	}
	return 0, fmt.Errorf("%q is not one of ignore, enforce, drop", s)
}

// Networks is a list of addresses. An error is temporary.
type Networks interface {
	Match(ctx context.Context, name string, addr netip.Addr) (bool, error)
}

// Table is a lookup table. An error means that it could not answer.
type Table interface {
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
	Name() string
}

// Lists asks lists in the DNS. It is safe for concurrent use.
type Lists interface {
	// Answers are the addresses with which a list answers for a client, none if it is not
	// listed, and how long that holds; less than 0: it does not say.
	Answers(ctx context.Context, domain string, client netip.Addr) ([]netip.Addr, time.Duration, error)
}

// Options are what the clients of one service of master.cf are asked. Each field names its
// parameter of postconf(5).
type Options struct {
	MyHostname string
	Banner     string // smtpd_banner, of the engine
	LogName    string // whose lines these are in the log (postscreen)
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now
	// OldNames: BLACKLISTED and WHITELISTED in the log (respectful_logging = no).
	OldNames bool

	MyNetworks Networks // mynetworks; nil: nobody
	Access     []Rule   // postscreen_access_list
	Denylist   Action   // postscreen_denylist_action
	Interfaces Networks // postscreen_allowlist_interfaces; nil: all

	GreetBanner     string        // postscreen_greet_banner; "": no pregreet test
	GreetWait       time.Duration // postscreen_greet_wait
	StressGreetWait time.Duration // the same under stress
	GreetAction     Action        // postscreen_greet_action
	GreetTTL        time.Duration // postscreen_greet_ttl

	Lists          Lists
	Sites          []Site        // postscreen_dnsbl_sites; none: no such test
	ReplyMap       Table         // postscreen_dnsbl_reply_map; nil: none
	DNSBLThreshold int           // postscreen_dnsbl_threshold
	AllowThreshold int           // postscreen_dnsbl_allowlist_threshold; 0: none
	DNSBLAction    Action        // postscreen_dnsbl_action
	DNSBLMinTTL    time.Duration // postscreen_dnsbl_min_ttl
	DNSBLMaxTTL    time.Duration // postscreen_dnsbl_max_ttl
	DNSBLTimeout   time.Duration // postscreen_dnsbl_timeout

	Pipelining  Deep // postscreen_pipelining_*
	NonSMTP     Deep // postscreen_non_smtp_command_*
	BareNewline Deep // postscreen_bare_newline_*

	PreQueueLimit     int // postscreen_pre_queue_limit
	PostQueueLimit    int // postscreen_post_queue_limit
	ClientConnections int // postscreen_client_connection_count_limit; 0: none

	CommandTime       time.Duration // postscreen_command_time_limit
	StressCommandTime time.Duration // the same under stress
	CommandCount      int           // postscreen_command_count_limit
	LineLength        int           // line_length_limit
	MessageSize       int64         // message_size_limit; 0: none
	HeloRequired      bool          // postscreen_helo_required
	DisableVRFY       bool          // postscreen_disable_vrfy_command
	HideVRFY          bool          // disable_vrfy_command
	SMTPUTF8          bool          // smtputf8_enable
	DiscardKeywords   []string      // postscreen_discard_ehlo_keywords
	ForbiddenCommands []string      // postscreen_forbidden_commands: words, or a table for what begins with no letter
	SoftBounce        bool          // soft_bounce
	RejectFooter      string        // postscreen_reject_footer
	RejectFooterMaps  []Table       // postscreen_reject_footer_maps

	TLS        *tls.Config   // of the engine; nil: none (postscreen_tls_security_level)
	RequireTLS bool          // postscreen_tls_security_level = encrypt
	TLSTimeout time.Duration // smtpd_starttls_timeout
}

// Deep is a test that the engine does.
type Deep struct {
	Enable bool
	Action Action
	TTL    time.Duration
}

// enabled are the tests that these options ask for.
func (o *Options) enabled() (s tests) {
	for t, on := range [numTests]bool{
		pregreet: o.GreetBanner != "", dnsbl: len(o.Sites) > 0,
		pipelining: o.Pipelining.Enable, nonSMTP: o.NonSMTP.Enable, bareNewline: o.BareNewline.Enable,
	} {
		if on {
			s |= 1 << t
		}
	}
	return s
}

// minTTL is how long a failure that is ignored counts as passed.
func (o *Options) minTTL() time.Duration {
	return min(o.GreetTTL, o.DNSBLMinTTL, o.Pipelining.TTL, o.NonSMTP.TTL, o.BareNewline.TTL)
}
