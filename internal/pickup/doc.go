// Package pickup takes mail from the users of this machine: the sendmail command is
// its client, the daemon its server; a socket in the queue directory, which every user
// may open, lies between them. It does what postdrop(1), pickup(8) and the local part
// of cleanup(8) do for Postfix.
//
// Who submits is asked of the kernel. What a submitter sends is not trusted further:
// every length is bounded, every wait has a deadline, one user cannot take all
// connections. A connection that breaks before its end was said enqueues nothing, and
// the client is told success only when the message is on stable storage: local mail
// needs no spool of its own.
//
// Either side sends frames: one byte of kind, four of length (big endian), then so
// many bytes. A submission is
//
//	client  Q  the request: name=value pairs, each ended by NUL; the first is version=1
//	server  G  go ahead (or A, when nothing will be taken)
//	client  R  recipients: local part, NUL, domain, NUL, ... (any number of frames)
//	client  D  content: lines with LF or CRLF (any number of frames)
//	client  E  the end of both
//	server  A  the answer: exit status (sysexits), text, queue ID
//
// After G in reply to mode=smtp the connection is plain SMTP (sendmail -bs), which is
// smtpd's affair.
//
// As in Postfix, a recipient that does not exist is no reason to refuse a message from
// a local program, which would not know what to do about it: the message is queued with
// an "error" destination for it, and its sender gets a report. What cannot be decided
// now (a table that does not answer) is refused with EX_TEMPFAIL, and nothing is taken.
//
// The package knows neither the queue nor the alias tables; both are given to it.
package pickup
