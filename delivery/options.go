package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/checks"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Options of a Client; names of parameters are those of postconf(5). The zero value
// can be used: what is zero has the default that is named, and switches are off.
type Options struct {
	// MyHostname is myhostname, HeloName smtp_helo_name ("" is MyHostname).
	MyHostname string
	HeloName   string
	// MyNames are further names of this system: a host of a next hop that has one of
	// them, or introduces itself with it, is ourselves. OwnAddrs tells our addresses
	// (inet_interfaces, proxy_interfaces). Both matter only on port 25, as in Postfix.
	MyNames  []string
	OwnAddrs func(netip.Addr) bool

	// Resolver finds hosts; nil is one that reads /etc/resolv.conf.
	Resolver Resolver
	// DNSEnabled is smtp_dns_support_level other than disabled. Without DNS there are no
	// MX records, and hosts are looked up by HostLookup native.
	DNSEnabled bool
	// HostLookup is smtp_host_lookup: dns, native, or both; none is dns.
	HostLookup []string
	// InetProtocols is inet_protocols: ipv4, ipv6, all; none is all.
	InetProtocols []string
	// AddressPreference is smtp_address_preference: any, ipv4 or ipv6; "" is any.
	AddressPreference string
	// RandomizeAddresses is smtp_randomize_addresses.
	RandomizeAddresses bool
	// Unbalanced is smtp_balance_inet_protocols = no.
	Unbalanced bool
	// MXAddressLimit is smtp_mx_address_limit, MXSessionLimit smtp_mx_session_limit; 0 is
	// 5 and 2, less than 0 no limit.
	MXAddressLimit, MXSessionLimit int
	// HostConnectionLimit is smtp_host_connection_limit, how many connections are open to one
	// address and port at a time; 0 is no limit. HostConnections, when not nil, has another
	// for a host of a next hop (domain); 0 says nothing. It is asked before each connection.
	HostConnectionLimit int
	HostConnections     func(ctx context.Context, domain, host string) int
	// ConnectionLimit is default_process_limit: of the connections that have nothing to do, so
	// many stay open that there are no more than this in all; 0 is no limit. The queue keeps
	// those that have something to do within it.
	ConnectionLimit int
	// DeferNoMXAddress is smtp_defer_if_no_mx_address_found.
	DeferNoMXAddress bool
	// RelayHost is relayhost: what is wrong with it is an error of the configuration, for
	// which no mail is returned. FallbackRelay is smtp_fallback_relay, or lmtp_fallback_relay.
	RelayHost     string
	FallbackRelay []string

	// Transports are further names of transports, with the one of smtp, relay and lmtp that
	// each is like: services of master.cf.
	Transports map[string]string
	// Services are transports with settings of their own, by name: services of master.cf
	// with -o, and lmtp, whose parameters are lmtp_*. Their Services and Transports do
	// not count.
	Services map[string]Options
	// LogName is what the log calls the daemon; "" is smtp or lmtp.
	LogName string

	// DefaultPort is smtp_tcp_port, LMTPPort lmtp_tcp_port; 0 is 25 and 24.
	DefaultPort, LMTPPort uint16
	// BindAddress is smtp_bind_address, BindAddress6 smtp_bind_address6. BindEnforce is
	// smtp_bind_address_enforce: where the address is not there, mail waits.
	BindAddress, BindAddress6 netip.Addr
	BindEnforce               bool
	// OnlyAddress and OnlyAddress6 are the addresses to connect from where there is no
	// BindAddress: the one IPv4 and the one IPv6 address of inet_interfaces, if it has no
	// other, and it is not loopback's (postconf(5): smtp_bind_address, note 1).
	OnlyAddress, OnlyAddress6 netip.Addr
	// Sources, when not nil, are the addresses to connect from for mail of a class to a next
	// hop, in place of all these (ours: smtp_bind_address_maps). names are what the next hop
	// may be called, the first that is known counts: as it is written, without its port, the
	// bare domain; in lower case. HeloNames,
	// when not nil, has names in place of HeloName, by the address that is connected from
	// (ours: smtp_helo_name_maps). An error defers the mail.
	Sources   func(ctx context.Context, class string, names []string) (from Source, found bool, err error)
	HeloNames func(ctx context.Context, from netip.Addr) (name string, found bool, err error)
	// AssumeFinal is lmtp_assume_final: what an LMTP server without DSN takes is delivered.
	AssumeFinal bool
	// ProbeData is smtp_address_verify_target = data: a probe goes on to DATA.
	ProbeData bool
	// QueueDirectory is where a relative path of lmtp:unix:path begins.
	QueueDirectory string

	Timeouts Timeouts
	// MinDataRate is smtp_min_data_rate in bytes per second: the content may take as long
	// as Timeouts.DataXfer and its size at this rate. 0 is 500, less than 0 no limit.
	MinDataRate int

	// TLSLevel is smtp_tls_security_level: none, may or encrypt; "" is none. RootCAs are
	// smtp_tls_CAfile and smtp_tls_CApath; nil trusts nobody.
	TLSLevel mail.TLSLevel
	RootCAs  *x509.CertPool
	// TLSServerName is smtp_tls_servername: "" sends no name, hostname the host's, nexthop
	// the domain's, and anything else itself.
	TLSServerName string
	// TLSLogLevel is smtp_tls_loglevel: from 1 on, connections with TLS are logged.
	TLSLogLevel int
	// LogTLSStatus is smtp_log_tls_feature_status: results tell how their connection was
	// secured.
	LogTLSStatus bool
	// TLSRequired is tls_required_enable: mail.FlagTLSOptional counts (RFC 8689).
	TLSRequired bool
	// MinimalBackoff is minimal_backoff_time: where TLS is not required but fails, mail
	// that waited this long before is sent in plain text; younger mail is deferred. With
	// 0 plain text is tried at once.
	MinimalBackoff time.Duration
	// TLSPolicy, when not nil, is asked in place of TLSLevel. TLSReporter, when not nil,
	// hears how it went.
	TLSPolicy   TLSPolicy
	TLSReporter TLSReporter
	// TLSVersions are those of smtp_tls_protocols, MandatoryTLSVersions of
	// smtp_tls_mandatory_protocols, from the least to the most; zeros are crypto/tls's.
	TLSVersions, MandatoryTLSVersions [2]uint16
	// ClientCertificate answers a server that asks for a certificate (smtp_tls_chain_files);
	// nil has none.
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// WrapperMode is smtp_tls_wrappermode: TLS before the greeting. NoteStartTLS is
	// smtp_tls_note_starttls_offer.
	WrapperMode, NoteStartTLS bool

	// SASL says how to log in; nil is smtp_sasl_auth_enable = no.
	SASL *SASL

	// Skip5xxGreeting is smtp_skip_5xx_greeting: a host that greets with 5xx is as good
	// as one that is down, no reason to return mail.
	Skip5xxGreeting bool
	// LineLengthLimit is smtp_line_length_limit; 0 is none, which keeps signatures whole
	// (Postfix's default is 998).
	LineLengthLimit int
	// SendEightBit sends 8-bit content also to hosts without 8BITMIME
	// (disable_mime_output_conversion = yes). Otherwise it is returned with 5.6.3: we do
	// not convert it, as that would break signatures.
	SendEightBit bool

	// ReuseCount is smtp_connection_reuse_count_limit, 0 is no limit; ReuseTime is
	// smtp_connection_reuse_time_limit, 0 is 300 s. CacheTime is
	// smtp_connection_cache_time_limit, how long an idle connection waits for more mail:
	// 0 is 2 s, and less than 0 uses each connection once.
	ReuseCount           int
	ReuseTime, CacheTime time.Duration
	// NoCacheOnDemand is smtp_connection_cache_on_demand = no. CacheFor, when not nil, tells
	// the next hops whose connections wait however little mail there is
	// (smtp_connection_cache_destinations).
	NoCacheOnDemand bool
	CacheFor        func(domain string) bool

	// DiscardEHLO is smtp_discard_ehlo_keywords, in upper case. DiscardEHLOFor, when not
	// nil, has them for a server's address (smtp_discard_ehlo_keyword_address_maps).
	DiscardEHLO    []string
	DiscardEHLOFor func(ctx context.Context, addr string) (words []string, found bool, err error)
	// NeverEHLO is smtp_never_send_ehlo; EHLOByBanner is smtp_always_send_ehlo = no: EHLO
	// only to a server that greets with the word ESMTP.
	NeverEHLO, EHLOByBanner bool
	// AwaitQuit is smtp_skip_quit_response = no.
	AwaitQuit bool
	// RequestDeadline is smtp_per_request_deadline: a time-out holds for a command with its
	// reply, and not for each wait of it.
	RequestDeadline bool
	// SendXForward is smtp_send_xforward_command.
	SendXForward bool
	// ReplyFilter, when not nil, replaces lines of replies (smtp_reply_filter).
	ReplyFilter func(ctx context.Context, line string) (instead string, found bool, err error)

	// Generic and LMTPGeneric give an address the form in which it leaves over the
	// protocol (smtp_generic_maps, lmtp_generic_maps); nil leaves all as they are. They are
	// safe for concurrent use, an error is temporary.
	Generic, LMTPGeneric func(ctx context.Context, a mail.Address) (mail.Address, error)
	// Checks and LMTPChecks look at what leaves over the protocol (smtp_header_checks,
	// lmtp_header_checks and their relatives); nil: nothing does.
	Checks, LMTPChecks *checks.Rules
	// SenderRewriter and Signer, when not nil, have a say in each message.
	SenderRewriter SenderRewriter
	Signer         Signer

	// Log gets events (package mail); nil drops them.
	Log *slog.Logger
	// Now is the clock for what is measured; nil is time.Now.
	Now func() time.Time
	// Dial connects; networks are tcp4, tcp6 and unix. nil does it for real.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Timeouts are smtp_*_timeout; zeros are Postfix's defaults, and Helo is also the wait
// for the greeting.
type Timeouts struct {
	Connect  time.Duration // 30 s
	StartTLS time.Duration // 300 s
	Helo     time.Duration // 300 s
	Mail     time.Duration // 300 s
	Rcpt     time.Duration // 300 s
	DataInit time.Duration // 120 s
	DataXfer time.Duration // 180 s
	DataDone time.Duration // 600 s
	Rset     time.Duration // 20 s
	Quit     time.Duration // 300 s
	XForward time.Duration // 300 s
}

// Resolver is what the client asks of DNS: *dns.Resolver. Errors that are not
// dns.ErrNotFound or dns.ErrNullMX are temporary.
type Resolver interface {
	MX(ctx context.Context, domain string) ([]dns.MX, error)
	Addrs(ctx context.Context, host string, family dns.Family) ([]netip.Addr, error)
	Native(ctx context.Context, host string, family dns.Family) ([]netip.Addr, error)
}

// settings are Options with the defaults filled in.
type settings struct {
	Options
	family    dns.Family
	dnsLookup bool
	native    bool
	selfNames []string
	sessions  tls.ClientSessionCache // to resume
	services  map[string]*settings
}

func newSettings(o Options) *settings {
	s := &settings{Options: o}
	s.HeloName = cmp.Or(s.HeloName, s.MyHostname, "localhost")
	s.selfNames = append([]string{s.MyHostname}, s.MyNames...)
	if s.Resolver == nil {
		s.Resolver = dns.New(dns.Options{})
	}
	if s.OwnAddrs == nil {
		s.OwnAddrs = func(netip.Addr) bool { return false }
	}
	s.MXAddressLimit = cmp.Or(s.MXAddressLimit, 5)
	s.MXSessionLimit = cmp.Or(s.MXSessionLimit, 2)
	s.DefaultPort = cmp.Or(s.DefaultPort, 25)
	s.LMTPPort = cmp.Or(s.LMTPPort, 24)
	s.MinDataRate = cmp.Or(s.MinDataRate, 500)
	s.ReuseTime = cmp.Or(s.ReuseTime, 300*time.Second)
	s.CacheTime = cmp.Or(s.CacheTime, 2*time.Second)
	s.TLSLevel = cmp.Or(s.TLSLevel, mail.TLSNone)
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Dial == nil {
		s.Dial = s.dial
	}
	s.Timeouts.fill()
	s.hostLookup()
	s.sessions = tls.NewLRUClientSessionCache(tlsSessions)
	for name, own := range o.Services {
		own.Services, own.Transports = nil, o.Transports
		if s.services == nil {
			s.services = make(map[string]*settings, len(o.Services))
		}
		s.services[name] = newSettings(own)
	}
	return s
}

// tlsSessions is how many TLS sessions are remembered, to be resumed: by the same settings
// alone, as a session may have been made with a certificate of theirs.
const tlsSessions = 512

// keepsFor tells whether connections for a next hop wait in any case.
func (s *settings) keepsFor(domain string) bool { return s.CacheFor != nil && s.CacheFor(domain) }

// agent is the daemon's name in the log.
func (s *settings) agent(p protocol) string { return cmp.Or(s.LogName, p.String()) }

func (t *Timeouts) fill() {
	for d, seconds := range map[*time.Duration]int{
		&t.Connect: 30, &t.StartTLS: 300, &t.Helo: 300, &t.Mail: 300, &t.Rcpt: 300,
		&t.DataInit: 120, &t.DataXfer: 180, &t.DataDone: 600, &t.Rset: 20, &t.Quit: 300, &t.XForward: 300,
	} {
		*d = cmp.Or(*d, time.Duration(seconds)*time.Second)
	}
}

func (s *settings) hostLookup() {
	has := func(list []string, word string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, word) })
	}
	v4 := has(s.InetProtocols, "ipv4")
	v6 := has(s.InetProtocols, "ipv6")
	switch {
	case v4 && !v6:
		s.family = dns.IPv4
	case v6 && !v4:
		s.family = dns.IPv6
	}
	s.native = !s.DNSEnabled || has(s.HostLookup, "native")
	s.dnsLookup = s.DNSEnabled && (len(s.HostLookup) == 0 || has(s.HostLookup, "dns"))
}
