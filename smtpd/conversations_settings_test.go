package smtpd

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aliasmx/alias"
	"aliasmx/integration/talks"
	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
	"aliasmx/internal/table"
	"aliasmx/internal/wire"
)

// A server as the settings of a conversation want it. The addresses are decided by the
// alias room itself.

// conversationSettings is what all conversations begin with (docs/conversations.md).
var conversationSettings = []talks.Setting{
	{Name: "virtual_alias_domains", Value: "virt.example, all.example"},
	{Name: "mynetworks", Value: "127.0.0.1/32"},
	{Name: "smtpd_relay_restrictions", Value: "permit_mynetworks, reject_unauth_destination"},
	{Name: "smtpd_forbid_bare_newline", Value: "normalize"},
	{Name: "smtpd_forbid_unauth_pipelining", Value: "yes"},
}

// sharedAliases are the entries of all conversations: there is one table, as there is for
// the servers that serve all of them at once.
func sharedAliases(t *testing.T, all []*talks.Conversation) entries {
	list := entries{"a@virt.example": "b@dest.example", "c@virt.example": "d@dest.example", "@all.example": "@dest.example"}
	for _, c := range all {
		for _, line := range c.Virtual {
			key, value, _ := strings.Cut(line, " ")
			if old, ok := list[key]; ok && old != value {
				t.Fatalf("%s: %s has another target elsewhere", c.Name(), key)
			}
			list[key] = value
		}
	}
	return list
}

// entries is a table.
type entries map[string]string

func (e entries) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := e[strings.ToLower(key)]
	return value, found, nil
}

func (e entries) Name() string { return "texthash:/etc/aliasmx/virtual" }
func (e entries) Close() error { return nil }

// conversationWorld is a server that is not started yet.
func conversationWorld(t *testing.T, all []*talks.Conversation, c *talks.Conversation) *world {
	w := usual(t)
	o := &w.o
	o.HardErrorLimit = 100
	o.ReplaceStrayCR = true
	s := &configuring{t: t, w: w, lists: make(map[string]string), aliases: alias.Options{
		MyHostname: "mx.example.com", MyDomain: "example.com", VirtualAliasMaps: table.Maps{sharedAliases(t, all)},
		OwnAddresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, LocalTransport: "error:local mail delivery is disabled",
		AppendAtMyOrigin: true, AllowPercentHack: true, SwapBangpath: true, EnableOriginalRecipient: true, EquateLabels: true,
		PropagateUnmatchedExtensions: []string{"canonical", "virtual"},
	}}
	s.aliases.Log = o.Log.With(slog.String(mail.KeyDaemon, "cleanup"))
	for _, set := range slices.Concat(conversationSettings, c.Settings) {
		if !s.set(set.Name, set.Value) && !setAuthOption(o, set.Name, set.Value) {
			t.Fatalf("%s: conversationWorld does not know %s", c.Name(), set.Name)
		}
	}
	s.finish(c)
	return w
}

// configuring is a configuration that is being read.
type configuring struct {
	t       *testing.T
	w       *world
	aliases alias.Options
	lists   map[string]string // restriction lists
	tls     bool

	checks   checks.Options
	proxied  bool // by upstream
	upstream Upstream
}

