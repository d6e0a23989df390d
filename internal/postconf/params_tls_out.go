package postconf

// paramsTLSOut say what TLS next hops get, beside the level.
var paramsTLSOut = []entry{
	{"tls_append_default_CA", yesno(), "no", "trust the system's authorities beside those of smtp_tls_CAfile and the like"},
	{"smtp_tls_enforce_sts_mx_patterns", yesno(), "yes", "hold hosts to the MX patterns of MTA-STS policies that smtp_tls_policy_maps has"},

	{"smtp_enforce_tls", yesno(), "no", "older form of smtp_tls_security_level = encrypt, or verify"},
	{"smtp_tls_enforce_peername", yesno(), "yes", "whether smtp_enforce_tls = yes means verify"},
	{"smtp_tls_policy_maps", list(), "", "tables of security levels by next hop, with attributes: secure match=.example.com"},
	{"smtp_tls_verify_cert_match", list(), "hostname", "whose a certificate has to be at level verify: hostname, nexthop, dot-nexthop, names, .names"},
	{"smtp_tls_secure_cert_match", list(), "nexthop, dot-nexthop", "the same at level secure"},
	{"smtp_tls_trust_anchor_file", list(), "", "files of certificates and public keys that are trusted in place of smtp_tls_CAfile and smtp_tls_CApath"},
	{"smtp_tls_scert_verifydepth", number(0, 0), "9", "one less than how many authorities may stand between a certificate and a root"},
	{"smtp_tls_fingerprint_digest", choice("md5", "sha1", "sha256", "sha384", "sha512"),
		"${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "how fingerprints of certificates and keys are made"},
	{"smtp_tls_fingerprint_cert_match", list(), "", "those that are good at level fingerprint"},
	{"smtp_tls_ciphers", choice("export", "low", "medium", "high", "null"), "medium", "least grade of ciphers; all that are spoken are high"},
	{"smtp_tls_mandatory_ciphers", choice("export", "low", "medium", "high", "null"), "medium", "least grade of ciphers where TLS is insisted on"},
	{"smtp_tls_exclude_ciphers", list(), "", "ciphers of TLS 1.2 not to use"},
	{"smtp_tls_mandatory_exclude_ciphers", list(), "", "more of them where TLS is insisted on"},

	{"lmtp_enforce_tls", yesno(), "no", "older form of lmtp_tls_security_level = encrypt, or verify"},
	{"lmtp_tls_enforce_peername", yesno(), "yes", "whether lmtp_enforce_tls = yes means verify"},
	{"lmtp_tls_policy_maps", list(), "", "tables of security levels by next hop, with attributes: secure match=.example.com"},
	{"lmtp_tls_verify_cert_match", list(), "hostname", "whose a certificate has to be at level verify: hostname, nexthop, dot-nexthop, names, .names"},
	{"lmtp_tls_secure_cert_match", list(), "nexthop", "the same at level secure"},
	{"lmtp_tls_trust_anchor_file", list(), "", "files of certificates and public keys that are trusted in place of lmtp_tls_CAfile and lmtp_tls_CApath"},
	{"lmtp_tls_scert_verifydepth", number(0, 0), "9", "one less than how many authorities may stand between a certificate and a root"},
	{"lmtp_tls_fingerprint_digest", choice("md5", "sha1", "sha256", "sha384", "sha512"),
		"${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "how fingerprints of certificates and keys are made"},
	{"lmtp_tls_fingerprint_cert_match", list(), "", "those that are good at level fingerprint"},
	{"lmtp_tls_ciphers", choice("export", "low", "medium", "high", "null"), "medium", "least grade of ciphers; all that are spoken are high"},
	{"lmtp_tls_mandatory_ciphers", choice("export", "low", "medium", "high", "null"), "medium", "least grade of ciphers where TLS is insisted on"},
	{"lmtp_tls_exclude_ciphers", list(), "", "ciphers of TLS 1.2 not to use"},
	{"lmtp_tls_mandatory_exclude_ciphers", list(), "", "more of them where TLS is insisted on"},
}
