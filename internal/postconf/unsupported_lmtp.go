package postconf

// unsupportedLMTP are parameters of Postfix's LMTP client, which we do not have.
var unsupportedLMTP = []plain{
	{"lmtp_cname_overrides_servername", "no"},
	{"lmtp_pix_workaround_delay_time", "10s"},
	{"lmtp_pix_workaround_maps", ""},
	{"lmtp_pix_workaround_threshold_time", "500s"},
	{"lmtp_pix_workarounds", "disable_esmtp,delay_dotcrlf"},
	{"lmtp_quote_rfc821_envelope", "yes"},
	{"lmtp_sender_dependent_authentication", "no"},
	{"lmtp_tls_block_early_mail_reply", "no"},
	{"lmtp_tls_dcert_file", ""},
	{"lmtp_tls_dkey_file", "$lmtp_tls_dcert_file"},
	{"lmtp_tls_enable_rpk", "no"},
	{"lmtp_tls_per_site", ""},
}
