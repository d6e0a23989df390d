package dbtable

import "fmt"

// SQL reads the query of a table of one of the SQL types. Without "query" it is made of
// the parameters that older versions of Postfix had, as mysql_table(5) and
// pgsql_table(5) have under "obsolete query interface".
func (c *Config) SQL(ts *Templates, d Dialect) *Statement {
	query := c.Str("query", "")
	legacy := []string{"table", "select_field", "where_field", "additional_conditions"}
	from := "query"
	function := ""
	if d.EStrings { // PostgreSQL alone has it
		function = c.Str("select_function", "")
	}
	switch {
	case query != "":
		c.Ignore(legacy...)
	case function != "":
		from = "select_function"
		c.Ignore(legacy...)
		query = "SELECT " + function + "('%s')"
	default:
		for _, name := range legacy[:3] {
			if !c.Has(name) {
				c.Fail("query", "is missing (and so is %s, of the older way to say it)", name)
				return nil
			}
		}
		from = "table"
		query = fmt.Sprintf("SELECT %s FROM %s WHERE %s='%%s' %s", c.Str("select_field", ""), c.Str("table", ""),
			c.Str("where_field", ""), c.Str("additional_conditions", ""))
	}
	s, err := ts.Statement(query, d)
	if err != nil {
		c.Fail(from, "%v", err)
		return nil
	}
	if s.Unquoted != 0 {
		c.Warn(fmt.Sprintf("%s: query contains >%%%c< without the recommended '' quotes", c.File, s.Unquoted))
	}
	return s
}
