package integration

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"aliasmx/integration/peers"
)

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/pid
argsfile {dir}/args
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
database mdb
maxsize 10485760
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw "{password}"
directory {dir}/data
access to * by dn.exact="cn=admin,dc=example" write by users read by anonymous auth
`

// Aliases have their address in "uid" and their targets in "mail"; a group's members are
// entries that "member" names, or those that the URL in "labeledURI" finds.
const slapdData = `dn: dc=example
objectClass: domain
dc: example

dn: ou=a,dc=example
objectClass: organizationalUnit
ou: a

dn: ou=alias.example,dc=example
objectClass: organizationalUnit
ou: alias.example

dn: uid=info,ou=alias.example,dc=example
objectClass: inetOrgPerson
cn: info
sn: info
uid: info@alias.example
mail: target@dest.example

dn: uid=team,ou=a,dc=example
objectClass: inetOrgPerson
cn: team
sn: leaf@dest.example
uid: team@alias.example
mail: one@dest.example
mail: two@other.example
mail: root

dn: cn=group,ou=a,dc=example
objectClass: extensibleObject
objectClass: organizationalRole
cn: group
uid: group@alias.example
sn: leaf@dest.example
mail: own@dest.example
member: uid=info,ou=alias.example,dc=example
member: uid=gone,ou=a,dc=example
labeledURI: ldap:///ou=a,dc=example?mail?sub?(uid=team@alias.example)
labeledURI: ldap:///ou=a,dc=example?telephoneNumber?sub?(uid=team@alias.example)

dn: cn=loop,ou=a,dc=example
objectClass: extensibleObject
objectClass: organizationalRole
cn: loop
uid: loop@alias.example
member: cn=loop,ou=a,dc=example

dn: cn=terminal,ou=a,dc=example
objectClass: extensibleObject
objectClass: organizationalRole
cn: terminal
uid: terminal@alias.example
description: end@dest.example
mail: own@dest.example
member: uid=info,ou=alias.example,dc=example

dn: cn=bad,ou=a,dc=example
objectClass: extensibleObject
objectClass: organizationalRole
cn: bad
uid: bad@alias.example
labeledURI: ldap:///ou=a?mail?nowhere

dn: cn=twin1,ou=a,dc=example
objectClass: inetOrgPerson
cn: twin1
sn: x
uid: twins@alias.example
mail: t1@dest.example

dn: cn=twin2,ou=a,dc=example
objectClass: inetOrgPerson
cn: twin2
sn: x
uid: twins@alias.example
mail: t2@dest.example

dn: cn=star,ou=a,dc=example
objectClass: inetOrgPerson
cn: star
sn: x
uid: a*(b)\\c@alias.example
mail: star@dest.example

