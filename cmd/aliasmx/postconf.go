package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"aliasmx/internal/postconf"
)

// postconf(1): shows parameters and services, and edits main.cf.

type postconfOptions struct {
	show      postconf.PrintOptions
	dir       string
	dirGiven  bool
	overrides map[string]string // -o
	class     string            // -C
	tls       string            // -T
	given     string            // the letters that were given, once each
	names     []string
}

const postconfUsage = "postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir] [-C param_class] " +
	"[-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)] [-h (no names)] " +
	"[-H (no values)] [-l (lock types)] [-m (map types)] [-M (master.cf)] [-n (non-default parameters)] " +
	"[-o name=value (override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] " +
	"[-t (bounce templates)] [-T compile-version|run-version|public-key-algorithms] [-v (verbose)] [-x (expand parameter values)] " +
	"[-X (exclude)] [-# (comment-out)] [name...]"

func postconfCommand(args []string, env environ) int {
	o, err := parsePostconf(args)
	if err != nil {
		usageError(env.stderr, "postconf", err, postconfUsage)
		return exitFailure
	}
	o.dirGiven = o.dir != "" || env.getenv("MAIL_CONFIG") != ""
	o.dir = configDir(o.dir, env)
	out := bufio.NewWriter(env.stdout)
	warn := func(text string) {
		out.Flush()
		fmt.Fprintf(env.stderr, "postconf: warning: %s\n", text)
	}
	err = o.run()(o, env, out, warn)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fail(env, "postconf", exitFailure, err)
	}
	return exitOK
}

// postconfRun is what postconf does in one of its modes.
type postconfRun func(o postconfOptions, env environ, out io.Writer, warn func(string)) error

func (o *postconfOptions) run() postconfRun {
	switch {
	case o.any("aAlmT"):
		return postconfTypes
	case o.any("bt"):
		return postconfTemplates
	case o.any("eX#") && o.any("MFP"):
		return postconfEditMaster
	case o.any("eX#"):
		return postconfEdit
	}
	return postconfShow
}

func (o *postconfOptions) has(letter byte) bool    { return strings.IndexByte(o.given, letter) >= 0 }
func (o *postconfOptions) any(letters string) bool { return strings.ContainsAny(o.given, letters) }

func parsePostconf(args []string) (o postconfOptions, err error) {
	o.overrides = make(map[string]string)
	o.names, err = getopt(args, "aAbc:C:deEfFhHlmMno:pPtT:vxX#", o.option)
	if err != nil {
		return o, err
	}
	o.show = postconf.PrintOptions{
		Explicit: o.has('n'), Defaults: o.has('d'), Expand: o.has('x'),
		NamesOnly: o.has('H'), ValuesOnly: o.has('h'), Fold: o.has('f'),
	}
	if !o.any("aAblmtT") && !o.any("MFP") {
		o.given += "p"
	}
	// name=value is an edit even without -e.
	if o.any("pMFP") && len(o.names) > 0 && strings.Contains(o.names[0], "=") && !o.any("eX#") {
		o.given += "e"
	}
	if err := o.consistent(); err != nil {
		return o, err
	}
	if o.show.Classes, err = postconf.ParseClasses(o.class); err != nil {
		return o, err
	}
	switch {
	case o.has('e') && len(o.names) == 0:
		return o, errors.New("-e requires name=value argument")
	case o.any("X#") && len(o.names) == 0:
		return o, errors.New("missing service argument")
	case o.any("bt") && len(o.names) > 1:
		return o, errors.New("options -b and -t require at most one template file")
	}
	return o, nil
}

func (o *postconfOptions) option(letter byte, arg string) error {
	switch letter {
	case 'E': // -e of old
		letter = 'e'
	case 'c':
		o.dir = arg
		return nil
	case 'o':
		if err := o.override(arg); err != nil {
			return err
		}
	case 'C':
		o.class = arg
	case 'b', 't':
		if o.any("bt") {
			return errors.New("specify one of -b and -t")
		}
	case 'T':
		if o.has('T') {
			return errors.New("At most one -T <mode> option may be specified")
		}
		o.tls = arg
	case 'v': // there is nothing more to tell
		return nil
	}
	if !o.has(letter) {
		o.given += string(letter)
	}
	return nil
}

