package postconf

// paramsAccess are about access tables, policy servers and lists in the DNS:
// SMTPD_ACCESS_README, SMTPD_POLICY_README, ADDRESS_VERIFICATION_README, XCLIENT_README.
var paramsAccess = []entry{
	{"smtpd_etrn_restrictions", list(), "", "access rules for ETRN"},
	{"smtpd_restriction_classes", list(), "", "names that stand for lists of access rules; each is a parameter of its own"},
	{"smtpd_relay_before_recipient_restrictions", yesno(), "${{$compatibility_level} <level {3.6} ? {no} : {yes}}", "ask smtpd_relay_restrictions before smtpd_recipient_restrictions"},
	{"smtpd_null_access_lookup_key", notEmpty(), "<>", "key of an access table for the null sender"},
	{"smtpd_log_access_permit_actions", list(), "", "rules that are logged when they permit"},
	{"smtpd_reject_footer", text(), "", "text behind every refusal"},
	{"smtpd_reject_footer_maps", list(), "", "tables of such texts, by refusal"},

	{"access_map_reject_code", code(), "554", "reply of REJECT in an access table"},
	{"access_map_defer_code", code(), "450", "reply of DEFER in an access table"},
	{"maps_rbl_reject_code", code(), "554", "reply to who is in a list in the DNS"},
	{"default_rbl_reply", notEmpty(), "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}",
		"reply to who is in a list in the DNS, with macros"},
	{"rbl_reply_maps", list(), "", "tables of such replies, by list"},
	{"unknown_client_reject_code", code(), "450", "reply to a client without a verified name"},
	{"unknown_hostname_reject_code", code(), "450", "reply to a HELO with a name that does not exist"},
	{"plaintext_reject_code", code(), "450", "reply to a session without TLS, where that is asked for"},
	{"multi_recipient_bounce_reject_code", code(), "550", "reply to a notification to several recipients"},

	{"reject_tempfail_action", tempfail(), "defer_if_permit", "when to defer what could not be looked up"},
	{"unknown_address_tempfail_action", tempfail(), "$reject_tempfail_action", "the same for the domain of an address"},
	{"unknown_helo_hostname_tempfail_action", tempfail(), "$reject_tempfail_action", "the same for the name in HELO"},
	{"unverified_recipient_tempfail_action", tempfail(), "$reject_tempfail_action", "the same for a recipient that is being verified"},
	{"unverified_sender_tempfail_action", tempfail(), "$reject_tempfail_action", "the same for a sender that is being verified"},
	{"unverified_recipient_reject_code", number(200, 599), "450", "reply to a recipient that is refused elsewhere; 250: take it"},
	{"unverified_recipient_defer_code", number(200, 599), "450", "reply to a recipient that is not known yet; 250: take it"},
	{"unverified_recipient_reject_reason", text(), "", "text for both, in place of what is known"},
	{"unverified_sender_reject_code", number(200, 599), "450", "reply to a sender that is refused elsewhere; 250: take it"},
	{"unverified_sender_defer_code", number(200, 599), "450", "reply to a sender that is not known yet; 250: take it"},
	{"unverified_sender_reject_reason", text(), "", "text for both, in place of what is known"},

	{"smtpd_policy_service_timeout", seconds(1, 0), "100s", "how long a policy server may take to answer"},
	{"smtpd_policy_service_max_idle", seconds(1, 0), "300s", "how long an idle connection to a policy server is kept"},
	{"smtpd_policy_service_max_ttl", seconds(1, 0), "1000s", "how long a connection to a policy server is used"},
	{"smtpd_policy_service_request_limit", number(0, 0), "0", "questions on a connection to a policy server; 0: no limit"},
	{"smtpd_policy_service_try_limit", number(1, 0), "2", "attempts to have an answer from a policy server"},
	{"smtpd_policy_service_retry_delay", seconds(1, 0), "1s", "how long to wait between these"},
	{"smtpd_policy_service_default_action", notEmpty(), "451 4.3.5 Server configuration problem", "action when a policy server does not answer"},
	{"smtpd_policy_service_policy_context", text(), "", "what a policy server is told as policy_context"},

	{"smtpd_authorized_xclient_hosts", list(), "", "clients that may describe themselves as others, XCLIENT"},
	{"smtpd_authorized_xforward_hosts", list(), "", "clients that may say who they have a message from, XFORWARD"},
}

// tempfail is what can be done with what cannot be known for now.
func tempfail() Type { return choice("defer_if_permit", "defer") }
