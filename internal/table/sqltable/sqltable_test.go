package sqltable

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.cf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func config(t testing.TB, text string) *dbtable.Config {
	t.Helper()
	c, err := dbtable.ReadConfig(write(t, text), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ name, hosts, pgsql, mysql string }{
		{"default", "", "tcp localhost:5432", "unix /run/mysqld/mysqld.sock"},
		{"names", "a, b.example c", "tcp a:5432|tcp b.example:5432|tcp c:5432", "tcp a:3306|tcp b.example:3306|tcp c:3306"},
		{"port", "a:99 inet:b:98 inet:c", "tcp a:99|tcp b:98|tcp c:5432", "tcp a:99|tcp b:98|tcp c:3306"},
		{"IPv6", "[::1] inet:[::1]:9", "tcp [::1]:5432|tcp [::1]:9", "tcp [::1]:3306|tcp [::1]:9"},
		{"socket", "unix:/x/y", "unix /x/y", "unix /x/y"},
		{"directory", "/x", "unix /x", ""},
		{"localhost", "localhost inet:LOCALHOST:9", "tcp localhost:5432|tcp LOCALHOST:9", "unix /run/mysqld/mysqld.sock|unix /run/mysqld/mysqld.sock"},
		{"default socket", "unix:", "unix /var/run/postgresql", "unix /run/mysqld/mysqld.sock"},
		{"URI", "postgresql://u:s3cret@h/d?x=s3cret", "tcp postgresql://h/d", ""},
		{"bad port", "a:x", "", ""},
		{"no host", ":9", "", ""},
		{"foreign URI", "http://x", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			show := func(read func(*dbtable.Config) []dbtable.Host) string {
				conf := config(t, "hosts = "+c.hosts+"\n")
				var list []string
				for _, h := range read(conf) {
					address := h.Address
					if h.URI != "" {
						address = h.Name
					}
					list = append(list, h.Network+" "+address)
				}
				if err := conf.Err(); err != nil {
					if strings.Contains(err.Error(), "s3cret") {
						t.Errorf("a secret is in %v", err)
					}
					return ""
				}
				return strings.Join(list, "|")
			}
			if got := show(pgsqlHosts); got != c.pgsql {
				t.Errorf("pgsql: %s, want %s", got, c.pgsql)
			}
			if got := show(mysqlHosts); c.mysql != "" && got != c.mysql {
				t.Errorf("mysql: %s, want %s", got, c.mysql)
			}
		})
	}
}

func TestURIWithoutSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"postgresql://u:p@h:1/d":        "postgresql://h:1/d",
		"postgres://h":                  "postgres://h",
		"postgresql://u:a/b@h/d":        "postgresql://u:a",
		"postgresql:///d?password=p&x=": "postgresql:///d",
		"postgresql://u:p@q@h/d":        "postgresql://h/d",
	} {
		if got := uriHost(uri); got != want && strings.Contains(got, "p@") {
			t.Errorf("%s is shown as %s, want %s", uri, got, want)
		}
	}
	if got := uriHost("postgresql://u:a/b@h/d"); strings.Contains(got, "b") {
		t.Errorf("a piece of the password is shown: %s", got)
	}
}

