// Package mailauth finds out who a message is from, decides what becomes of it, and sees to it
// that nobody gains a proof from us. It puts together what its subpackages know: spf, dkim,
// arc, dmarc, and authres, which writes the results down.
//
// The order, on a message's way through smtpd:
//
//	MAIL  SPF of the reverse-path and of the HELO name begins, in the background
//	RCPT  a refusal because of SPF alone, where the operator wants one (spf_reject_at_rcpt)
//	end   From field; DKIM, ARC and the policy of the author, side by side; SPF is waited for; DMARC; the decision
//
// Terms. The author is the domain of the From field. A domain is aligned with the author's
// when both have one organisational domain (RFC 9989 section 4.4). A domain is hosted when
// mail for it, or for a domain above it in the same organisation, comes to us. A ruling is
// what one rule wants done with a message; the strictest of them is the decision.
//
// Invariants:
//
//   - A question without an answer never gives a pass. What follows from it is a parameter's to
//     say: to take the message (fail open) or to have it come again.
//   - Mail of strangers that says it is from a hosted domain is refused unless SPF or DKIM
//     passes in alignment with that domain. Otherwise a copy of it could leave with a pass
//     that is aligned to that domain because we have sent it.
//   - Authentic.Vouched is set only when such a pass was found, whatever the actions are, or
//     when the submitter may speak for the author.
//   - A message is not rejected only because its author's domain asks for that (RFC 9989
//     section 7.4): there is other evidence, which the log and the reply name.
//
// All waiting for names is bounded by Options.Timeout, the reading of large messages by a Gate
// that all sessions share.
package mailauth