dn: cn=domain,ou=a,dc=example
objectClass: inetOrgPerson
cn: domain
sn: x
uid: alias.example
mail: alias.example
`

var ldapKeys = []string{
	"info@alias.example", "INFO@alias.example", "team@alias.example", "terminal@alias.example", "twins@alias.example", "nobody@alias.example",
	"info", "alias.example", "@alias.example", "info@", "@", "*", "*@alias.example", "in*", "a*(b)\\c@alias.example", "x)(uid=*", "*)(|(uid=*", "\\2a", "info@alias.example)(mail=*",
	"info@sub.alias.example", `x,dc=example@alias.example`, "info@ou=a,dc=example", "%s", "info@alias.example,dc=example", "a b@alias.example", "#@alias.example",
}

func ldapCases(server string) []postmapCase {
	bind := "server_host = " + server + "\nversion = 3\nbind = yes\nbind_dn = cn=admin,dc=example\nbind_pw = " + dbPassword + "\n"
	head := bind + "search_base = dc=example\n"
	q := head + "query_filter = (uid=%s)\nresult_attribute = mail\n"
	groups := q + "special_result_attribute = member, labeledURI\n"
	withGroups := append([]string{"group@alias.example"}, ldapKeys...)
	return []postmapCase{
		{name: "plain", cf: q, keys: ldapKeys},
		{name: "no parentheses", cf: head + "query_filter = uid=%s\nresult_attribute = mail\n", keys: []string{"info@alias.example", "nobody@alias.example"}},
		{name: "and, or, spaces", cf: head + "query_filter = (&(objectClass=inetOrgPerson)(|(uid=%u@%d)(uid=%D)))\nresult_attribute = mail\n", keys: ldapKeys},
		{name: "base by domain", cf: bind + "search_base = ou=%d,dc=example\nquery_filter = (uid=%s)\nresult_attribute = mail\n", keys: ldapKeys},
		{name: "base by labels", cf: bind + "search_base = ou=%2.%1,dc=example\nquery_filter = (uid=%s)\nresult_attribute = mail\n", keys: ldapKeys},
		{name: "base not there", cf: bind + "search_base = dc=nowhere\nquery_filter = (uid=%s)\nresult_attribute = mail\n", fail: []string{"info@alias.example"}},
		{name: "scope one", cf: bind + "search_base = ou=a,dc=example\nquery_filter = (uid=%s)\nresult_attribute = mail\nscope = one\n", keys: ldapKeys},
		{name: "scope base", cf: bind + "search_base = uid=%u,ou=%d,dc=example\nquery_filter = (uid=%s)\nresult_attribute = mail\nscope = base\n", keys: ldapKeys},
		{name: "two attributes", cf: head + "query_filter = (uid=%s)\nresult_attribute = mail, sn\n", keys: ldapKeys},
		{name: "no such attribute", cf: head + "query_filter = (uid=%s)\n", keys: ldapKeys},
		{name: "result_format", cf: q + "result_format = %u@new.example %S\n", keys: ldapKeys},
		{name: "result_filter", cf: q + "result_filter = smtp:[%d]\n", keys: ldapKeys},
		{name: "domain", cf: q + "domain = alias.example\n", keys: ldapKeys},
		{name: "special", cf: groups, keys: withGroups, fail: []string{"bad@alias.example"}},
		{name: "leaf", cf: head + "query_filter = (uid=%s)\nresult_attribute = mail\nleaf_result_attribute = sn\nspecial_result_attribute = member, labeledURI\n", keys: withGroups},
		{name: "terminal", cf: groups + "terminal_result_attribute = description\n", keys: withGroups},
		{name: "recursion limit", cf: groups + "recursion_limit = 1\n", keys: []string{"info@alias.example"}, fail: []string{"group@alias.example"}},
		{name: "loop", cf: groups + "recursion_limit = 20\n", keys: []string{"info@alias.example"}, fail: []string{"loop@alias.example"}},
		{name: "expansion limit", cf: q + "expansion_limit = 1\nsize_limit = 0\n", keys: []string{"info@alias.example"}, fail: []string{"team@alias.example", "twins@alias.example"}},
		{name: "size limit", cf: q + "size_limit = 1\n", keys: []string{"info@alias.example", "team@alias.example"}, fail: []string{"twins@alias.example"}},
		{name: "start_tls", cf: q + "start_tls = yes\n", keys: ldapKeys},
		{name: "anonymous may not", cf: "server_host = " + server + "\nversion = 3\nbind = no\nsearch_base = dc=example\nquery_filter = (uid=%s)\nresult_attribute = mail\n", fail: []string{"info@alias.example"}},
		{name: "wrong password", cf: strings.Replace(q, "s3cr", "guess", 1), fail: []string{"info@alias.example"}},
		{name: "start_tls, unknown authority", cf: q + "start_tls = yes\ntls_require_cert = yes\n", fail: []string{"info@alias.example"}},
	}
}

func TestLDAPTables(t *testing.T) {
	t.Parallel()
	slapd := findProgram(t, "/usr/sbin/slapd")
	s := newDBServer(t, "ldap", "")
	certificate(t, s.dir)
	fill := strings.NewReplacer("{dir}", s.dir, "{password}", strings.ReplaceAll(dbPassword, `\`, `\\`))
	conf := filepath.Join(s.dir, "slapd.conf")
	if err := os.WriteFile(conf, []byte(fill.Replace(slapdConf)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.must(strings.ReplaceAll(slapdData, `\\`, `\`), slapd, "-T", "add", "-f", conf)
	ldapi := "ldapi://" + strings.ReplaceAll(s.dir+"/ldapi", "/", "%2F")
	secure := newDBServer(t, "ldaps", "")
	s.args = []string{slapd, "-d", "0", "-f", conf, "-h", "ldap://127.0.0.1:" + s.port + " ldaps://127.0.0.1:" + secure.port + " " + ldapi}
	start := func() { s.start(s.listens) }
	start()

	server := "127.0.0.1:" + s.port
	b := newBesidePostmap(t)
	cases := ldapCases("ldap://" + server)
	for _, c := range []struct{ name, server, more string }{
		{"host and port", server, ""},
		{"ldapi", ldapi, ""},
		{"ldaps", "ldaps://127.0.0.1:" + secure.port, ""},
		{"first server away", "ldap://127.0.0.1:1 ldap://" + server, ""},
	} {
		plain := ldapCases(c.server)[0]
		plain.name, plain.cf = c.name, plain.cf+c.more
		cases = append(cases, plain)
	}
	cases = append(cases, postmapCase{name: "all servers away", cf: ldapCases("ldap://127.0.0.1:1")[0].cf, fail: []string{"info@alias.example"}})
	b.run("ldap", cases)

	checked := "tls_require_cert = yes\ntls_ca_cert_file = " + s.dir + "/cert.pem\n"
	for _, c := range []struct {
		name, cf string
		code     int
	}{
		{"certificate of the server's name", ldapCases("ldaps://localhost:" + secure.port)[0].cf + checked, 0},
		{"the same after start_tls", ldapCases("ldap://localhost:" + s.port)[0].cf + checked + "start_tls = yes\n", 0},
		{"certificate of another name", ldapCases("ldaps://127.0.0.1:" + secure.port)[0].cf + checked, 1},
	} {
		out, code := runProgram(t, "", binary, "postmap", "-q", "info@alias.example", "ldap:"+b.write("checked.cf", c.cf))
		if code != c.code || code != 0 && !strings.Contains(out, "certificate") {
			t.Errorf("%s: exit status %d\n%s", c.name, code, out)
		}
	}
	q := ldapCases(ldapi)[0].cf
	throughServer(t, "ldap:{dir}/alias.cf", "ldap:{dir}/domain.cf", map[string]string{
		"alias.cf":  q,
		"domain.cf": q + "query_filter = (&(uid=%s)(cn=domain))\nstart_tls = yes\n",
	}, func() { s.stop(syscall.SIGKILL) }, start)
}

// certificate writes the files of one for localhost.
func certificate(t *testing.T, dir string) {
	t.Helper()
	conf, err := peers.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	pair := conf.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
