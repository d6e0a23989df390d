// Package stshost serves the MTA-STS policies of our own domains (RFC 8461 section 3.3):
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt. Sending servers fetch it to learn which
// hosts take the domain's mail, and that these must show a valid certificate.
//
// # Terms
//
// A policy is hosted for a domain when Options.Hosted says so; all domains have the same
// one, since all have the same MX. Its id is what the domain's record (_mta-sts.DOMAIN TXT)
// has to say: it follows from the policy (ID), and so changes when, and only when, that does.
//
// # Invariants
//
//   - There is one resource, and GET and HEAD for it; whatever else is asked for is 404.
//     Nothing that a client sends reaches a file.
//   - A policy is sent as the bytes of its String, lines with CRLF, text/plain.
//   - Each connection is one request: it has a time for its handshake, its header and its
//     answer, and is closed. Connections are counted, by client and in all, and those over
//     the limit are closed unanswered.
//
// It does not fetch policies of others (package mtasts does), and holds no certificates.
package stshost
