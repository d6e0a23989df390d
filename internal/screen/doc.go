// Package screen looks at clients before they get to smtpd, as postscreen(8) does
// (POSTSCREEN_README): most of those that send spam give themselves away before they have
// said anything. It is the first step of a message's way, between accept and the greeting.
//
//	client ──► access list ──► allow list ──► tests before the greeting ──► smtpd
//	               │ reject      passed          │ failed        │ deep tests
//	               ▼             lately          ▼               ▼
//	             drop, or the engine, which talks SMTP and takes no mail
//
// # Terms
//
// Tests before the greeting: a client that talks before its turn (pregreet), and lists in
// the DNS whose weights add up to a rank. Deep tests: pipelining without leave, commands
// that are not SMTP, bare newlines; the engine does them, and a client that has begun to
// talk to the engine has to come back for its mail. The allow list is postscreen's
// temporary one: clients that have passed, with a stamp per test that says until when.
//
// # Invariants
//
//   - Whoever passes goes on in the same connection, and nothing is lost of what it sent.
//   - A client that is waited for costs one goroutine and no buffer; what clients, lookups
//     and the allow list take in all is bounded.
//   - The allow list never stops a start: a file that is damaged is as good as none.
//   - Every connection that is not handed on is closed when Admit returns.
//
// It does not know what the log line of a session looks like, who may relay, or what mail
// is. Its own lines are postscreen's, word for word.
package screen
