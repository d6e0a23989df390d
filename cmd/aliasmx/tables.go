package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/mailauth/srs"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// tables opens the tables and lists that parameters name, and keeps what is to be
// closed. The first failure stays; after it nothing more is opened.
type tables struct {
	cfg    *postconf.Config
	opts   table.Options
	opened []io.Closer
	locals *table.Maps // alias_maps, once they are open
	err    error

	// srs_domain: see srs.go.
	codec    *srs.Codec
	returned alias.Returns    // nil: there is none
	now      func() time.Time // of time stamps; nil: time.Now
	lenient  bool             // secrets that cannot be read are no error
}

func (t *tables) failed(parameter string, err error) {
	parameter = t.cfg.Source(parameter)
	t.err = fmt.Errorf("%s (%s): %w", parameter, t.cfg.Where(parameter), err)
}

// maps opens the tables of a parameter such as virtual_alias_maps; nil when it is empty.
func (t *tables) maps(parameter string) table.Maps {
	list := t.cfg.List(parameter)
	if t.err != nil || len(list) == 0 {
		return nil
	}
	m, err := table.OpenMaps(list, t.opts)
	if err != nil {
		t.failed(parameter, err)
		return nil
	}
	t.opened = append(t.opened, m)
	return m
}

// nobody is a table without entries.
type nobody struct{}

func (nobody) Lookup(context.Context, string) (string, bool, error) { return "", false, nil }
func (nobody) Name() string                                         { return "inline:{}" }
func (nobody) Close() error                                         { return nil }

// domains opens a list of domains such as relay_domains; nil when it is empty.
func (t *tables) domains(parameter string) *table.DomainList {
	list := t.cfg.List(parameter)
	if t.err != nil || len(list) == 0 {
		return nil
	}
	l, err := table.ParseDomainList(list, t.listOptions(parameter))
	if err != nil {
		t.failed(parameter, err)
		return nil
	}
	t.opened = append(t.opened, l)
	return l
}

// addrs opens a list of client addresses such as mynetworks; nil when it is empty.
func (t *tables) addrs(parameter string) *table.AddrList {
	list := t.cfg.List(parameter)
	if t.err != nil || len(list) == 0 {
		return nil
	}
	l, err := table.ParseAddrList(list, t.listOptions(parameter))
	if err != nil {
		t.failed(parameter, err)
		return nil
	}
	t.opened = append(t.opened, l)
	return l
}

// listOptions says whether a domain in the list of a parameter stands for its
// subdomains too: by parent_domain_matches_subdomains, never for our own domains.
func (t *tables) listOptions(parameter string) table.Options {
	o := t.opts
	switch parameter {
	case "mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "masquerade_exceptions":
		o.Subdomains = table.NoSubdomains
	default:
		if slices.Contains(t.cfg.List("parent_domain_matches_subdomains"), parameter) {
			o.Subdomains = table.ParentSubdomains
		}
	}
	return o
}

func (t *tables) close() {
	for _, c := range t.opened {
		c.Close()
	}
}
