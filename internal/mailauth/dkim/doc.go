// Package dkim verifies and makes DKIM signatures (RFC 6376, with RFC 8301, 8463 and 8616).
//
// Its terms are the RFC's: the signing domain (d=) takes responsibility, its selector (s=)
// names one of its keys in the DNS, the signature covers the header fields of h=, each name
// from the bottom of the header upwards, and the body. What is hashed is not the message but
// its canonical form, simple or relaxed, so that some changes on the way do no harm.
//
// Verify reads a message once. Its header is kept, up to 512 KiB; its body passes through
// both canonical forms, each made only once, into the hashes of all signatures, while the keys
// are asked for. A result is what may be believed:
//
//   - pass: the domain has signed the whole body and the fields of Signature.Signed;
//   - fail: the bytes are not those that were signed;
//   - policy: it verified, or would have, but is not to be trusted: a body length (l=) that
//     leaves a part of the body to anybody, an RSA key too short or too long;
//   - permerror: nobody will ever be able to verify it: syntax, no key, a key that is revoked,
//     for another purpose or ambiguous, rsa-sha1, expired;
//   - temperror: the DNS gave no answer.
//
// A key in testing mode (t=y) changes nothing of that; Signature.Testing tells.
//
// A Signer signs what leaves: mail of authors who may speak for a domain that has keys, and
// our own reports. One rule stands above all others, and is tested as a property: mail whose
// author nobody vouches for is never signed by a domain that could be aligned with its From
// field (see align.go).
//
// Why the package has a verifier of its own: go-msgauth/dkim keeps fields of any length,
// looks keys up without a context, removes b= by a pattern that also matches within z=,
// takes a CR within a field for a space, refuses every l=, knows no t=s, leaves
// goroutines behind when a message cannot be read, and makes the canonical body anew for each
// signature. Around all that, nothing would be left of it but two calls of the standard
// library. The tests have it, with others, as a second opinion.
//
// The package knows nothing of DMARC, of tables or of SMTP.
package dkim
