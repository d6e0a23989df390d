// Package sqlitetable is the tables of type sqlite: sqlite_table(5).
//
// SQLite is an opener for table.Options.Types. The .cf file names a database of this
// machine (dbpath) and a query; package dbtable has what is common to all tables that a
// .cf file describes. The database is opened read-only with the first lookup. When another
// file takes its place, that one is asked within a second, unless it is no database: then
// the old one stays in force.
package sqlitetable

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

// SQLite opens tables of type sqlite.
func SQLite(argument string, o table.Options) (table.Table, error) {
	return dbtable.Type{Name: "sqlite", New: newSQLite, Local: true}.Open(argument, o)
}

const (
	lookupTimeout = 10 * time.Second
	busyTimeout   = 5 * time.Second // for a writer to be done
	checkInterval = time.Second     // for a look at whether the file was replaced
	keepOpen      = 24 * time.Hour  // of a connection, which holds on to its file
	maxAnswer     = 16 << 20
)

// sqliteSource asks a database file, over a few connections since each does one thing at
// a time.
type sqliteSource struct {
	path  string
	query *dbtable.Statement
	now   func() time.Time
	warn  func(msg string)
	pool  *dbtable.Pool[*sqliteConn]

	mu      sync.Mutex  // guards the rest
	file    fs.FileInfo // the one that is asked
	refused fs.FileInfo // one that is no database
	checked time.Time
}

// sqliteConn is a connection with the query that was prepared last.
type sqliteConn struct {
	driver.Conn
	file fs.FileInfo
	sql  string
	stmt driver.Stmt
}

func newSQLite(c *dbtable.Config, ts *dbtable.Templates, o table.Options) (dbtable.Source, error) {
	s := &sqliteSource{path: c.Text("dbpath", ""), query: c.SQL(ts, dbtable.SQLite), now: o.Now, warn: o.Warn}
	if s.now == nil {
		s.now = time.Now
	}
	// A database is a local table: one that is not there stops the start.
	if f, err := os.Open(s.path); err != nil {
		c.Fail("dbpath", "%v", table.FileError("open database", s.path, err))
	} else {
		f.Close()
	}
	s.pool = dbtable.NewPool(dbtable.PoolOptions[*sqliteConn]{
		Hosts: []dbtable.Host{{Name: s.path, Network: "unix", Address: s.path}},
		Dial:  s.dial, Lost: s.lost, Now: s.now,
		Idle: keepOpen, DialTimeout: lookupTimeout, LookupTimeout: lookupTimeout,
	})
	return s, nil
}

func (s *sqliteSource) dial(_ context.Context, h dbtable.Host) (*sqliteConn, error) {
	file, err := os.Stat(h.Address)
	if err != nil {
		return nil, table.FileError("open database", h.Address, err)
	}
	uri := url.URL{Scheme: "file", Path: h.Address, OmitHost: true, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(" +
		strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")"}
	if h.Address[0] != '/' {
		uri.Path, uri.Opaque = "", url.PathEscape(h.Address)
	}
	conn, err := (&sqlite.Driver{}).Open(uri.String())
	if err != nil {
		return nil, err
	}
	return &sqliteConn{Conn: conn, file: file}, nil
}

// errReplaced is a connection to a file that is not the database any more.
var errReplaced = errors.New("the database file was replaced")

func (s *sqliteSource) lost(_ *sqliteConn, err error) bool {
	_, said := errors.AsType[*sqlite.Error](err)
	return !said
}

// current is the file that is to be asked: what lies at the path as of the last second.
func (s *sqliteSource) current() fs.FileInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if since := now.Sub(s.checked); s.file != nil && 0 <= since && since < checkInterval {
		return s.file
	}
	s.checked = now
	file, err := os.Stat(s.path)
	switch {
	case err != nil || s.file != nil && os.SameFile(file, s.file):
		return s.file
	case s.file == nil:
		s.file = file
	case s.refused == nil || !os.SameFile(file, s.refused) || !file.ModTime().Equal(s.refused.ModTime()):
		if err := s.try(); err != nil {
			s.refused = file
			s.warn(fmt.Sprintf("%s: %v; the database as it was stays in force", s.path, err))
		} else {
			s.file, s.refused = file, nil
		}
	}
	return s.file
}

// try tells whether a file is a database.
func (s *sqliteSource) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	conn, err := s.dial(ctx, dbtable.Host{Address: s.path})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.values(ctx, "SELECT count(*) FROM sqlite_master", nil)
	return err
}

// Ask implements dbtable.Source. The first column of each row is a value.
func (s *sqliteSource) Ask(ctx context.Context, r *dbtable.Result) error {
	var args []driver.NamedValue
	query := s.query.Render(r.Key(), func(value string) string {
		args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: value})
		return "?"
	})
	var values []string
	err := s.pool.Do(ctx, func(ctx context.Context, conn *sqliteConn) error {
		if file := s.current(); file != nil && !os.SameFile(file, conn.file) {
			return errReplaced
		}
		var err error
		values, err = conn.values(ctx, query, args)
		return err
	})
	if err != nil {
		return err
	}
	for _, value := range values {
		if err := r.Add(value); err != nil {
			return err
		}
	}
	return nil
}

func (c *sqliteConn) values(ctx context.Context, sql string, args []driver.NamedValue) ([]string, error) {
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
	rows, err := c.stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var values []string
	row, size := make([]driver.Value, len(rows.Columns())), 0
	for len(row) > 0 {
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if row[0] == nil { // NULL is no value
			continue
		}
		text := sqliteText(row[0])
		if size += len(text) + 16; size > maxAnswer {
			return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
		}
		values = append(values, text)
	}
	return values, nil
}

// sqliteText is a value as sqlite3_column_text() has it.
func sqliteText(value driver.Value) string {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case float64:
		text := strconv.FormatFloat(v, 'g', 15, 64)
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			text += ".0"
		}
		return text
	}
	return fmt.Sprint(value)
}

// Close implements dbtable.Source.
func (s *sqliteSource) Close() error { return s.pool.Close() }
