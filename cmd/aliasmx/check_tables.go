package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/local"
	"aliasmx/internal/postconf"
)

// What check says of the alias tables. A finding is a warning: mail runs with it, if not
// to where it was meant to.

const (
	// proofTime bounds the proof. It is for tables that are served slowly; a million
	// entries in a file take seconds.
	proofTime = time.Minute

	// shownOfKind is how many findings of a kind are shown. Who wants all has --json.
	shownOfKind = 20
)

// place is where a finding stands: a file and line, or a parameter and its line.
func place(f alias.Finding, cfg *postconf.Config) string {
	if f.Where != "" {
		return f.Where
	}
	return fmt.Sprintf("%s (%s)", f.Parameter, cfg.Where(f.Parameter))
}

// checkTables proves the tables and tells what it found in the order of their lines.
// What is no fault goes to inform.
func checkTables(v *view, warn, inform func(text string)) {
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	if err := proveAliases(v, func(f local.Finding) bool {
		warn(fmt.Sprintf("%s: alias %s: %s", f.Where, f.Name, f.Text))
		return true
	}); err != nil {
		warn(err.Error())
	}
	if err := checkTLSPolicies(v, func(where, key, text string) { warn(tlsEntry{where: where, key: key}.place() + ": " + text) }); err != nil {
		warn(err.Error())
	}
	var found findings
	find := func(f alias.Finding) bool {
		found.add(f, place(f, v.cfg))
		return true
	}
	v.resolver.Prove(ctx, find)
	v.resolver.ProveRoutes(ctx, v.checkRoute, find)
	for _, k := range found.kinds {
		say := warn
		if k.info {
			say = inform
		}
		for _, s := range k.shown {
			say(s.text)
		}
		if more := k.total - len(k.shown); more > 0 {
			say(fmt.Sprintf("and %d more of this kind (%s); check --json lists all", more, k.kind))
		}
	}
}

// findings keeps the first of each kind, and counts the others.
type findings struct{ kinds []*findingKind }

type findingKind struct {
	kind  alias.Kind
	info  bool
	total int
	shown []shownFinding // in order of file and line
}

type shownFinding struct {
	file string
	line int
	text string
}

func (a shownFinding) compare(b shownFinding) int {
	return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), strings.Compare(a.text, b.text))
}

func (fs *findings) add(f alias.Finding, where string) {
	i := slices.IndexFunc(fs.kinds, func(k *findingKind) bool { return k.kind == f.Kind && k.info == f.Info })
	if i < 0 {
		i = len(fs.kinds)
		fs.kinds = append(fs.kinds, &findingKind{kind: f.Kind, info: f.Info})
	}
	k := fs.kinds[i]
	k.total++
	s := shownFinding{file: where, text: where + ": " + f.Text}
	if f.Key != "" {
		s.text = where + ": " + f.Key + ": " + f.Text
	}
	if file, line, ok := cutLine(where); ok {
		s.file, s.line = file, line
	}
	at, _ := slices.BinarySearchFunc(k.shown, s, shownFinding.compare)
	if at == shownOfKind {
		return
	}
	k.shown = slices.Insert(k.shown, at, s)
	k.shown = k.shown[:min(len(k.shown), shownOfKind)]
}

// cutLine parts "FILE, line N".
func cutLine(where string) (file string, line int, ok bool) {
	i := strings.LastIndex(where, ", line ")
	if i < 0 {
		return "", 0, false
	}
	line, err := strconv.Atoi(where[i+len(", line "):])
	return where[:i], line, err == nil
}

// findingJSON is a line of check --json.
type findingJSON struct {
	Severity string `json:"severity"` // fatal (it would not start), warning, info
	Kind     string `json:"kind"`     // an alias.Kind, or "configuration"
	Where    string `json:"where,omitempty"`
	Key      string `json:"key,omitempty"`
	Text     string `json:"text"`
}

// checkTablesJSON writes each finding as it is found.
func checkTablesJSON(v *view, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	var err error
	if proveErr := proveAliases(v, func(f local.Finding) bool {
		err = writeJSONLine(out, findingJSON{"warning", "local alias", f.Where, f.Name, f.Text})
		return err == nil
	}); err == nil {
		err = proveErr
	}
	if err == nil {
		err = checkTLSPolicies(v, func(where, key, text string) {
			err = cmp.Or(err, writeJSONLine(out, findingJSON{"warning", "tls policy", where, key, text}))
		})
	}
	if err != nil {
		return err
	}
	find := func(f alias.Finding) bool {
		severity := "warning"
		if f.Info {
			severity = "info"
		}
		err = writeJSONLine(out, findingJSON{severity, string(f.Kind), place(f, v.cfg), f.Key, f.Text})
		return err == nil
	}
	v.resolver.Prove(ctx, find)
	if err == nil {
		v.resolver.ProveRoutes(ctx, v.checkRoute, find)
	}
	return err
}

// writeJSONLine writes one object on a line of its own.
func writeJSONLine(out io.Writer, object any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(object)
}
