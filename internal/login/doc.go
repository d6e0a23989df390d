// Package login knows who may log in to submit mail (RFC 4954): the mechanisms PLAIN and
// LOGIN over a table of password hashes, and a client of Dovecot's auth service, which
// brings mechanisms of its own. What SMTP says about it is smtpd's.
//
// A table has the name of a user as its key and the hash of his password as its value, as
// "aliasmx passwd" prints it:
//
//	joe     $argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0$...
//	jane    $2b$12$...
//
// Invariants. A password is in no error, no log line and no argument of a program. Who is
// not in the table costs as much time as a wrong password. Whatever cannot be decided is
// temporary (454), never a wrong password (535): a mail program asks its user for another
// one, and then keeps that. Hashing is bounded (Gate), so that a flood of attempts costs
// its senders more than us.
package login
