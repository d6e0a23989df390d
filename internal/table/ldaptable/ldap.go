package ldaptable

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

// LDAP opens tables of type ldap.
func LDAP(argument string, o table.Options) (table.Table, error) {
	return dbtable.Type{Name: "ldap", New: newSource, ResultFormat: []string{"result_filter"}}.Open(argument, o)
}

// source asks LDAP servers.
type source struct {
	base, filter dbtable.Template
	scope        int
	dereference  int
	sizeLimit    int
	recursion    int // recursion_limit
	attributes   attributes
	warn         func(msg string)

	timeout        time.Duration
	startTLS, bind bool
	bindDN, bindPW string
	tls            *tls.Config
	pool           *dbtable.Pool[*ldap.Conn]
}

func newSource(c *dbtable.Config, ts *dbtable.Templates, o table.Options) (dbtable.Source, error) {
	s := &source{
		timeout:    time.Duration(c.Int("timeout", 10, 1)) * time.Second,
		recursion:  c.Int("recursion_limit", 1000, 1),
		sizeLimit:  c.Int("size_limit", c.Int("expansion_limit", 0, 0), 0),
		attributes: readAttributes(c),
		startTLS:   c.Bool("start_tls", false),
		bindDN:     c.Str("bind_dn", ""), bindPW: c.Str("bind_pw", ""),
		warn: func(msg string) { o.Warn(c.File + ": " + msg) },
	}
	s.readBind(c)
	s.readSearch(c, ts)
	s.readTLS(c)
	if version := c.Int("version", 3, 2); version > 3 {
		c.Fail("version", "unknown version %d", version)
	}
	if c.Bool("chase_referrals", false) {
		c.Fail("chase_referrals", "is not supported; name the servers that have the data in server_host")
	}
	for _, gone := range []string{"cache", "cache_expiry", "cache_size"} {
		if c.Has(gone) {
			c.Warn(fmt.Sprintf("%s: ignoring %s", c.File, gone))
		}
	}
	c.Ignore("debuglevel", "tls_random_file", "sasl_mechs", "sasl_realm", "sasl_authz_id", "sasl_minssf")
	s.pool = dbtable.NewPool(s.poolOptions(serverHosts(c), o.Now))
	return s, nil
}

func (s *source) readBind(c *dbtable.Config) {
	switch bind := c.Text("bind", "yes"); strings.ToLower(bind) {
	case "yes", "simple":
		s.bind = true
	case "no", "none":
	case "sasl":
		c.Fail("bind", "sasl is not supported; use a simple bind, over TLS or ldapi://")
	default:
		c.Fail("bind", "unsupported value %.40q; need yes or no", bind)
	}
}

func (s *source) readSearch(c *dbtable.Config, ts *dbtable.Templates) {
	scopes := map[string]int{"sub": ldap.ScopeWholeSubtree, "one": ldap.ScopeSingleLevel, "base": ldap.ScopeBaseObject}
	var ok bool
	if s.scope, ok = scopes[strings.ToLower(c.Text("scope", "sub"))]; !ok {
		c.Fail("scope", "unrecognized value; need sub, one or base")
	}
	if s.dereference = c.Int("dereference", 0, 0); s.dereference > 3 {
		c.Fail("dereference", "unrecognized value %d; need 0 (never), 1 (searching), 2 (finding) or 3 (always)", s.dereference)
	}
	var err error
	if s.base, err = ts.Query(c.Str("search_base", "")); err != nil {
		c.Fail("search_base", "%v", err)
	}
	if s.filter, err = ts.Query(c.Text("query_filter", "(mailacceptinggeneralid=%s)")); err != nil {
		c.Fail("query_filter", "%v", err)
		return
	}
	if !s.filter.Dynamic {
		c.Warn(c.File + ": fixed query_filter is probably useless")
	}
	// What the key is does not matter for the syntax of what is around it.
	sample, _ := ts.Key("a@9.8.7.6.5.4.3.2.1")
	if _, err := ldap.CompileFilter(parenthesized(s.filter.Query(sample, escapeFilter))); err != nil {
		c.Fail("query_filter", "%v", err)
	}
}

func (s *source) readTLS(c *dbtable.Config) {
	s.tls, _ = c.TLS(dbtable.TLSNames{
		CAFile: "tls_ca_cert_file", CADir: "tls_ca_cert_dir", Cert: "tls_cert", Key: "tls_key", Ciphers: "tls_cipher_suite",
	})
	s.tls.InsecureSkipVerify = !c.Bool("tls_require_cert", false)
}

// parenthesized is a filter as RFC 4515 has it: libldap takes one without parentheses.
func parenthesized(filter string) string {
	if filter = strings.TrimSpace(filter); !strings.HasPrefix(filter, "(") {
		return "(" + filter + ")"
	}
	return filter
}

// Ask implements dbtable.Source.
func (s *source) Ask(ctx context.Context, r *dbtable.Result) error {
	base, filter := s.base.Query(r.Key(), escapeDN), s.filter.Query(r.Key(), escapeFilter)
	return s.pool.Do(ctx, func(ctx context.Context, conn *ldap.Conn) error {
		return whileOpen(ctx, conn, func() error {
			r.Reset()
			w := &walk{source: s, conn: conn, result: r, ctx: ctx}
			found, err := w.search(base, s.scope, filter, s.attributes.names)
			if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
				// A base that depends on the key need not be there.
				if s.base.Dynamic {
					return nil
				}
				return fmt.Errorf("search base %q not found: %w", base, err)
			}
			if err != nil {
				return err
			}
			return w.entries(found, 1)
		})
	})
}

// Close implements dbtable.Source.
func (s *source) Close() error { return s.pool.Close() }
