// Package authres writes and reads Authentication-Results fields (RFC 8601, with RFC 8616
// for what is not ASCII): what a host found out about a message, for those who come after it.
//
// The terms are the RFC's. An authserv-id names who says it. Each method (spf, dkim, dmarc,
// arc) has a result, a reason, a comment and properties: what in the message it is about,
// as ptype.property=value (smtp.mailfrom=a@b.example).
//
// What it writes goes out under our name, and holds words that a stranger has chosen. Two
// rules follow:
//
//   - Nothing in a value, a reason or a comment can end it: Parse of what Format wrote gives
//     the same methods, whatever they say (Clean tells what becomes of bytes that a field
//     cannot hold).
//   - A field that comes from outside and claims our name, or that some reader could take
//     for ours, is not to go on (RFC 8601 section 5). Ours knows it, in every spelling.
package authres

import "aliasmx/internal/mail"

// Property is what a result is about.
type Property struct {
	Type  string // smtp, header, body or policy
	Name  string
	Value string // an address is in its external form
}

// Method is the result of one authentication method.
type Method struct {
	Name       string // spf, dkim, dmarc, arc
	Result     mail.AuthResult
	Reason     string // why, for machines; "" when nobody says
	Comment    string // for people
	Properties []Property
}
