// Package tlsrpt tells receivers how the TLS of connections to them fared: the daily
// reports of RFC 8460, as their sender.
//
// Terms. A session is one connection to a host of a receiver, counted once. A policy
// domain is the domain whose policies, and whose wish for reports, hold for a session. A
// record is the TXT record by which a policy domain asks for reports. An endpoint is where
// they go: a mail address or an HTTPS address.
package tlsrpt
