// Package delivery sends mail: it is the SMTP and LMTP client, and so the last step of
// a message's way. For the queue it is the Transport.
//
// A Client serves the transports smtp, relay and lmtp. For each call of Work it opens
// at most one connection at a time, to one destination, and sends over it what the
// queue hands out: find the hosts of the next hop, connect to one after the other until
// one takes the message, agree on extensions and TLS, send envelope and content, and
// tell for every recipient what became of it.
//
// Terms. A destination is a transport and a next hop (transport(5)). The hosts of a next
// hop are its addresses, best first. An attempt is one message for one destination; a
// transaction is what one connection does with it, MAIL to the final dot or the last
// chunk.
//
// What holds here:
//
//   - A recipient is delivered if and only if a 2xx reply came after the content (LMTP:
//     its own). Everything else is temporary, but for what is clearly permanent.
//   - A recipient that a host refused for now, or that a lost connection left open, is
//     tried at the next host of the same next hop (postconf(5): smtp_mx_session_limit),
//     and deferred when there is none.
//   - Once the end of the content is on its way, a lost connection leaves the outcome
//     unknown. The message is sent again later and may arrive twice; the log says so.
//   - Header and body leave as they were received: with DATA dots are added, which the
//     receiver takes away again; with BDAT nothing.
//   - No byte of an address or of a server's reply can become a command or a line of its
//     own: commands with control characters are not sent, replies are made printable.
//   - Every wait has a time limit, every amount of a server's talk a bound.
//
// Texts of reasons are Postfix's, since people and programs look for them in the log.
//
// It keeps nothing on disk, decides no routing and writes no reports.
package delivery
