// Package spf asks a domain whether a client may send mail in its name: the Sender Policy
// Framework of RFC 7208.
//
// A domain has one record, a TXT of "v=spf1 " and terms:
//
//	v=spf1 ip4:192.0.2.0/24 mx include:_spf.provider.example -all
//
// A term is a mechanism, which the client matches or not (its qualifier says what follows
// from a match), or a modifier (redirect=, exp=). Domains in terms may have macros in them,
// "%{i}", that are replaced by what is known of the client and the sender.
//
// The domain that is asked is that of the reverse-path; the name of HELO where that is null
// (Check), or in any case (CheckHelo).
//
// Invariants:
//   - a record is read whole before a term of it is evaluated: a mistake anywhere in it is
//     permerror, and nobody is asked for its sake;
//   - where the DNS has not answered, the result is temperror. The exceptions are the RFC's:
//     ptr and exp do without (sections 5.5 and 6.2);
//   - what a record, or the zone of a client's address, can make us do is bounded: the limits
//     in limits.go, and the time of the caller's context.
//
// It looks at no message, refuses nobody and keeps nothing: records are in the resolver's
// cache.
package spf
