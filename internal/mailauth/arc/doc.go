// Package arc verifies and makes Authenticated Received Chains (RFC 8617): what each
// intermediary of a message says of how it found it.
//
// Each sealer on the way adds one set of three fields with the same instance i=, from 1 on:
// ARC-Authentication-Results (AAR: its findings), ARC-Message-Signature (AMS: a DKIM
// signature of the message as it leaves) and ARC-Seal (AS: a signature of all the sets so
// far, with cv=, the status of the chain below it). A chain is the sets 1 to n.
//
// Verify finds the status of the chain of a message: none, pass or fail. It passes only if
// the sets are whole, the newest AMS and each AS hold, and none says otherwise. There is no
// status in between (RFC 8617 section 5.2.1: all failures are permanent); Temporary tells
// where the DNS could not say. A chain says who claims what; whether to believe them is
// another question, and this package has no answer to it.
//
// A Sealer makes the next set. It finds out nothing itself: it is told the results and the
// status. A failed chain is sealed as failed, over the new set alone, and nothing is added to
// a chain that nobody has looked at, that has been sealed as failed already, or that has 50
// sets.
//
// A message is read once, as a stream. Work is bounded by VerifyOptions and the 50 sets: one
// question to the DNS for each key, and two signatures for each set. Line ends that are none
// count as what delivery makes of them: a bare LF as CRLF, a bare CR as a space.
package arc
