package smtpd

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// Networks is a list of clients: *table.AddrList. An error is temporary.
type Networks interface {
	Match(ctx context.Context, name string, addr netip.Addr) (bool, error)
}

// Options are what a Server works with. Each field names its parameter of postconf(5);
// where the zero value is not Postfix's default, the default stands in parentheses and
// is taken for 0.
type Options struct {
	MyHostname string // myhostname
	MailName   string // mail_name (Postfix)
	Banner     string // smtpd_banner, expanded ("$myhostname ESMTP $mail_name")
	LogName    string // whose lines these are in the log: "submission/smtpd" for a syslog_name of its own (smtpd)
	Service    string // the service's name in master.cf, for warnings (smtp)

	// NotifyClasses is notify_classes, and HistoryFlushThreshold smtpd_history_flush_threshold
	// (100): of which sessions Postmaster gets a transcript, and after how many lines before
	// their end. Postmaster must not take long.
	NotifyClasses         []string
	HistoryFlushThreshold int
	Postmaster            func(mail.Transcript) // nil: nobody

	Recipients Recipients
	Queue      Enqueuer
	Log        *slog.Logger     // nil: nobody listens
	Now        func() time.Time // nil: time.Now

	// ClientName finds the names of a client (smtpd_peername_lookup). nil: it has none.
	ClientName   func(context.Context, netip.Addr) ClientNames
	MyNetworks   Networks              // mynetworks; nil: nobody
	OwnAddr      func(netip.Addr) bool // inet_interfaces and proxy_interfaces; nil: none
	LocalClients []Restriction         // local_header_rewrite_clients
	// RemoteHeaderDomain is remote_header_rewrite_domain: what completes addresses in the
	// header of other clients' mail. "": that header stays as it is.
	RemoteHeaderDomain string

	Client      []Restriction // smtpd_client_restrictions
	Helo        []Restriction // smtpd_helo_restrictions
	Sender      []Restriction // smtpd_sender_restrictions
	Relay       []Restriction // smtpd_relay_restrictions
	Recipient   []Restriction // smtpd_recipient_restrictions
	Data        []Restriction // smtpd_data_restrictions
	EndOfData   []Restriction // smtpd_end_of_data_restrictions
	Etrn        []Restriction // smtpd_etrn_restrictions
	DelayReject bool          // smtpd_delay_reject
	// RecipientBeforeRelay is smtpd_relay_before_recipient_restrictions = no.
	RecipientBeforeRelay bool

	Language   *Language  // what lists were parsed with; results of tables are, too. nil: without classes
	Resolver   Resolver   // nil: restrictions that need it cannot be parsed
	Verifier   Verifier   // nil: restrictions that need it cannot be parsed
	Reputation Reputation // nil: addresses may have any amount of mail
	Greylist   *Greylist  // what check_greylist asks; nil: it cannot be parsed
	// Connected is relay_while_connected; nil: every message is queued.
	Connected *ConnectedOptions
	// ProbeSender tells whether address verification sends its probes from an address, and
	// what that is without what changes in it. Mail for it is taken from everybody
	// (ADDRESS_VERIFICATION_README). nil: there are no probes.
	ProbeSender func(mail.Address) (sender mail.Address, own bool)
	// Listed tells which recipients there are, where Recipients takes all of them
	// (smtpd_reject_unlisted_recipient = no); nil: Recipients.
	Listed  Recipients
	Replies Replies // reverse_alias_secrets_file; nil: there are no reverse aliases
	// StripExtension takes the extension off a local part (recipient_delimiter); nil: it
	// has none.
	StripExtension          func(local string) string
	AccessMatchesSubdomains bool          // parent_domain_matches_subdomains has smtpd_access_maps
	AllowUntrustedRouting   bool          // allow_untrusted_routing
	NullAccessLookupKey     string        // smtpd_null_access_lookup_key (<>)
	LogPermit               Words         // smtpd_log_access_permit_actions; nil: none
	RBLReplyMaps            []Table       // rbl_reply_maps
	RelayClientCerts        []Table       // relay_clientcerts
	DefaultRBLReply         string        // default_rbl_reply
	Milters                 OpenMilters   // smtpd_milters, smtpd_milter_maps; nil: none
	Submitted               SubmitMilters // non_smtpd_milters, for local users; nil: none
	// Route says where mail to an address goes, for macros of milters; nil: they have no
	// such macros.
	Route func(mail.Address) mail.Dest

	RejectFooter     string  // smtpd_reject_footer
	RejectFooterMaps []Table // smtpd_reject_footer_maps
	Stress           string  // stress

	TLS *TLS // nil: none
	// Door decides which clients get a session at all (postscreen(8)); nil: all of them.
	Door Door

	// Authenticator judges who messages are from (mailauth_enable); nil: nobody does.
	Authenticator Authenticator

	Logins          Logins   // smtpd_sasl_auth_enable; nil: nobody can log in
	TLSAuthOnly     bool     // smtpd_tls_auth_only
	AuthExceptions  Networks // smtpd_sasl_exceptions_networks; nil: nobody
	SenderLoginMaps []Table  // smtpd_sender_login_maps
	// AuthenticatedHeader is smtpd_sasl_authenticated_header.
	AuthenticatedHeader bool
	BrokenAuthClients   bool // broken_sasl_auth_clients
	AuthResponseLimit   int  // smtpd_sasl_response_limit (12288)

	AuthorizedXclient  Networks // smtpd_authorized_xclient_hosts; nil: nobody
	AuthorizedXforward Networks // smtpd_authorized_xforward_hosts; nil: nobody

	RelayRejectCode                int        // relay_domains_reject_code (554)
	RejectCode                     int        // reject_code (554)
	DeferCode                      int        // defer_code (450)
	AccessRejectCode               int        // access_map_reject_code (554)
	AccessDeferCode                int        // access_map_defer_code (450)
	RBLRejectCode                  int        // maps_rbl_reject_code (554)
	NonFQDNRejectCode              int        // non_fqdn_reject_code (504)
	InvalidHostnameRejectCode      int        // invalid_hostname_reject_code (501)
	UnknownAddressRejectCode       int        // unknown_address_reject_code (450)
	UnknownClientRejectCode        int        // unknown_client_reject_code (450)
	UnknownHostnameRejectCode      int        // unknown_hostname_reject_code (450)
	PlaintextRejectCode            int        // plaintext_reject_code (450)
	MultiRecipientBounceRejectCode int        // multi_recipient_bounce_reject_code (550)
	UnknownAddressLater            Later      // unknown_address_tempfail_action
	UnknownHeloLater               Later      // unknown_helo_hostname_tempfail_action
	UnverifiedSender               Unverified // unverified_sender_*
	UnverifiedRecipient            Unverified // unverified_recipient_*
	SoftBounce                     bool       // soft_bounce

	DisableVRFY            bool        // disable_vrfy_command
	HeloRequired           bool        // smtpd_helo_required
	AllowMinUser           bool        // allow_min_user: addresses may begin with a hyphen
	StrictEnvelopes        bool        // strict_rfc821_envelopes
	RejectUnlistedSender   bool        // smtpd_reject_unlisted_sender
	SMTPUTF8Enable         bool        // smtputf8_enable
	StrictSMTPUTF8         bool        // strict_smtputf8: other addresses than ASCII need SMTPUTF8 said
	SMTPUTF8Autodetect     bool        // smtputf8_autodetect_classes has smtpd: a header or a target may need it unsaid
	RequireTLSEnable       bool        // requiretls_enable
	LimitsEnable           bool        // ours: smtpd_limits_enable
	DiscardEhloKeywords    []string    // smtpd_discard_ehlo_keywords
	ForbiddenCommands      []string    // smtpd_forbidden_commands: words; a first character that is no letter is always forbidden
	ForbidUnauthPipelining bool        // smtpd_forbid_unauth_pipelining
	ForbidBareNewline      wire.BareLF // smtpd_forbid_bare_newline
	ReplaceStrayCR         bool        // cleanup_replace_stray_cr_lf

	MessageSizeLimit   int64    // message_size_limit; 0: none
	HeaderSizeLimit    int      // header_size_limit (102400)
	HopcountLimit      int      // hopcount_limit (50)
	HeaderTokenLimit   int      // header_address_token_limit (10240)
	MessageDropHeaders []string // message_drop_headers

	Checks        *checks.Rules // header_checks and its relatives, body_checks; nil: none
	ContentFilter string        // content_filter: transport:nexthop; "": none
	Filters       mail.Filters  // what a filter without a next hop has
	NoMilters     bool          // receive_override_options has no_milters

	AlwaysAddMissingHeaders bool // always_add_missing_headers
	HeaderFromObsolete      bool // header_from_format = obsolete
	// OneDeliveryPerTarget is enable_original_recipient = no.
	OneDeliveryPerTarget bool
	DuplicateFilterLimit int // duplicate_filter_limit (1000)

	RecipientLimit   int           // smtpd_recipient_limit (1000)
	OvershootLimit   int           // smtpd_recipient_overshoot_limit (1000)
	LineLengthLimit  int           // line_length_limit, of commands (2048)
	Timeout          time.Duration // smtpd_timeout (300s)
	MinDataRate      int           // smtpd_min_data_rate, bytes a second in DATA and BDAT; 0: none
	SoftErrorLimit   int           // smtpd_soft_error_limit (10)
	HardErrorLimit   int           // smtpd_hard_error_limit (20)
	ErrorSleep       time.Duration // smtpd_error_sleep_time
	JunkCommandLimit int           // smtpd_junk_command_limit (100)

	ClientConnectionLimit int           // smtpd_client_connection_count_limit; 0: none
	ClientConnectionRate  int           // smtpd_client_connection_rate_limit; 0: none
	ClientMessageRate     int           // smtpd_client_message_rate_limit; 0: none
	ClientRecipientRate   int           // smtpd_client_recipient_rate_limit; 0: none
	ClientAuthRate        int           // smtpd_client_auth_rate_limit; 0: none
	RateTimeUnit          time.Duration // anvil_rate_time_unit (60s)
	ClientIPv4Prefix      int           // smtpd_client_ipv4_prefix_length (32)
	ClientIPv6Prefix      int           // smtpd_client_ipv6_prefix_length (84)
	ClientLimitExceptions Networks      // smtpd_client_event_limit_exceptions; nil: nobody

	StatusUpdateTime time.Duration // anvil_status_update_time (600s)
	Anvil            *Anvil        // counts clients; nil: the server has its own

	// MaxConnections bounds the connections from all clients together, over all servers
	// with the same Capacity (ours: smtpd_client_limit_total). 0: none.
	MaxConnections int
	// DataMemoryLimit bounds what the messages being received may hold in memory together
	// (ours: smtpd_data_memory_limit). 0: none.
	DataMemoryLimit int64
	Capacity        *Capacity // counts both; nil: the server has its own
	// UnderStress are the options of clients that come when most connections are in use
	// (stress=yes). nil: these.
	UnderStress *Options
	stressed    bool // these are such options

	Onward Onward // has a say in each recipient; nil: nobody

	Upstream *Upstream // smtpd_upstream_proxy_protocol; nil: clients come by themselves

	// PerRequestDeadline is smtpd_per_request_deadline: Timeout is for a whole command, and
	// with MinDataRate for a message, not for each wait.
	PerRequestDeadline bool
	ClientPortLogging  bool // smtpd_client_port_logging
	HideClientSession  bool // smtpd_hide_client_session

	DiscardEhloKeywordMaps []Table  // smtpd_discard_ehlo_keyword_address_maps
	NoopCommands           Words    // smtpd_noop_commands; nil: none
	Forbidden              Words    // tables of smtpd_forbidden_commands; nil: none
	CommandFilter          Table    // smtpd_command_filter; nil: none
	RejectFilterMaps       []Table  // smtpd_reject_filter_maps
	BareNewlineExclusions  Networks // smtpd_forbid_bare_newline_exclusions; nil: nobody
	BareNewlineRejectCode  int      // smtpd_forbid_bare_newline_reject_code (550)

	log, cleanupLog *slog.Logger // Log, under the names of smtpd(8) and cleanup(8)
}

