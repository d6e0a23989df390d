package postconf

// paramsDKIM sign mail that leaves (RFC 6376).
var paramsDKIM = []entry{
	{"dkim_keys", list(), "", "tables of domains that sign, with \"selector file\" of each key; empty: nothing is signed"},
	{"dkim_oversign_headers", list(), "From To Cc Subject Date Reply-To Message-ID MIME-Version Content-Type Content-Transfer-Encoding In-Reply-To References", "header fields that are signed, and that nobody may add later"},
	{"dkim_sign_headers", list(), "Sender Content-ID Content-Description Resent-Date Resent-From Resent-Sender Resent-To Resent-Cc Resent-Message-ID List-Id List-Help List-Unsubscribe List-Unsubscribe-Post List-Subscribe List-Post List-Owner List-Archive Auto-Submitted TLS-Required TLS-Report-Domain TLS-Report-Submitter", "header fields that are signed where they are there"},
	{"dkim_signature_lifetime", seconds(0, 0), "0s", "how long a signature holds (x=); 0: for ever"},
	{"dkim_sign_forwarded", yesno(), "no", "sign forwarded mail by dkim_forwarded_domain"},
	{"dkim_forwarded_domain", text(), "$srs_domain", "domain that signs forwarded mail whose reverse-path is in it"},
}
