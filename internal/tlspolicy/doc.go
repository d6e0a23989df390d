// Package tlspolicy decides how mail leaves: what TLS the connection to a host gets, and
// whether the certificate that the host shows will do.
//
// Terms. A level is how much is asked (postconf(5): smtp_tls_security_level): none, may,
// encrypt, fingerprint, verify, secure, dane, dane-only. An entry is the value of
// smtp_tls_policy_maps for a next hop: a level and attributes. A source knows what the
// receiver has published: TLSA records (DANE, RFC 7672) or an MTA-STS policy (RFC 8461).
// Authorities are the roots that certificates are verified with (smtp_tls_CAfile); anchors
// take their place where somebody trusts a few certificates or keys and nobody else
// (tafile, smtp_tls_trust_anchor_file).
//
// A connection is decided on in this order:
//
//  1. The entry of the next hop as it is written. A domain has those of the domains above
//     it too: sub.example.com, .example.com, .com. The entry holds alone.
//  2. Without one, the level of the parameter.
//  3. At dane and dane-only, what the DANE source says. dane is what the receiver makes of
//     it: verified where there are usable TLSA records, encrypt where there are only
//     unusable ones, may where there are none. dane-only insists on usable ones.
//  4. Where that leaves less than dane (may, encrypt, half-dane), and no entry has decided,
//     the STS source. It may raise the level, never lower it.
//
// Invariants. What cannot be read of an entry never weakens a connection: the host is left
// alone, with Postfix's "client TLS configuration problem". Who is trusted is decided by
// crypto/x509 alone; the other code finds OpenSSL's words for what is wrong, and names.
//
// Example. New(Options{Level: mail.TLSSecure, Authorities: a, SecureMatch: []string{"nexthop"}})
// wants each server's certificate to be for the domain that mail is for.
//
// The package makes no connection, looks nothing up in the DNS and reads no configuration.
package tlspolicy
