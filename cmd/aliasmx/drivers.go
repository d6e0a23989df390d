//go:build !slim

package main

import (
	"sync"
	"sync/atomic"

	"aliasmx/internal/table"
	"aliasmx/internal/table/ldaptable"
	"aliasmx/internal/table/sqlitetable"
	"aliasmx/internal/table/sqltable"
)

// tableTypes are the types of tables that bring a driver with them. A build with the tag
// slim is without.
func tableTypes() map[string]table.Opener {
	said := &sync.Map{}
	return map[string]table.Opener{
		"sqlite": warnOnce(said, sqlitetable.SQLite),
		"pgsql":  warnOnce(said, sqltable.PgSQL),
		"mysql":  warnOnce(said, sqltable.MySQL),
		"ldap":   warnOnce(said, ldaptable.LDAP),
	}
}

// warnOnce says only once what is found while a table is opened: several parameters may
// name one table, as virtual_alias_domains does by default.
func warnOnce(said *sync.Map, open table.Opener) table.Opener {
	return func(argument string, o table.Options) (table.Table, error) {
		var opened atomic.Bool
		warn := o.Warn
		o.Warn = func(msg string) {
			if !opened.Load() {
				if _, again := said.LoadOrStore(msg, true); again {
					return
				}
			}
			warn(msg)
		}
		defer opened.Store(true)
		return open(argument, o)
	}
}