// bareLF is what is made of lines that end in LF alone; excluded: the client may send them.
func (o *Options) bareLF(excluded bool) wire.BareLF {
	if excluded {
		return wire.BareLFAllow
	}
	return o.ForbidBareNewline
}

// ParseForbidBareNewline reads a value of smtpd_forbid_bare_newline. "note" only logs in
// Postfix: nobody reads such a log, and so it is "normalize" here.
func ParseForbidBareNewline(s string) (wire.BareLF, error) {
	switch strings.ToLower(s) {
	case "", "normalize", "yes", "note":
		return wire.BareLFNormalize, nil
	case "reject":
		return wire.BareLFReject, nil
	case "no":
		return wire.BareLFAllow, nil
	}
	return 0, fmt.Errorf("%q is not one of normalize, reject, yes, no", s)
}

// withDefaults is o with Postfix's defaults for what is 0.
func (o Options) withDefaults() *Options {
	for _, s := range []struct {
		value *string
		def   string
	}{{&o.MyHostname, "localhost"}, {&o.MailName, "Postfix"}, {&o.Service, "smtp"}} {
		if *s.value == "" {
			*s.value = s.def
		}
	}
	o.NullAccessLookupKey = orElse(o.NullAccessLookupKey, "<>")
	if o.Language == nil {
		o.Language = new(Language)
	}
	if o.Banner == "" {
		o.Banner = o.MyHostname + " ESMTP " + o.MailName
	}
	for _, n := range []struct {
		value *int
		def   int
	}{
		{&o.RelayRejectCode, 554}, {&o.RejectCode, 554}, {&o.DeferCode, 450}, {&o.NonFQDNRejectCode, 504},
		{&o.InvalidHostnameRejectCode, 501}, {&o.UnknownAddressRejectCode, 450},
		{&o.AccessRejectCode, 554}, {&o.AccessDeferCode, 450}, {&o.RBLRejectCode, 554},
		{&o.UnknownClientRejectCode, 450}, {&o.UnknownHostnameRejectCode, 450}, {&o.PlaintextRejectCode, 450},
		{&o.MultiRecipientBounceRejectCode, 550},
		{&o.UnverifiedSender.RejectCode, 450}, {&o.UnverifiedSender.DeferCode, 450},
		{&o.UnverifiedRecipient.RejectCode, 450}, {&o.UnverifiedRecipient.DeferCode, 450},
		{&o.HeaderSizeLimit, 102400}, {&o.HeaderTokenLimit, 10240}, {&o.HopcountLimit, 50}, {&o.DuplicateFilterLimit, 1000},
		{&o.RecipientLimit, 1000}, {&o.OvershootLimit, 1000}, {&o.LineLengthLimit, 2048},
		{&o.SoftErrorLimit, 10}, {&o.HardErrorLimit, 20}, {&o.JunkCommandLimit, 100},
		{&o.ClientIPv4Prefix, 32}, {&o.ClientIPv6Prefix, 84}, {&o.AuthResponseLimit, 12288}, {&o.BareNewlineRejectCode, 550},
	} {
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 300 * time.Second
	}
	if o.RateTimeUnit == 0 {
		o.RateTimeUnit = time.Minute
	}
	if o.StatusUpdateTime == 0 {
		o.StatusUpdateTime = 600 * time.Second
	}
	if o.UnderStress != nil {
		o.UnderStress = o.UnderStress.withDefaults()
		o.UnderStress.UnderStress, o.UnderStress.stressed = nil, true
	}
	if o.Upstream != nil && o.Upstream.Timeout == 0 {
		o.Upstream = &Upstream{Hosts: o.Upstream.Hosts, Timeout: 5 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.log = o.Log.With(slog.String(mail.KeyDaemon, orElse(o.LogName, "smtpd")))
	o.cleanupLog = o.Log.With(slog.String(mail.KeyDaemon, "cleanup"))
	guard, err := o.Language.Parse([]string{"permit_mynetworks", "defer_unauth_destination"})
	if err == nil && !GuardsRelay(o.Relay) && !GuardsRelay(o.Recipient) {
		o.Relay = append(append([]Restriction(nil), o.Relay...), guard...)
	}
	return &o
}
