package integration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tables that all SQL servers of these tests hold.
const sqlData = `CREATE TABLE alias (id INTEGER, address VARCHAR(200), target VARCHAR(200), second VARCHAR(200));
INSERT INTO alias VALUES (1, 'info@alias.example', 'target@dest.example', NULL);
INSERT INTO alias VALUES (2, 'team@alias.example', 'one@dest.example', 'two@other.example');
INSERT INTO alias VALUES (3, 'team@alias.example', 'three@dest.example', NULL);
INSERT INTO alias VALUES (4, 'o''brien@alias.example', 'ob@dest.example', NULL);
INSERT INTO alias VALUES (5, 'null@alias.example', NULL, NULL);
INSERT INTO alias VALUES (6, 'empty@alias.example', '', 'after@dest.example');
INSERT INTO alias VALUES (7, 'local@alias.example', 'root', 'x@dest.example');
INSERT INTO alias VALUES (8, '@catch.example', 'all@dest.example', NULL);
INSERT INTO alias VALUES (9, 'a%b@alias.example', 'percent@dest.example', NULL);
INSERT INTO alias VALUES (10, 'chain@alias.example', 'info@alias.example', NULL);
CREATE TABLE domain (name VARCHAR(200));
INSERT INTO domain VALUES ('alias.example');
INSERT INTO domain VALUES ('catch.example');
`

// sqlKeys are asked of every table.
var sqlKeys = []string{
	"info@alias.example", "INFO@Alias.Example", "team@alias.example", "o'brien@alias.example", "null@alias.example",
	"empty@alias.example", "local@alias.example", "@catch.example", "a%b@alias.example", "nobody@alias.example", "info",
	"alias.example", "info@", "@", "a@b@alias.example", "x' OR '1'='1", `x\' OR 1=1 -- `, `"`, "'; DROP TABLE alias; --", "info@sub.alias.example",
	"info@example", "%s", "%", "*", "a b@alias.example",
}

// sqlCases are .cf files that mean the same to all SQL types; head says where the
// server is.
func sqlCases(head string) []postmapCase {
	with := func(lines string) string { return head + lines }
	const q = "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n"
	return []postmapCase{
		{name: "plain", cf: with(q), keys: sqlKeys},
		{name: "user and domain", cf: with("query = SELECT target FROM alias WHERE address = '%u@%d' ORDER BY id\n"), keys: sqlKeys},
		{name: "upper case", cf: with("query = SELECT target FROM alias WHERE address = '%U@%D' AND address = '%S' ORDER BY id\n"), keys: sqlKeys},
		{name: "domain only", cf: with("query = SELECT name FROM domain WHERE name = '%d'\n"), keys: sqlKeys},
		{name: "labels", cf: with("query = SELECT name FROM domain WHERE name = '%2.%1'\n"), keys: sqlKeys},
		{name: "three labels", cf: with("query = SELECT name FROM domain WHERE name = '%2.%1' AND '%3' <> ''\n"), keys: sqlKeys},
		{name: "result_format", cf: with(q + "result_format = <%s>\n"), keys: sqlKeys},
		{name: "result user", cf: with(q + "result_format = %u@new.example\n"), keys: sqlKeys},
		{name: "result domain", cf: with(q + "result_format = smtp:[%d]:25\n"), keys: sqlKeys},
		{name: "result key", cf: with(q + "result_format = %S %U of %D%%, %s\n"), keys: sqlKeys},
		{name: "result labels", cf: with(q + "result_format = %2-%1 %s\n"), keys: sqlKeys},
		{name: "domain list", cf: with(q + "domain = other.example, Alias.Example\n"), keys: sqlKeys},
		{name: "domain excluded", cf: with(q + "domain = !alias.example, static:all\n"), keys: sqlKeys},
		{name: "older query", cf: with("table = alias\nselect_field = target\nwhere_field = address\nadditional_conditions = AND id < 5 ORDER BY id\n"), keys: sqlKeys},
		{name: "percent in the query", cf: with("query = SELECT target FROM alias WHERE address LIKE '%%@catch.example' AND address = '%s'\n"), keys: sqlKeys},
		{name: "continued lines", cf: with("# a comment\nquery = SELECT target\n  # another\n  FROM alias\n\n  WHERE address = '%s'\n  ORDER BY id\n"), keys: sqlKeys},
		{name: "expansion limit kept", cf: with(q + "expansion_limit = 2\n"), keys: sqlKeys},
		{name: "expansion limit exceeded", cf: with(q + "expansion_limit = 1\n"), keys: []string{"info@alias.example", "nobody@alias.example"}, fail: []string{"team@alias.example"}},
		{name: "no such table", cf: with("query = SELECT target FROM nowhere WHERE address = '%s'\n"), fail: []string{"info@alias.example"}},
		{name: "invalid template", cf: with("query = SELECT target FROM alias WHERE address = '%x'\n"), fail: []string{"info@alias.example"}},
		{name: "no query", cf: head, fail: []string{"info@alias.example"}},
	}
}

