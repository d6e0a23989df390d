package postconf

// paramsARC seal the mail that aliases forward (RFC 8617, docs/arc.md).
var paramsARC = []entry{
	{"arc_sign_domain", text(), "", "domain that seals mail forwarded by aliases; empty: none does"},
	{"arc_sign_selector", text(), "", "the key of arc_sign_domain is published at SELECTOR._domainkey.DOMAIN"},
	{"arc_key_file", text(), "", "file with the private key to seal with: PEM, RSA of at least 2048 bits or Ed25519"},
}
