package alias

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Options are what a Resolver works with. Each field names its parameter of
// postconf(5). A nil list matches nothing, nil maps hold nothing, a limit or a code
// of zero means Postfix's default.
type Options struct {
	MyHostname string // myhostname
	MyOrigin   string // myorigin; empty: MyHostname
	MyDomain   string // mydomain

	MyDestination         *table.DomainList // mydestination
	VirtualAliasDomains   *table.DomainList // virtual_alias_domains
	VirtualMailboxDomains *table.DomainList // virtual_mailbox_domains
	RelayDomains          *table.DomainList // relay_domains
	// OwnAddresses are those of inet_interfaces and proxy_interfaces: user@[address] is
	// local.
	OwnAddresses []netip.Addr

	VirtualAliasMaps   table.Maps // virtual_alias_maps
	LocalRecipientMaps table.Maps // local_recipient_maps; nil: every local user exists
	VirtualMailboxMaps table.Maps // virtual_mailbox_maps; nil: every mailbox exists
	RelayRecipientMaps table.Maps // relay_recipient_maps; nil: every recipient exists

	// What canonical(5) says of an address, and where: envelope_sender,
	// envelope_recipient, header_sender, header_recipient. The tables for one of the two
	// sides go before those for both.
	CanonicalMaps             table.Maps // canonical_maps
	SenderCanonicalMaps       table.Maps // sender_canonical_maps
	RecipientCanonicalMaps    table.Maps // recipient_canonical_maps
	CanonicalClasses          []string   // canonical_classes
	SenderCanonicalClasses    []string   // sender_canonical_classes
	RecipientCanonicalClasses []string   // recipient_canonical_classes

	MasqueradeDomains    []string          // masquerade_domains
	MasqueradeClasses    []string          // masquerade_classes
	MasqueradeExceptions *table.DomainList // masquerade_exceptions: local parts

	AlwaysBcc        string     // always_bcc
	SenderBccMaps    table.Maps // sender_bcc_maps
	RecipientBccMaps table.Maps // recipient_bcc_maps

	GenericMaps     table.Maps // smtp_generic_maps
	LMTPGenericMaps table.Maps // lmtp_generic_maps

	AttributeMaps table.Maps // alias_attribute_maps (ours)
	Replies       Replies    // reverse_alias_secrets_file (ours); nil: there are no reverse aliases

	RecursionLimit     int // virtual_alias_recursion_limit (1000)
	ExpansionLimit     int // virtual_alias_expansion_limit (1000)
	AddressLengthLimit int // virtual_alias_address_length_limit (1000)

	AppendAtMyOrigin  bool // append_at_myorigin
	AppendDotMyDomain bool // append_dot_mydomain
	AllowPercentHack  bool // allow_percent_hack
	SwapBangpath      bool // swap_bangpath
	// AllowMinUser takes addresses that begin with "-" (allow_min_user): without it they
	// are bad syntax, since a command may read them as an option.
	AllowMinUser bool
	// AllowUntrustedRouting takes user%elsewhere@domain for mail to domain
	// (allow_untrusted_routing). Without it nobody but a client that may relay can use
	// such an address: the next host might follow the route.
	AllowUntrustedRouting bool

	RecipientDelimiter           string   // recipient_delimiter
	PropagateUnmatchedExtensions []string // propagate_unmatched_extensions
	// SplitOwnerRequest is owner_request_special = no: with "-" among the delimiters,
	// owner-list and list-request are split like any other address.
	SplitOwnerRequest bool
	// DoubleBounceSender is double_bounce_sender, a local part that is never split and
	// always valid (double-bounce).
	DoubleBounceSender string

	UnknownVirtualAliasCode   int // unknown_virtual_alias_reject_code (550)
	UnknownLocalCode          int // unknown_local_recipient_reject_code (550)
	UnknownRelayCode          int // unknown_relay_recipient_reject_code (550)
	UnknownVirtualMailboxCode int // unknown_virtual_mailbox_reject_code (550)
	// HideTableName is show_user_unknown_table_name = no.
	HideTableName bool

	RelayHost        string // relayhost: a domain, [host], or [host]:port
	DefaultTransport string // default_transport (smtp)
	RelayTransport   string // relay_transport (relay)
	LocalTransport   string // local_transport (local); "error:text" refuses with that text
	VirtualTransport string // virtual_transport (virtual)
	// LocalDelivery: somebody serves the transport "local" (local(8)). Without it local
	// addresses that are not aliased to elsewhere do not exist.
	LocalDelivery bool

	// TransportMaps say for single addresses and domains what carries their mail
	// (transport_maps). TransportSubdomains: a domain in them stands for its subdomains
	// (parent_domain_matches_subdomains); otherwise .domain does.
	TransportMaps       table.Maps
	TransportSubdomains bool
	// SenderRelayHostMaps and SenderTransportMaps choose by the reverse-path
	// (sender_dependent_relayhost_maps, sender_dependent_default_transport_maps); the keys
	// stand for the null reverse-path (empty_address_..._lookup_key, "<>").
	SenderRelayHostMaps    table.Maps
	NullSenderRelayHostKey string
	SenderTransportMaps    table.Maps
	NullSenderTransportKey string
	// RelocatedMaps hold who has moved away (relocated_maps). NoRelocatedPrefix is
	// relocated_prefix_enable = no: the table says all that the sender is told.
	RelocatedMaps     table.Maps
	NoRelocatedPrefix bool

	EmptyAddressRecipient   string // empty_address_recipient (MAILER-DAEMON)
	DuplicateFilterLimit    int    // duplicate_filter_limit (1000)
	EnableOriginalRecipient bool   // enable_original_recipient

	// EquateLabels takes the U-label and the A-label form of a domain for the same (RFC
	// 5890 section 2.3.2.4). Postfix compares domains as they are written.
	EquateLabels bool

	// Now is the clock for what expires; nil: time.Now.
	Now func() time.Time
	// Returns knows the addresses of srs_domain; nil: there are none.
	Returns Returns

	// Log gets the warnings that cleanup(8) and smtpd(8) write about tables and limits;
	// nil: nobody does.
	Log *slog.Logger
}

