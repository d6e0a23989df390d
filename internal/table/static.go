package table

import (
	"context"
	"fmt"
)

// static answers every key with one value: static:value, static:{ value }.
type static struct{ argument, value string }

func openStatic(argument string, o Options) (Table, error) {
	value := argument
	if argument[0] == '{' {
		inner, why := unbrace(argument)
		if why != "" {
			return nil, fmt.Errorf("bad static:name syntax: %s", why)
		}
		value = inner
	}
	if o.Files {
		text, err := filesOf(value)
		if err != nil {
			return nil, err
		}
		value = text
	}
	return &static{argument, value}, nil
}

func (t *static) Lookup(context.Context, string) (string, bool, error) { return t.value, true, nil }
func (t *static) Name() string                                         { return "static:" + t.argument }
func (t *static) Close() error                                         { return nil }

// FailError is why a fail: table fails: because it is one.
type FailError struct{ Table string }

func (e FailError) Error() string { return "table " + e.Table + " fails every lookup" }

// fail fails every lookup, to see what becomes of the mail then: fail:name.
type fail struct{ argument string }

func openFail(argument string, _ Options) (Table, error) { return &fail{argument}, nil }

func (t *fail) Lookup(context.Context, string) (string, bool, error) {
	return "", false, FailError{t.Name()}
}
func (t *fail) Name() string { return "fail:" + t.argument }
func (t *fail) Close() error { return nil }
