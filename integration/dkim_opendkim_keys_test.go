package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys that each makes are good to the other's test, and another's key is not.
func TestOpenDKIMKeys(t *testing.T) {
	dir := realDir(t)
	zone := ""
	for selector, more := range map[string][]string{"od": {"-b", "2048"}, "all": {"-b", "3072", "-r", "-S", "-t", "-n", "a note", "-h", "sha256:sha1"}} {
		mustExec(t, "opendkim-genkey", append([]string{"-a", "-s", selector, "-d", "alias.example", "-D", dir}, more...)...)
		record, err := os.ReadFile(filepath.Join(dir, selector+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		zone += string(record)
	}
	cf := base(newSink(t))
	cf["dkim_keys"] = "texthash:{dir}/dkim_keys"
	r := newRelay(t, cf, nil)
	table := "alias.example od " + filepath.Join(dir, "od.private") + ", all " + filepath.Join(dir, "all.private")
	for _, more := range [][]string{{"-s", "r1"}, {"-s", "r4", "-b", "4096"}, {"-s", "e1", "--ed25519"}} {
		out := r.mustRun(append([]string{"dkim", "genkey", "-d", "alias.example", "-D", r.dir}, more...)...)
		record, line, found := strings.Cut(out, "\n\n# for the table of dkim_keys\nalias.example\t")
		if !found {
			t.Fatalf("genkey printed:\n%s", out)
		}
		zone += record + "\n"
		table += ", " + strings.TrimSpace(line)
	}
	r.write("dkim_keys", table+"\n")
	o := newOpenDKIM(t, zone)
	if out, code := r.run("check", "-c", r.dir); code != 0 || strings.Contains(out, "dkim") {
		t.Errorf("check: status %d\n%s", code, out)
	}
	want := "od._domainkey.alias.example: ok\nall._domainkey.alias.example: ok; t=y says that the domain only tests\n" +
		"r1._domainkey.alias.example: ok\nr4._domainkey.alias.example: ok\ne1._domainkey.alias.example: ok\n"
	if out, code := r.run("dkim", "testkey", "-c", r.dir, "-d", "alias.example", "--resolver", o.names.Addr); code != 0 || out != want {
		t.Errorf("our testkey: status %d\n%s", code, out)
	}
	conf := o.write("testkey.conf", o.conf)
	for _, c := range []struct {
		selector, key string
		code          int
		want          string
	}{
		{"od", "od", 0, "key not secure"}, // no DNSSEC here
		{"r1", "r1", 0, "key not secure"},
		{"r4", "r4", 0, "key not secure"},
		{"e1", "", 0, "key not secure"},
		{"e1", "e1", 69, "expecting an rsa key"}, // the record is good; that program compares RSA keys only
		{"r1", "od", 65, "keys do not match"},
		{"nobody", "r1", 69, "record not found"},
	} {
		args := []string{"-d", "alias.example", "-s", c.selector, "-x", conf, "-vv"}
		switch c.key {
		case "":
		case "od":
			args = append(args, "-k", filepath.Join(dir, "od.private"))
		default:
			args = append(args, "-k", filepath.Join(r.dir, "alias.example."+c.key+".private"))
		}
		out, code := runProgram(t, "", "/usr/sbin/opendkim-testkey", args...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("opendkim-testkey of %s with the key of %s: status %d\n%s", c.selector, c.key, code, out)
		}
	}
}
