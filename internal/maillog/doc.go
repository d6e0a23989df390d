// Package maillog is the mail log: a slog.Handler that turns the events of package
// mail into the lines that Postfix writes, or into JSON with the same fields.
//
//	Nov 22 19:09:54 mx postfix/smtp[4711]: 4Xk2b1q0zFcN: to=<a@example.net>, relay=mx[192.0.2.1]:25, delay=1.5, ...
//
// Log parsers, fail2ban rules and habits hang on these lines, so their wording is
// Postfix's to the letter, and this package alone knows it: the rooms log events
// (mail.EventDelivery and so on) with fixed keys. A record whose message is no event
// is a free line: "warning: ...", "error: ..." or just its text.
//
// Whatever a peer sent may stand in a value. No value can end a line or begin
// another: what is not printable becomes "?", and a value has its bound.
//
// The lines go to a writer, such as File, or to syslog. Logging never stops mail: a
// line that cannot be written is counted and lost, and that is said once.
package maillog
