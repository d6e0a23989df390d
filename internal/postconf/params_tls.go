package postconf

// paramsTLS secure the connections that we accept.
var paramsTLS = []entry{
	{"smtpd_tls_security_level", choice("", "none", "may", "encrypt"), "", "TLS for clients: none, may (offer STARTTLS), encrypt (insist on it)"},
	{"smtpd_use_tls", yesno(), "no", "older form of smtpd_tls_security_level = may"},
	{"smtpd_enforce_tls", yesno(), "no", "older form of smtpd_tls_security_level = encrypt"},
	{"smtpd_tls_wrappermode", yesno(), "no", "begin the connection with TLS, without STARTTLS"},
	{"smtpd_tls_chain_files", list(), "", "files with keys and certificates, each key before its chain"},
	{"smtpd_tls_cert_file", text(), "", "file of the RSA certificate"},
	{"smtpd_tls_key_file", text(), "$smtpd_tls_cert_file", "file of its key"},
	{"smtpd_tls_eccert_file", text(), "", "file of the ECDSA certificate"},
	{"smtpd_tls_eckey_file", text(), "$smtpd_tls_eccert_file", "file of its key"},
	{"tls_server_sni_maps", list(), "", "tables of key and certificate files by server name"},
	{"smtpd_tls_protocols", text(), ">=TLSv1", "versions of TLS; older ones than 1.2 are never spoken"},
	{"smtpd_tls_mandatory_protocols", text(), ">=TLSv1", "versions of TLS where smtpd_tls_security_level = encrypt"},
	{"smtpd_tls_ask_ccert", yesno(), "no", "ask clients for a certificate"},
	{"smtpd_tls_req_ccert", yesno(), "no", "insist on a trusted client certificate, where TLS is insisted on"},
	{"smtpd_tls_CAfile", text(), "", "file of the authorities that make a client Trusted"},
	{"smtpd_tls_CApath", text(), "", "directory of the authorities that make a client Trusted"},
	{"relay_clientcerts", list(), "", "tables of the fingerprints of clients that may relay (permit_tls_clientcerts)"},
	{"smtpd_tls_fingerprint_digest", choice("md5", "sha1", "sha256", "sha384", "sha512"),
		"${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "how fingerprints of client certificates are made"},
	{"smtpd_tls_loglevel", number(0, 4), "0", "1: log TLS handshakes"},
	{"smtpd_tls_received_header", yesno(), "no", "say in the Received field how the connection was secured"},
	{"smtpd_starttls_timeout", seconds(1, 0), "${stress?{10}:{300}}s", "how long the handshake may take"},
	{"requiretls_enable", yesno(), "no", "take mail that wants TLS on its whole way, and hold the next hop to it (RFC 8689)"},
	{"smtpd_client_new_tls_session_rate_limit", number(0, 0), "0", "new TLS sessions of one client in anvil_rate_time_unit; 0: any number"},
}

// paramsCiphers choose what there is no choice of here: only what OpenSSL calls high is
// spoken, sessions are resumed by tickets.
var paramsCiphers = []entry{
	{"smtpd_tls_ciphers", text(), "medium", "least grade of ciphers"},
	{"smtpd_tls_mandatory_ciphers", text(), "medium", "least grade of ciphers where TLS is insisted on"},
	{"smtpd_tls_dh1024_param_file", text(), "", "parameters of a key exchange that is not spoken"},
	{"smtpd_tls_dh512_param_file", text(), "", "parameters of a key exchange that is not spoken"},
	{"smtpd_tls_eecdh_grade", text(), "auto", "choice of curves"},
	{"smtpd_tls_session_cache_database", text(), "", "where TLS sessions are kept"},
	{"smtpd_tls_session_cache_timeout", text(), "3600s", "how long TLS sessions are kept"},
	{"smtpd_tls_always_issue_session_ids", text(), "yes", "session IDs for clients that need them"},
	{"tls_preempt_cipherlist", text(), "no", "whose order of ciphers counts"},
	{"tls_ssl_options", text(), "", "options of OpenSSL"},
	{"smtp_tls_session_cache_database", text(), "", "where TLS sessions are kept: in memory"},
	{"smtp_tls_session_cache_timeout", text(), "3600s", "how long TLS sessions are kept"},
	{"tls_wildcard_matches_multiple_labels", text(), "yes", "nothing, as in Postfix from 3.6 on: * in a certificate is one label"},
	{"smtp_sasl_path", text(), "", "nothing: there is no other program to ask"},
	{"lmtp_tls_session_cache_database", text(), "", "where TLS sessions are kept: in memory"},
	{"lmtp_tls_session_cache_timeout", text(), "3600s", "how long TLS sessions are kept"},
	{"lmtp_sasl_path", text(), "", "nothing: there is no other program to ask"},
}
