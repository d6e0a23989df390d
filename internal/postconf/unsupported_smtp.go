package postconf

// unsupportedSMTP are parameters of Postfix's SMTP client that we do not have.
var unsupportedSMTP = []plain{
	{"smtp_cname_overrides_servername", "no"},
	{"smtp_pix_workaround_delay_time", "10s"},
	{"smtp_pix_workaround_maps", ""},
	{"smtp_pix_workaround_threshold_time", "500s"},
	{"smtp_pix_workarounds", "disable_esmtp,delay_dotcrlf"},
	{"smtp_quote_rfc821_envelope", "yes"},
	{"smtp_requiretls_policy", ""},
	{"smtp_tls_block_early_mail_reply", "no"},
	{"smtp_tls_dcert_file", ""},
	{"smtp_tls_dkey_file", "$smtp_tls_dcert_file"},
	{"smtp_tls_enable_rpk", "no"},
	{"smtp_tls_per_site", ""},
	{"smtp_tlsrpt_socket_name", ""},
}
