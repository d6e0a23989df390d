package postconf

// unsupportedSMTPD are parameters of Postfix's SMTP server that we do not have.
var unsupportedSMTPD = []plain{
	{"smtpd_authorized_verp_clients", "$authorized_verp_clients"},
	{"smtpd_dns_reply_filter", ""},
	{"smtpd_expansion_filter", "\\t\\40!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"},
	{"smtpd_proxy_ehlo", "$myhostname"},
	{"smtpd_proxy_filter", ""},
	{"smtpd_proxy_options", ""},
	{"smtpd_proxy_timeout", "100s"},
	{"smtpd_tls_ccert_verifydepth", "9"},
	{"smtpd_tls_dcert_file", ""},
	{"smtpd_tls_dkey_file", "$smtpd_tls_dcert_file"},
	{"smtpd_tls_enable_rpk", "no"},
}
