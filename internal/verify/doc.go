// Package verify finds out whether mail for an address would be taken, as verify(8)
// does it for reject_unverified_recipient and reject_unverified_sender
// (ADDRESS_VERIFICATION_README).
//
// Terms. A verdict is what is known of an address. A probe is a message without content:
// the address is expanded as RCPT would expand it, and its next hop is asked by MAIL and
// RCPT whether it would take the mail; DATA is never said. Nothing is queued, since
// nothing was accepted: a probe that is lost is sent again when somebody asks again.
//
//	smtpd asks ──► cache ──► known: the verdict, at once
//	                 │ unknown, or to be refreshed
//	                 ▼
//	               probe ──► expansion ──► lane of the destination ──► Transport
//	                 ▲                                                   │
//	                 └───────────── verdict into the cache ◄─────────────┘
//
// What always holds:
//
//   - One probe at a time for an address, however many ask. The number of probes is
//     bounded, of all, under way, and to one destination; a destination that could not be
//     reached is left alone for a while.
//   - An address that is known to be good does not become bad by one failed probe, until
//     what is known has expired.
//   - The cache is bounded. What it has learnt outlives a restart, but for the last
//     minute before a crash.
//   - The address that probes come from is never probed, and mail for it is taken without
//     a question: two servers that ask about each other come to an end.
//
// What it does not do: it writes no reply. The texts and codes are smtpd's.
package verify
