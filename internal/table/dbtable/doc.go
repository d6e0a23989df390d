// Package dbtable is what tables of type sqlite, pgsql, mysql and ldap have in common.
//
// Such a table is described by a .cf file (Config): which server, what to ask, what to
// make of the answer. What to ask is a template (Template) in which %s, %u, %d and their
// like stand for the key or its parts; result_format is one that is applied to each
// value of the answer, and the results are joined by commas. A key that cannot fill the
// templates, one without a domain where %d is, is not asked for at all: it is unknown.
// The rules are those of db_common(3), mysql_table(5) and ldap_table(5), for all types
// alike.
//
//	hosts  = db1.example.com db2.example.com
//	dbname = mail
//	query  = SELECT target FROM alias WHERE address = '%s'
//
// What a key brings never becomes part of the language of a query. Statement splits an
// SQL query into text and values; a value goes to the server as a value.
//
// Open makes the table; it reads the .cf file when it opens, and again when that is
// replaced. A type brings a Source, which asks. Pool gives a Source connections to one
// of several servers, which are made when they are needed: a server that is away makes
// lookups fail and nothing else.
//
// The package knows no protocol. Those are in the packages sqltable, sqlitetable and
// ldaptable, so that who links one driver does not link all.
package dbtable
