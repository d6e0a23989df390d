package postconf

// paramsSASLOut govern how this system logs in at the servers that it sends to.
var paramsSASLOut = []entry{
	{"smtp_sasl_auth_enable", yesno(), "no", "log in at servers that smtp_sasl_password_maps has a password for"},
	{"smtp_sasl_password_maps", list(), "", "tables of user:password by host, by next hop as it is written, or by sender"},
	{"smtp_sasl_password_result_delimiter", text(), ":", "what is between user and password in them"},
	{"smtp_sasl_type", text(), "cyrus", "how to log in: cyrus"},
	{"smtp_sasl_security_options", list(), "noplaintext, noanonymous", "what a mechanism must be or must not be, without TLS"},
	{"smtp_sasl_tls_security_options", list(), "$smtp_sasl_security_options", "what a mechanism must be or must not be, over TLS"},
	{"smtp_sasl_tls_verified_security_options", list(), "$smtp_sasl_tls_security_options", "what a mechanism must be or must not be, with a server whose certificate was verified"},
	{"smtp_sasl_mechanism_filter", list(), "", "mechanisms to use, of those that a server offers; empty: all"},
	{"smtp_sasl_auth_soft_bounce", yesno(), "yes", "keep mail where a server refuses the password, and do not return it"},
	{"smtp_sasl_auth_cache_name", text(), "", "not empty: do not try a password again that a server refused (kept in memory)"},
	{"smtp_sasl_auth_cache_time", seconds(0, 0), "90d", "how long not"},
	{"smtp_sender_dependent_authentication", yesno(), "no", "look for the sender in smtp_sasl_password_maps first"},
	{"smtp_send_dummy_mail_auth", yesno(), "no", "say AUTH=<> in MAIL to servers at which we are logged in"},

	{"send_cyrus_sasl_authzid", yesno(), "no", "send the user name as the name to act for, too"},
}