func (o *postconfOptions) override(setting string) error {
	name, value, ok := strings.Cut(setting, "=")
	if !ok {
		return fmt.Errorf("-o %s: missing '=' after parameter name", setting)
	}
	o.overrides[strings.TrimSpace(name)] = strings.TrimSpace(value)
	return nil
}

// postconfExclusive are options of which one can be given: first the modes, then what
// contradicts itself.
var postconfExclusive = []string{"abAlmpMFPtT", "e#X", "den#X", "fe#X", "xe#X", "ode#X", "he#XH"}

// postconfCompatible are the options that a mode goes together with.
var postconfCompatible = []struct{ mode, with string }{
	{"a", ""}, {"A", ""}, {"b", ""}, {"t", ""}, {"l", ""}, {"m", ""}, {"T", ""},
	{"p", "eX#fhCxdnoH"}, {"M", "CeX#fox"}, {"F", "CefhoxH"}, {"P", "CeXfhoxH"},
}

// consistent refuses options that contradict each other.
func (o *postconfOptions) consistent() error {
	const order = "abACdefFhHlmMnopPtTxX#"
	list := func(letters string) string {
		var given []string
		for _, l := range among(order, letters) {
			given = append(given, "-"+string(l))
		}
		return strings.Join(given, " ")
	}
	for _, set := range postconfExclusive {
		if both := among(o.given, set); len(both) > 1 {
			return errors.New("specify one of " + list(both))
		}
	}
	for _, c := range postconfCompatible {
		if !o.any(c.mode) {
			continue
		}
		if wrong := among(o.given, order); len(wrong) > 0 {
			wrong = strings.Map(func(r rune) rune {
				if strings.ContainsRune(c.mode+c.with, r) {
					return -1
				}
				return r
			}, wrong)
			if wrong != "" {
				return fmt.Errorf("with option -%s, do not specify %s", c.mode, list(wrong))
			}
		}
	}
	return nil
}

// among are the letters that are in both.
func among(letters, set string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(set, r) {
			return r
		}
		return -1
	}, letters)
}

func (o *postconfOptions) editMode() postconf.EditMode {
	switch {
	case o.has('X'):
		return postconf.Exclude
	case o.has('#'):
		return postconf.CommentOut
	}
	return postconf.Assign
}

func postconfEdit(o postconfOptions, _ environ, _ io.Writer, warn func(string)) error {
	mode := o.editMode()
	var edits []postconf.Assignment
	for _, arg := range o.names {
		name, value, ok := strings.Cut(arg, "=")
		if ok != (mode == postconf.Assign) {
			if ok {
				return fmt.Errorf("-X or -# requires names without value: %q", arg)
			}
			return fmt.Errorf("missing '=' after attribute name: %q", arg)
		}
		edits = append(edits, postconf.Assignment{Name: strings.TrimSpace(name), Value: value})
	}
	warnings, err := postconf.Edit(o.dir, mode, edits)
	for _, w := range warnings {
		warn(w)
	}
	return err
}

func postconfShow(o postconfOptions, env environ, out io.Writer, warn func(string)) error {
	from := postconf.LoadOptions{Dir: o.dir, Environ: env.environ()}
	var cfg *postconf.Config
	if o.show.Defaults {
		cfg = postconf.Defaults(from)
	} else {
		var err error
		if cfg, err = postconf.Read(from); err != nil {
			return err
		}
		if o.dirGiven {
			cfg = cfg.With(map[string]string{"config_directory": filepath.Clean(o.dir)}, "-c")
		}
		cfg = cfg.With(o.overrides, "-o")
	}
	if o.any("MFP") {
		show := cfg.PrintServices
		switch {
		case o.has('F'):
			show = cfg.PrintFields
		case o.has('P'):
			show = cfg.PrintOverrides
		}
		unmatched, err := show(out, o.names, o.show)
		for _, pattern := range unmatched {
			warn(fmt.Sprintf("unmatched request: %q", pattern))
		}
		return err
	}
	unknown, err := cfg.Print(out, o.names, o.show)
	for _, name := range unknown {
		warn(name + ": unknown parameter")
	}
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		warn(w)
	}
	return nil
}
