package postconf

// paramsSTSHost serve the MTA-STS policies of our own domains (RFC 8461).
var paramsSTSHost = []entry{
	{"mta_sts_listen", list(), "", "addresses to serve MTA-STS policies of our domains on over HTTPS, [IP]:port; empty: none"},
	{"mta_sts_chain_files", list(), "$smtpd_tls_chain_files", "files with keys and certificates for mta-sts.DOMAIN; tls_server_sni_maps comes first"},
	{"mta_sts_domains", list(), "$virtual_alias_domains", "domains whose policy is served"},
	{"mta_sts_mode", choice("none", "testing", "enforce"), "testing", "what senders do where our MX host does not fit the policy"},
	{"mta_sts_max_age", seconds(1, 31557600), "604800s", "how long senders remember the policy"},
	{"mta_sts_mx", list(), "$myhostname", "MX hosts in the policy: names, or *.domain"},
}
