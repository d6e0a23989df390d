package sqltable

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

// MySQL opens tables of type mysql.
func MySQL(argument string, o table.Options) (table.Table, error) {
	return dbtable.Type{Name: "mysql", New: newMySQL}.Open(argument, o)
}

// mysqlSource asks MySQL or MariaDB servers.
type mysqlSource struct {
	query            *dbtable.Statement
	base             *mysql.Config // without a host
	requireResultSet bool
	pool             *dbtable.Pool[*mysqlConn]
}

// mysqlConn is a connection with the query that was prepared last.
type mysqlConn struct {
	driver.Conn
	sql  string
	stmt driver.Stmt
}

func newMySQL(c *dbtable.Config, ts *dbtable.Templates, o table.Options) (dbtable.Source, error) {
	s := &mysqlSource{query: c.SQL(ts, dbtable.MySQL), base: mysql.NewConfig()}
	s.base.User, s.base.Passwd, s.base.DBName = c.Str("user", ""), c.Str("password", ""), c.Text("dbname", "")
	s.base.Logger = &mysql.NopLogger{}
	if err := s.base.Apply(mysql.Charset(c.Text("charset", "utf8mb4"), "")); err != nil {
		c.Fail("charset", "%v", err)
	}
	s.base.TLS = mysqlTLS(c)
	s.requireResultSet = c.Bool("require_result_set", true)
	c.Refuse("option_file", "is not supported; say in this file what it says")
	if group := c.Str("option_group", "client"); group != "client" && group != "" {
		c.Fail("option_group", "is not supported; say in this file what the group says")
	}
	s.pool = pool(c, o, dbtable.PoolOptions[*mysqlConn]{Hosts: mysqlHosts(c), Dial: s.dial, Lost: s.lost})
	return s, nil
}

func (s *mysqlSource) dial(ctx context.Context, h dbtable.Host) (*mysqlConn, error) {
	conf := s.base.Clone()
	conf.Net, conf.Addr = h.Network, h.Address
	if conf.TLS != nil && conf.TLS.ServerName == "" {
		conf.TLS.ServerName, _, _ = net.SplitHostPort(h.Address)
	}
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &mysqlConn{Conn: conn}, nil
}

// lost: what the server says of a question leaves the connection in order.
func (s *mysqlSource) lost(_ *mysqlConn, err error) bool {
	said, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return !errors.Is(err, errResultSet)
	}
	const serverShutdown, connectionKilled = 1053, 1927
	return said.Number == serverShutdown || said.Number == connectionKilled
}

var errResultSet = errors.New("query failed")

// Ask implements dbtable.Source.
func (s *mysqlSource) Ask(ctx context.Context, r *dbtable.Result) error {
	var args []driver.NamedValue
	query := s.query.Render(r.Key(), func(value string) string {
		args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: value})
		return "?"
	})
	var got answer
	err := s.pool.Do(ctx, func(ctx context.Context, conn *mysqlConn) error {
		got = answer{}
		rows, err := conn.query(ctx, query, args)
		if err != nil {
			return err
		}
		return errors.Join(s.collect(rows, &got), rows.Close())
	})
	if err != nil {
		return err
	}
	return got.to(r)
}

func (c *mysqlConn) query(ctx context.Context, sql string, args []driver.NamedValue) (driver.Rows, error) {
	if c.stmt == nil || c.sql != sql {
		if c.stmt != nil {
			c.stmt.Close()
			c.stmt = nil
		}
		stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
		if err != nil {
			return nil, err
		}
		c.sql, c.stmt = sql, stmt
	}
	return c.stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// collect reads the one result set that there may be. A procedure that is called ends
// with a status besides.
func (s *mysqlSource) collect(rows driver.Rows, got *answer) error {
	sets := 0
	for {
		columns := len(rows.Columns())
		if columns > 0 {
			if sets++; sets > 1 {
				return fmt.Errorf("%w: multiple result sets returning data are not supported", errResultSet)
			}
		}
		row := make([]driver.Value, columns)
		for columns > 0 {
			err := rows.Next(row)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			for _, value := range row {
				if value != nil && !got.add(mysqlText(value)) { // NULL is no value
					return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
				}
			}
		}
		more, ok := rows.(driver.RowsNextResultSet)
		if !ok || !more.HasNextResultSet() {
			break
		}
		if err := more.NextResultSet(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if sets == 0 && s.requireResultSet {
		return fmt.Errorf("%w: query returned no result set (require_result_set = yes)", errResultSet)
	}
	return nil
}

// mysqlText is a value as the server would print it.
func mysqlText(value driver.Value) string {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case string:
		return v
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strings.TrimSpace(fmt.Sprint(value))
}

// Close implements dbtable.Source.
func (s *mysqlSource) Close() error { return s.pool.Close() }
