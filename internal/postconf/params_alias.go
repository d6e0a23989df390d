package postconf

// paramsAlias decide about addresses: where an alias leads, and which domains and
// recipients there are.
var paramsAlias = []entry{
	{"virtual_alias_domains", list(), "$virtual_alias_maps", "domains whose every address is an alias"},
	{"virtual_alias_maps", list(), "$virtual_maps", "tables of aliases, virtual(5)"},
	{"virtual_alias_recursion_limit", number(1, 0), "1000", "how deep aliases may lead to aliases"},
	{"virtual_alias_expansion_limit", number(1, 0), "1000", "how many recipients one may expand to"},
	{"virtual_alias_address_length_limit", number(1, 0), "1000", "how long an expanded address may be, in bytes"},
	{"relay_domains", list(), "${{$compatibility_level} <level {2} ? {$mydestination} : {}}", "domains that we relay for, beside those of aliases"},
	{"relay_recipient_maps", list(), "", "tables of the recipients in relay_domains; empty: all exist"},
	{"virtual_mailbox_domains", list(), "$virtual_mailbox_maps", "domains with mailboxes, for virtual_transport"},
	{"virtual_mailbox_maps", list(), "", "tables of the recipients in virtual_mailbox_domains; empty: all exist"},
	{"local_recipient_maps", list(), "proxy:unix:passwd.byname $alias_maps", "tables of the recipients in mydestination; empty: all exist"},
	{"parent_domain_matches_subdomains", list(),
		"debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
		"lists in which example.com stands for its subdomains too"},

	{"recipient_delimiter", text(), "", "characters that begin an address extension, as in user+extension"},
	{"propagate_unmatched_extensions", set("canonical", "virtual", "alias", "forward", "include", "generic"), "canonical, virtual",
		"lookups that copy an extension to their result"},
	{"append_at_myorigin", yesno(), "yes", "complete user to user@$myorigin"},
	{"append_dot_mydomain", yesno(), "${{$compatibility_level} <level {1} ? {yes} : {no}}", "complete user@host to user@host.$mydomain"},
	{"allow_percent_hack", yesno(), "yes", "read user%domain as user@domain"},
	{"swap_bangpath", yesno(), "yes", "read site!user as user@site"},
	{"allow_min_user", yesno(), "no", "take addresses that begin with a hyphen"},
	{"allow_untrusted_routing", yesno(), "no", "take user%elsewhere@domain from clients that may not relay"},
	{"owner_request_special", yesno(), "yes", "never split owner-list and list-request at a delimiter"},
	{"empty_address_recipient", text(), "MAILER-DAEMON", "recipient of mail to the null address"},
	{"enable_original_recipient", yesno(), "yes", "keep the original recipient of each final one"},
	{"duplicate_filter_limit", number(0, 0), "1000", "recipients remembered to drop duplicates; 0: all"},
	{"remote_table_cache_time", seconds(0, 3600), "0s", "how long results of sql, ldap, socketmap and tcp tables are kept; 0: not at all"},
	{"show_user_unknown_table_name", yesno(), "yes", "say in a refusal which table does not know the recipient"},

	{"unknown_virtual_alias_reject_code", code(), "550", "reply to an unknown address of virtual_alias_domains"},
	{"unknown_local_recipient_reject_code", code(), "550", "reply to an unknown address of mydestination"},
	{"unknown_relay_recipient_reject_code", code(), "550", "reply to an unknown address of relay_domains"},
	{"unknown_virtual_mailbox_reject_code", code(), "550", "reply to an unknown address of virtual_mailbox_domains"},
}

// paramsRewrite replace addresses by others, and send copies.
var paramsRewrite = []entry{
	{"canonical_maps", list(), "", "tables that replace addresses, canonical(5)"},
	{"sender_canonical_maps", list(), "", "as canonical_maps, for senders, and before it"},
	{"recipient_canonical_maps", list(), "", "as canonical_maps, for recipients, and before it"},
	{"canonical_classes", places(), "envelope_sender, envelope_recipient, header_sender, header_recipient", "where canonical_maps apply"},
	{"sender_canonical_classes", places(), "envelope_sender, header_sender", "where sender_canonical_maps apply"},
	{"recipient_canonical_classes", places(), "envelope_recipient, header_recipient", "where recipient_canonical_maps apply"},
	{"masquerade_domains", list(), "", "domains that hosts below them are called by; !domain: leave alone"},
	{"masquerade_classes", places(), "envelope_sender, header_sender, header_recipient", "where masquerade_domains apply"},
	{"masquerade_exceptions", list(), "", "local parts that masquerade_domains leave alone"},
	{"always_bcc", text(), "", "recipient of a copy of every message"},
	{"sender_bcc_maps", list(), "", "tables of recipients of copies, by sender"},
	{"recipient_bcc_maps", list(), "", "tables of recipients of copies, by recipient"},
}

// places are where an address stands that is replaced.
func places() Type {
	return set("envelope_sender", "envelope_recipient", "header_sender", "header_recipient")
}

// paramsRoute say what carries mail on, by the class of the recipient's domain.
var paramsRoute = []entry{
	{"relayhost", text(), "", "next hop of all other mail: domain, [host] or [host]:port; empty: by MX"},
	{"transport_maps", list(), "", "tables of transport and next hop by address and domain, transport(5)"},
	{"sender_dependent_relayhost_maps", list(), "", "tables of relay hosts by sender"},
	{"sender_dependent_default_transport_maps", list(), "", "tables of default transports by sender"},
	{"empty_address_relayhost_maps_lookup_key", notEmpty(), "<>", "key of sender_dependent_relayhost_maps for the null sender"},
	{"empty_address_default_transport_maps_lookup_key", notEmpty(), "<>", "key of sender_dependent_default_transport_maps for the null sender"},
	{"best_mx_transport", text(), "", "transport of mail for domains whose best MX is this machine and that it does not know; empty: returned"},
	{"relocated_maps", list(), "", "tables of recipients who have moved away, relocated(5)"},
	{"relocated_prefix_enable", yesno(), "yes", "say \"5.1.6 User has moved to\" before what relocated_maps have"},
	{"default_transport", notEmpty(), "smtp", "transport for domains that are not ours"},
	{"relay_transport", notEmpty(), "relay", "transport for relay_domains"},
	{"local_transport", notEmpty(), "local:$myhostname", "transport for mydestination; error:TEXT refuses"},
	{"virtual_transport", notEmpty(), "virtual", "transport for virtual_mailbox_domains"},
}
