package dbtable

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/table"
)

// Source asks a server for keys. It is used by several goroutines at once, and closed
// when none uses it.
type Source interface {
	// Ask adds every value of a key to the result, in the order in which the server has
	// them. No value at all means that there is no such key. An error means that the
	// server could not answer.
	Ask(ctx context.Context, r *Result) error

	Close() error
}

// Type is a type of tables.
type Type struct {
	Name string // "pgsql"

	// New makes a Source of what the .cf file says. It reads every parameter of the
	// type, but connects to nothing. The templates are for its queries.
	New func(c *Config, ts *Templates, o table.Options) (Source, error)

	// ResultFormat names older spellings of result_format.
	ResultFormat []string

	// Local is for tables that are files on this machine, which no cache is for.
	Local bool
}

// Open implements table.Opener.
func (typ Type) Open(argument string, o table.Options) (table.Table, error) {
	t := &dbTable{typ: typ, name: typ.Name + ":" + argument, o: o}
	if !strings.HasPrefix(argument, "/") && !strings.HasPrefix(argument, ".") {
		return nil, fmt.Errorf(`%s: need the path of a file that begins with "/" or "."; parameters of tables in main.cf are not supported`, t.name)
	}
	if o.Warn == nil {
		t.o.Warn = func(string) {}
	}
	var err error
	t.file, err = table.Watch(t.name, argument, t.o, func() (*reading, error) { return t.read(argument) }, (*reading).close)
	if err != nil {
		return nil, err
	}
	if typ.Local {
		return t, nil
	}
	return table.Cached(t, t.o), nil
}

type dbTable struct {
	typ  Type
	name string
	o    table.Options
	file *table.Watched[reading]
}

// reading is what one state of the .cf file says.
type reading struct {
	Source
	templates *Templates
	format    Template
	limit     int
	domains   *table.DomainList // nil: all
}

// read reads the .cf file. Nothing else happens: servers are asked by Lookup.
func (t *dbTable) read(file string) (*reading, error) {
	c, err := ReadConfig(file, t.o.Warn)
	if err != nil {
		return nil, err
	}
	r := &reading{templates: &Templates{}}
	format, text := "result_format", c.Str("result_format", "")
	for _, older := range t.typ.ResultFormat {
		if value := c.Str(older, ""); text == "" && value != "" {
			format, text = older, value
		}
	}
	if text == "" {
		text = "%s"
	}
	if r.format, err = r.templates.Result(text); err != nil {
		c.Fail(format, "%v", err)
	}
	r.limit = c.Int("expansion_limit", 0, 0)
	domains := c.List("domain")
	if r.Source, err = t.typ.New(c, r.templates, t.o); err == nil {
		err = c.Err()
	}
	if err == nil && len(domains) > 0 {
		o := t.o
		o.Subdomains = table.NoSubdomains
		if r.domains, err = table.ParseDomainList(domains, o); err != nil {
			err = fmt.Errorf("%s: domain: %w", file, err)
		}
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *reading) close() error {
	var errs []error
	if r.Source != nil {
		errs = append(errs, r.Source.Close())
	}
	if r.domains != nil {
		errs = append(errs, r.domains.Close())
	}
	return errors.Join(errs...)
}

func (t *dbTable) Lookup(ctx context.Context, key string) (value string, found bool, err error) {
	key, ok := t.o.LookupKey(t.name, key)
	if !ok || !storable(key) {
		return "", false, nil
	}
	err = t.file.Use(func(r *reading) error {
		value, found, err = r.lookup(ctx, key, func(msg string) { t.o.Warn(t.name + ": " + msg) })
		return err
	})
	if err == nil && found {
		err = t.o.CheckValue(t.name, key, value)
	}
	if err != nil {
		return "", false, err
	}
	return value, found, nil
}

func (r *reading) lookup(ctx context.Context, key string, warn func(string)) (string, bool, error) {
	if r.domains != nil {
		// As in db_common(3), "@example.com" is not asked for either.
		user, domain, _ := split(key)
		if user == "" || domain == "" {
			return "", false, nil
		}
		if ok, err := r.domains.Match(ctx, domain); err != nil || !ok {
			return "", false, err
		}
	}
	k, ok := r.templates.Key(key)
	if !ok {
		return "", false, nil
	}
	result := &Result{key: k, templates: r.templates, format: r.format, limit: r.limit, warn: warn}
	if err := r.Ask(ctx, result); err != nil {
		return "", false, err
	}
	value, found := result.value()
	return value, found, nil
}

func (t *dbTable) Name() string { return t.name }

func (t *dbTable) Close() error {
	return t.file.Close()
}
