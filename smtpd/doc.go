// Package smtpd receives mail: the SMTP server, one file per verb.
//
// The engine reads commands, checks their order and syntax, and drives a go-smtp
// smtp.Session; the session of this package decides with the help of what it is
// given: Recipients says what an address is and where it leads, Enqueuer keeps what
// was accepted. The package knows neither the alias tables nor the queue.
//
// What it owes the client: whatever can be refused is refused here, in the session;
// 250 after the final dot is said only when Commit has returned nil.
package smtpd
