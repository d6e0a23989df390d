package postconf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Each result was compared with what postconf -e, -X or -# of Postfix 3.7.11 makes,
// but for the last line without a line end: Postfix appends to it.
func TestEdited(t *testing.T) {
	for _, tc := range []struct {
		name, old string
		mode      EditMode
		edits     []Assignment
		want      string
	}{
		{"change", "# top\nmail_name = a\n  b\n# c\n  d\n\nmydomain=x\n", Assign, []Assignment{{"mail_name", "new"}},
			"# top\nmail_name = new\n# c\n\nmydomain=x\n"},
		{"add", "mail_name = a\n", Assign, []Assignment{{"mydomain", " a  b "}}, "mail_name = a\nmydomain = a  b\n"},
		{"add to nothing", "", Assign, []Assignment{{"mydomain", "a"}}, "mydomain = a\n"},
		{"empty", "mail_name = a\n", Assign, []Assignment{{"mail_name", ""}}, "mail_name = \n"},
		{"no line end", "mail_name = a\nmydomain=x", Assign, []Assignment{{"b", "c"}}, "mail_name = a\nmydomain=x\nb = c\n"},
		{"several", "a = 1\nb = 2\nc = 3\n", Assign, []Assignment{{"c", "4"}, {"d", "5"}, {"a", "6"}}, "a = 6\nb = 2\nc = 4\nd = 5\n"},
		{"last of two", "a = 1\n", Assign, []Assignment{{"a", "2"}, {"a", "3"}}, "a = 3\n"},
		{"in a comment", "#a = 1\n a = 2\na=3\n", Assign, []Assignment{{"a", "4"}}, "#a = 1\n a = 2\na = 4\n"},
		{"name that begins alike", "ab = 1\n", Assign, []Assignment{{"a", "2"}}, "ab = 1\na = 2\n"},
		{"remove", "a = 1\n  more\n# c\n  d\nb=x\n", Exclude, []Assignment{{Name: "a"}}, "# c\nb=x\n"},
		{"remove what is not there", "a = 1\n", Exclude, []Assignment{{Name: "b"}}, "a = 1\n"},
		{"comment out", "a = 1\n  more\n# c\n\n  d\nb=x\n", CommentOut, []Assignment{{Name: "a"}}, "#a = 1\n#  more\n# c\n\n#  d\nb=x\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, _ := edited([]byte(tc.old), tc.mode, tc.edits); string(got) != tc.want {
				t.Errorf("%q becomes %q, want %q", tc.old, got, tc.want)
			}
		})
	}
}

func writeMain(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "main.cf")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestEdit(t *testing.T) {
	dir, file := writeMain(t, "a = 1\nb = 2\na = 3\n")
	if err := os.Chmod(file, 0o604); err != nil {
		t.Fatal(err)
	}
	warnings, err := Edit(dir, Assign, []Assignment{{"a", "4"}})
	if want := []string{file + `: multiple entries for "a"`}; err != nil || !slices.Equal(warnings, want) {
		t.Fatalf("got %q, %v; want %q", warnings, err, want)
	}
	data, _ := os.ReadFile(file)
	info, _ := os.Stat(file)
	if string(data) != "a = 4\nb = 2\na = 4\n" || info.Mode().Perm() != 0o604 {
		t.Errorf("got %q, mode %v", data, info.Mode())
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestEditThroughLink(t *testing.T) {
	_, file := writeMain(t, "a = 1\n")
	dir := t.TempDir()
	if err := os.Symlink(file, filepath.Join(dir, "main.cf")); err != nil {
		t.Fatal(err)
	}
	if _, err := Edit(dir, Assign, []Assignment{{"a", "2"}}); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(file)
	if info, err := os.Lstat(filepath.Join(dir, "main.cf")); err != nil || info.Mode()&os.ModeSymlink == 0 || string(data) != "a = 2\n" {
		t.Errorf("the link is gone, or its target unchanged: %v, %q", err, data)
	}
}

func TestEditRefuses(t *testing.T) {
	dir, file := writeMain(t, "a = 1\n")
	for _, e := range []Assignment{{"a", "x\ny"}, {"", "x"}, {"a b", "x"}, {"#a", "x"}, {"a=b", "x"}, {"a", "\x00"}} {
		if _, err := Edit(dir, Assign, []Assignment{{"a", "2"}, e}); err == nil {
			t.Errorf("%q: no error", e)
		}
	}
	if data, _ := os.ReadFile(file); string(data) != "a = 1\n" {
		t.Errorf("the file became %q", data)
	}
	if _, err := Edit(t.TempDir(), Assign, []Assignment{{"a", "2"}}); err == nil {
		t.Error("edited a file that is not there")
	}
}

// Edits at the same time must not lose one another.
func TestEditsAtOnce(t *testing.T) {
	dir, file := writeMain(t, "")
	var wait sync.WaitGroup
	names := strings.Fields("a b c d e f g h")
	for _, name := range names {
		wait.Go(func() {
			if _, err := Edit(dir, Assign, []Assignment{{name, "1"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(data), " = 1", ""))
	if slices.Sort(lines); !slices.Equal(lines, names) {
		t.Errorf("got %q", data)
	}
}
