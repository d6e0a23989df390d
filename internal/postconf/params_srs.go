package postconf

// paramsSRS rewrite the senders of forwarded mail (the Sender Rewriting Scheme).
var paramsSRS = []entry{
	{"srs_domain", text(), "", "domain that the senders of forwarded mail get; empty: they stay as they are"},
	{"srs_enable", yesno(), "yes", "rewrite senders; bounces come back by srs_domain either way"},
	{"srs_secrets_file", text(), "", "file of secrets, one a line: the first signs, all are believed"},
	{"srs_separator", choice("=", "+", "-"), "=", "what stands behind SRS0 and SRS1; all three are read"},
	{"srs_hash_length", number(4, 27), "4", "characters of a signature that are written"},
	{"srs_hash_minimum", number(4, 27), "4", "characters of a signature that are believed, at least"},
	{"srs_max_age", seconds(86400, 88214400), "21d", "how long a bounce is taken, in whole days"},
	{"srs_exclude", list(), "", "domains and tables of domains whose senders stay as they are"},
	{"srs_domain_allow_aligned", yesno(), "no", "start although srs_domain and a domain of ours may speak for each other"},
	{"srs_bounce_rate_limit", number(0, 0), "100", "bounces to one sender in $anvil_rate_time_unit; 0: no limit"},
}