func (s *configuring) set(name, value string) bool {
	value = strings.ReplaceAll(value, "$$", "$") // postconf(5)
	o, yes := &s.w.o, value == "yes"
	n, _ := strconv.Atoi(value)
	duration := func() time.Duration {
		d, err := time.ParseDuration(value)
		if value != "0" && err != nil {
			s.t.Fatalf("%s = %s: %v", name, value, err)
		}
		return d
	}
	clients := func() Networks {
		l, err := table.ParseAddrList(strings.Fields(strings.ReplaceAll(value, ",", " ")), table.Options{})
		if err != nil {
			s.t.Fatal(err)
		}
		return l
	}
	domains := func() *table.DomainList {
		l, err := table.ParseDomainList(strings.Fields(strings.ReplaceAll(value, ",", " ")), table.Options{})
		if err != nil {
			s.t.Fatalf("%s = %s: %v", name, value, err)
		}
		return l
	}
	tables := func() []Table {
		t, err := table.Open(value, table.Options{NoUTF8: strings.HasSuffix(name, "_checks")})
		if err != nil {
			s.t.Fatalf("%s = %s: %v", name, value, err)
		}
		return []Table{t}
	}
	switch name {
	case "virtual_alias_domains":
		s.aliases.VirtualAliasDomains = domains()
	case "mynetworks":
		o.MyNetworks = clients()
	case "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions":
		s.lists[name] = value
	case "smtpd_helo_required":
		o.HeloRequired = yes
	case "smtpd_delay_reject":
		o.DelayReject = yes
	case "strict_rfc821_envelopes":
		o.StrictEnvelopes = yes
	case "allow_min_user":
		o.AllowMinUser, s.aliases.AllowMinUser = yes, yes
	case "soft_bounce":
		o.SoftBounce = yes
	case "strict_smtputf8":
		o.StrictSMTPUTF8 = yes
	case "smtputf8_enable":
		o.SMTPUTF8Enable = yes
	case "disable_vrfy_command":
		o.DisableVRFY = yes
	case "smtpd_forbid_unauth_pipelining":
		o.ForbidUnauthPipelining = yes
	case "smtpd_forbid_bare_newline":
		o.ForbidBareNewline = map[string]wire.BareLF{"normalize": wire.BareLFNormalize, "reject": wire.BareLFReject, "no": wire.BareLFAllow}[value]
	case "smtpd_forbidden_commands":
		o.ForbiddenCommands = strings.Fields(value)
	case "smtpd_banner":
		o.Banner = strings.NewReplacer("$myhostname", o.MyHostname, "$mail_name", "Postfix").Replace(value)
	case "smtpd_reject_footer":
		o.RejectFooter = value
	case "cleanup_replace_stray_cr_lf":
		o.ReplaceStrayCR = yes
	case "smtpd_sender_login_maps":
		o.SenderLoginMaps = tables()
	case "header_checks":
		s.checks.Header = []checks.Table{tables()[0]}
		s.checks.MIME, s.checks.Nested = s.checks.Header, s.checks.Header
	case "body_checks":
		s.checks.Body = []checks.Table{tables()[0]}
	case "content_filter":
		o.ContentFilter = value
	case "message_size_limit":
		o.MessageSizeLimit = int64(n)
	case "header_size_limit":
		o.HeaderSizeLimit = n
	case "hopcount_limit":
		o.HopcountLimit = n
	case "line_length_limit":
		o.LineLengthLimit = n
	case "smtpd_recipient_limit":
		o.RecipientLimit = n
	case "smtpd_recipient_overshoot_limit":
		o.OvershootLimit = n
	case "smtpd_soft_error_limit":
		o.SoftErrorLimit = n
	case "smtpd_hard_error_limit":
		o.HardErrorLimit = n
	case "smtpd_error_sleep_time":
		o.ErrorSleep = duration()
	case "smtpd_discard_ehlo_keywords":
		o.DiscardEhloKeywords = strings.Fields(value)
	case "smtpd_junk_command_limit":
		o.JunkCommandLimit = n
	case "smtpd_timeout":
		o.Timeout = duration()
	case "smtpd_min_data_rate":
		o.MinDataRate = n
	case "smtpd_per_request_deadline":
		o.PerRequestDeadline = yes
	case "anvil_status_update_time":
		o.StatusUpdateTime = duration()
	case "smtpd_client_port_logging":
		o.ClientPortLogging = yes
	case "smtpd_hide_client_session":
		o.HideClientSession = yes
	case "smtpd_forbid_bare_newline_reject_code":
		o.BareNewlineRejectCode = n
	case "smtpd_forbid_bare_newline_exclusions":
		o.BareNewlineExclusions = clients()
	case "smtpd_noop_commands":
		o.NoopCommands = domains()
	case "smtpd_command_filter":
		o.CommandFilter = tables()[0]
	case "smtpd_reject_filter_maps":
		o.RejectFilterMaps = tables()
	case "smtpd_discard_ehlo_keyword_address_maps":
		o.DiscardEhloKeywordMaps = tables()
	case "smtpd_upstream_proxy_protocol":
		s.proxied = value == "haproxy"
	case "smtpd_upstream_proxy_hosts":
		s.upstream.Hosts = clients()
	case "smtpd_upstream_proxy_timeout":
		s.upstream.Timeout = duration()
	case "smtpd_data_memory_limit":
		o.DataMemoryLimit = int64(n)
	case "smtpd_client_connection_count_limit":
		o.ClientConnectionLimit = n
	case "smtpd_client_connection_rate_limit":
		o.ClientConnectionRate = n
	case "smtpd_client_message_rate_limit":
		o.ClientMessageRate = n
	case "smtpd_client_recipient_rate_limit":
		o.ClientRecipientRate = n
	case "smtpd_client_event_limit_exceptions":
		o.ClientLimitExceptions = clients()
	case "smtpd_authorized_xclient_hosts":
		o.AuthorizedXclient = clients()
	case "smtpd_authorized_xforward_hosts":
		o.AuthorizedXforward = clients()
	case "reject_code":
		o.RejectCode = n
	case "defer_code":
		o.DeferCode = n
	case "relay_domains_reject_code":
		o.RelayRejectCode = n
	case "access_map_reject_code":
		o.AccessRejectCode = n
	case "smtpd_tls_security_level":
		s.tls = value != "none"
		if s.tls {
			o.TLS = &TLS{Config: testCertificate(s.t), Required: value == "encrypt", Timeout: 300 * time.Second}
		}
	case "smtpd_tls_wrappermode":
		o.TLS.Wrapper = yes
	case "smtpd_tls_received_header":
		o.TLS.ReceivedHeader = yes
	default:
		return false
	}
	return true
}

