// Package dane says what TLS a host is to get by the records that its owner has published
// for it, where DNSSEC vouches for them: DANE for SMTP (RFC 7672, on RFC 6698 and RFC 7671).
// It is asked on a message's way between "which host?" and "connect".
//
//	d := dane.New(dane.Options{Names: resolver})
//	choice, err := d.TLS(ctx, mail.TLSPeer{Domain: "example.com", Host: "mx.example.com", Port: 25, ByMX: true})
//
// # Terms
//
// A TLSA record says which certificate or key a host has, by four fields: usage (2, DANE-TA:
// an authority's; 3, DANE-EE: the host's own), selector (0: the certificate, 1: its key),
// matching type (0: as it is, else the number of a digest) and the data itself. The TLSA base
// domain is the name below which they are found: that of the host, or where its aliases led.
// A record is usable when we can tell whether a certificate matches it. An answer is secure
// when a validating resolver vouches for it, insecure when its zone is not signed. One that
// was tampered with, or whose signatures have expired, is no answer.
//
// # Invariants
//
//   - DANE holds only where both the MX records and the host's addresses are secure; that
//     can be relaxed for MX records alone (postconf(5): smtp_tls_dane_insecure_mx_policy).
//   - No answer is never "there are no records": it is an error, and mail waits.
//   - Usable records: mail goes to a server that matches one of them, or not at all.
//     Records of which none is usable: TLS, with whoever answers.
//   - What a peer's records and certificates may cost is bounded: maxRecords, maxChain and
//     maxSignatures.
//
// It keeps nothing; the resolver does. It knows neither what the operator demands of a
// destination (dane-only) nor how connections are made.
package dane
