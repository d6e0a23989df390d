package smtpd

// Extensions that are offered only where an operator has turned them on.

// takesRequireTLS tells whether MAIL may say REQUIRETLS: only under TLS, for it is a
// promise about the whole way (RFC 8689 section 2).
func (c *conn) takesRequireTLS() bool { return c.o.RequireTLSEnable && c.tls != nil }

// limitDigits is how long a limit can be (RFC 9422 section 3).
const limitDigits = 6

// limitsKeyword tells how many recipients a transaction may have (RFC 9422). There is no
// bound on the transactions of a connection, and none on the domains of recipients.
func (c *conn) limitsKeyword() string {
	n := itoa(c.o.RecipientLimit)
	if len(n) > limitDigits {
		return "LIMITS"
	}
	return "LIMITS RCPTMAX=" + n
}
