// Package tlsrpt tells receivers how the TLS of connections to them fared: the daily
// reports of RFC 8460, as their sender.
//
// Terms. A session is one connection to a host of a receiver. A policy domain is the
// domain of the next hop: its policies hold for a session, and it may ask for reports. A
// record is the TXT record by which it does. An endpoint is where they go: a mail address
// or an HTTPS address. A tally is what was counted for one policy domain on one day, UTC.
//
//	delivery ──► Session ──► tally ──► at the end of the day, after a random delay:
//	                │         │ file     the record again ──► mail into our queue
//	                ▼         ▼                            └► HTTPS POST
//	        is there a record?  (asked once a day, afterwards)
//
// What always holds:
//
//   - Counting waits for nothing. Whether a domain has a record is found out afterwards,
//     at most once a day; of one that has none only the number of sessions is kept.
//   - What is kept is bounded, by domain and in all. What goes over is counted together, so
//     that in each report the totals are the sums of their parts.
//   - Counts, and what is still to be sent, outlive a restart, but for the last minute
//     before a crash. A report that is sent twice for that has the same Report-ID twice.
//   - Sessions that carry reports are not reported: delivery keeps quiet about messages
//     that say TLS-Required: No, and letters of this package do.
//
// What it does not do: it judges no TLS (its caller says how a session went, and against
// which policies), signs nothing, and reads no reports of others.
package tlsrpt
