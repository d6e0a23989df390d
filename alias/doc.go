// Package alias decides: which address class a domain has, where an address leads
// through the virtual alias tables, and to which destination each result goes.
//
// It does what trivial-rewrite(8) and the virtual alias part of cleanup(8) do for
// Postfix, but in the SMTP session, once, at RCPT: what cannot be delivered is
// refused there instead of bounced later.
//
// It opens no table and reads no configuration: Options carries both.
package alias