func TestPgsqlString(t *testing.T) {
	for value, want := range map[string]string{
		"":      "''",
		"a":     "'a'",
		"a'b":   "'a''b'",
		`a\b`:   `E'a\\b'`,
		`\'`:    `E'\\'''`,
		"'; --": "'''; --'",
	} {
		if got := pgsqlString(value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// A string ends where its last quote is, in either reading of a backslash.
func FuzzPgsqlString(f *testing.F) {
	f.Add(`a'\''b`)
	f.Fuzz(func(t *testing.T, value string) {
		s := pgsqlString(value)
		body, escapes := strings.CutPrefix(s, "E")
		got := ""
		for i := 1; ; i++ {
			if i >= len(body) {
				t.Fatalf("%q has no end", s)
			}
			if body[i] == '\\' {
				if !escapes {
					t.Fatalf("%q has a backslash without E", s)
				}
				i++
			} else if body[i] == '\'' {
				if i == len(body)-1 {
					break
				}
				i++
				if body[i] != '\'' {
					t.Fatalf("%q ends early", s)
				}
			}
			got += body[i : i+1]
		}
		if got != value {
			t.Errorf("%q became %q", value, got)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	const q = "query = SELECT '%s'\n"
	for _, c := range []struct {
		name, cf string
		open     table.Opener
		want     string // "" opens
	}{
		{"pgsql", "dbname = d\n" + q, PgSQL, ""},
		{"pgsql without dbname", q, PgSQL, "dbname: is missing"},
		{"pgsql URI only", "hosts = postgresql://h/d\n" + q, PgSQL, ""},
		{"pgsql bad URI", "hosts = postgresql://u:s3cret@h:x/d\n" + q, PgSQL, "line 1: hosts: postgresql://h:x/d: cannot be understood"},
		{"pgsql encoding", "dbname = d\nencoding = LATIN1\n" + q, PgSQL, ""},
		{"pgsql unsafe encoding", "dbname = d\nencoding = SJIS\n" + q, PgSQL, "line 2: encoding: \"SJIS\" is not supported"},
		{"pgsql odd password", "dbname = d\npassword = a' \\ host=x\n" + q, PgSQL, ""},
		{"pgsql interval", "dbname = d\nretry_interval = 0\n" + q, PgSQL, "line 2: retry_interval: invalid value 0 < 1"},
		{"pgsql no query", "dbname = d\n", PgSQL, "query: is missing"},
		{"pgsql dollar", "dbname = d\nquery = SELECT $$%s$$\n", PgSQL, "line 2: query: %-verb within $$"},
		{"pgsql of mysql", "dbname = d\ncharset = x\n" + q, PgSQL, `line 2: unknown parameter "charset"`},
		{"mysql", "dbname = d\n" + q, MySQL, ""},
		{"mysql all", "dbname = d\nuser = u\npassword = p\nhosts = a\ncharset = latin1\nretry_interval = 1\nidle_interval = 2\nresult_format = %s\nexpansion_limit = 3\noption_group = client\ntls_verify_cert = yes\nrequire_result_set = no\ndomain = x\n" + q, MySQL, ""},
		{"mysql without dbname", q, MySQL, "dbname: is missing"},
		{"mysql option_file", "dbname = d\noption_file = /etc/my.cnf\n" + q, MySQL, "line 2: option_file: is not supported"},
		{"mysql option_group", "dbname = d\noption_group = mail\n" + q, MySQL, "line 2: option_group: is not supported"},
		{"mysql CA", "dbname = d\ntls_CAfile = /nonexistent\n" + q, MySQL, "line 2: tls_CAfile: open /nonexistent: No such file or directory"},
		{"mysql key", "dbname = d\ntls_key_file = /k\n" + q, MySQL, "line 2: tls_key_file: is a key without a certificate"},
		{"mysql ciphers", "dbname = d\ntls_ciphers = HIGH\n" + q, MySQL, "line 2: tls_ciphers: is not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb, err := c.open(write(t, c.cf), table.Options{})
			if err == nil {
				tb.Close()
			}
			if (c.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// An open table costs no goroutine and no connection before it is asked; a server that is
// away makes lookups fail.
func TestNothingRunsBeforeLookup(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	before := runtime.NumGoroutine()
	for typ, open := range map[string]table.Opener{"pgsql": PgSQL, "mysql": MySQL} {
		tb, err := open(write(t, fmt.Sprintf("hosts = %s\nuser = u\npassword = s3cret\ndbname = d\nquery = SELECT '%%s'\n", l.Addr())), table.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%s: %d goroutines, %d before", typ, n, before)
		}
		_, found, err := tb.Lookup(context.Background(), "k")
		if err == nil || found || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, %v, want that the connection is refused", typ, found, err)
		}
		if err := tb.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMySQLTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, cf        string
		tls, verify, ca bool
	}{
		{"none", "dbname = d\n", false, false, false},
		{"authority", "tls_CAfile = " + ca + "\n", true, false, true},
		{"directory", "tls_CApath = " + dir + "\ntls_verify_cert = yes\n", true, true, true},
		{"verify by the system's", "tls_verify_cert = yes\n", true, true, false},
		{"do not verify", "tls_verify_cert = no\n", false, false, false},
	} {
		conf := mysqlTLS(config(t, c.cf))
		switch {
		case (conf != nil) != c.tls:
			t.Errorf("%s: TLS %v, want %v", c.name, conf != nil, c.tls)
		case conf != nil && (conf.InsecureSkipVerify == c.verify || (conf.RootCAs != nil) != c.ca):
			t.Errorf("%s: verify %v, authorities %v", c.name, !conf.InsecureSkipVerify, conf.RootCAs != nil)
		}
	}
}
