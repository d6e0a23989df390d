package postconf

// paramsSession govern what is said to a server and what of its answers counts.
var paramsSession = []entry{
	{"smtp_fallback_relay", list(), "$fallback_relay", "next hops for mail that its own next hop does not take"},
	{"smtp_address_verify_target", choice("rcpt", "data"), "rcpt", "how far a probe of an address goes"},
	{"smtp_delivery_status_filter", list(), "$default_delivery_status_filter", "tables that replace status code and text of deliveries"},
	{"default_delivery_status_filter", list(), "", "the same, of every transport that has none of its own"},
	{"local_delivery_status_filter", list(), "$default_delivery_status_filter", "the same, of local delivery"},
	{"smtp_defer_if_no_mx_address_found", yesno(), "no", "keep mail while no mail exchanger has an address, and do not return it"},
	{"smtp_always_send_ehlo", yesno(), "yes", "say EHLO to servers that do not greet with ESMTP"},
	{"smtp_never_send_ehlo", yesno(), "no", "say HELO alone"},
	{"smtp_discard_ehlo_keywords", list(), "", "extensions of servers not to use"},
	{"smtp_discard_ehlo_keyword_address_maps", list(), "", "tables of the same by a server's address"},
	{"smtp_skip_quit_response", yesno(), "yes", "do not wait for the reply to QUIT"},
	{"smtp_per_record_deadline", text(), "", "older name of smtp_per_request_deadline"},
	{"smtp_per_request_deadline", yesno(), "${smtp_per_record_deadline?{$smtp_per_record_deadline}:{no}}", "let a time limit hold for a command with its whole reply"},
	{"smtp_min_data_rate", number(1, 0), "500", "bytes a second at which a server has to take a message"},
	{"smtp_send_xforward_command", yesno(), "no", "tell servers that want it who the client was (XFORWARD)"},
	{"smtp_xforward_timeout", seconds(1, 0), "300s", "how long to wait for the reply to XFORWARD"},
	{"smtp_reply_filter", text(), "", "table that replaces lines of servers' replies"},
	{"fallback_relay", list(), "", "older name of smtp_fallback_relay"},

	{"smtp_tls_wrappermode", yesno(), "no", "TLS from the first byte (port 465), in place of STARTTLS"},
	{"smtp_tls_servername", text(), "", "name to ask for (SNI): hostname, nexthop, or a name; empty: none"},
	{"smtp_tls_chain_files", list(), "", "files with keys and certificates to show to servers, each key before its chain"},
	{"smtp_tls_cert_file", text(), "", "file of the RSA certificate to show"},
	{"smtp_tls_key_file", text(), "$smtp_tls_cert_file", "file of its key"},
	{"smtp_tls_eccert_file", text(), "", "file of the ECDSA certificate to show"},
	{"smtp_tls_eckey_file", text(), "$smtp_tls_eccert_file", "file of its key"},
	{"smtp_tls_protocols", text(), ">=TLSv1", "versions of TLS where it may be used; older ones than 1.2 are never spoken"},
	{"smtp_tls_mandatory_protocols", text(), ">=TLSv1", "versions of TLS where it is insisted on"},
	{"smtp_tls_note_starttls_offer", yesno(), "no", "log servers that offer STARTTLS where it is not used"},
}
