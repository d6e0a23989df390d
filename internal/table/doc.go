// Package table is the lookup tables: what virtual_alias_maps, virtual_alias_domains,
// mynetworks and their like name in the configuration, and what postmap(1) builds.
//
// A table answers a key with a value (Table), tells where a key stands in its source
// (Locator) and what it holds (Lister). Open makes one from "type:argument":
//
//	hash btree dbm lmdb   an index file beside its source text, built by Build
//	texthash              the source text itself, read once into memory
//	cdb                   the format of cdb(5), as Postfix and tinycdb have it, built by Build
//	regexp pcre           rules with patterns, tried in order on the whole key
//	cidr                  rules with networks
//	inline static fail    in the configuration itself
//	randmap environ       a value by chance, a variable of the environment
//	unionmap pipemap      made of other tables
//	socketmap tcp         a server, asked anew for every key (or see Cached)
//	proxy                 the table behind the prefix: there is no proxymap(8) here
//
// The four indexed types of Postfix are one format of ours: they differ in the name
// of the index file only. An index is immutable. It is built beside the old one,
// synced, and renamed over it, so that a reader sees the old table or the new one and
// never a piece of either; a running table notices the new one within a second.
//
// Maps is a list of tables asked in order. DomainList and AddrList are the lists of
// match_list(3): names, networks, files, tables, exclusions.
//
// Keys are folded to lower case when a table is built and when it is asked, but for
// patterns and servers, which get them as they are. A pattern is judged by the rules of
// its own syntax, POSIX or Perl; one that cannot be run as it is meant does not open,
// and one that takes too long is a lookup that failed. A server that is away does not
// stop a table from opening: lookups fail until it is back.
//
// A key that is not there and a table that cannot answer are never confused: whoever
// asks must tell "unknown" (550) from "come back later" (451).
//
// The package does not know what the keys mean: which ones to ask for, and in which
// order, is the business of package alias.
package table
