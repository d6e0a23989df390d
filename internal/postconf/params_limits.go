package postconf

// paramsLimits bound and shape what a client may do, beyond the conversation itself.
var paramsLimits = []entry{
	{"smtpd_upstream_proxy_protocol", choice("", "haproxy"), "", "the proxy in front of us says who the client is: empty (there is none) or haproxy"},
	{"smtpd_upstream_proxy_timeout", seconds(1, 0), "5s", "how long that may take"},
	{"smtpd_upstream_proxy_hosts", list(), "", "addresses of such proxies, in the form of mynetworks; nobody else is served then"},
	{"postscreen_upstream_proxy_protocol", choice("", "haproxy"), "", "smtpd_upstream_proxy_protocol of services that run postscreen"},
	{"postscreen_upstream_proxy_timeout", seconds(1, 0), "5s", "smtpd_upstream_proxy_timeout of services that run postscreen"},

	{"smtpd_per_request_deadline", yesno(), "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{yes}}",
		"smtpd_timeout is for a whole command, and with smtpd_min_data_rate for a message; no: for each wait"},
	{"smtpd_per_record_deadline", text(), "", "older name of smtpd_per_request_deadline"},
	{"smtpd_client_connection_limit_exceptions", list(), "", "older name of smtpd_client_event_limit_exceptions"},
	{"anvil_status_update_time", seconds(1, 0), "600s", "how often the highest counts of any client are logged"},

	{"smtpd_tls_exclude_ciphers", list(), "", "ciphers of TLS 1.2 not to speak, in OpenSSL's words"},
	{"smtpd_tls_mandatory_exclude_ciphers", list(), "", "more of them where TLS is insisted on"},

	{"smtpd_client_port_logging", yesno(), "no", "log the port of a client behind its address"},
	{"smtpd_hide_client_session", yesno(), "no", "tell nothing of the client in the Received header; not for port 25"},
	{"smtpd_noop_commands", list(), "", "words that are answered with 250 and do nothing"},
	{"smtpd_command_filter", text(), "", "table that replaces commands of clients"},
	{"smtpd_reject_filter_maps", list(), "", "tables that replace refusals, by their text"},
	{"smtpd_discard_ehlo_keyword_address_maps", list(), "", "tables of extensions not to offer, by client address"},
	{"smtpd_forbid_bare_newline_exclusions", list(), "", "clients that smtpd_forbid_bare_newline is not for"},
	{"smtpd_forbid_bare_newline_reject_code", number(500, 599), "550", "reply of smtpd_forbid_bare_newline = reject"},
}
