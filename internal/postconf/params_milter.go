package postconf

// paramsMilter are about milters: MILTER_README.
var paramsMilter = []entry{
	{"smtpd_milters", text(), "", "milters for mail of SMTP clients: inet:host:port or unix:path, in braces with settings of their own"},
	{"smtpd_milter_maps", list(), "", "tables with milters by a client's address, instead of smtpd_milters; DISABLE: none"},
	{"non_smtpd_milters", text(), "", "milters for mail of the sendmail command"},
	{"milter_default_action", choice("accept", "reject", "tempfail", "quarantine", "shutdown"), "tempfail", "what to do when a milter cannot be had"},
	{"milter_protocol", text(), "6", "version of the protocol: 2, 3, 4 or 6; no_header_reply"},
	{"milter_connect_timeout", seconds(1, 0), "30s", "how long to wait for a connection to a milter"},
	{"milter_command_timeout", seconds(1, 0), "30s", "how long to wait for a milter's reply to a command"},
	{"milter_content_timeout", seconds(1, 0), "300s", "how long to wait for a milter's reply to a part of a message"},
	{"milter_macro_daemon_name", text(), "$myhostname", "value of the macro {daemon_name}"},
	{"milter_macro_v", text(), "$mail_name $mail_version", "value of the macro v"},
	{"milter_macro_defaults", text(), "", "name=value of macros that have no value otherwise"},
	{"milter_connect_macros", list(), "j {daemon_name} {daemon_addr} v _", "macros that are sent when a client connects"},
	{"milter_helo_macros", list(), "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}", "macros that are sent at HELO and EHLO"},
	{"milter_mail_macros", list(), "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}", "macros that are sent at MAIL"},
	{"milter_rcpt_macros", list(), "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", "macros that are sent at RCPT"},
	{"milter_data_macros", list(), "i", "macros that are sent at DATA"},
	{"milter_unknown_command_macros", list(), "", "macros that are sent at unknown commands"},
	{"milter_end_of_header_macros", list(), "i", "macros that are sent with the header and at its end"},
	{"milter_end_of_data_macros", list(), "i", "macros that are sent with the body and at the end of a message"},
}
