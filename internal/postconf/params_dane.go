package postconf

// paramsDANE are how the TLSA records of a host are looked for and read.
var paramsDANE = []entry{
	{"smtp_tls_dane_insecure_mx_policy", choice("may", "encrypt", "dane"), "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
		"of hosts whose MX records are not signed: dane (verify them by their TLSA records), encrypt, or may (ask for none)"},
	{"smtp_tls_force_insecure_host_tlsa_lookup", yesno(), "no", "look for TLSA records also where a host's addresses are not signed"},
	{"lmtp_tls_force_insecure_host_tlsa_lookup", yesno(), "no", "look for TLSA records also where a host's addresses are not signed"},
	{"tls_dane_digests", list(), "sha512 sha256", "digests of TLSA records that count, the best first: name or name=matching type"},
}
