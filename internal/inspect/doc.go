// Package inspect asks third parties about a client or an address before its mail is
// taken: lists that are published in the DNS (RFC 5782), the DNS itself, and policy servers
// (SMTPD_POLICY_README). It is what smtpd's restrictions stand on, and the step of a
// message's way between RCPT and its reply.
//
//	list, err := inspect.NewList(resolver, "zen.example=127.0.0.[2..4]")
//	listed, text, err := list.Address(ctx, client)
//
// # Terms
//
// A list's answers are addresses in 127.0.0.0/8; a pattern behind "=" says which of them
// count. A policy server is told attributes and answers with an action of access(5).
//
// # Invariants
//
//   - "There is no such record" is an answer; everything else that is not a record is an
//     error, and whoever asks decides what that means.
//   - Each question ends with its context or its own time limit, whichever is first.
//   - Connections to a policy server are kept for the next question, a bounded number for
//     a bounded time, and closed by Close. No goroutine outlives a call.
//
// It does not decide anything, and keeps nothing beyond what the resolver keeps.
package inspect
