// Package milter is the client of milters, the mail filters of Sendmail: version 6 of
// their protocol as Postfix speaks it (MILTER_README, milter8(3) of Postfix).
//
//	smtpd, pickup ── Set.Session, Set.Submit ──> Session ── one connection for each milter
//	                                                │
//	                     message (what came) ───────┘ header, body, end
//	                         │ edits: fields and body into another draft,
//	                         v        the envelope as a list of changes
//	                     mail.MilterMessage
//
// # Terms
//
// An event is what a milter is told: connect, HELO, MAIL, RCPT, DATA, an unknown command,
// a header field, the end of the header, a part of the body, the end of the message. A
// macro is a named value that goes before an event. A standing reply (the default reply of
// Postfix) is given to every event without asking the milter again: after it refused the
// client, or after it broke (milter_default_action).
//
// # Invariants
//
//   - Whatever a milter does, it costs at most its time limits, and memory within the
//     bounds of limits.go. A milter that breaks them, or the protocol, is not asked again
//     in its session, and milter_default_action is the answer.
//   - A connection belongs to one SMTP session.
//   - A message that nobody changed is committed as it was staged. In one that was
//     changed, every byte that no milter named stays as it came: an author's signature
//     survives.
//   - Our own Received field is not shown, cannot be changed, and does not count in the
//     index of a change; it counts where a field is inserted.
//
// # Why a client of our own
//
// The two clients that there are for Go (d--j/go-milter 0.10, emersion/go-milter 0.5) have
// one time limit for everything, take packets of up to 512 MB and any number of
// modifications into memory, want HELO before MAIL, join the parameters of MAIL and RCPT
// to one string, and log to a global.
//
// The package knows neither SMTP replies' fate nor the queue.
package milter
