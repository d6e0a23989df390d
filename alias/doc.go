// Package alias decides: which address class a domain has, where an address leads
// through the virtual alias tables, and to which destination each result goes.
//
// It does what trivial-rewrite(8) and the virtual alias part of cleanup(8) do for
// Postfix, but in the SMTP session, once, at RCPT: what cannot be delivered is
// refused there instead of bounced later.
//
// Terms. To rewrite an address is to complete it (user becomes user@$myorigin). To
// resolve it is to find its class, its transport and its next hop. To expand it is
// to replace it by what virtual_alias_maps say, again and again, until nothing more
// is found. A target is what expansion ends with.
//
// Invariants. Every expansion ends: its depth, its number of results and the length
// of each result are bounded (virtual_alias_recursion_limit, _expansion_limit,
// _address_length_limit), whatever the tables say. The same tables give the same
// targets in the same order. A table that fails is never taken for one that has no
// such key.
//
// Example. With virtual_alias_domains = virt.example and the table line
// "info@virt.example joe@dest.example, ann@dest.example", RCPT TO:<info@virt.example>
// is of the virtual alias class, expands to two targets, and both go to
// "smtp:dest.example", or to the relay host.
//
// It opens no table and reads no configuration: Options carries both. It does not
// decide who may relay: that is the session's part.
package alias
