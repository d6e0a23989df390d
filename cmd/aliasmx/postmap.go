package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"aliasmx/internal/maillog"
	"aliasmx/internal/table"
)

// postmap(1): builds, updates and asks lookup tables. Options, messages and exit
// statuses are Postfix's; the index files are ours.

const postmapUsage = "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."

// postmapJob is what the arguments ask for.
type postmapJob struct {
	name      string // postmap or postalias
	env       environ
	configDir string
	tables    []string

	query, remove      string // -q, -d
	querying, removing bool
	sequence, update   bool // -s, -i
	build              table.BuildOptions
}

func postmapCommand(args []string, env environ) int {
	return buildTables(args, &postmapJob{name: "postmap", env: env, build: table.BuildOptions{AsOwner: true, SourceMode: true}})
}

// buildTables is what postmap and postalias have in common.
func buildTables(args []string, j *postmapJob) int {
	env := j.env
	err := j.parse(args)
	if err == nil {
		err = j.addTypes()
	}
	if err != nil {
		return fail(env, j.name, exitFailure, err)
	}
	j.build.Warn = j.warn
	found := true
	switch {
	case j.querying:
		found, err = j.lookUp()
	case j.removing:
		found, err = j.delete()
	case j.sequence:
		err = j.list()
	default:
		err = j.make()
	}
	switch {
	case err != nil:
		return fail(env, j.name, exitFailure, errors.New(maillog.Printable(err.Error())))
	case !found:
		return exitFailure
	}
	return exitOK
}

func (j *postmapJob) warn(msg string) {
	fmt.Fprintf(j.env.stderr, "%s: warning: %s\n", j.name, maillog.Printable(msg))
}

// parse reads the arguments as getopt(3) does: options end at the first word that is
// none, letters may stand together, and a value may touch its letter.
func (j *postmapJob) parse(args []string) error {
	for len(args) > 0 {
		word := args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			letter := word[i]
			if strings.IndexByte("cdq", letter) < 0 {
				if err := j.flag(letter); err != nil {
					return err
				}
				continue
			}
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					fmt.Fprintf(j.env.stderr, "%s: option requires an argument -- '%c'\n", j.name, letter)
					return errors.New(j.usage())
				}
				value, args = args[0], args[1:]
			}
			if err := j.valued(letter, value); err != nil {
				return err
			}
			break
		}
	}
	if len(args) == 0 {
		return errors.New(j.usage())
	}
	j.tables = args
	return nil
}

func (j *postmapJob) flag(letter byte) error {
	switch letter {
	case 'f':
		j.build.NoFold = true
	case 'i':
		j.update = true
		return j.onlyOne()
	case 'o':
		j.build.AsOwner = false
	case 'p':
		j.build.SourceMode = false
	case 'r':
		j.build.Dup = table.DupReplace
	case 's':
		j.sequence = true
		return j.onlyOne()
	case 'u':
		j.build.NoUTF8 = true
	case 'w':
		j.build.Dup = table.DupIgnore
	case 'n', 'N', 'U', 'v': // of no consequence: our format has no null bytes
	case 'b', 'F', 'h', 'm':
		if !j.build.Aliases {
			return fmt.Errorf("option -%c is not supported by aliasmx", letter)
		}
		fallthrough
	default:
		fmt.Fprintf(j.env.stderr, "%s: invalid option -- '%c'\n", j.name, letter)
		return errors.New(j.usage())
	}
	return nil
}

func (j *postmapJob) valued(letter byte, value string) error {
	switch letter {
	case 'c':
		j.configDir = value
		return nil
	case 'd':
		j.remove, j.removing = value, true
	case 'q':
		j.query, j.querying = value, true
	}
	return j.onlyOne()
}

func (j *postmapJob) onlyOne() error {
	n := 0
	for _, asked := range []bool{j.querying, j.removing, j.sequence, j.update} {
		if asked {
			n++
		}
	}
	if n > 1 {
		return errors.New("specify only one of -d -i -q or -s")
	}
	return nil
}

// addTypes gives the tables without a type default_database_type. Only then is
// main.cf needed: tables can be built before anything is configured.
func (j *postmapJob) addTypes() error {
	typ := ""
	for i, t := range j.tables {
		if strings.Contains(t, ":") {
			continue
		}
		if typ == "" {
			var err error
			if typ, err = j.defaultType(); err != nil {
				return err
			}
		}
		j.tables[i] = typ + ":" + t
	}
	return nil
}

