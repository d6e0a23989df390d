package dbtable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// read reads what a source of some type would.
func read(c *Config) {
	c.Text("dbname", "")
	c.Str("user", "nobody")
	c.Int("port", 5, 1)
	c.Bool("tls", false)
	c.List("hosts")
	c.Str("password", "")
	c.SQL(&Templates{}, PostgreSQL)
}

func TestConfigErrors(t *testing.T) {
	const good = "dbname = d\nquery = SELECT '%s'\n"
	for _, c := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"comments and continued lines", "# x\n\ndbname\n  =\n d\nquery=SELECT\n# y\n  '%s'\n", ""},
		{"dollar is plain", good + "user = $x${y}\n", ""},
		{"no =", good + "user nobody\n", `line 3: missing '=' after attribute name`},
		{"secret without =", good + "password s3cret\n", `line 3: missing '=' after attribute name; need "name = value"`},
		{"no name", "= x\n" + good, "line 1: missing attribute name"},
		{"unknown", "passwort = s3cret\n" + good, `line 1: unknown parameter "passwort"`},
		{"not a number", good + "port = x\n", `line 3: port: bad numerical value "x"`},
		{"empty number", good + "port =\n", `line 3: port: bad numerical value ""`},
		{"too small", good + "port = 0\n", "line 3: port: invalid value 0 < 1"},
		{"too large", good + "port = 99999999999\n", "line 3: port: bad numerical value"},
		{"not yes or no", good + "tls = maybe\n", `line 3: tls: bad boolean value "maybe"`},
		{"empty", "dbname =\nquery = SELECT '%s'\n", "line 1: dbname: must not be empty"},
		{"missing", "query = SELECT '%s'\n", ".cf: dbname: is missing"},
		{"no query", "dbname = d\ntable = t\n", ".cf: query: is missing (and so is select_field"},
		{"bad query", "dbname = d\n\nquery = SELECT '%\n", "line 3: query: invalid template"},
		{"bad older query", "dbname = d\ntable = t\nselect_field = %x\nwhere_field = f\n", "line 2: table: invalid template"},
		{"older query", "dbname = d\ntable = t\nselect_field = s\nwhere_field = f\n", ""},
		{"function", "dbname = d\nselect_function = f\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeFile(t, "x.cf", c.text, 0o600)
			conf, err := ReadConfig(file, func(msg string) { t.Error(msg) })
			if err == nil {
				read(conf)
				err = conf.Err()
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || got != "" && !strings.Contains(got, file) {
				t.Errorf("error %q, want %q with the file", got, c.want)
			}
			if strings.Contains(got, "s3cret") {
				t.Errorf("a secret is in %q", got)
			}
		})
	}
	if _, err := ReadConfig("/nonexistent/x.cf", nil); err == nil || err.Error() != "open /nonexistent/x.cf: No such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ReadConfig(t.TempDir(), nil); err == nil {
		t.Error("a directory is read")
	}
}

func TestConfigWarnings(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"readable password", "password = s3cret\n", 0o644, "can be read by every user"},
		{"readable URI", "hosts = postgresql://u:s3cret@h/d\n", 0o644, "can be read by every user"},
		{"password of a group", "password = s3cret\n", 0o640, ""},
		{"no password", "user = x\n", 0o644, ""},
		{"twice", "password = s3cret\npassword = s3cret2\n", 0o600, "line 2: overriding earlier entry: password, line 1"},
		{"twice the same", "user = x\nuser = x\n", 0o600, ""},
		{"indented first line", "  password = s3cret\nuser = x\n", 0o600, "begins with whitespace"},
		{"null byte", "user = x\x00s3cret\n", 0o600, "null byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var warned []string
			if _, err := ReadConfig(writeFile(t, "x.cf", c.text, c.mode), func(msg string) { warned = append(warned, msg) }); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(warned, "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || len(warned) > 1 || strings.Contains(got, "s3cret") {
				t.Errorf("warned %q, want %q", got, c.want)
			}
		})
	}
}

// What is read is there, trimmed; an error has the file's name and never a value.
func FuzzConfig(f *testing.F) {
	f.Add("dbname = d\nquery = SELECT '%s'\n password = x\n", "s3cret")
	f.Add("password s3cret\n", "s3cret")
	f.Fuzz(func(t *testing.T, text, secret string) {
		file := writeFile(t, "x.cf", text, 0o600)
		conf, err := ReadConfig(file, func(string) {})
		if err == nil {
			for name, p := range conf.params {
				if name == "" || strings.Trim(p.value, spaces) != p.value || p.line < 1 || strings.ContainsAny(name, spaces+"=") {
					t.Errorf("read %q = %q, line %d", name, p.value, p.line)
				}
			}
			read(conf)
			err = conf.Err()
		}
		if err != nil && !strings.HasPrefix(err.Error(), file) {
			t.Errorf("error without a file: %v", err)
		}
		marked := "zz" + strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r
			}
			return -1
		}, secret) + "qqsecret"
		if _, err := ReadConfig(writeFile(t, "y.cf", "password "+marked+"\n"+text, 0o600), func(string) {}); err != nil && strings.Contains(err.Error(), marked) {
			t.Errorf("a secret is in %q", err)
		}
	})
}
