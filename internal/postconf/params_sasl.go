package postconf

// paramsSASL are about clients that log in: SASL_README.
var paramsSASL = []entry{
	{"smtpd_sasl_auth_enable", yesno(), "no", "let clients log in, AUTH"},
	{"smtpd_sasl_type", choice("cyrus", "dovecot", "table"), "cyrus", "who knows the users: dovecot; table (ours), also when smtpd_sasl_path names one; there is no cyrus here"},
	{"smtpd_sasl_path", list(), "smtpd", "socket of Dovecot's auth service, or the table of users and their passwords' hashes"},
	{"smtpd_sasl_service", notEmpty(), "smtp", "name of the service that Dovecot is told"},
	{"smtpd_sasl_security_options", list(), "noanonymous", "what a mechanism must be or must not be, without TLS"},
	{"smtpd_sasl_tls_security_options", list(), "$smtpd_sasl_security_options", "what a mechanism must be or must not be, over TLS"},
	{"smtpd_sasl_mechanism_filter", list(), "!external, static:rest", "mechanisms that are offered, of those that there are"},
	{"smtpd_sasl_exceptions_networks", list(), "", "clients that are not told that they can log in"},
	{"smtpd_sasl_local_domain", text(), "", "domain that completes names of users in a table"},
	{"smtpd_sasl_authenticated_header", yesno(), "no", "tell who has logged in, in the Received field"},
	{"smtpd_sasl_response_limit", number(12288, 0), "12288", "longest response of a client that logs in, bytes"},
	{"broken_sasl_auth_clients", yesno(), "no", "offer AUTH in an obsolete form too"},
	{"smtpd_tls_auth_only", yesno(), "no", "let clients log in over TLS only"},
	{"smtpd_client_auth_rate_limit", number(0, 0), "0", "AUTH commands that a client may send in anvil_rate_time_unit; 0: no limit"},
	{"smtpd_sender_login_maps", list(), "", "who may use an address as sender: names by which clients log in"},
}