// finish makes the rooms when everything is known.
func (s *configuring) finish(c *talks.Conversation) {
	o := &s.w.o
	if s.aliases.VirtualAliasDomains != nil {
		r, err := alias.New(s.aliases)
		if err != nil {
			s.t.Fatal(err)
		}
		o.Recipients = r
	}
	o.Checks = checks.New(s.checks)
	if s.proxied {
		o.Upstream = &s.upstream
	}
	o.Resolver = zoneOf(c.DNS)
	language := &Language{DNS: true, OpenTable: func(spec string) (Table, bool, error) {
		t, err := table.Open(spec, table.Options{})
		return t, false, err
	}}
	o.Language = language
	for name, list := range map[string]*[]Restriction{
		"smtpd_client_restrictions": &o.Client, "smtpd_helo_restrictions": &o.Helo, "smtpd_sender_restrictions": &o.Sender,
		"smtpd_relay_restrictions": &o.Relay, "smtpd_recipient_restrictions": &o.Recipient, "smtpd_data_restrictions": &o.Data,
		"smtpd_end_of_data_restrictions": &o.EndOfData, "smtpd_etrn_restrictions": &o.Etrn,
	} {
		*list = nil
		if s.lists[name] == "" {
			continue
		}
		parsed, err := language.Parse(splitList(s.lists[name]))
		if err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		*list = parsed
	}
}

// zoneOf is the DNS of a conversation. SERVFAIL stands for a name that nobody can look up.
func zoneOf(lines []string) zone {
	z := make(zone)
	for _, line := range lines {
		words := strings.Fields(line)
		name, kind := strings.TrimSuffix(words[0], "."), words[1]
		if kind == "SERVFAIL" {
			z[name] = "?"
			continue
		}
		host := words[len(words)-1]
		if host != "." {
			host = strings.TrimSuffix(host, ".")
		}
		z[name+" "+kind] = strings.TrimLeft(z[name+" "+kind]+" "+host, " ")
	}
	return z
}
