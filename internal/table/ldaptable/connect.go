package ldaptable

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"

	"aliasmx/internal/table/dbtable"
)

// dial connects to a server and says who we are.
func (s *source) dial(ctx context.Context, h dbtable.Host) (*ldap.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, h.Network, h.Address)
	if err != nil {
		return nil, err
	}
	conf := s.tls.Clone()
	conf.ServerName, _, _ = net.SplitHostPort(h.Address)
	encrypted := h.URI == ldaps
	if encrypted {
		secure := tls.Client(raw, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		raw = secure
	}
	conn := ldap.NewConn(raw, encrypted)
	conn.SetTimeout(s.timeout)
	conn.Start()
	if err := whileOpen(ctx, conn, func() error { return s.greet(conn, conf) }); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// greet starts TLS and binds, as far as the .cf file says so.
func (s *source) greet(conn *ldap.Conn, conf *tls.Config) error {
	if s.startTLS {
		if err := conn.StartTLS(conf); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if !s.bind {
		return nil
	}
	request := ldap.NewSimpleBindRequest(s.bindDN, s.bindPW, nil)
	request.AllowEmptyPassword = true // anonymous
	if _, err := conn.SimpleBind(request); err != nil {
		dn := s.bindDN
		if dn == "" {
			dn = "empty or implicit"
		}
		return fmt.Errorf("unable to bind with dn %s: %w", dn, err)
	}
	return nil
}

// whileOpen runs f, which waits for the server, and closes the connection when the
// context ends before f does: the library has no other way to stop waiting.
func whileOpen(ctx context.Context, conn *ldap.Conn, f func() error) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := f()
	if !stop() && err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// lost: a server that answered a search, be it with an error, is still there.
func (s *source) lost(conn *ldap.Conn, err error) bool {
	said, ok := errors.AsType[*ldap.Error](err)
	if !ok {
		return conn.IsClosing()
	}
	return said.ResultCode >= ldap.ErrorNetwork || said.ResultCode == ldap.LDAPResultBusy ||
		said.ResultCode == ldap.LDAPResultUnavailable || conn.IsClosing()
}

// lookups is how many searches of the longest duration one lookup may take, where groups
// lead to groups.
const lookups = 6

func (s *source) poolOptions(hosts []dbtable.Host, now func() time.Time) dbtable.PoolOptions[*ldap.Conn] {
	return dbtable.PoolOptions[*ldap.Conn]{
		Hosts: hosts, Ordered: true, Dial: s.dial, Lost: s.lost, Now: now,
		Retry: time.Minute, Idle: time.Minute,
		DialTimeout: s.timeout, LookupTimeout: lookups * s.timeout,
	}
}
