// Package dmarc evaluates DMARC as RFC 9989 has it: is a message really from the domain that
// its From field names, and what does that domain ask for where it is not?
//
// The terms are the RFC's. The author domain is that of the From field. A DMARC record is
// published in a TXT record at _dmarc.<domain>. The organizational domain of a name is the
// highest name above it that is run by the same people; it is found by the tree walk, which
// asks for the records of the name and of those above it, eight names at most. A public
// suffix domain (psd=y) is one below which others register theirs. An identity that SPF or
// DKIM has found to pass is aligned with the author domain if both have the same
// organizational domain (relaxed), or are the same (strict).
//
// What always holds:
//
//   - DNS trouble is temperror: nothing passes, and nothing fails, by an answer that nobody
//     gave.
//   - Nothing passes by a From field that two readers could read differently: AuthorDomains
//     gives all the domains that any of them could see, or an error.
//   - What a message decides is bounded: the names that are asked for, and the time it takes
//     to read its header, which grows with its length alone.
//
// It reads no public suffix list, sends no reports, and rejects nothing: what becomes of a
// message is the receiver's to say (RFC 9989 section 7.4).
package dmarc
