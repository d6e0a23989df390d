package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// besideAliases is for both: {files} is a directory of the one who reads it.
const besideAliases = `list: one@dest.example, two@dest.example
cmd: "|cat > {files}/out"
words: "|echo went wrong; exit 1"
temp: "|exit 75"
dsn: "|echo 5.7.9 by policy; exit 9"
signal: "|kill -9 \$\$"
shell: "|no-such-program x"
file: {files}/mbox
maildir: {files}/md/
exe: {files}/exe
link: {files}/link
none: nosuchname
mixed: one@dest.example, nosuchname, "|exit 0"
loop: pool
pool: loop
self: self
odd: <one@dest.example>, Some Name <two@dest.example>; three@dest.example (comment)
owned: one@dest.example, "|exit 1"
owner-owned: boss@dest.example
restricted: :include:{files}/commands
relative: :include:x
nested: list, cmd
"odd name": "|exit 0"
`

// The same aliases at Debian's Postfix and here, the same mail to each name: the lines of
// local(8) are the same, and so are the files.
func TestAliasesBesidePostfix(t *testing.T) {
	t.Parallel()
	theirs := newPostfix(t, "myhostname = mx.example.com", "mydestination = mx.example.com", "alias_maps = hash:$config_directory/aliases")
	sink := newSink(t)
	r := localRelay(t, sink, "x: y\n", nil)
	prepare := func(dir, files string) {
		t.Helper()
		os.MkdirAll(files, 0o777)
		os.Chmod(files, 0o777)
		for name, text := range map[string]string{"exe": "", "target": "", "commands": "\"|exit 0\"\n"} {
			if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		os.Chmod(filepath.Join(files, "exe"), 0o777)
		os.Symlink(filepath.Join(files, "target"), filepath.Join(files, "link"))
		os.Lchown(filepath.Join(files, "link"), 65534, 65534)
		os.Chown(filepath.Join(files, "target"), 65534, 65534)
		text := strings.ReplaceAll(besideAliases, "{files}", files)
		if err := os.WriteFile(filepath.Join(dir, "aliases"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	theirFiles := filepath.Join(filepath.Dir(theirs.dir), "files")
	ourFiles := filepath.Join(r.top, "files")
	prepare(theirs.dir, theirFiles)
	prepare(r.dir, ourFiles)
	mustExec(t, "/usr/sbin/postalias", "-c", theirs.dir, "hash:"+filepath.Join(theirs.dir, "aliases"))
	r.mustRun("newaliases", "-c", r.dir)
	r.start()

	// What each postalias has made of the text.
	listed, _ := runProgram(t, "", "/usr/sbin/postalias", "-c", theirs.dir, "-s", "hash:"+filepath.Join(theirs.dir, "aliases"))
	ours := r.mustRun("postalias", "-c", r.dir, "-s", "hash:"+filepath.Join(r.dir, "aliases"))
	if a, b := tableLines(listed, theirFiles), tableLines(ours, ourFiles); a != b {
		t.Errorf("postalias -s, theirs:\n%s\nours:\n%s", a, b)
	}

	const letter = "From: someone@dest.example\nSubject: aliases\nMessage-Id: <one@client.example>\nDate: Sun, 22 Nov 2026 22:32:08 +0000\n\nhello\nFrom me\n.dot\n"
	names := 0
	for line := range strings.Lines(besideAliases) {
		name, _, _ := strings.Cut(line, ":")
		to := name + "@mx.example.com"
		names++
		for _, program := range [][]string{{"/usr/sbin/sendmail", "-C", theirs.dir}, {binary, "sendmail", "-C", r.dir}} {
			if out, code := runProgram(t, letter, program[0], append(program[1:], "-i", "-f", "someone@dest.example", to)...); code != 0 {
				t.Fatalf("%v to %s: exit status %d\n%s", program, to, code, out)
			}
		}
	}
	var want, got []string
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		want, got = localLines(theirs.log(), theirFiles), localLines(r.log(), ourFiles)
		if slices.Equal(want, got) || time.Now().After(end) {
			break
		}
	}
	if !slices.Equal(want, got) || len(got) < names {
		t.Errorf("theirs:\n%s\nours:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	for _, name := range []string{"out", "mbox"} {
		a, b := masked(readText(t, filepath.Join(theirFiles, name))), masked(readText(t, filepath.Join(ourFiles, name)))
		if a != b {
			t.Errorf("%s, theirs:\n%s\nours:\n%s", name, a, b)
		}
	}
	r.stop()
}

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// masked is a message without what no two programs can have in common.
func masked(text string) string {
	for pattern, with := range map[string]string{
		`(?m)^From (\S+)  .*$`:    "From $1  DATE",
		`\tid \w+; .*`:            "\tid ID; DATE",
		`from userid \d+`:         "from userid UID",
		`(?m)^Delivered-To: .*$`:  "Delivered-To: X", // "out" is written to by two names, in any order
		`(?m)^X-Original-To: .*$`: "X-Original-To: X",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return text
}

// tableLines are the entries of a table without the signatures that Postfix adds.
func tableLines(text, files string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, files, "{files}")) {
		if !strings.HasPrefix(line, "@") && !strings.HasPrefix(line, "YP_") && !strings.HasPrefix(line, "postalias: ") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// localLines are the lines of deliveries by local(8) without what changes from run to
// run, in order. Notices to the sender and to owners are left out: they come when they
// come, and the owner's name is local again.
func localLines(log, files string) []string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(log, files, "{files}")) {
		_, text, found := strings.Cut(line, "postfix/local[")
		if !found || strings.Contains(text, "owner-owned@") && !strings.Contains(text, "orig_to") && strings.Count(text, "owner-owned") > 1 {
			continue
		}
		_, text, _ = strings.Cut(strings.TrimSpace(text), "]: ")
		if strings.HasPrefix(text, "warning: ") || !strings.Contains(text, "to=<") {
			continue
		}
		_, text, _ = strings.Cut(text, ": ")
		text = regexp.MustCompile(`delay=[\d.]+, delays=[\d./]+, `).ReplaceAllString(text, "")
		text = regexp.MustCompile(`forwarded as \w+`).ReplaceAllString(text, "forwarded as ID")
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
