// Package ldaptable is the tables of type ldap: ldap_table(5).
//
// LDAP is an opener for table.Options.Types. What the .cf file says of keys and results
// is read by package dbtable; here is the directory: where the servers are (hosts.go), how
// to connect to one and who we are there (connect.go), what to search for and which of an
// entry's attributes are the answer (ldap.go, entries.go).
//
// A key gets into the search base by RFC 4514 and into the filter by RFC 4515, so that it
// is never more than a value. The protocol is version 3, whatever "version" says:
// version 2 has been historic since 2003 (RFC 3494), and servers refuse it. Referrals are
// not chased and SASL is not spoken; a file that asks for either is refused.
package ldaptable
