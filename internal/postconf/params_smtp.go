package postconf

// paramsSMTP govern the delivery of mail to other servers.
var paramsSMTP = []entry{
	{"smtp_helo_name", notEmpty(), "$myhostname", "name to say in HELO and EHLO"},
	{"smtp_bind_address", formOf(formAddress), "", "IPv4 address to connect from; empty: the system's choice"},
	{"smtp_bind_address6", formOf(formAddress), "", "IPv6 address to connect from; empty: the system's choice"},
	{"smtp_tcp_port", formOf(formPort), "smtp", "port to connect to, unless the next hop names one"},
	{"smtp_address_preference", choice("any", "ipv4", "ipv6"), "any", "kind of address to try first, of equal preference"},
	{"smtp_randomize_addresses", yesno(), "yes", "try hosts of equal preference in random order"},
	{"smtp_mx_address_limit", number(0, 0), "5", "addresses to try for one message; 0: all"},
	{"smtp_mx_session_limit", number(0, 0), "2", "sessions to try for one message; 0: no limit"},
	{"smtp_skip_5xx_greeting", yesno(), "yes", "try the next host after a greeting with 5xx"},
	{"smtp_host_lookup", set("dns", "native"), "dns", "where to look for addresses of hosts"},
	{"smtp_dns_support_level", choice("", "disabled", "enabled", "dnssec"), "", "whether to ask the DNS at all; empty: by disable_dns_lookups"},
	{"smtp_dns_resolver_options", set("res_defnames", "res_dnsrch"), "", "append search domains of resolv.conf: the first to names without a dot, all of them"},
	{"smtp_dns_reply_filter", text(), "", "table that leaves records of answers out"},
	{"disable_dns_lookups", yesno(), "no", "older form of smtp_dns_support_level = disabled"},

	{"smtp_connect_timeout", seconds(0, 0), "30s", "how long a connection may take; 0: as long as the system lets it"},
	{"smtp_helo_timeout", seconds(1, 0), "300s", "how long to wait for the greeting and for EHLO"},
	{"smtp_mail_timeout", seconds(1, 0), "300s", "how long to wait for the reply to MAIL"},
	{"smtp_rcpt_timeout", seconds(1, 0), "300s", "how long to wait for the reply to RCPT"},
	{"smtp_data_init_timeout", seconds(1, 0), "120s", "how long to wait for the reply to DATA"},
	{"smtp_data_xfer_timeout", seconds(1, 0), "180s", "how long a piece of the message may take"},
	{"smtp_data_done_timeout", seconds(1, 0), "600s", "how long to wait for the reply to the end of a message"},
	{"smtp_rset_timeout", seconds(1, 0), "20s", "how long to wait for the reply to RSET"},
	{"smtp_quit_timeout", seconds(1, 0), "300s", "how long to wait for the reply to QUIT"},
	{"smtp_starttls_timeout", seconds(1, 0), "300s", "how long STARTTLS and the handshake may take"},

	{"smtp_connection_cache_time_limit", seconds(1, 0), "2s", "how long an idle connection is kept"},
	{"smtp_connection_cache_on_demand", yesno(), "yes", "idle connections are kept where there has been much mail of late"},
	{"smtp_connection_cache_destinations", list(), "", "next hops whose idle connections are kept in any case"},
	{"smtp_connection_reuse_time_limit", seconds(1, 0), "300s", "how long a connection is used"},
	{"smtp_connection_reuse_count_limit", number(0, 0), "100", "messages sent over one connection; 0: no limit"},

	{"smtp_tls_security_level", choice("", "none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"), "dane",
		"TLS to other servers: none, may (if they offer it), encrypt, dane (as the receiver's DNS says; else may), verify, secure, and more"},
	{"smtp_use_tls", yesno(), "no", "older form of smtp_tls_security_level = may"},
	{"smtp_tls_loglevel", number(0, 4), "0", "1: log TLS handshakes"},
	{"smtp_log_tls_feature_status", yesno(), "no", "tell in each delivery line how the connection was secured: tls=dane, tls=may:none"},
	{"tls_required_enable", yesno(), "yes", "a field \"TLS-Required: no\" asks to be sent on also where a TLS policy cannot be kept"},
	{"smtp_tls_CAfile", text(), "", "file of the authorities that make a server Trusted"},
	{"smtp_tls_CApath", text(), "", "directory of the authorities that make a server Trusted"},

	{"smtp_line_length_limit", number(0, 0), "0", "bytes after which a line is broken; 0: never"},
	{"disable_mime_output_conversion", yesno(), "yes", "send 8-bit mail as it is"},
}
