// Package sqltable is the tables of type pgsql and mysql: pgsql_table(5), mysql_table(5).
//
// PgSQL and MySQL are openers for table.Options.Types. What the two have in common with
// other tables that a .cf file describes, and with sqlite, is in package dbtable; here
// is what a PostgreSQL or a MySQL (MariaDB) server needs: how hosts are written, how
// to connect, how to ask.
//
// A value never is part of the SQL text that MySQL reads: queries are prepared, once for
// each connection. PostgreSQL gets it as a quoted string, because there a parameter's
// type must be known where a string's need not (concat('%u', ...)); the connection is
// made to read strings by the SQL standard, and keys are UTF-8 by then.
package sqltable
