package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// postmapRun is postmap with arguments and standard input, in an environment. {dir} in
// them stands for the directory of the test.
type postmapRun struct {
	name  string
	args  string // separated by single spaces; ~ stands for a space inside one
	stdin string
	env   map[string]string

	status int
	out    string
	err    string // all of standard error, or its beginning when it ends in "..."
}

func (r postmapRun) run(t *testing.T, dir string) {
	t.Helper()
	here := strings.NewReplacer("{dir}", dir)
	var args []string
	for _, a := range strings.Fields(here.Replace(r.args)) {
		args = append(args, strings.ReplaceAll(a, "~", " "))
	}
	var out, errs bytes.Buffer
	status := postmapCommand(args, environ{
		stdin: strings.NewReader(r.stdin), stdout: &out, stderr: &errs,
		getenv:  func(name string) string { return here.Replace(r.env[name]) },
		environ: func() []string { return nil },
	})
	if status != r.status || out.String() != here.Replace(r.out) {
		t.Errorf("postmap %s: status %d, output %q; want %d, %q (%s)", r.args, status, out.String(), r.status, r.out, errs.String())
	}
	want := here.Replace(r.err)
	if head, ok := strings.CutSuffix(want, "..."); ok {
		if !strings.HasPrefix(errs.String(), head) {
			t.Errorf("postmap %s: errors\n%s, want\n%s", r.args, errs.String(), want)
		}
	} else if errs.String() != want {
		t.Errorf("postmap %s: errors\n%s, want\n%s", r.args, errs.String(), want)
	}
}

func postmapDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPostmap is one session; each run finds what the ones before it left. The
// messages are those of a real postmap.
func TestPostmap(t *testing.T) {
	const usage = "postmap: fatal: " + postmapUsage + "\n"
	dir := postmapDir(t, map[string]string{
		"virtual": "# c\nInfo@virt.example BigBoss@Dest.EXAMPLE\na@virt.example one@dest.example,\n  two@dest.example\n" +
			"A@VIRT.example three@dest.example\nb@virt.example\nc: d\n\"odd user\"@virt.example odd@dest.example\n\"open x\n",
		"second":       "z@virt.example last@dest.example\n",
		"case":         "K@x upper\nk@x lower\n",
		"bytes":        "bad\xff@x v\n",
		"conf/main.cf": "default_database_type = btree\n",
		"lmdb/main.cf": "default_database_type = lmdb\n",
	})
	runs := []postmapRun{
		{name: "no arguments", args: "", status: 1, err: usage},
		{name: "no tables", args: "-v", status: 1, err: usage},
		{name: "unknown option", args: "-Z x", status: 1, err: "postmap: invalid option -- 'Z'\n" + usage},
		{name: "no value", args: "-q", status: 1, err: "postmap: option requires an argument -- 'q'\n" + usage},
		{name: "query and delete", args: "-q a -d b hash:x", status: 1, err: "postmap: fatal: specify only one of -d -i -q or -s\n"},
		{name: "list and query", args: "-s -q a hash:x", status: 1, err: "postmap: fatal: specify only one of -d -i -q or -s\n"},
		{name: "key twice", args: "-q a -q b hash:x", status: 1, err: "postmap: fatal: specify only one of -d -i -q or -s\n"},
		{name: "no overrides", args: "-o default_database_type=cdb", status: 1, err: "postmap: fatal: open default_database_type=cdb: No such file or directory\n"},
		{name: "unknown type", args: "foo:{dir}/virtual", status: 1, err: "postmap: fatal: unsupported dictionary type: foo; known: ..."},
		{name: "no source", args: "hash:{dir}/nosuch", status: 1, err: "postmap: fatal: open {dir}/nosuch: No such file or directory\n"},
		{name: "not to be built", args: "texthash:{dir}/virtual", status: 1,
			err: "postmap: fatal: unsupported dictionary type: texthash does not support bulk-mode creation.\n"},
		{name: "ask before building", args: "-q x hash:{dir}/virtual", status: 1,
			err: "postmap: fatal: open database {dir}/virtual.db: No such file or directory; run \"aliasmx postmap hash:{dir}/virtual\"\n"},

		{name: "build", args: "hash:{dir}/virtual", err: "postmap: warning: {dir}/virtual.db: duplicate entry: \"a@virt.example\"\n" +
			"postmap: warning: {dir}/virtual, line 6: expected format: key whitespace value\n" +
			"postmap: warning: {dir}/virtual, line 7: record is in \"key: value\" format; is this an alias file?\n" +
			"postmap: warning: {dir}/virtual, line 9: unbalanced '\"' in '\"open x' -- ignoring this line\n"},
		{name: "ask", args: "-q INFO@virt.example hash:{dir}/virtual", out: "BigBoss@Dest.EXAMPLE\n"},
		{name: "value and key together", args: "-vqinfo@virt.example hash:{dir}/virtual", out: "BigBoss@Dest.EXAMPLE\n"},
		{name: "continuation", args: "-q a@virt.example -- hash:{dir}/virtual", out: "one@dest.example,  two@dest.example\n"},
		{name: "quoted key", args: `-q "odd~user"@virt.example hash:{dir}/virtual`, out: "odd@dest.example\n"},
		{name: "not found", args: "-q nosuch@virt.example hash:{dir}/virtual", status: 1},
		{name: "not UTF-8", args: "-q a\xff@x hash:{dir}/virtual", status: 1,
			err: "postmap: warning: hash:{dir}/virtual.db: non-UTF-8 key \"a?@x\": malformed UTF-8 or invalid codepoint\n"},
		{name: "ask for many", args: "-q - hash:{dir}/virtual", stdin: "info@virt.example\nnope\nC:\n100%d",
			out: "info@virt.example\tBigBoss@Dest.EXAMPLE\nC:\td\n"},
		{name: "ask for many, none there", args: "-q - hash:{dir}/virtual", stdin: "nope\n", status: 1},
		{name: "two tables, the first has it", args: "-q info@virt.example hash:{dir}/virtual static:x", out: "BigBoss@Dest.EXAMPLE\n"},
		{name: "two tables, the second has it", args: "-q nope hash:{dir}/virtual static:x", out: "x\n"},
		{name: "second table not needed", args: "-q nope static:x hash:{dir}/nosuch", out: "x\n"},
		{name: "failing table", args: "-q x fail:oops", status: 1, err: "postmap: fatal: table fail:oops: query error: Application error\n"},
		{name: "empty value", args: "-q x inline:{x=}", out: "\n",
			err: "postmap: warning: table inline:{x=}: key x: empty string result is not allowed\n" +
				"postmap: warning: table inline:{x=} should return NO RESULT in case of NOT FOUND\n"},
		{name: "list", args: "-s hash:{dir}/virtual", out: "info@virt.example\tBigBoss@Dest.EXAMPLE\n" +
			"a@virt.example\tone@dest.example,  two@dest.example\nc:\td\n\"odd user\"@virt.example\todd@dest.example\n"},
		{name: "nothing to list", args: "-s static:x", status: 1, err: "postmap: fatal: table static:x: sequence operation is not supported\n"},

		{name: "add", args: "-i hash:{dir}/virtual", stdin: "a@virt.example new\nn@virt.example new\nbad\n",
			err: "postmap: warning: {dir}/virtual.db: duplicate entry: \"a@virt.example\"\npostmap: warning: stdin, line 3: expected format: key whitespace value\n"},
		{name: "add and replace", args: "-ir hash:{dir}/virtual", stdin: "info@virt.example new\n"},
		{name: "add and keep", args: "-i -w hash:{dir}/virtual", stdin: "n@virt.example newer\n"},
		{name: "what was added", args: "-q - hash:{dir}/virtual", stdin: "a@virt.example\nn@virt.example\ninfo@virt.example",
			out: "a@virt.example\tone@dest.example,  two@dest.example\nn@virt.example\tnew\ninfo@virt.example\tnew\n"},
		{name: "delete", args: "-d N@virt.example hash:{dir}/virtual"},
		{name: "delete again", args: "-d n@virt.example hash:{dir}/virtual", status: 1},
		{name: "delete many", args: "-d - hash:{dir}/virtual", stdin: "a@virt.example\nnope\nc:\n"},
		{name: "what is left", args: "-s hash:{dir}/virtual", out: "\"odd user\"@virt.example\todd@dest.example\ninfo@virt.example\tnew\n"},

		{name: "without folding", args: "-f hash:{dir}/case"},
		{name: "ask without folding", args: "-f -q K@x hash:{dir}/case", out: "upper\n"},
		{name: "ask with folding", args: "-q K@x hash:{dir}/case", out: "lower\n"},
		{name: "the last counts", args: "-r hash:{dir}/case"},
		{name: "ask for the last", args: "-q K@x hash:{dir}/case", out: "lower\n"},
		{name: "bytes refused", args: "hash:{dir}/bytes", err: "postmap: warning: {dir}/bytes, line 1: non-UTF-8 input \"bad?@x v\" -- ignoring this line\n"},
		{name: "bytes taken", args: "-u hash:{dir}/bytes"},
		{name: "ask for bytes", args: "-u -q bad\xff@x hash:{dir}/bytes", out: "v\n"},

		{name: "several, one missing", args: "hash:{dir}/second hash:{dir}/nosuch", status: 1,
			err: "postmap: fatal: open {dir}/nosuch: No such file or directory\n"},
		{name: "the first was built", args: "-q z@virt.example hash:{dir}/second", out: "last@dest.example\n"},

		{name: "type of main.cf", args: "-c {dir}/lmdb {dir}/second"},
		{name: "it was lmdb", args: "-q z@virt.example lmdb:{dir}/second", out: "last@dest.example\n"},
		{name: "main.cf of the environment", args: "-q x {dir}/second", env: map[string]string{"MAIL_CONFIG": "{dir}/conf"}, status: 1},
		{name: "no main.cf", args: "-c {dir}/nosuch -q x static:x", status: 1, err: "postmap: fatal: open {dir}/nosuch/main.cf: No such file or directory\n"},
	}
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.run(t, dir) })
	}
}

// TestPostmapOfPostfix: the index that a real postmap made is read through its source,
// with one warning.
func TestPostmapOfPostfix(t *testing.T) {
	berkeley := strings.Repeat("\x00", 12) + "\x61\x15\x06\x00" + strings.Repeat("\x00", 4096)
	dir := postmapDir(t, map[string]string{"virtual": "a@x b\n", "virtual.db": berkeley})
	postmapRun{args: "-q a@x hash:{dir}/virtual", out: "b\n",
		err: "postmap: warning: database {dir}/virtual.db was made by Postfix (Berkeley DB): reading the source file..."}.run(t, dir)
	postmapRun{args: "-d a@x hash:{dir}/virtual", status: 1,
		err: "postmap: fatal: open database {dir}/virtual.db: made by Postfix (Berkeley DB), which this program cannot change; run..."}.run(t, dir)
	postmapRun{args: "hash:{dir}/virtual"}.run(t, dir)
	postmapRun{args: "-q a@x hash:{dir}/virtual", out: "b\n"}.run(t, dir)
}
