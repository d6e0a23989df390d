package main

import (
	"context"
	"fmt"
	"net/netip"

	"aliasmx/internal/dns"
	"aliasmx/internal/inspect"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// restrictions gives a server of one listener its access rules: the lists, what the
// words in them open, and how refusals look.
func (v *view) restrictions(o *smtpd.Options, t *tables, names *dns.Resolver) error {
	cfg := t.cfg
	o.Resolver = inspect.Names{Resolver: names}
	o.StripExtension = v.resolver.StripExtension
	accessCodes(o, cfg)
	if l := t.believed("smtpd_authorized_xclient_hosts", "XCLIENT"); l != nil {
		o.AuthorizedXclient = l
	}
	if l := t.addrs("smtpd_authorized_xforward_hosts"); l != nil {
		o.AuthorizedXforward = l
	}
	if l := t.domains("smtpd_log_access_permit_actions"); l != nil {
		o.LogPermit = l
	}
	for _, m := range t.maps("rbl_reply_maps") {
		o.RBLReplyMaps = append(o.RBLReplyMaps, m)
	}
	for _, m := range t.maps("relay_clientcerts") {
		o.RelayClientCerts = append(o.RelayClientCerts, m)
	}
	for _, m := range t.maps("smtpd_reject_footer_maps") {
		o.RejectFooterMaps = append(o.RejectFooterMaps, m)
	}
	if t.err != nil {
		return t.err
	}
	var err error
	if o.Language, err = v.language(t, names); err != nil {
		return err
	}
	for parameter, list := range map[string]*[]smtpd.Restriction{
		"smtpd_client_restrictions":      &o.Client,
		"smtpd_helo_restrictions":        &o.Helo,
		"smtpd_sender_restrictions":      &o.Sender,
		"smtpd_relay_restrictions":       &o.Relay,
		"smtpd_recipient_restrictions":   &o.Recipient,
		"smtpd_data_restrictions":        &o.Data,
		"smtpd_end_of_data_restrictions": &o.EndOfData,
		"smtpd_etrn_restrictions":        &o.Etrn,
		"local_header_rewrite_clients":   &o.LocalClients,
	} {
		if *list, err = o.Language.Parse(cfg.List(parameter)); err != nil {
			return fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
		}
	}
	return nil
}

// language is what the words in the lists of a listener mean. What they open is closed
// with the other tables.
func (v *view) language(t *tables, names *dns.Resolver) (*smtpd.Language, error) {
	cfg := t.cfg
	policy := inspect.PolicyOptions{
		Timeout:        cfg.Duration("smtpd_policy_service_timeout"),
		MaxIdle:        cfg.Duration("smtpd_policy_service_max_idle"),
		MaxTTL:         cfg.Duration("smtpd_policy_service_max_ttl"),
		RequestLimit:   cfg.Int("smtpd_policy_service_request_limit"),
		TryLimit:       cfg.Int("smtpd_policy_service_try_limit"),
		RetryDelay:     cfg.Duration("smtpd_policy_service_retry_delay"),
		DefaultAction:  cfg.Get("smtpd_policy_service_default_action"),
		Context:        cfg.Get("smtpd_policy_service_policy_context"),
		QueueDirectory: cfg.Get("queue_directory"),
		Common:         [][2]string{{"compatibility_level", cfg.Get("compatibility_level")}, {"mail_version", cfg.Get("mail_version")}},
	}
	l := &smtpd.Language{
		DNS: true, Verify: true, Greylist: true, Classes: make(map[string][]string),
		OpenTable: func(spec string) (smtpd.Table, bool, error) {
			m, err := table.Open(spec, t.opts)
			if err != nil {
				return nil, false, err
			}
			t.opened = append(t.opened, m)
			return m, table.WholeKeys(m.Name()), nil
		},
		OpenList: func(spec string) (smtpd.DNSList, error) { return inspect.NewList(names, spec) },
		OpenPolicy: func(spec string) (smtpd.Policy, error) {
			p, err := inspect.NewPolicy(spec, policy)
			if err != nil {
				return nil, err
			}
			t.opened = append(t.opened, p)
			return p, nil
		},
	}
	for _, class := range cfg.List("smtpd_restriction_classes") {
		if l.Classes[class] = cfg.List(class); len(l.Classes[class]) == 0 {
			return nil, fmt.Errorf("smtpd_restriction_classes (%s): restriction class %s needs a definition: a parameter of that name",
				cfg.Where("smtpd_restriction_classes"), class)
		}
	}
	if err := l.CheckClasses(); err != nil {
		return nil, fmt.Errorf("smtpd_restriction_classes (%s): %w", cfg.Where("smtpd_restriction_classes"), err)
	}
	return l, nil
}

// accessCodes are the replies of restrictions.
func accessCodes(o *smtpd.Options, cfg *postconf.Config) {
	o.RelayRejectCode = cfg.Int("relay_domains_reject_code")
	o.RejectCode = cfg.Int("reject_code")
	o.DeferCode = cfg.Int("defer_code")
	o.AccessRejectCode = cfg.Int("access_map_reject_code")
	o.AccessDeferCode = cfg.Int("access_map_defer_code")
	o.RBLRejectCode = cfg.Int("maps_rbl_reject_code")
	o.NonFQDNRejectCode = cfg.Int("non_fqdn_reject_code")
	o.InvalidHostnameRejectCode = cfg.Int("invalid_hostname_reject_code")
	o.UnknownAddressRejectCode = cfg.Int("unknown_address_reject_code")
	o.UnknownClientRejectCode = cfg.Int("unknown_client_reject_code")
	o.UnknownHostnameRejectCode = cfg.Int("unknown_hostname_reject_code")
	o.PlaintextRejectCode = cfg.Int("plaintext_reject_code")
	o.MultiRecipientBounceRejectCode = cfg.Int("multi_recipient_bounce_reject_code")
	o.UnknownAddressLater = later(cfg.Get("unknown_address_tempfail_action"))
	o.UnknownHeloLater = later(cfg.Get("unknown_helo_hostname_tempfail_action"))
	o.UnverifiedRecipient = smtpd.Unverified{
		RejectCode: cfg.Int("unverified_recipient_reject_code"),
		DeferCode:  cfg.Int("unverified_recipient_defer_code"),
		Reason:     cfg.Get("unverified_recipient_reject_reason"),
		Tempfail:   later(cfg.Get("unverified_recipient_tempfail_action")),
	}
	o.UnverifiedSender = smtpd.Unverified{
		RejectCode: cfg.Int("unverified_sender_reject_code"),
		DeferCode:  cfg.Int("unverified_sender_defer_code"),
		Reason:     cfg.Get("unverified_sender_reject_reason"),
		Tempfail:   later(cfg.Get("unverified_sender_tempfail_action")),
	}
	o.SoftBounce = cfg.Bool("soft_bounce")
	o.DefaultRBLReply = cfg.Get("default_rbl_reply")
	o.RejectFooter = cfg.Get("smtpd_reject_footer")
	o.NullAccessLookupKey = cfg.Get("smtpd_null_access_lookup_key")
	o.AllowUntrustedRouting = cfg.Bool("allow_untrusted_routing")
	o.Stress = cfg.Get("stress")
	o.RecipientBeforeRelay = !cfg.Bool("smtpd_relay_before_recipient_restrictions")
	for _, name := range cfg.List("parent_domain_matches_subdomains") {
		o.AccessMatchesSubdomains = o.AccessMatchesSubdomains || name == "smtpd_access_maps"
	}
}

func later(action string) smtpd.Later {
	if action == "defer" {
		return smtpd.DeferNow
	}
	return smtpd.DeferIfPermit
}

// clientNames finds the names of clients for smtpd.
func clientNames(names *dns.Resolver) func(context.Context, netip.Addr) smtpd.ClientNames {
	known := map[dns.NameStatus]smtpd.NameStatus{
		dns.NameMissing: smtpd.NameMissing, dns.NameTemporary: smtpd.NameTemporary,
		dns.NameForged: smtpd.NameForged, dns.NameVerified: smtpd.NameVerified,
	}
	return func(ctx context.Context, addr netip.Addr) smtpd.ClientNames {
		n := names.ClientNames(ctx, addr)
		return smtpd.ClientNames{Name: n.Name, Status: known[n.Status], Reverse: n.Reverse, ReverseStatus: known[n.ReverseStatus]}
	}
}
