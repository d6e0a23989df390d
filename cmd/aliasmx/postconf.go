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
	services  bool              // -M
	edit      bool              // -e, or name=value among the arguments
	exclude   bool              // -X
	comment   bool              // -#
	names     []string
}

const postconfUsage = "usage: postconf [-c DIR] [-dfhHnpx] [-o name=value] [name ...] | " +
	"[-c DIR] [-e] name=value ... | [-c DIR] -X|-# name ... | [-c DIR] -M [-fx] [service[/type] ...]"

func postconfCommand(args []string, env environ) int {
	o, err := parsePostconf(args)
	if err != nil {
		return fail(env, "postconf", exitFailure, err)
	}
	o.dirGiven = o.dir != "" || env.getenv("MAIL_CONFIG") != ""
	o.dir = configDir(o.dir, env)
	run := postconfShow
	if o.edit || o.exclude || o.comment {
		run = postconfEdit
	}
	out := bufio.NewWriter(env.stdout)
	warn := func(text string) {
		out.Flush()
		fmt.Fprintf(env.stderr, "postconf: warning: %s\n", text)
	}
	err = run(o, env, out, warn)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fail(env, "postconf", exitFailure, err)
	}
	return exitOK
}

// parsePostconf reads options as getopt(3) does: they may be joined, and their argument
// may follow at once.
func parsePostconf(args []string) (o postconfOptions, err error) {
	o.overrides = make(map[string]string)
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		letters := args[0][1:]
		args = args[1:]
		if letters == "-" {
			break
		}
		for letters != "" {
			letter := letters[0]
			letters = letters[1:]
			switch letter {
			case 'c', 'o':
				value := letters
				if value == "" {
					if len(args) == 0 {
						return o, fmt.Errorf("option -%c needs an argument; %s", letter, postconfUsage)
					}
					value, args = args[0], args[1:]
				}
				letters = ""
				if letter == 'c' {
					o.dir = value
				} else if err := o.override(value); err != nil {
					return o, err
				}
			default:
				if !o.flag(letter) {
					return o, fmt.Errorf("invalid option -%c; %s", letter, postconfUsage)
				}
			}
		}
	}
	o.names = args
	return o, o.consistent()
}

func (o *postconfOptions) flag(letter byte) bool {
	switch letter {
	case 'd':
		o.show.Defaults = true
	case 'e':
		o.edit = true
	case 'f':
		o.show.Fold = true
	case 'h':
		o.show.ValuesOnly = true
	case 'H':
		o.show.NamesOnly = true
	case 'M':
		o.services = true
	case 'n':
		o.show.Explicit = true
	case 'x':
		o.show.Expand = true
	case 'X':
		o.exclude = true
	case '#':
		o.comment = true
	case 'p', 'v': // -p is the default; there is nothing more to tell with -v
	default:
		return false
	}
	return true
}

func (o *postconfOptions) override(setting string) error {
	name, value, ok := strings.Cut(setting, "=")
	if !ok {
		return fmt.Errorf("-o %s: missing '=' after parameter name", setting)
	}
	o.overrides[strings.TrimSpace(name)] = strings.TrimSpace(value)
	return nil
}

// consistent refuses options that contradict each other. name=value is an edit even
// without -e.
func (o *postconfOptions) consistent() error {
	if !o.services && !o.exclude && !o.comment {
		for _, name := range o.names {
			o.edit = o.edit || strings.Contains(name, "=")
		}
	}
	modes := ""
	for _, m := range []struct {
		on     bool
		letter string
	}{
		{o.show.Defaults, " -d"}, {o.edit, " -e"}, {o.services, " -M"}, {o.show.Explicit, " -n"},
		{o.exclude, " -X"}, {o.comment, " -#"},
	} {
		if m.on {
			modes += m.letter
		}
	}
	if len(modes) > len(" -d") {
		return errors.New("specify one of" + modes)
	}
	if o.show.NamesOnly && o.show.ValuesOnly {
		return errors.New("specify one of -h -H")
	}
	return nil
}

func postconfEdit(o postconfOptions, _ environ, _ io.Writer, warn func(string)) error {
	mode := postconf.Assign
	switch {
	case o.exclude:
		mode = postconf.Exclude
	case o.comment:
		mode = postconf.CommentOut
	}
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
	if o.services {
		unmatched, err := cfg.PrintServices(out, o.names, o.show)
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
