package postconf

// paramsMailAuth are about who a message is from: SPF, DKIM, ARC, DMARC, and what becomes of
// mail that is not from who it says (docs/authentication.md).
var paramsMailAuth = []entry{
	{"mailauth_enable", yesno(), "${srs_domain?{yes}:{no}}", "find out who mail of strangers is from, and refuse what falsely says that it is ours"},
	{"authserv_id", notEmpty(), "$myhostname", "our name in Authentication-Results fields (RFC 8601)"},
	{"authentication_results_header", yesno(), "yes", "put an Authentication-Results field above each message of a stranger"},
	{"received_spf_header", yesno(), "no", "put a Received-SPF field there, too (RFC 7208)"},

	{"spf_verify", yesno(), "yes", "ask whether the client may use the reverse-path (RFC 7208)"},
	{"dkim_verify", yesno(), "yes", "verify DKIM signatures (RFC 6376)"},
	{"arc_verify", yesno(), "yes", "verify ARC chains (RFC 8617)"},
	{"dmarc_verify", yesno(), "yes", "ask for the policy of the author's domain (RFC 9989)"},
	{"dkim_max_verifications", number(1, 100), "10", "signatures of a message that are verified"},
	{"mailauth_timeout", seconds(1, 300), "20s", "time for all questions about a message; what has no answer then has a temporary error"},

	{"spf_reject_at_rcpt", yesno(), "no", "carry out spf_fail_action and spf_temperror_action at RCPT, before the message has come"},
	{"spf_fail_action", mailauthAction(), "tag", "what becomes of mail whose reverse-path the client may not use: ignore, tag, hold, defer or reject"},
	{"spf_temperror_action", mailauthAction(), "tag", "what becomes of mail when that cannot be known now"},
	{"dmarc_reject_action", mailauthAction(), "reject", "what becomes of mail whose author's domain wants it rejected, if there is other evidence against it"},
	{"dmarc_quarantine_action", mailauthAction(), "tag", "what becomes of mail whose author's domain wants it quarantined, or rejected without other evidence"},
	{"dmarc_temperror_action", mailauthAction(), "tag", "what becomes of mail when the author's domain cannot be asked now"},
	{"dmarc_no_author_action", mailauthAction(), "reject", "what becomes of mail without a From field, or with several authors' domains in it"},
	{"hosted_author_action", mailauthAction(), "reject", "what becomes of a stranger's mail that says it is from a domain of ours, and does not prove it"},
	{"hosted_author_temperror_action", mailauthAction(), "defer", "what becomes of such mail when that cannot be known now"},
	{"bounce_unauthenticated", yesno(), "no", "report failures to senders that did not authenticate, too; no: the postmaster gets those"},
	{"mailauth_policy_maps", list(), "", "tables of other actions, by author's domain, domain of the reverse-path, client name or address"},
	{"arc_trusted_sealers", list(), "", "domains whose word we take for what their ARC seals say: all sealers of a chain must be of them"},
	{"mailauth_known_forwarders", list(), "", "clients that hand on mail of others, such as mailing lists: no evidence is seen in that"},
}

// mailauthAction is what can become of a message.
func mailauthAction() Type { return choice("ignore", "tag", "hold", "defer", "reject") }