// twoColumns differ: PostgreSQL and MySQL take all columns, SQLite the first.
func twoColumns(head string) postmapCase {
	return postmapCase{name: "two columns", cf: head + "query = SELECT target, second FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys}
}

// hostile asks for keys that are meant to be SQL. Each is a line; the table must be as
// it was, and only the good key at the end found.
func hostile(t *testing.T, typ, head string, queries ...string) {
	t.Helper()
	keys := []string{
		"x' OR '1'='1", `x\' OR 1=1 #`, `x\\' OR 1=1 -- `, "'; DELETE FROM alias; --", `"; DELETE FROM alias; --`, "$$; DELETE FROM alias; $$",
		"x\xbf' OR 1=1 -- ", "x\xe5' OR 1=1 -- ", "\xc0\xa7 OR 1=1", "\x00' OR 1=1", "x' OR 1=1\x00@y", "縗' OR 1=1 -- ", "ʼ OR 1=1", "＇ OR 1=1", "' || (SELECT target FROM alias LIMIT 1) || '",
		"info@alias.example\\", "info@alias.example'", "/*' OR 1=1*/", "?", "$1", ":a", "@x", "%s", "%%", "%d", "'", "''", "\\", "\\'", "0x27", strings.Repeat("'", 1000),
	}
	for _, query := range queries {
		file := filepath.Join(t.TempDir(), "hostile.cf")
		if err := os.WriteFile(file, []byte(head+"query = "+query+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := runOut(t, strings.Join(append(keys, "info@alias.example"), "\n")+"\n", binary, "postmap", "-q", "-", typ+":"+file)
		if code != 0 || out != "info@alias.example\ttarget@dest.example\n" {
			t.Errorf("%s: exit status %d\n%s", query, code, out)
		}
	}
}

var hostileQueries = []string{
	"SELECT target FROM alias WHERE address = '%s'",
	"SELECT target FROM alias WHERE address = '%s' OR '%s' = 'never' OR address = '\"%s'",
	"SELECT target FROM alias WHERE address = %s",
}

func TestPgSQLTables(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(findProgram(t, "/usr/lib/postgresql/*/bin/postgres"))
	s := newDBServer(t, "pgsql", "postgres")
	data := filepath.Join(s.dir, "data")
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(dbPassword+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.must("", bin+"/initdb", "-D", data, "-U", "mail", "-E", "UTF8", "--no-locale", "-N", "-A", "scram-sha-256", "--pwfile="+password)
	s.args = []string{bin + "/postgres", "-D", data, "-k", s.dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on",
		"-c", "ssl_cert_file=" + s.dir + "/cert.pem", "-c", "ssl_key_file=" + s.dir + "/key.pem", "-c", "shared_buffers=1MB", "-c", "max_connections=40"}
	certificate(t, s.dir)
	s.own("cert.pem", "key.pem")
	// The name that hosts = unix:/directory leads to.
	os.Symlink(".s.PGSQL."+s.port, filepath.Join(s.dir, ".s.PGSQL.5432"))
	s.env = []string{"PGPASSWORD=" + dbPassword}
	psql := func(sql string) string {
		return s.must(sql, bin+"/psql", "-h", s.dir, "-p", s.port, "-U", "mail", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt")
	}
	start := func() {
		s.start(func() bool {
			return s.command(bin+"/pg_isready", "-q", "-h", s.dir, "-p", s.port).Run() == nil
		})
	}
	start()
	psql(sqlData + "CREATE FUNCTION target_of(a text) RETURNS SETOF varchar AS 'SELECT target FROM alias WHERE address = a ORDER BY id' LANGUAGE sql;")
	head := func(hosts string) string {
		return fmt.Sprintf("hosts = %s\nuser = mail\npassword = %s\ndbname = postgres\n", hosts, dbPassword)
	}
	tcp, unix := head("127.0.0.1:"+s.port), head("unix:"+s.dir)
	b := newBesidePostmap(t)
	b.run("pgsql", append(sqlCases(tcp), twoColumns(tcp),
		postmapCase{name: "unix", cf: unix + "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "inet", cf: head("inet:127.0.0.1:"+s.port) + "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "one host away", cf: head("127.0.0.1:1 127.0.0.1:"+s.port) + "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "function", cf: tcp + "select_function = target_of\n", keys: sqlKeys},
		postmapCase{name: "concat", cf: tcp + "query = SELECT concat('%u', '+', '%d') FROM domain WHERE name = '%d'\n", keys: sqlKeys},
		postmapCase{name: "quoted name", cf: tcp + "query = SELECT target AS \"a %s\" FROM alias WHERE \"address\" = '%s' ORDER BY id\n", keys: []string{"info@alias.example", "team@alias.example"}},
		postmapCase{name: "not a number", cf: tcp + "query = SELECT target FROM alias WHERE id = '%s'\n", keys: []string{"1", "2", "99"}, fail: []string{"info@alias.example"}},
		postmapCase{name: "all hosts away", cf: head("127.0.0.1:1 unix:/nonexistent") + "query = SELECT target FROM alias WHERE address = '%s'\n", fail: []string{"info@alias.example"}},
		postmapCase{name: "wrong password", cf: strings.Replace(tcp, "s3cr", "guess", 1) + "query = SELECT target FROM alias WHERE address = '%s'\n", fail: []string{"info@alias.example"}},
	))
	ssl := "query = SELECT CASE WHEN ssl THEN 'encrypted' ELSE 'plain' END FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND '%s' <> ''\n"
	uri := fmt.Sprintf("hosts = postgresql://mail:%s@127.0.0.1:%s/postgres?sslmode=", url.QueryEscape(dbPassword), s.port)
	b.ours("pgsql", []oursCase{
		{"encrypted when it can be", tcp + ssl, "encrypted"},
		{"not on a socket", unix + ssl, "plain"},
		{"URI", uri + "disable\n" + ssl, "plain"},
		{"URI with TLS", uri + "require\n" + ssl, "encrypted"},
		{"URI with a name that must be right", uri + "verify-full&sslrootcert=" + s.dir + "/cert.pem\n" + ssl, "certificate"},
	})
	hostile(t, "pgsql", unix, append(hostileQueries[:len(hostileQueries):len(hostileQueries)],
		`SELECT target FROM alias WHERE address = E'%s'`, `SELECT target AS "%s" FROM alias WHERE address = '%s'`, `SELECT target FROM alias WHERE '\' <> '%s' AND address = '%s'`)...)
	if n := psql("SELECT count(*) FROM alias;"); n != "10\n" {
		t.Errorf("the table has %s rows now", n)
	}
	throughServer(t, "pgsql:{dir}/alias.cf", "pgsql:{dir}/domain.cf", map[string]string{
		"alias.cf":  unix + "query = SELECT target FROM alias WHERE address = '%s'\n",
		"domain.cf": tcp + "query = SELECT name FROM domain WHERE name = '%s'\n",
	}, func() { s.stop(syscall.SIGINT) }, start)
}

func TestMySQLTables(t *testing.T) {
	t.Parallel()
	mariadbd := findProgram(t, "/usr/sbin/mariadbd")
	s := newDBServer(t, "mysql", "mysql")
	data := filepath.Join(s.dir, "data")
	s.socket = filepath.Join(s.dir, "socket")
	s.must("", "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M")
	s.args = []string{mariadbd, "--no-defaults", "--datadir=" + data, "--socket=" + s.socket, "--port=" + s.port, "--bind-address=127.0.0.1", "--pid-file=" + s.dir + "/pid",
		"--ssl-cert=" + s.dir + "/cert.pem", "--ssl-key=" + s.dir + "/key.pem",
		"--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"}
	certificate(t, s.dir)
	s.own("cert.pem", "key.pem")
	mysql := func(sql string) string {
		return s.must(sql, "mariadb", "--no-defaults", "--socket="+s.socket, "-u", "root", "-N")
	}
	start := func() {
		s.start(func() bool {
			return s.command("mariadb-admin", "--no-defaults", "--socket="+s.socket, "-u", "root", "ping").Run() == nil
		})
	}
	start()
	sqlPassword := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dbPassword)
	mysql("CREATE DATABASE mail CHARACTER SET utf8mb4; USE mail;\n" + sqlData +
		"CREATE PROCEDURE target_of(IN a VARCHAR(200)) SELECT target FROM alias WHERE address = a ORDER BY id;\n" +
		"CREATE PROCEDURE nothing(IN a VARCHAR(200)) DO 1;\n" +
		"CREATE USER mail@localhost IDENTIFIED BY '" + sqlPassword + "'; GRANT ALL ON mail.* TO mail@localhost;\n")
	head := func(hosts string) string {
		return fmt.Sprintf("hosts = %s\nuser = mail\npassword = %s\ndbname = mail\n", hosts, dbPassword)
	}
	tcp, unix := head("127.0.0.1:"+s.port), head("unix:"+s.socket)
	b := newBesidePostmap(t)
	b.run("mysql", append(sqlCases(tcp), twoColumns(unix),
		postmapCase{name: "inet", cf: head("inet:127.0.0.1:"+s.port) + "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "one host away", cf: head("127.0.0.1:1, unix:"+s.socket) + "query = SELECT target FROM alias WHERE address = '%s' ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "double quotes", cf: unix + "query = SELECT target FROM alias WHERE address = \"%u@%d\" ORDER BY id\n", keys: sqlKeys},
		postmapCase{name: "escape in the query", cf: unix + `query = SELECT CONCAT('it\'s ', '%u') FROM domain WHERE name = '%d'` + "\n", keys: sqlKeys},
		postmapCase{name: "numbers", cf: unix + "query = SELECT id, id * 1.50, id / 3, 1e0 * id FROM alias WHERE address = '%s' ORDER BY id\n", keys: []string{"info@alias.example", "team@alias.example"}},
		postmapCase{name: "procedure", cf: unix + "query = CALL target_of('%s')\n", keys: sqlKeys},
		postmapCase{name: "no result set", cf: unix + "query = CALL nothing('%s')\n", fail: []string{"info@alias.example"}},
		postmapCase{name: "no result set wanted", cf: unix + "query = CALL nothing('%s')\nrequire_result_set = no\n", keys: []string{"info@alias.example"}},
		postmapCase{name: "all hosts away", cf: head("127.0.0.1:1 unix:/nonexistent") + "query = SELECT target FROM alias WHERE address = '%s'\n", fail: []string{"info@alias.example"}},
		postmapCase{name: "wrong password", cf: strings.Replace(tcp, "s3cr", "guess", 1) + "query = SELECT target FROM alias WHERE address = '%s'\n", fail: []string{"info@alias.example"}},
	))
	ssl := "query = SELECT IF(VARIABLE_VALUE = '', 'plain', 'encrypted') FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version' AND '%s' <> ''\n"
	b.ours("mysql", []oursCase{
		{"plain", tcp + ssl, "plain"},
		{"encrypted", tcp + ssl + "tls_CAfile = " + s.dir + "/cert.pem\n", "encrypted"},
		{"name must be right", tcp + ssl + "tls_CAfile = " + s.dir + "/cert.pem\ntls_verify_cert = yes\n", "certificate"},
		{"authority is unknown", tcp + ssl + "tls_verify_cert = yes\n", "certificate"},
	})
	hostile(t, "mysql", unix, append(hostileQueries[:len(hostileQueries):len(hostileQueries)], "SELECT target FROM alias WHERE address = \"%s\"", "SELECT target AS `%1` FROM alias WHERE address = '%s'")...)
	mysql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI';")
	hostile(t, "mysql", tcp, hostileQueries...)
	if n := mysql("SELECT count(*) FROM mail.alias"); n != "10\n" {
		t.Errorf("the table has %s rows now", n)
	}
	throughServer(t, "mysql:{dir}/alias.cf", "mysql:{dir}/domain.cf", map[string]string{
		"alias.cf":  unix + "query = SELECT target FROM alias WHERE address = '%s'\n",
		"domain.cf": tcp + "query = SELECT name FROM domain WHERE name = '%s'\n",
	}, func() { s.stop(syscall.SIGKILL) }, start)
}

func TestSQLiteTables(t *testing.T) {
	t.Parallel()
	sqlite3 := findProgram(t, "/usr/bin/sqlite3")
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	db := filepath.Join(dir, "mail.db")
	create := func(file, sql string) {
		t.Helper()
		if out, code := runProgram(t, sql, sqlite3, file); code != 0 {
			t.Fatalf("sqlite3: %s", out)
		}
	}
	create(db, sqlData)
	head := "dbpath = " + db + "\n"
	b := newBesidePostmap(t)
	b.run("sqlite", append(sqlCases(head), twoColumns(head),
		postmapCase{name: "double quotes", cf: head + "query = SELECT target FROM alias WHERE address = \"%u@%d\" ORDER BY id\n", keys: []string{"info@alias.example", "team@alias.example", "nobody@alias.example"}},
		postmapCase{name: "numbers", cf: head + "query = SELECT value FROM (SELECT id AS value FROM alias WHERE address = '%s' UNION ALL SELECT id * 1.5 FROM alias WHERE address = '%s' UNION ALL SELECT id / 3.0 FROM alias WHERE address = '%s' UNION ALL SELECT 2.0)\n", keys: []string{"info@alias.example"}},
		postmapCase{name: "unquoted number", cf: head + "query = SELECT target FROM alias WHERE id = %s\n", keys: []string{"1", "2", "99"}},
	))
	hostile(t, "sqlite", head, append(hostileQueries[:len(hostileQueries):len(hostileQueries)], "SELECT target FROM alias WHERE address = \"%s\"", "SELECT target FROM alias WHERE address = '%s'; DELETE FROM alias")...)

	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_maps"], cf["virtual_alias_domains"] = "sqlite:{dir}/alias.cf", "sqlite:{dir}/domain.cf"
	r := newRelay(t, cf, map[string]string{
		"alias.cf":  head + "query = SELECT target FROM alias WHERE address = '%s'\n",
		"domain.cf": head + "query = SELECT name FROM domain WHERE name = '%s'\n",
	})
	r.start()
	rcpt := func(to string) string {
		t.Helper()
		out, _ := swaks(t, r, "--to", to, "--quit-after", "RCPT")
		return out
	}
	mustMatch(t, "known", rcpt("info@alias.example"), `250 2\.1\.5 Ok`)
	mustMatch(t, "unknown", rcpt("new@alias.example"), `550 5\.1\.1 .*User unknown in virtual alias table`)
	replace := func(make func(file string)) {
		t.Helper()
		next := filepath.Join(dir, "next")
		make(next)
		if err := os.Rename(next, db); err != nil {
			t.Fatal(err)
		}
	}
	replace(func(file string) {
		create(file, sqlData+"INSERT INTO alias VALUES (20, 'new@alias.example', 'target@dest.example', NULL);")
	})
	for end := time.Now().Add(limit); !strings.Contains(rcpt("new@alias.example"), "250 2.1.5 Ok"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the new database does not count\n%s", r.log())
		}
	}
	replace(func(file string) {
		if err := os.WriteFile(file, []byte(strings.Repeat("this is no database\n", 1000)), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	r.waitLogBy(func() { mustMatch(t, "while the new one is broken", rcpt("new@alias.example"), `250 2\.1\.5 Ok`) },
		`warning: .*mail\.db: .*not a database.*; the database as it was stays in force`)
	replace(func(file string) { create(file, sqlData) })
	for end := time.Now().Add(limit); !strings.Contains(rcpt("new@alias.example"), "550 5.1.1"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the good database does not count\n%s", r.log())
		}
	}
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 || !sink.Wait(1, limit) {
		t.Errorf("swaks: exit status %d\n%s", code, out)
	}
	r.stop()
}

// A fault in a .cf file stops the start, and says where it is but no secret.
func TestTableFileFaults(t *testing.T) {
	for _, c := range []struct{ table, cf, want string }{
		{"pgsql", "dbname = d\npassword s3cret\n", `alias\.cf, line 2: missing '=' after attribute name`},
		{"pgsql", "dbname = d\npassword = s3cret\n", `alias\.cf: query: is missing`},
		{"mysql", "dbname = d\npasswrd = s3cret\nquery = SELECT '%s'\n", `alias\.cf, line 2: unknown parameter "passwrd"`},
		{"mysql", "dbname = d\nretry_interval = soon\nquery = SELECT '%s'\n", `alias\.cf, line 2: retry_interval: bad numerical value "soon"`},
		{"sqlite", "dbpath = /nonexistent.db\nquery = SELECT '%s'\n", `alias\.cf, line 1: dbpath: open database /nonexistent\.db: No such file or directory`},
		{"ldap", "bind_pw = s3cret\nquery_filter = (uid=%q)\n", `alias\.cf, line 2: query_filter: invalid template`},
		{"ldap", "bind = sasl\n", `alias\.cf, line 1: bind: sasl is not supported`},
		{"proxy:pgsql", "", `open .*alias\.cf: No such file or directory`},
	} {
		cf := base(nil)
		cf["virtual_alias_maps"] = c.table + ":{dir}/alias.cf"
		files := map[string]string{"alias.cf": c.cf}
		if c.cf == "" {
			files = map[string]string{"other": ""}
		}
		r := newRelay(t, cf, files)
		out, code := r.run("start", "-c", r.dir)
		if code != 78 || strings.Contains(out, "s3cret") {
			t.Errorf("%s: exit status %d\n%s", c.table, code, out)
		}
		mustMatch(t, c.table, out, `virtual_alias_maps \(.*main\.cf, line \d+\): .*`+c.want)
	}
}

// A .cf file that is edited counts within a second or two, a broken one does not.
func TestTableFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	db := filepath.Join(dir, "mail.db")
	if out, code := runProgram(t, sqlData, findProgram(t, "/usr/bin/sqlite3"), db); code != 0 {
		t.Fatalf("sqlite3: %s", out)
	}
	query := func(address string) string {
		return "dbpath = " + db + "\nquery = SELECT target FROM alias WHERE address = '" + address + "' AND '%s' <> ''\n"
	}
	sink := newSink(t)
	cf := base(sink)
	cf["virtual_alias_maps"] = "sqlite:{dir}/alias.cf"
	r := newRelay(t, cf, map[string]string{"alias.cf": query("info@alias.example") + "domain = alias.example\n"})
	r.start()
	n := 0
	target := func() string {
		t.Helper()
		if out, code := swaks(t, r, "--to", "any@alias.example"); code != 0 {
			t.Fatalf("swaks: %s", out)
		}
		if n++; !sink.Wait(n, limit) {
			t.Fatal("nothing arrived")
		}
		return strings.TrimSuffix(sink.Messages()[n-1].Rcpts[0], " ")
	}
	becomes := func(want string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if got = target(); strings.HasPrefix(got, want) {
				return
			}
		}
		t.Fatalf("goes to %s, want %s\n%s", got, want, r.log())
	}
	becomes("<target@dest.example>")
	r.write("alias.cf", query("o''brien@alias.example")+"domain = alias.example\n")
	becomes("<ob@dest.example>")
	r.write("alias.cf", "dbpath = "+db+"\nquerry = SELECT 1\n")
	r.waitLogBy(func() { becomes("<ob@dest.example>") }, `warning: sqlite:.*alias\.cf: .*: query: is missing.*; the table as it was stays in force`)
}

// waitLogBy does something again and again until a line of the log matches.
func (r *relay) waitLogBy(do func(), pattern string) {
	r.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		do()
		if regexp.MustCompile(pattern).MatchString(r.log()) {
			return
		}
	}
	r.t.Fatalf("no log line matches %s; the log:\n%s", pattern, r.log())
}