func (j *postmapJob) defaultType() (string, error) {
	dir := configDir(j.configDir, j.env)
	if j.configDir == "" && j.env.getenv("MAIL_CONFIG") == "" {
		if _, err := os.Stat(filepath.Join(dir, "main.cf")); errors.Is(err, os.ErrNotExist) {
			return "hash", nil
		}
	}
	cfg, err := loadConfig(dir, j.env)
	if err != nil {
		return "", err
	}
	return cfg.Get("default_database_type"), nil
}

// make builds each table, or adds to it what comes on standard input.
func (j *postmapJob) make() error {
	for _, spec := range j.tables {
		if j.update {
			if err := table.Update(spec, j.env.stdin, j.build); err != nil {
				return err
			}
			continue
		}
		j.build.Progress = progressTo(j.env.stderr, j.name, spec)
		err := table.Build(spec, j.build)
		if j.build.Progress != nil {
			fmt.Fprint(j.env.stderr, "\r\x1b[K")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// progressTo shows how far a large table is, to somebody who watches.
func progressTo(w io.Writer, name, spec string) func(int) {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || f.Name() == os.DevNull {
		return nil
	}
	return func(entries int) {
		fmt.Fprintf(f, "\r\x1b[K%s: %s: %d entries", name, maillog.Printable(spec), entries)
	}
}

func (j *postmapJob) open(spec string) (table.Table, error) {
	return table.Open(spec, table.Options{Warn: j.warn, NoFold: j.build.NoFold, NoUTF8: j.build.NoUTF8, Aliases: j.build.Aliases, Env: j.variable, Types: tableTypes()})
}

// variable looks a variable of the environment up, for environ: tables.
func (j *postmapJob) variable(name string) (value string, found bool) {
	for _, pair := range j.env.environ() {
		if value, found = strings.CutPrefix(pair, name+"="); found {
			return value, true
		}
	}
	return "", false
}

// lookUp prints the first value that a table has, or, with "-q -", one line for each
// key of standard input that is found. A table is opened when it is first needed.
func (j *postmapJob) lookUp() (found bool, err error) {
	opened := make([]table.Table, len(j.tables))
	defer func() {
		for _, t := range opened {
			if t != nil {
				t.Close()
			}
		}
	}()
	out := bufio.NewWriter(j.env.stdout)
	lookUp := func(key, before string) error {
		for i, spec := range j.tables {
			if opened[i] == nil {
				t, err := j.open(spec)
				if err != nil {
					return err
				}
				opened[i] = t
			}
			value, ok, err := opened[i].Lookup(context.Background(), key)
			if err != nil {
				return fmt.Errorf("table %s: query error: %w", spec, err)
			}
			if !ok {
				continue
			}
			if value == "" {
				j.warn(fmt.Sprintf("table %s: key %s: empty string result is not allowed", spec, key))
				j.warn(fmt.Sprintf("table %s should return NO RESULT in case of NOT FOUND", spec))
			}
			found = true
			_, err = fmt.Fprintf(out, "%s%s\n", before, value)
			return err
		}
		return nil
	}
	if j.query != "-" {
		err = lookUp(j.query, "")
	} else {
		err = j.eachKey(func(key string) error { return lookUp(key, key+j.between()) })
	}
	return found, errors.Join(err, out.Flush())
}

// eachKey calls f with each line of standard input.
func (j *postmapJob) eachKey(f func(key string) error) error {
	lines := bufio.NewScanner(j.env.stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := f(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (j *postmapJob) delete() (found bool, err error) {
	keys := []string{j.remove}
	if j.remove == "-" {
		keys = nil
		if err := j.eachKey(func(key string) error { keys = append(keys, key); return nil }); err != nil {
			return false, err
		}
	}
	for _, spec := range j.tables {
		n, err := table.Delete(spec, keys, j.build)
		if err != nil {
			return false, err
		}
		found = found || n > 0
	}
	return found, nil
}

// list prints what each table holds.
func (j *postmapJob) list() error {
	out := bufio.NewWriter(j.env.stdout)
	for _, spec := range j.tables {
		t, err := j.open(spec)
		if err != nil {
			return err
		}
		l, ok := t.(table.Lister)
		if !ok {
			t.Close()
			return fmt.Errorf("table %s: sequence operation is not supported", spec)
		}
		err = l.Each(func(key, value string) bool {
			_, err := fmt.Fprintf(out, "%s%s%s\n", key, j.between(), value)
			return err == nil
		})
		if err := errors.Join(err, t.Close()); err != nil {
			return fmt.Errorf("table %s: sequence error: %w", spec, err)
		}
	}
	return out.Flush()
}
