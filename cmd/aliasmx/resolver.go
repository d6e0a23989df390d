package main

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// newResolver builds the address resolver of a configuration, and what closes its
// tables. now is the time that addresses with a time stamp are judged by; nil: now.
func newResolver(cfg *postconf.Config, warn func(string), now func() time.Time) (*alias.Resolver, func(), error) {
	t := &tables{cfg: cfg, opts: table.Options{Env: os.LookupEnv, Warn: warn, Types: tableTypes()}, now: now, lenient: true}
	r, err := buildResolver(t, nil)
	if err != nil {
		t.close()
		return nil, nil, err
	}
	return r, t.close, nil
}

// buildResolver opens what address resolution needs through t.
func buildResolver(t *tables, log *slog.Logger) (*alias.Resolver, error) {
	cfg := t.cfg
	o := alias.Options{
		MyHostname: cfg.Get("myhostname"),
		MyOrigin:   cfg.Get("myorigin"),
		MyDomain:   cfg.Get("mydomain"),

		MyDestination:         t.domains("mydestination"),
		VirtualAliasDomains:   t.domains("virtual_alias_domains"),
		VirtualMailboxDomains: t.domains("virtual_mailbox_domains"),
		RelayDomains:          t.domains("relay_domains"),
		OwnAddresses:          ownAddresses(cfg),

		VirtualAliasMaps:   t.maps("virtual_alias_maps"),
		LocalRecipientMaps: t.localRecipients(),
		VirtualMailboxMaps: t.maps("virtual_mailbox_maps"),
		RelayRecipientMaps: t.maps("relay_recipient_maps"),

		CanonicalMaps:             t.maps("canonical_maps"),
		SenderCanonicalMaps:       t.maps("sender_canonical_maps"),
		RecipientCanonicalMaps:    t.maps("recipient_canonical_maps"),
		CanonicalClasses:          cfg.List("canonical_classes"),
		SenderCanonicalClasses:    cfg.List("sender_canonical_classes"),
		RecipientCanonicalClasses: cfg.List("recipient_canonical_classes"),

		MasqueradeDomains:    cfg.List("masquerade_domains"),
		MasqueradeClasses:    cfg.List("masquerade_classes"),
		MasqueradeExceptions: t.domains("masquerade_exceptions"),

		AlwaysBcc:        cfg.Get("always_bcc"),
		SenderBccMaps:    t.maps("sender_bcc_maps"),
		RecipientBccMaps: t.maps("recipient_bcc_maps"),

		GenericMaps:     t.maps("smtp_generic_maps"),
		LMTPGenericMaps: t.maps("lmtp_generic_maps"),

		AttributeMaps: t.maps("alias_attribute_maps"),

		RecursionLimit:     cfg.Int("virtual_alias_recursion_limit"),
		ExpansionLimit:     cfg.Int("virtual_alias_expansion_limit"),
		AddressLengthLimit: cfg.Int("virtual_alias_address_length_limit"),

		AppendAtMyOrigin:  cfg.Bool("append_at_myorigin"),
		AppendDotMyDomain: cfg.Bool("append_dot_mydomain"),
		AllowPercentHack:  cfg.Bool("allow_percent_hack"),
		SwapBangpath:      cfg.Bool("swap_bangpath"),
		AllowMinUser:      cfg.Bool("allow_min_user"),

		AllowUntrustedRouting: cfg.Bool("allow_untrusted_routing"),
		SplitOwnerRequest:     !cfg.Bool("owner_request_special"),
		HideTableName:         !cfg.Bool("show_user_unknown_table_name"),

		RecipientDelimiter:           cfg.Get("recipient_delimiter"),
		PropagateUnmatchedExtensions: cfg.List("propagate_unmatched_extensions"),
		DoubleBounceSender:           cfg.Get("double_bounce_sender"),

		UnknownVirtualAliasCode:   cfg.Int("unknown_virtual_alias_reject_code"),
		UnknownLocalCode:          cfg.Int("unknown_local_recipient_reject_code"),
		UnknownRelayCode:          cfg.Int("unknown_relay_recipient_reject_code"),
		UnknownVirtualMailboxCode: cfg.Int("unknown_virtual_mailbox_reject_code"),

		RelayHost:        cfg.Get("relayhost"),
		DefaultTransport: cfg.Get("default_transport"),
		RelayTransport:   cfg.Get("relay_transport"),
		LocalTransport:   cfg.Get("local_transport"),
		LocalDelivery:    localDelivery(cfg),
		VirtualTransport: cfg.Get("virtual_transport"),

		TransportMaps:          t.maps("transport_maps"),
		TransportSubdomains:    t.listOptions("transport_maps").Subdomains == table.ParentSubdomains,
		SenderRelayHostMaps:    t.maps("sender_dependent_relayhost_maps"),
		NullSenderRelayHostKey: cfg.Get("empty_address_relayhost_maps_lookup_key"),
		SenderTransportMaps:    t.maps("sender_dependent_default_transport_maps"),
		NullSenderTransportKey: cfg.Get("empty_address_default_transport_maps_lookup_key"),
		RelocatedMaps:          t.maps("relocated_maps"),
		NoRelocatedPrefix:      !cfg.Bool("relocated_prefix_enable"),

		EmptyAddressRecipient:   cfg.Get("empty_address_recipient"),
		DuplicateFilterLimit:    cfg.Int("duplicate_filter_limit"),
		EnableOriginalRecipient: cfg.Bool("enable_original_recipient"),
		EquateLabels:            true,
		Log:                     log,
	}
	if t.err != nil {
		return nil, t.err
	}
	if err := t.returns(); err != nil {
		return nil, err
	}
	o.Returns = t.returned
	return alias.New(o)
}

// ownAddresses are the addresses in inet_interfaces and proxy_interfaces that are
// written as such; the machine's own when it listens everywhere.
func ownAddresses(cfg *postconf.Config) []netip.Addr {
	var own []netip.Addr
	for _, word := range append(cfg.List("inet_interfaces"), cfg.List("proxy_interfaces")...) {
		if a, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil {
			own = append(own, a)
			continue
		}
		switch word {
		case "all":
			own = append(own, machineAddresses(false)...)
		case "loopback-only", "localhost":
			own = append(own, machineAddresses(true)...)
		}
	}
	return own
}
