package postconf

// paramsReputation say how much mail an address of ours may have, what is counted of it, and
// from where which mail leaves.
var paramsReputation = []entry{
	{"alias_rate_limit", number(0, 0), "0", "messages to one alias in alias_rate_time_unit; 0: no limit"},
	{"alias_rate_time_unit", seconds(1, 0), "1h", "unit of time of alias_rate_limit, alias_domain_rate_limit and alias_rate_limit_maps"},
	{"alias_rate_limit_maps", list(), "", "tables of other limits, by the address of an alias or by a domain"},
	{"alias_domain_rate_limit", number(0, 0), "0", "messages to all addresses of a domain of ours in alias_rate_time_unit; 0: no limit"},
	{"catchall_address_limit", number(0, 100000), "0", "different addresses of a domain, taken by its @domain entry alone, that get mail in an hour; 0: no limit"},

	{"reputation_enable", yesno(), "${arf_recipients?{yes}:{no}}", "count mail, its outcome and complaints by alias and destination"},
	{"reputation_map", text(), "btree:$data_directory/reputation", "file that keeps those counts; empty: in memory only"},
	{"arf_recipients", list(), "", "addresses that receivers send complaints to (RFC 5965)"},
	{"alias_complaint_limit", number(0, 0), "0", "complaints about an alias in a day before alias_complaint_action; 0: any number"},
	{"alias_complaint_action", choice("none", "hold", "reject"), "none", "what becomes of new mail for an alias with more complaints than that"},

	{"greylist_map", text(), "btree:$data_directory/greylist", "file that keeps what check_greylist has seen; empty: in memory only"},
	{"greylist_delay", seconds(1, 0), "5m", "how long check_greylist refuses a client, sender and recipient that are new together"},
	{"greylist_retry_window", seconds(1, 0), "2d", "how long they have time to come again"},
	{"greylist_expire", seconds(1, 0), "35d", "how long they are known after their last mail"},
	{"greylist_ipv4_prefix", number(1, 32), "24", "how much of an IPv4 address makes a client"},
	{"greylist_ipv6_prefix", number(1, 128), "64", "how much of an IPv6 address makes a client"},
	{"greylist_whitelist_clients", list(), "", "clients that check_greylist says nothing about"},
	{"greylist_spf_pass_exempt", yesno(), "yes", "with mailauth_enable: take mail at once where the sender's SPF record names the client"},
	{"greylist_auto_allow", number(0, 0), "5", "of how many that came again all mail of the same client is taken; 0: of none"},

	{"smtp_bind_address_maps", list(), "", "tables of addresses to connect from, by class of mail: class@nexthop or class"},
	{"smtp_helo_name_maps", list(), "", "tables of names for EHLO, by the address connected from"},
}
