package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Tables made of tables, and of results: DATABASE_README, Postfix lookup table types.

// members are the tables of "{type:name, type:name}".
type members struct {
	name   string
	tables []Table
}

func openMembers(typ, argument string, o Options) (members, error) {
	bad := fmt.Errorf(`bad syntax: "%s:%s"; need "%s:{type:name...}"`, typ, argument, typ)
	items := braced(argument)
	if len(items) == 0 {
		return members{}, bad
	}
	m := members{name: typ + ":" + argument}
	for _, item := range items {
		if !strings.Contains(item, ":") {
			return members{}, errors.Join(bad, m.Close())
		}
		t, err := Open(item, o)
		if err != nil {
			return members{}, errors.Join(err, m.Close())
		}
		m.tables = append(m.tables, t)
	}
	return m, nil
}

// braced splits what is between braces; nil when the braces are wrong or empty.
func braced(argument string) []string {
	if len(argument) < 2 || balanced(argument) != len(argument) {
		return nil
	}
	return splitList(argument[1 : len(argument)-1])
}

func (m members) Name() string { return m.name }

func (m members) Close() error {
	var errs []error
	for _, t := range m.tables {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

func memberError(t Table, err error) error { return fmt.Errorf("%s: %w", t.Name(), err) }

// union answers with all that its tables have, with commas between.
type union struct{ members }

func openUnionmap(argument string, o Options) (Table, error) {
	m, err := openMembers("unionmap", argument, o)
	if err != nil {
		return nil, err
	}
	return &union{m}, nil
}

func (u *union) Lookup(ctx context.Context, key string) (string, bool, error) {
	all := ""
	for _, t := range u.tables {
		value, found, err := t.Lookup(ctx, key)
		if err != nil {
			return "", false, memberError(t, err)
		}
		if !found {
			continue
		}
		if all != "" {
			all += ","
		}
		all += value
	}
	return all, all != "", nil // as in Postfix, nothing but empty values is no answer
}

// Locate implements Locator: where the first of the tables that know has the key.
func (u *union) Locate(key string) string {
	for _, t := range u.tables {
		if l, ok := t.(Locator); ok {
			if at := l.Locate(key); at != "" {
				return at
			}
		}
	}
	return ""
}

// pipe asks its first table for the key, and each other one for what the one before it
// said.
type pipe struct{ members }

func openPipemap(argument string, o Options) (Table, error) {
	m, err := openMembers("pipemap", argument, o)
	if err != nil {
		return nil, err
	}
	return &pipe{m}, nil
}

func (p *pipe) Lookup(ctx context.Context, key string) (value string, found bool, err error) {
	value = key
	for _, t := range p.tables {
		value, found, err = t.Lookup(ctx, value)
		switch {
		case err != nil:
			return "", false, memberError(t, err)
		case !found:
			return "", false, nil
		}
	}
	return value, true, nil
}

// Locate implements Locator: where the key stands in the first table.
func (p *pipe) Locate(key string) string {
	if l, ok := p.tables[0].(Locator); ok {
		return l.Locate(key)
	}
	return ""
}

// random answers every key with one of its values.
type random struct {
	name   string
	values []string
}

func openRandmap(argument string, _ Options) (Table, error) {
	values := braced(argument)
	if len(values) == 0 {
		return nil, fmt.Errorf(`bad syntax: "randmap:%s"; need "randmap:{value...}"`, argument)
	}
	return &random{"randmap:" + argument, values}, nil
}

func (r *random) Lookup(context.Context, string) (string, bool, error) {
	return r.values[rand.IntN(len(r.values))], true, nil
}

func (r *random) Name() string { return r.name }
func (r *random) Close() error { return nil }

// environment answers with the variables of the environment that Options.Env knows. Its
// argument means nothing. Names are folded to lower case as with any table of fixed
// keys, unless Options.NoFold is set.
type environment struct {
	name string
	o    Options
}

func openEnviron(argument string, o Options) (Table, error) {
	if o.Env == nil {
		return nil, fmt.Errorf("environ:%s: the environment is not to be had here; use an inline: table", argument)
	}
	return &environment{"environ:" + argument, o}, nil
}

func (e *environment) Lookup(_ context.Context, key string) (string, bool, error) {
	key, ok := e.o.lookupKey(e.name, key)
	if !ok {
		return "", false, nil
	}
	value, found := e.o.Env(key)
	return value, found, nil
}

func (e *environment) Name() string { return e.name }
func (e *environment) Close() error { return nil }
