package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// recordedPostmap is one case of testdata/postmap: see the README there.
type recordedPostmap struct {
	Name  string
	Files map[string]string
	Runs  []recordedPostmapRun
}

type recordedPostmapRun struct {
	Args    []string
	Stdin   string
	Env     map[string]string
	Differs string

	Status         int
	Stdout, Stderr string
}

// TestPostmapRecorded does what a real postmap did, and expects what it said.
func TestPostmapRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/postmap/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 80 {
		t.Errorf("only %d cases", len(files))
	}
	cases := make([]recordedPostmap, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &cases[i])
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"conf/main.cf": "compatibility_level = 3.6\n"}
			maps.Copy(files, c.Files)
			for name, text := range files {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(recordedBytes(text, dir)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			for _, r := range c.Runs {
				r.replay(t, dir)
			}
		})
	}
}

func (r recordedPostmapRun) replay(t *testing.T, dir string) {
	t.Helper()
	var args []string
	for _, a := range r.Args {
		args = append(args, recordedBytes(a, dir))
	}
	variables := map[string]string{"MAIL_CONFIG": dir + "/conf"}
	maps.Copy(variables, r.Env)
	var out, errs bytes.Buffer
	status := postmapCommand(args, environ{
		stdin: strings.NewReader(recordedBytes(r.Stdin, dir)), stdout: &out, stderr: &errs,
		getenv: func(name string) string { return variables[name] },
		environ: func() (all []string) {
			for name, value := range variables {
				all = append(all, name+"="+value)
			}
			return all
		},
	})
	if status != r.Status {
		t.Errorf("postmap %q: status %d, want %d (%s)", r.Args, status, r.Status, &errs)
	}
	if got := recordedText(out.String(), dir); got != r.Stdout {
		t.Errorf("postmap %q: output\n%s, want\n%s", r.Args, got, r.Stdout)
	}
	if got := withoutHints(recordedText(errs.String(), dir)); got != r.Stderr {
		t.Errorf("postmap %q: errors\n%s, want\n%s", r.Args, got, r.Stderr)
	}
}

// withoutHints takes off what aliasmx says more than Postfix.
func withoutHints(s string) string {
	s = regexp.MustCompile(`; run "aliasmx postmap [^\n]*"|; known: [^\n]*`).ReplaceAllString(s, "")
	return regexp.MustCompile(`, line \d+(: logical line must not)`).ReplaceAllString(s, "$1")
}

// recordedBytes is what the text of a case stands for.
func recordedBytes(s, dir string) string {
	s = strings.ReplaceAll(s, "{dir}", dir)
	return regexp.MustCompile(`\{x[0-9A-F]{2}\}`).ReplaceAllStringFunc(s, func(hex string) string {
		b, err := strconv.ParseUint(hex[2:4], 16, 8)
		if err != nil {
			panic(err) // the expression lets nothing else through
		}
		return string([]byte{byte(b)})
	})
}

// recordedText is how a case writes what a run printed.
func recordedText(s, dir string) string {
	s = strings.ReplaceAll(s, dir, "{dir}")
	var text strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || r == 0 {
			text.WriteString("{x" + strings.ToUpper(strconv.FormatUint(uint64(s[0])|0x100, 16)[1:]) + "}")
		} else {
			text.WriteString(s[:n])
		}
		s = s[n:]
	}
	return text.String()
}
