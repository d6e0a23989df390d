package postconf

// paramsHost say who we are, where we listen and under which account we run.
var paramsHost = []entry{
	{"myhostname", formOf(formHost), "", "full name of this machine; the default is asked of the machine"},
	{"mydomain", formOf(formHost), "", "local domain; the default is myhostname without its first label"},
	{"myorigin", notEmpty(), "$myhostname", "domain appended to addresses that have none; /file: its first line"},
	{"mydestination", list(), "$myhostname, localhost.$mydomain, localhost", "domains that are local; for forwarding only: empty"},
	{"mynetworks", list(), "", "clients that may relay; the default follows mynetworks_style"},
	{"mynetworks_style", choice("class", "subnet", "host"), "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
		"how much of our surroundings mynetworks trusts when it is not set"},
	{"inet_interfaces", list(), "all", "addresses to listen on: all, loopback-only, or addresses and names"},
	{"inet_protocols", set("all", "ipv4", "ipv6"), "all", "protocols to listen on and to connect with"},
	{"proxy_interfaces", list(), "", "addresses that reach us through a proxy or address translation"},
	{"known_tcp_ports", list(), "lmtp=24, smtp=25, smtps=submissions=465, submission=587", "port names that need no /etc/services"},
	{"mail_name", notEmpty(), "Postfix", "name of the mail system, in the banner and in Received headers"},
	{"mail_version", notEmpty(), "3.9.0", "release of Postfix whose configuration is meant"},
	{"mail_owner", notEmpty(), "postfix", "account to run under once the ports are bound, if it exists"},
	{"queue_directory", formOf(formPath), "/var/spool/aliasmx", "where mail waits, and the sockets of the commands are"},
	{"data_directory", formOf(formPath), "/var/lib/aliasmx", "where other state is kept"},
	{"config_directory", notEmpty(), "", "directory of main.cf and master.cf"},
	{"compatibility_level", formOf(formLevel), "3.6", "release of Postfix whose defaults hold, where they changed"},
	{"stress", text(), "", "set to yes, the defaults for a server under stress hold"},
	{"smtputf8_enable", yesno(), "${{$compatibility_level} <level {1} ? {no} : {yes}}", "offer and use SMTPUTF8 (RFC 6531)"},
	{"strict_smtputf8", yesno(), "no", "refuse other addresses than ASCII where MAIL did not say SMTPUTF8"},
	{"smtputf8_autodetect_classes", set("sendmail", "smtpd", "qmqpd", "forward", "bounce", "notify", "verify", "all"), "sendmail, verify",
		"origins of mail that is looked through for the need of SMTPUTF8: sendmail, smtpd, all"},
	{"soft_bounce", yesno(), "no", "turn every permanent refusal into a temporary one, while testing"},
	{"dnssec_probe", text(), "ns:.", "type:name to ask whether answers are validated, where DANE needs it; empty: nothing"},
	{"default_database_type", notEmpty(), "hash", "table type of postmap FILE"},
}

// paramsOurs are those that Postfix does not have.
var paramsOurs = []entry{
	{"bounce_hide_destination", yesno(), "no", "tell senders nothing of where an alias leads when mail fails there"},
	{"dnssec_trusted_servers", list(), "127.0.0.0/8, [::1]/128", "addresses and networks of validating name servers that nobody can come between"},
	{"dns_servers", formOf(formResolver), "", "name servers to ask, IP or IP:port; empty: those of /etc/resolv.conf"},
	{"maillog_format", choice("postfix", "json"), "postfix", "form of the log: Postfix's lines, or one JSON object a line"},
	{"postscreen_enable", yesno(), "no", "test clients before they get to smtpd; on by itself where master.cf runs postscreen"},
	{"queue_inline_limit", number(0, 16<<20), "131072", "bytes up to which a body is kept in the store rather than in a file"},
	{"queue_node", number(0, 1023), "0", "number of this node in queue IDs; differs between nodes that share mail"},
	{"smtp_tls_mta_sts", yesno(), "yes", "keep to the MTA-STS policies of domains at the levels may, encrypt and dane (RFC 8461)"},
	{"smtp_tls_mta_sts_CAfile", text(), "", "file of the authorities that vouch for policies, and for servers of domains with one; empty: the system's"},
	{"smtp_tls_mta_sts_cache", text(), "$data_directory/mta_sts_cache", "file that keeps MTA-STS policies; empty: in memory only"},
	{"smtpd_client_limit_total", number(0, 0), "10000", "connections from all clients together; 0: no limit"},
	{"smtpd_data_memory_limit", number(1<<20, 0), "268435456", "bytes of message data in memory, over all connections"},
	{"smtpd_limits_enable", yesno(), "no", "tell clients smtpd_recipient_limit in the reply to EHLO (RFC 9422)"},
	{"tlsrpt_contact_info", text(), "postmaster@$mydomain", "address of whoever is responsible for TLS reports; its domain is their submitter"},
	{"tlsrpt_from", text(), "$tlsrpt_contact_info", "sender of TLS reports by mail; empty or <>: the null sender"},
	{"tlsrpt_organization_name", text(), "$mydomain", "who sends TLS reports, for people"},
}

func formOf(f form) Type { return Type{form: f} }
