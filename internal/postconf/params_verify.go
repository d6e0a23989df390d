package postconf

// paramsVerify are about address verification: ADDRESS_VERIFICATION_README.
var paramsVerify = []entry{
	{"address_verify_map", text(), "btree:$data_directory/verify_cache", "file that keeps what is known of addresses; empty: in memory only"},
	{"address_verify_sender", text(), "$double_bounce_sender", "who probes come from; empty or <>: the null sender"},
	{"address_verify_sender_ttl", seconds(0, 0), "0s", "how often the sender of probes changes; 0: never"},
	{"address_verify_poll_count", number(1, 0), "${stress?{1}:{3}}", "how often to look for the result of a probe before answering a client"},
	{"address_verify_poll_delay", seconds(1, 0), "3s", "how long to wait between two looks"},
	{"address_verify_positive_expire_time", seconds(1, 0), "31d", "how long an address is known to be good"},
	{"address_verify_positive_refresh_time", seconds(1, 0), "7d", "after what time a good address is probed again"},
	{"address_verify_negative_cache", yesno(), "yes", "remember failed probes"},
	{"address_verify_negative_expire_time", seconds(1, 0), "3d", "how long a failed probe is remembered"},
	{"address_verify_negative_refresh_time", seconds(1, 0), "3h", "after what time an address that failed is probed again"},
	{"address_verify_cache_cleanup_interval", seconds(0, 0), "12h", "how often to drop what has expired; 0: never"},
	{"address_verify_pending_request_limit", number(1, 0), "5000", "probes under way or waiting, in all"},
	{"address_verify_relayhost", text(), "$relayhost", "relayhost for probes"},
	{"address_verify_transport_maps", list(), "$transport_maps", "transport_maps for probes"},
	{"address_verify_default_transport", notEmpty(), "$default_transport", "default_transport for probes"},
	{"address_verify_relay_transport", notEmpty(), "$relay_transport", "relay_transport for probes"},
	{"address_verify_local_transport", notEmpty(), "$local_transport", "local_transport for probes"},
	{"address_verify_virtual_transport", notEmpty(), "$virtual_transport", "virtual_transport for probes"},
	{"address_verify_sender_dependent_relayhost_maps", list(), "$sender_dependent_relayhost_maps", "sender_dependent_relayhost_maps for probes"},
	{"address_verify_sender_dependent_default_transport_maps", list(), "$sender_dependent_default_transport_maps",
		"sender_dependent_default_transport_maps for probes"},
}