// Resolver decides about addresses. It is safe for concurrent use and holds no state
// beyond its Options.
type Resolver struct {
	o                        Options
	aliases                  searched // virtual_alias_maps
	locals, mailboxes, relay searched // recipient maps of the classes
	canonicals               [places][]canonicalMaps
	masquerades              [places]bool
	senderBcc, recipientBcc  searched
	generic, lmtpGeneric     searched
	attributes               searched // alias_attribute_maps
	transports, relocated    searched
	senderRelay, senderDef   searched  // sender_dependent_..._maps
	propagate                bool      // extensions reach the targets
	refuseUnlisted           bool      // smtpd_reject_unlisted_recipient
	mapped                   *Resolver // of WithoutMappings: who knows which recipients there are; nil: nobody asks
	emptyRecipient           mail.Address
	keepReturns              bool // WithoutMappings: the addresses of Returns stay as they are
	log                      *slog.Logger
}

// New makes a Resolver that refuses recipients it knows to be undeliverable. See
// AcceptUnlisted for one that does not.
func New(o Options) (*Resolver, error) {
	if o.MyHostname == "" {
		return nil, errors.New("alias: no host name: set myhostname")
	}
	if o.MyOrigin == "" {
		o.MyOrigin = o.MyHostname
	}
	for _, l := range []struct {
		name  string
		value *int
		def   int
	}{
		{"virtual_alias_recursion_limit", &o.RecursionLimit, 1000},
		{"virtual_alias_expansion_limit", &o.ExpansionLimit, 1000},
		{"virtual_alias_address_length_limit", &o.AddressLengthLimit, 1000},
		{"duplicate_filter_limit", &o.DuplicateFilterLimit, 1000},
		{"unknown_virtual_alias_reject_code", &o.UnknownVirtualAliasCode, 550},
		{"unknown_local_recipient_reject_code", &o.UnknownLocalCode, 550},
		{"unknown_relay_recipient_reject_code", &o.UnknownRelayCode, 550},
		{"unknown_virtual_mailbox_reject_code", &o.UnknownVirtualMailboxCode, 550},
	} {
		if *l.value == 0 {
			*l.value = l.def
		}
		if *l.value < 0 {
			return nil, errors.New("alias: " + l.name + " is negative")
		}
		if l.def == 550 && (*l.value < 400 || *l.value > 599) {
			return nil, errors.New("alias: " + l.name + " is not a reply code from 400 to 599")
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	setDefault(&o.DefaultTransport, "smtp")
	setDefault(&o.RelayTransport, "relay")
	setDefault(&o.LocalTransport, "local")
	setDefault(&o.VirtualTransport, "virtual")
	setDefault(&o.EmptyAddressRecipient, "MAILER-DAEMON")
	setDefault(&o.DoubleBounceSender, "double-bounce")
	setDefault(&o.NullSenderRelayHostKey, "<>")
	setDefault(&o.NullSenderTransportKey, "<>")

	o.OwnAddresses = slices.Clone(o.OwnAddresses)
	for i, a := range o.OwnAddresses {
		o.OwnAddresses[i] = a.Unmap().WithZone("")
	}
	r := &Resolver{
		o:              o,
		aliases:        search(o.VirtualAliasMaps),
		locals:         search(o.LocalRecipientMaps),
		mailboxes:      search(o.VirtualMailboxMaps),
		relay:          search(o.RelayRecipientMaps),
		senderBcc:      search(o.SenderBccMaps),
		recipientBcc:   search(o.RecipientBccMaps),
		generic:        search(o.GenericMaps),
		attributes:     search(o.AttributeMaps),
		lmtpGeneric:    search(o.LMTPGenericMaps),
		transports:     search(o.TransportMaps),
		relocated:      search(o.RelocatedMaps),
		senderRelay:    search(o.SenderRelayHostMaps),
		senderDef:      search(o.SenderTransportMaps),
		propagate:      slices.Contains(o.PropagateUnmatchedExtensions, "virtual"),
		refuseUnlisted: true,
		emptyRecipient: splitInternal(o.EmptyAddressRecipient),
		log:            o.Log,
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.log = r.log.With(mail.KeyDaemon, "cleanup")
	if err := r.placeCanonicals(); err != nil {
		return nil, err
	}
	if strings.Trim(o.EmptyAddressRecipient, "@ ") == "" {
		return nil, errors.New("alias: empty_address_recipient has no local part")
	}
	return r, nil
}

// AcceptUnlisted is the same Resolver for where nobody is there to be refused: local
// submission, reports of our own, smtpd_reject_unlisted_recipient = no. A recipient
// that does not exist is accepted and gets an "error:" destination, which returns it
// to its sender. Limits and failing tables are still refusals, temporary ones.
func (r *Resolver) AcceptUnlisted() *Resolver {
	lax := *r
	lax.refuseUnlisted = false
	return &lax
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
