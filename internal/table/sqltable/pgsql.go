package sqltable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

// PgSQL opens tables of type pgsql.
func PgSQL(argument string, o table.Options) (table.Table, error) {
	return dbtable.Type{Name: "pgsql", New: newPgSQL}.Open(argument, o)
}

// pgsqlSource asks PostgreSQL servers.
type pgsqlSource struct {
	query                          *dbtable.Statement
	user, password, dbname, encode string
	pool                           *dbtable.Pool[pgsqlConn]
}

type pgsqlConn struct{ *pgconn.PgConn }

// Close says goodbye to the server, but does not wait for its answer.
func (c pgsqlConn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.PgConn.Close(ctx)
}

func newPgSQL(c *dbtable.Config, ts *dbtable.Templates, o table.Options) (dbtable.Source, error) {
	s := &pgsqlSource{
		query: c.SQL(ts, dbtable.PostgreSQL),
		user:  c.Str("user", ""), password: c.Str("password", ""), dbname: c.Str("dbname", ""),
		encode: c.Text("encoding", "UTF8"),
	}
	if !bytewise(s.encode) {
		c.Fail("encoding", "%.40q is not supported: need UTF8, or one with a byte for each character", s.encode)
	}
	hosts := pgsqlHosts(c)
	for _, h := range hosts {
		if h.URI == "" && s.dbname == "" {
			c.Fail("dbname", "is missing: host %q requires it", h.Name)
		}
		if _, err := s.config(h); err != nil {
			c.Fail("hosts", "%s: %v", h.Name, err)
		}
	}
	s.pool = pool(c, o, dbtable.PoolOptions[pgsqlConn]{Hosts: hosts, Dial: s.dial, Lost: s.lost})
	return s, nil
}

// bytewise tells whether a quote in a text of this encoding is always a quote, which
// does not hold where it may be the second half of a character.
func bytewise(encoding string) bool {
	name := strings.ToUpper(encoding)
	return slices.Contains([]string{"UTF8", "UTF-8", "UNICODE", "SQL_ASCII", "KOI8", "KOI8R", "KOI8U"}, name) ||
		slices.ContainsFunc([]string{"LATIN", "WIN", "ISO_8859_"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// config is a connection to a host in the driver's words. The driver's own errors may
// show the URI, with its password.
func (s *pgsqlSource) config(h dbtable.Host) (*pgconn.Config, error) {
	text := h.URI
	if text == "" {
		host, port := h.Address, pgsqlPort
		if h.Network != "unix" {
			host, port, _ = net.SplitHostPort(h.Address)
		}
		var b strings.Builder
		for _, setting := range [][2]string{{"host", host}, {"port", port}, {"user", s.user}, {"password", s.password}, {"dbname", s.dbname},
			{"sslmode", "prefer"}, {"target_session_attrs", "any"}} {
			if setting[1] != "" {
				fmt.Fprintf(&b, "%s='%s' ", setting[0], strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(setting[1]))
			}
		}
		text = b.String()
	}
	conf, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, errors.New("cannot be understood as a server to connect to")
	}
	conf.RuntimeParams["client_encoding"] = s.encode
	conf.RuntimeParams["standard_conforming_strings"] = "on"
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "aliasmx"
	}
	return conf, nil
}

func (s *pgsqlSource) dial(ctx context.Context, h dbtable.Host) (pgsqlConn, error) {
	conf, err := s.config(h)
	if err != nil {
		return pgsqlConn{}, err
	}
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return pgsqlConn{}, connectError(err)
	}
	if conn.ParameterStatus("standard_conforming_strings") != "on" {
		pgsqlConn{conn}.Close()
		return pgsqlConn{}, errors.New("the server does not take standard_conforming_strings = on")
	}
	return pgsqlConn{conn}, nil
}

// connectError is why a connection failed, without a repetition for every attempt with
// and without TLS.
func connectError(err error) error {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return said
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// lost: what the server says of a question leaves the connection in order.
func (s *pgsqlSource) lost(conn pgsqlConn, err error) bool {
	_, said := errors.AsType[*pgconn.PgError](err)
	return !said || conn.IsClosed()
}

// Ask implements dbtable.Source. Of several statements the last one's result counts.
func (s *pgsqlSource) Ask(ctx context.Context, r *dbtable.Result) error {
	var got answer
	query := s.query.Render(r.Key(), pgsqlString)
	err := s.pool.Do(ctx, func(ctx context.Context, conn pgsqlConn) error {
		results := conn.Exec(ctx, query)
		for results.NextResult() {
			got = answer{}
			for rows := results.ResultReader(); rows.NextRow(); {
				for _, value := range rows.Values() {
					if value != nil && !got.add(string(value)) { // NULL is no value
						conn.Close()
						return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
					}
				}
			}
		}
		return results.Close()
	})
	if err != nil {
		return err
	}
	return got.to(r)
}

// pgsqlString is a value as a string of SQL, in the form that means the same whatever
// standard_conforming_strings is.
func pgsqlString(value string) string {
	quoted := "'" + strings.ReplaceAll(value, "'", "''") + "'"
	if strings.Contains(value, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// Close implements dbtable.Source.
func (s *pgsqlSource) Close() error { return s.pool.Close() }
