package postconf

// differences are the defaults that are not Postfix's, each with its reason. Where a
// later Postfix made a safer default than the 3.7 that most installations run, the
// later one is ours.
var differences = []struct{ name, postfix, why string }{
	{"compatibility_level", "0", "a main.cf that does not mention it gets the defaults of a new installation"},
	{"queue_directory", "/var/spool/postfix", "the queue has a format of its own"},
	{"data_directory", "/var/lib/postfix", "the two can be installed side by side"},
	{"smtpd_forbid_bare_newline", "no", "as from Postfix 3.9: no mail smuggled behind a bare newline"},
	{"smtpd_forbid_unauth_pipelining", "no", "as from Postfix 3.9: no mail smuggled behind another"},
	{"smtpd_per_request_deadline", "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}", "who sends a byte now and then keeps nothing from others"},
	{"smtpd_forbid_bare_newline_exclusions", "$mynetworks", "no mail smuggled through a client of our own either"},
	{"default_process_limit", "100", "a connection is no process here"},
	{"default_destination_concurrency_positive_feedback", "1", "follows a destination's limit closely"},
	{"default_destination_concurrency_negative_feedback", "1", "survives one bad server of several"},
	{"default_destination_concurrency_failed_cohort_limit", "1", "one bad round does not make a destination dead"},
	{"smtp_connection_reuse_count_limit", "0", "other servers tend to end a connection that never ends"},
	{"smtp_tls_security_level", "", "encrypts wherever the other side can, and verifies where its DNS says how"},
	{"smtp_line_length_limit", "998", "a broken line breaks the author's signature"},
	{"lmtp_line_length_limit", "998", "a broken line breaks the author's signature"},
	{"disable_mime_output_conversion", "no", "a converted body breaks the author's signature"},
}
