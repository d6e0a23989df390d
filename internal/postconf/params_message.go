package postconf

// paramsMessage are about the content of a message and its local submission.
var paramsMessage = []entry{
	{"hopcount_limit", number(1, 0), "50", "Received headers that make a message loop"},
	{"header_size_limit", number(1, 0), "102400", "bytes of a header that are looked at"},
	{"local_header_rewrite_clients", list(), "permit_inet_interfaces", "clients whose headers are completed"},
	{"remote_header_rewrite_domain", text(), "", "domain that completes headers of other clients; empty: they stay as they are"},
	{"always_add_missing_headers", yesno(), "no", "add Date, From and Message-Id also for other clients"},
	{"header_address_token_limit", number(1, 0), "10240", "tokens of an address header that is rewritten"},
	{"header_from_format", choice("standard", "obsolete"), "standard", "form of a From header that we add"},
	{"smtp_generic_maps", list(), "", "tables that replace addresses in mail that leaves by SMTP, generic(5)"},
	{"lmtp_generic_maps", list(), "", "the same for mail that leaves by LMTP"},
	{"message_drop_headers", list(), "bcc, content-length, resent-bcc, return-path", "headers to remove"},
	{"cleanup_replace_stray_cr_lf", yesno(), "yes", "replace a carriage return or newline that ends no line by a space"},
	{"enable_long_queue_ids", yesno(), "no", "accepted, without effect: queue IDs are always long"},
	{"authorized_submit_users", list(), "static:anyone", "local users who may submit mail"},
	{"authorized_mailq_users", list(), "static:anyone", "local users who may list the queue"},
	{"authorized_flush_users", list(), "static:anyone", "local users who may flush the queue"},
}

// paramsBounce are about what senders and the postmaster are told.
var paramsBounce = []entry{
	{"double_bounce_sender", notEmpty(), "double-bounce", "local part of the sender of reports that must not come back"},
	{"bounce_size_limit", number(1, 0), "50000", "bytes of the original message in a report"},
	{"bounce_template_file", text(), "", "file of the texts of reports, bounce(5)"},
	{"enable_threaded_bounces", yesno(), "no", "have reports refer to the message they are about"},
	{"notify_classes", set("bounce", "2bounce", "data", "delay", "policy", "protocol", "resource", "software"),
		"resource, software", "what to tell the postmaster"},
	{"bounce_notice_recipient", notEmpty(), "postmaster", "who gets notices of bounced mail"},
	{"2bounce_notice_recipient", notEmpty(), "postmaster", "who gets mail that can neither be delivered nor returned"},
	{"delay_notice_recipient", notEmpty(), "postmaster", "who gets notices of delayed mail"},
	{"error_notice_recipient", notEmpty(), "postmaster", "who gets transcripts of sessions with errors"},
	{"smtpd_history_flush_threshold", number(1, 0), "100", "lines of a transcript after which it is sent between two transactions"},
}

// paramsLog are about the mail log.
var paramsLog = []entry{
	{"maillog_file", text(), "", "log to this file, or /dev/stdout; empty: to syslog"},
	{"maillog_file_permissions", formOf(formOctal), "0600", "mode of a log file that we create"},
	{"syslog_name", notEmpty(), "${multi_instance_name?{$multi_instance_name}:{postfix}}", "first part of the names of processes in the log"},
	{"syslog_facility", choice("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "security", "syslog", "user", "uucp",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"), "mail", "facility of log lines"},
}
