package postconf

// paramsConnected are for mail that the next hops get while the client that brings it waits
// for the reply to its end.
var paramsConnected = []entry{
	{"relay_while_connected", list(), "no", "give mail to its next hops before the client has the reply to its end: yes, no, or tables by domain of the alias that say either"},
	{"relay_while_connected_time", seconds(1, 0), "20s", "how long a client may wait for the next hops; then its message is queued"},
	{"relay_while_connected_limit", number(1, 100), "50", "percent of default_process_limit that may be used for mail whose client waits"},
	{"relay_while_connected_tempfail", choice("queue", "pass"), "queue", "mail that all next hops put off: queue it, or pass their reply on to the client"},
	{"relay_while_connected_reply", yesno(), "no", "tell the client what the next hop has said to a message that it has taken"},
	{"relay_while_connected_rcpt", yesno(), "no", "ask the next hop at RCPT already, as reject_unverified_recipient does"},
	{"relay_while_connected_map", text(), "btree:$data_directory/relay_while_connected_cache", "file that keeps which messages clients have not heard the reply to; empty: in memory only"},
}
