package postconf

// paramsQueue say how long mail waits, and how much of it is under way.
var paramsQueue = []entry{
	{"minimal_backoff_time", seconds(1, 0), "300s", "shortest time between attempts"},
	{"maximal_backoff_time", seconds(1, 0), "4000s", "longest time between attempts"},
	{"maximal_queue_lifetime", seconds(0, 8640000), "5d", "how long to try before mail is returned"},
	{"bounce_queue_lifetime", seconds(0, 8640000), "5d", "how long to try mail with the null sender"},
	{"delay_warning_time", seconds(0, 0), "0h", "when to tell a sender that mail is late; 0: never"},
	{"queue_run_delay", seconds(1, 0), "300s", "how often to look for due mail"},
	{"queue_minfree", number(0, 0), "0", "bytes to keep free on the queue's file system; 0: a sensible number"},
	{"qmgr_message_active_limit", number(1, 0), "20000", "messages under way"},
	{"default_process_limit", number(1, 0), "500", "connections to other servers, in all"},
	{"initial_destination_concurrency", number(1, 0), "5", "connections to a destination to begin with"},
	{"default_destination_concurrency_limit", number(0, 0), "20", "connections to a destination at a time; 0: no limit"},
	{"smtp_destination_concurrency_limit", number(0, 0), "$default_destination_concurrency_limit", "likewise, for the smtp transport"},
	{"default_destination_rate_delay", seconds(0, 0), "0s", "pause between deliveries to a destination, which then gets one connection"},
	{"default_transport_rate_delay", seconds(0, 0), "0s", "pause between deliveries of a transport, which then makes one at a time"},
	{"in_flow_delay", seconds(0, 10), "1s", "pause before a message is taken while mail comes in faster than it leaves; 0: none"},
	{"default_destination_recipient_limit", number(0, 0), "50", "recipients of one delivery; 0: no limit"},
	{"default_destination_concurrency_positive_feedback", formOf(formFeedback), "1/4", "how a success widens the concurrency"},
	{"default_destination_concurrency_negative_feedback", formOf(formFeedback), "1/4", "how a failure narrows the concurrency"},
	{"default_destination_concurrency_failed_cohort_limit", number(0, 0), "2", "rounds of failures before a destination is dead; 0: never"},
}
