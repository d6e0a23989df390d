// Package smtpd receives mail: the SMTP server, one file per verb.
//
// # A connection
//
//	Serve ─ accept ─> conn: read a command ─> its verb ─> reply
//	                            │                │
//	                            │                v
//	                            │            session: what is asked of the client (restrictions),
//	                            │                     where a recipient leads (Recipients)
//	                            v                │
//	                    DATA or BDAT codec ──> header.Writer ──> Draft ── Commit ─> 250
//
// The engine (conn.go and the file of each verb) reads commands, checks their order and
// syntax, and drives a go-smtp smtp.Session; sessions.go has the questions that go-smtp
// has no words for. The session (session.go, message.go) decides with the help of what
// it is given: Recipients says what an address is and where it leads, Enqueuer keeps
// what was accepted. The package knows neither the alias tables nor the queue.
//
// # Terms
//
// Names, reply texts and log events are Postfix's (smtpd(8)). A restriction is an
// element of smtpd_*_restrictions. A transaction is what MAIL begins and the end of
// data, RSET, HELO or the end of the connection ends. An error is a command that was
// refused; a junk command is one that does nothing for a delivery.
//
// # Invariants
//
//   - Whatever can be refused is refused here, in the session.
//   - 250 after the end of data is said only when Commit has returned nil.
//   - Only CRLF.CRLF ends a message, and nothing of a body is ever a command: the first
//     failed read ends the connection.
//   - With no restriction that refuses relaying, the engine adds one.
//   - One goroutine a connection. It ends within the time-outs, whatever the client
//     does; memory per connection is bounded, and an idle one holds no buffers. A panic
//     costs its connection.
package smtpd
