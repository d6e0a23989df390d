// Package mechanism has the SASL mechanisms (RFC 4422): what each is worth, which of
// them may be used, and the client's side of those that we log in with at other servers.
//
// Terms. A mechanism has properties; security options forbid some of them and insist on
// others. A Client is one exchange with a server: it makes a response for each
// challenge.
//
// Invariants. A Client is made only for a mechanism that the options allow, and the
// strongest one of those. What a server may demand (iterations of a hash) is bounded. An
// error says nothing that was secret.
//
// It knows no SMTP, no base64 and no table of passwords. The server's side is in login.
package mechanism
