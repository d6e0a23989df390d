package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/table"
)

// Asking tables: postmap -q and postmap -s.

// postmapTables are the tables of a query. Each is opened when it is first needed.
type postmapTables struct {
	job    *postmapJob
	out    *bufio.Writer
	opened []table.Table
	found  bool
}

func (j *postmapJob) open(spec string) (table.Table, error) {
	return table.Open(spec, table.Options{
		Warn: j.warn, NoFold: j.build.NoFold, NoUTF8: j.build.NoUTF8, Aliases: j.build.Aliases,
		Dup: j.build.Dup, NullForm: j.build.NullForm, Files: j.build.Files, Env: j.variable, Types: j.build.Types,
	})
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
// key of standard input that is found.
func (j *postmapJob) lookUp() (found bool, err error) {
	t := &postmapTables{job: j, out: bufio.NewWriter(j.env.stdout), opened: make([]table.Table, len(j.tables))}
	switch {
	case j.query != "-":
		err = t.ask(j.query, "", j.build.Files)
	case j.headers || j.body:
		err = j.eachMessageKey(func(key string) error { return t.ask(key, key+j.between(), false) })
	default:
		err = j.eachLine(func(key string) (bool, error) { return true, t.ask(key, key+j.between(), j.build.Files) })
	}
	return t.found, errors.Join(err, t.out.Flush(), t.close())
}

// ask prints what the first table that knows the key says, and what is to stand before
// it. With files, the value is what was in the files that -F made it of.
func (t *postmapTables) ask(key, before string, files bool) error {
	for i, spec := range t.job.tables {
		if t.opened[i] == nil {
			opened, err := t.job.open(spec)
			if err != nil {
				return err
			}
			t.opened[i] = opened
		}
		name := table.ShownName(t.opened[i])
		value, ok, err := t.opened[i].Lookup(context.Background(), key)
		if err != nil {
			return tableError(name, "query", err)
		}
		if !ok {
			continue
		}
		if files {
			if value, err = table.FileContent(value); err != nil {
				t.job.warnf("table %s: key %s: %v", name, key, err)
				return fmt.Errorf("table %s: query error", name)
			}
		}
		if value == "" {
			if before == "" {
				name = spec
			}
			t.job.warnEmpty(name, key)
		}
		t.found = true
		_, err = fmt.Fprintf(t.out, "%s%s\n", before, value)
		return err
	}
	return nil
}

func (t *postmapTables) close() error {
	var errs []error
	for _, opened := range t.opened {
		if opened != nil {
			errs = append(errs, opened.Close())
		}
	}
	return errors.Join(errs...)
}

func (j *postmapJob) warnEmpty(name, key string) {
	j.warnf("table %s: key %s: empty string result is not allowed", name, key)
	j.warnf("table %s should return NO RESULT in case of NOT FOUND", name)
}

// tableError is how postmap ends when a table fails. Of a bad value a warning has said
// all; a fail: table fails as Postfix's does.
func tableError(name, operation string, err error) error {
	if _, ok := errors.AsType[*table.ValueError](err); ok {
		return fmt.Errorf("table %s: %s error", name, operation)
	}
	if _, ok := errors.AsType[table.FailError](err); ok {
		return fmt.Errorf("table %s: %s error: Application error", name, operation)
	}
	return fmt.Errorf("table %s: %s error: %w", name, operation, err)
}

// list prints what the first table holds; Postfix does not look at the others.
func (j *postmapJob) list() error {
	if len(j.tables) == 0 {
		return nil
	}
	spec := j.tables[0]
	t, err := j.open(spec)
	if err != nil {
		return err
	}
	defer t.Close()
	l, ok := t.(table.Lister)
	switch {
	case strings.HasPrefix(spec, "fail:"):
		return tableError(spec, "sequence", table.FailError{Table: spec})
	case !ok:
		return fmt.Errorf("table %s: sequence operation is not supported", table.ShownName(t))
	}
	out := bufio.NewWriter(j.env.stdout)
	err = l.Each(func(key, value string) bool {
		switch {
		case key == "":
			j.warnf("table %s: empty lookup key value is not allowed", spec)
		case value == "":
			j.warnEmpty(spec, key)
		}
		if j.build.Files {
			content, err := table.FileContent(value)
			if err != nil {
				j.warnf("table %s: key %s: %v", table.ShownName(t), key, err)
				return true
			}
			value = content
		}
		_, err := fmt.Fprintf(out, "%s%s%s\n", key, j.between(), value)
		return err == nil
	})
	if err != nil {
		return tableError(table.ShownName(t), "sequence", errors.Join(err, out.Flush()))
	}
	return out.Flush()
}
