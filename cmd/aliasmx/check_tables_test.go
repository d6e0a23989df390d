package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/alias"
)

// checkDir is a configuration whose alias table is the given text.
func checkDir(t *testing.T, table string) string {
	t.Helper()
	dir := explainDir(t, explainMainCF+"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\nmail_owner = nobody\n")
	if err := os.WriteFile(filepath.Join(dir, "virtual"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func check(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = checkCommand(args, environ{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, environ: func() []string { return nil },
	})
	return status, out.String(), errs.String()
}

const checkedTable = `# virtual
postmaster@virt.example joe@dest.example
loop@virt.example   loop2@virt.example
loop2@virt.example  loop@virt.example
gone@virt.example   nobody@virt.example
@virt.example.net   joe@dest.example
`

// What is wrong with the tables is a warning with its line, and no reason not to start.
func TestCheckTables(t *testing.T) {
	dir := checkDir(t, checkedTable)
	status, stdout, stderr := check(t, "-c", dir)
	want := strings.ReplaceAll(`aliasmx: warning: DIR/virtual, line 3: loop@virt.example: leads round in a circle: loop@virt.example -> loop2@virt.example -> loop@virt.example; mail to it is deferred (451 4.6.0)
aliasmx: warning: DIR/virtual, line 4: loop2@virt.example: leads round in a circle: loop2@virt.example -> loop@virt.example -> loop2@virt.example; mail to it is deferred (451 4.6.0)
aliasmx: warning: DIR/virtual, line 5: gone@virt.example: leads nowhere: nobody@virt.example: User unknown in virtual alias table; mail to it is refused
aliasmx: warning: DIR/virtual, line 6: @virt.example.net: virt.example.net is in none of our domains: `, "DIR", dir)
	for line := range strings.Lines(want) {
		if !strings.Contains(stderr, strings.TrimRight(line, "\n")) {
			t.Errorf("no %q", line)
		}
	}
	if strings.Index(stderr, "line 3") > strings.Index(stderr, "line 4") {
		t.Error("not in the order of lines")
	}
	if status != exitOK || !strings.Contains(stdout, "with 4 warnings") ||
		!strings.Contains(stdout, dir+"/virtual, line 6: @virt.example.net: takes every address") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
}

// A kind of finding is shown some twenty times, the first lines first, and counted then.
func TestCheckTablesMany(t *testing.T) {
	var table strings.Builder
	table.WriteString("postmaster@virt.example joe@dest.example\n")
	for i := range 100 {
		fmt.Fprintf(&table, "u%d@virt.example nobody@virt.example\n", i)
	}
	dir := checkDir(t, table.String())
	_, stdout, stderr := check(t, "-c", dir)
	if n := strings.Count(stderr, "leads nowhere"); n != shownOfKind {
		t.Errorf("%d shown", n)
	}
	if !strings.Contains(stderr, "virtual, line 21: u19@") || strings.Contains(stderr, "line 22:") ||
		!strings.Contains(stderr, "aliasmx: warning: and 80 more of this kind (dead-end); check --json lists all\n") {
		t.Errorf("%s%s", stdout, stderr)
	}
	_, stdout, _ = check(t, "-c", dir, "--json")
	if n := strings.Count(stdout, "\n"); n != 100 {
		t.Errorf("%d lines of JSON", n)
	}
}

func TestCheckJSON(t *testing.T) {
	dir := checkDir(t, checkedTable)
	status, stdout, stderr := check(t, "-c", dir, "--json")
	kinds := make(map[string]int)
	for line := range strings.Lines(stdout) {
		var f findingJSON
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		kinds[f.Severity+" "+f.Kind]++
		if f.Text == "" || f.Where == "" {
			t.Errorf("%+v", f)
		}
	}
	want := map[string]int{"warning loop": 2, "warning dead-end": 1, "warning foreign-domain": 1, "info catch-all": 1}
	if status != exitOK || stderr != "" || fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("exit status %d, %v, want %v, %s", status, kinds, want, stderr)
	}
	// What keeps from starting is one, too, and said as always.
	if err := os.Remove(filepath.Join(dir, "virtual")); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := check(t, "-c", dir, "--json"); status != exitConfig || !strings.Contains(stderr, "fatal") ||
		strings.Count(stdout, "\n") != 1 || !strings.HasPrefix(stdout, `{"severity":"fatal","kind":"configuration","text":"virtual_alias_maps (main.cf, line `) {
		t.Errorf("exit status %d, %q, %q", status, stdout, stderr)
	}
}

// A domain without a line of its own is told with the parameter it stands in.
func TestCheckPlace(t *testing.T) {
	dir := checkDir(t, "x@other.example y@dest.example\n")
	_, _, stderr := check(t, "-c", dir)
	if want := "warning: virtual_alias_domains (main.cf, line 4): virt.example: the domain has no entry"; !strings.Contains(stderr, want) {
		t.Errorf("no %q in %s", want, stderr)
	}
}

func TestFindingsOrder(t *testing.T) {
	var fs findings
	for _, n := range []int{30, 4, 100, 9} {
		fs.add(alias.Finding{Kind: alias.DeadEnd, Text: "x"}, fmt.Sprintf("/etc/virtual, line %d", n))
	}
	fs.add(alias.Finding{Kind: alias.DeadEnd, Text: "x"}, "/etc/a, line 50")
	var got []int
	for _, s := range fs.kinds[0].shown {
		got = append(got, s.line)
	}
	if fmt.Sprint(got) != "[50 4 9 30 100]" {
		t.Error(got)
	}
}

// The last line counts the warnings.
func TestCheckLastLine(t *testing.T) {
	for table, want := range map[string]string{
		"postmaster@virt.example joe@dest.example\n":                                                                         ": ok\n",
		"postmaster@virt.example joe@dest.example\nx@virt.example nobody@virt.example\n":                                     ": ok, with 1 warning\n",
		"postmaster@virt.example joe@dest.example\nx@virt.example nobody@virt.example\ny@virt.example nobody@virt.example\n": ": ok, with 2 warnings\n",
	} {
		if _, stdout, stderr := check(t, "-c", checkDir(t, table)); !strings.HasSuffix(stdout, want) {
			t.Errorf("%q: no %q in\n%s%s", table, want, stdout, stderr)
		}
	}
}
