package ldaptable

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

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

func TestEscape(t *testing.T) {
	for _, c := range []struct{ value, dn, filter string }{
		{"info@alias.example", "info@alias.example", "info@alias.example"},
		{"a b,c", `a\20b\2Cc`, "a b,c"},
		{`"+;<>#=\`, `\22\2B\3B\3C\3E\23\3D\5C`, `"+;<>#=\5C`},
		{"*(|)", "*(|)", `\2A\28|\29`},
		{"\x00é", `\00é`, `\00é`},
	} {
		if got := escapeDN(c.value); got != c.dn {
			t.Errorf("DN of %q: %s, want %s", c.value, got, c.dn)
		}
		if got := escapeFilter(c.value); got != c.filter {
			t.Errorf("filter of %q: %s, want %s", c.value, got, c.filter)
		}
	}
}

// Whatever the value: the filter stays one comparison with that value, and the DN one
// with two parts.
func FuzzEscape(f *testing.F) {
	f.Add("x)(uid=*")
	f.Add("a,dc=b+c=\\2a")
	f.Fuzz(func(t *testing.T, value string) {
		packet, err := ldap.CompileFilter("(uid=" + escapeFilter(value) + ")")
		if err != nil {
			return // no UTF-8: such a key is not asked for
		}
		if back, err := ldap.DecompileFilter(packet); err != nil || packet.Tag != ldap.FilterEqualityMatch && value != "" {
			t.Errorf("%q became %s, %v", value, back, err)
		}
		dn, err := ldap.ParseDN("uid=x" + escapeDN(value) + ",dc=example")
		if err != nil || len(dn.RDNs) != 2 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != "x"+value {
			t.Errorf("%q became %v, %v", value, dn, err)
		}
	})
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"ldap:///dc=x", "dc=x [] 0 (objectClass=*)"},
		{"ldap://host:1/dc=x?mail,cn?sub?(uid=a)", "dc=x [mail cn] 2 (uid=a)"},
		{"LDAPS://h/a%20b??one", "a b [] 1 (objectClass=*)"},
		{"ldapi://%2Fx/dc=x?*?base?(a=%3F)?ext", "dc=x [] 0 (a=?)"},
		{"ldap:///dc=x?a?nowhere", "error"},
		{"ldap:///dc=%zz", "error"},
		{"ldap:///a?b?sub?d?e?f", "error"},
	} {
		if !isURL(c.url) {
			t.Errorf("%s is no URL", c.url)
		}
		got := "error"
		if u, err := parseURL(c.url); err == nil {
			got = fmt.Sprint(u.base, " ", u.attributes, " ", u.scope, " ", u.filter)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.url, got, c.want)
		}
	}
	for _, dn := range []string{"uid=a,dc=x", "http://x", ""} {
		if isURL(dn) {
			t.Errorf("%q is taken for a URL", dn)
		}
	}
}

func TestAttributes(t *testing.T) {
	a := attributes{names: []string{"end", "leaf", "mail", "Member;x"}, terminal: 1, leaf: 2, ordinary: 3}
	for attribute, want := range map[string]int{"END": 0, "mail": 2, "Mail;lang-de": 2, "mails": 4, "mai": 4, "member": 4, "member;x": 3, "member;x;y": 3} {
		if got := a.index(attribute); got != want {
			t.Errorf("index of %s is %d, want %d", attribute, got, want)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"", "end leaf mail Member;x"}, {"mail", "mail"}, {"MAIL;lang-de other", "MAIL;lang-de"}, {"member", "Member;x"}, {"other", ""},
	} {
		if got := strings.Join(a.within(strings.Fields(c.url)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.url, got, c.want)
		}
	}
}

func TestServerHosts(t *testing.T) {
	for _, c := range []struct{ hosts, want string }{
		{"", "tcp localhost:389"},
		{"server_host = a b:9, ldap://c ldaps://d ldaps://e:7/ ldap:///x", "tcp a:389|tcp b:9|tcp c:389|tcp d:636 TLS|tcp e:7 TLS|tcp localhost:389"},
		{"server_port = 99\nserver_host = a ldap://b", "tcp a:99|tcp b:389"},
		{"server_host = ldapi://%2Frun%2Fx ldapi://", "unix /run/x|unix " + ldapiSocket},
		{"server_host = [::1]:9 [::1]", "tcp [::1]:9|tcp [::1]:389"},
		{"server_host = http://x", ""},
		{"server_host = a:x", ""},
		{"server_host = ldapi://%zz", ""},
	} {
		conf, err := dbtable.ReadConfig(write(t, c.hosts+"\n"), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, h := range serverHosts(conf) {
			text := h.Network + " " + h.Address
			if h.URI == ldaps {
				text += " TLS"
			}
			list = append(list, text)
		}
		got := strings.Join(list, "|")
		if conf.Err() != nil {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.hosts, got, c.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	const q = "search_base = dc=example\nquery_filter = (uid=%s)\n"
	for _, c := range []struct{ name, cf, want string }{
		{"defaults", "", ""},
		{"all", q + "server_host = h\nserver_port = 3\nversion = 2\ntimeout = 3\nscope = ONE\nbind = Simple\nbind_dn = x\nbind_pw = s3cret\ndereference = 3\n" +
			"recursion_limit = 5\nexpansion_limit = 4\nsize_limit = 7\nresult_format = %s\nresult_attribute = a\nspecial_result_attribute = b\n" +
			"terminal_result_attribute = c\nleaf_result_attribute = d\ndomain = x\nchase_referrals = no\nstart_tls = yes\ntls_require_cert = yes\ndebuglevel = 0\ntls_random_file = /dev/urandom\n", ""},
		{"result_filter", q + "result_filter = %z\n", "line 3: result_filter: invalid template"},
		{"sasl", q + "bind = sasl\n", "line 3: bind: sasl is not supported"},
		{"bind", q + "bind = maybe\n", "line 3: bind: unsupported value"},
		{"scope", q + "scope = all\n", "line 3: scope: unrecognized value"},
		{"dereference", q + "dereference = 4\n", "line 3: dereference: unrecognized value 4"},
		{"version", q + "version = 4\n", "line 3: version: unknown version 4"},
		{"referrals", q + "chase_referrals = yes\n", "line 3: chase_referrals: is not supported"},
		{"filter", "query_filter = (&(uid=%s)\n", "line 1: query_filter: "},
		{"template", "query_filter = (uid=%x)\n", "line 1: query_filter: invalid template"},
		{"base", "search_base = %\n", "line 1: search_base: invalid template"},
		{"ciphers", q + "tls_cipher_suite = HIGH\n", "line 3: tls_cipher_suite: is not supported"},
		{"secret", q + "bind_pwd = s3cret\n", `line 3: unknown parameter "bind_pwd"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb, err := LDAP(write(t, c.cf), table.Options{})
			if err == nil {
				tb.Close()
			}
			if (c.want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestServerAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	before := runtime.NumGoroutine()
	tb, err := LDAP(write(t, fmt.Sprintf("server_host = %s\nbind_pw = s3cret\n", l.Addr())), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tb.Close()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	_, found, err := tb.Lookup(context.Background(), "k")
	if err == nil || found || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v, %v, want that the connection is refused", found, err)
	}
}
