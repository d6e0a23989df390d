// Package dns asks what a mail system asks the domain name system: the mail exchangers
// of a domain, the addresses of a host, the name of a client.
//
// A Resolver is a stub: it asks the recursive servers of resolv.conf(5), or those it is
// told, over UDP and, where the answer was cut, over TCP. Answers are kept for as long
// as they say, also those that say that there is nothing; and a question that is being
// asked is not asked a second time.
//
// An answer is one of three things, and whoever asks must tell them apart:
//
//   - records;
//   - that there are none: errors.Is(err, ErrNotFound). The name does not exist, or
//     exists without such records, or is no name at all. That is final for mail;
//   - no answer: a time-out, SERVFAIL, a broken reply: errors.Is(err, ErrTemporary).
//     It may never be taken for "there are none", or a name server that is down for a
//     minute would bounce mail.
//
// Beside these there are records that nobody can use, and records that a filter has left
// out (Malformed, Filtered): they are neither, and to be taken for temporary where nothing
// else is said of them.
//
// An answer, also that there is none, is Secure if a validating server vouched for every
// step of it and that server is trusted (Options.Trusted). The package does not validate
// itself: it believes the AD bit of a server that nobody can come between, and nobody
// else's (RFC 4035 section 4.9.3).
//
// The texts of errors are Postfix's, since they go into the log and into reports.
//
// Lookups append no search domains, unless a View says so. Native is the other way to
// find a host: /etc/hosts first, search domains included (postconf(5): smtp_host_lookup =
// native).
//
// What a peer decides is bounded: records of an answer, aliases on the way, bytes of the
// cache, packets that come in place of a reply.
//
// It does not recurse from the root, and knows nothing of SMTP.
package dns
